"""Trains the network that reads joints from silhouettes, for the measure "body fit".

    python benchmarks/train_pose_network.py MOTION… -o dancenet/metrics/bodies/pose_network.npz

Takes recordings of bodies of nineteen joints. Bodies of any yaw, stature and girth are drawn from
them, in a third of them the upper half of one pose on the lower half of another, and the network
learns to read the joints from the drawing (see `dancenet.metrics.bodies.pose_network`). Drawing
160,000 takes three minutes on an idle core, training ten.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from dancenet.data.frames.picture import HEIGHT, WIDTH
from dancenet.data.mocap.recordings import each_recording
from dancenet.data.motion.joints import JOINTS
from dancenet.data.motion.proportions import REACH, TOE_REACH, Body, by_name, measure, unit
from dancenet.metrics.bodies import pose_network
from dancenet.metrics.bodies.redraw import NECK_BASE, Bodies, body_outlines, redraw

STATURES = (64.0, 98.0)  # pixels
GIRTHS = (0.8, 1.35)
MIXED = 0.35  # share of bodies whose halves come from two poses
HEAD = 0.1  # body heights; only the direction of a head is drawn
SMALL = pose_network.SMALL
WEIGHTS = {"pelvis": 0.2, "elbow": 1.5, "wrist": 1.5, "knee": 1.5, "ankle": 1.5, "toe": 1.5}
DEPTH = 0.25  # weight of the distance from the viewer, which a silhouette hardly shows
BATCH = 256

LEGS = [JOINTS.index(f"{side}_{n}") for side in "lr" for n in ("hip", "knee", "ankle", "toe")]
UPPER = [index for index in range(1, len(JOINTS)) if index not in LEGS]
OTHERS = [
    JOINTS.index({"l_": "r_", "r_": "l_"}.get(name[:2], name[:2]) + name[2:]) for name in JOINTS
]


def standard(positions: np.ndarray, body: Body) -> np.ndarray:
    """Brings a recording's joints (T, 19, 3) to the form of `redraw.STANDARD`, in body heights."""
    joint = {name: place / body.stature for name, place in by_name(positions.astype(float)).items()}
    hips = (joint["l_hip"] + joint["r_hip"]) / 2
    up = unit(joint["neck"] - joint["chest"])
    line = joint["neck"] - body.neck_base / body.stature * up
    across = unit(joint["l_shoulder"] - joint["r_shoulder"])
    for side, sign in (("l", 1.0), ("r", -1.0)):
        shift = sign * body.shoulder_shift / body.stature
        joint[f"{side}_shoulder"] = joint[f"{side}_shoulder"] + shift * across
    head = unit(joint["head"] - joint["neck"])
    joint["spine"], joint["chest"] = _thirds(
        np.stack([hips, joint["spine"], joint["chest"], line], axis=1)
    )
    joint["neck"] = line + NECK_BASE * unit(line - joint["chest"])
    joint["head"] = joint["neck"] + HEAD * head
    joint["pelvis"] = hips
    whole = np.stack([joint[name] for name in JOINTS], axis=1)
    return (whole - hips[:, None]).astype(np.float32)


def _thirds(chain: np.ndarray) -> list[np.ndarray]:
    """Returns the points (T, 3) at one and at two thirds of the way along chains (T, 4, 3)."""
    lengths = np.linalg.norm(np.diff(chain, axis=1), axis=-1)
    ends = np.concatenate([np.zeros((len(chain), 1)), np.cumsum(lengths, axis=1)], axis=1)
    found, rows = [], np.arange(len(chain))
    for share in (1 / 3, 2 / 3):
        place = share * ends[:, -1]
        piece = np.clip((ends[:, 1:] < place[:, None]).sum(axis=1), 0, 2)
        part = (place - ends[rows, piece]) / np.maximum(lengths[rows, piece], 1e-9)
        near, far = chain[rows, piece], chain[rows, piece + 1]
        found.append(near + part[:, None] * (far - near))
    return found


class Poses(NamedTuple):
    """Poses in standard form, and how often each is drawn."""

    joints: np.ndarray  # (N, 19, 3) body heights
    share: np.ndarray  # (N,)


def read_poses(paths: list[str]) -> Poses:
    """Reads recordings; of a dancer with four times the frames twice as many are taken."""
    joints, dancers = [], []
    for recording in each_recording(paths):
        clip = recording.clip
        joints.append(standard(clip.positions, measure(clip.positions)))
        dancers += ["_".join(clip.source.split("_")[:2])] * clip.num_frames
    _, number, counts = np.unique(dancers, return_inverse=True, return_counts=True)
    share = counts[number] ** -0.5
    return Poses(np.concatenate(joints), share / share.sum())


def turn(joints: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turns joints (B, 19, 3) about the vertical by (B,) radians."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(joints, -1, 0)
    return np.stack([x * cos - z * sin, y, x * sin + z * cos], axis=-1).astype(np.float32)


def heading(joints: np.ndarray) -> np.ndarray:
    """Returns the direction of the hips (B,)."""
    across = joints[:, JOINTS.index("l_hip")] - joints[:, JOINTS.index("r_hip")]
    return np.arctan2(across[:, 2], across[:, 0])


def draw_lots(poses: Poses, count: int, rng: np.random.Generator) -> Bodies:
    """Makes bodies that stand in the picture."""
    joints = poses.joints[rng.choice(len(poses.joints), count, p=poses.share)]
    mixed = np.flatnonzero(rng.random(count) < MIXED)
    other = poses.joints[rng.choice(len(poses.joints), len(mixed), p=poses.share)]
    other = turn(other, heading(other) - heading(joints[mixed]))
    joints[mixed[:, None], UPPER] = other[:, UPPER]
    joints = turn(joints, rng.uniform(0, 2 * np.pi, count))
    mirrored = rng.random(count) < 0.5
    joints[mirrored] = joints[mirrored][:, OTHERS] * np.array([-1, 1, 1], np.float32)
    stature, girth = (
        np.exp(rng.uniform(*np.log(ends), count)).astype(np.float32) for ends in (STATURES, GIRTHS)
    )
    joints = joints * np.array([1, -1, 1], np.float32) * stature[:, None, None]
    height = np.ptp(joints[..., 1], axis=1) + (REACH + TOE_REACH) * stature
    fit = np.minimum(1, (HEIGHT - 3) / height).astype(np.float32)
    joints, stature = joints * fit[:, None, None], stature * fit
    joints[..., 1] += (HEIGHT - 2 - joints[..., 1].max(axis=1) - 0.03 * stature)[:, None]
    middle = (joints[..., 0].min(axis=1) + joints[..., 0].max(axis=1)) / 2
    joints[..., 0] += (WIDTH / 2 - middle)[:, None]
    joints[..., :2] += rng.uniform(-0.5, 0.5, 2).astype(np.float32)
    return Bodies(joints, stature, girth)


class Lesson(NamedTuple):
    """Pictures and what is to be read from them."""

    pictures: np.ndarray  # (N, SMALL, SMALL) uint8, pixels of the dancer in 2×2
    targets: np.ndarray  # (N, 59) float32, as `pose_network` answers


def make_lesson(poses: Poses, count: int, rng: np.random.Generator) -> Lesson:
    """Draws bodies."""
    pictures, targets = [], []
    for begin in range(0, count, BATCH):
        bodies = draw_lots(poses, min(BATCH, count - begin), rng)
        squares, middles = pose_network.centred(redraw(body_outlines(bodies)))
        blocks = squares.reshape(-1, SMALL, 2, SMALL, 2)
        pictures.append(blocks.sum(axis=(2, 4), dtype=np.uint8))
        bodies.joints[..., :2] -= middles[:, None]
        places = bodies.joints.reshape(len(squares), -1) / pose_network.POSITION_UNIT
        sizes = np.log([bodies.stature / pose_network.STATURE_UNIT, bodies.girth])
        targets.append(np.concatenate([places, sizes.T], axis=1).astype(np.float32))
    return Lesson(np.concatenate(pictures), np.concatenate(targets))


def build() -> keras.Model:
    """Returns the network: patches, two hidden layers, several answers."""
    layers = keras.layers
    picture = keras.Input((SMALL, SMALL, 1))
    patch = pose_network.PATCH
    values = layers.Conv2D(16, patch, strides=patch, activation="relu")(picture)
    values = layers.Flatten()(values)
    for _ in range(2):
        values = layers.Dense(256, activation="relu")(values)
    answers = layers.Dense(pose_network.GUESSES * (3 * len(JOINTS) + 2))(values)
    return keras.Model(picture, answers)


def make_loss() -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the error (B, GUESSES) of each answer, with the better naming of the sides."""
    weight = np.array([WEIGHTS.get(name.split("_")[-1], 1.0) for name in JOINTS])
    weights = tf.constant(weight[:, None] * [1.0, 1.0, DEPTH], tf.float32)
    away = tf.constant([1.0, 1.0, -1.0])
    shape = (-1, pose_network.GUESSES, 3 * len(JOINTS) + 2)

    def loss(target: tf.Tensor, answer: tf.Tensor) -> tf.Tensor:
        answer = tf.reshape(answer, shape)
        joints = tf.reshape(answer[..., :-2], (-1, shape[1], len(JOINTS), 3))
        wanted = tf.reshape(target[:, :-2], (-1, 1, len(JOINTS), 3))

        def error(places: tf.Tensor) -> tf.Tensor:
            apart = tf.sqrt(tf.square(joints - places) + 1e-4)
            return tf.reduce_mean(apart * weights, (2, 3))

        best = tf.minimum(error(wanted), error(tf.gather(wanted, OTHERS, axis=2) * away))
        size = tf.reduce_mean(tf.abs(answer[..., -2:] - target[:, None, -2:]), -1)
        return best + 0.3 * size

    return loss


def train(lesson: Lesson, check: Lesson, minutes: float, rng: np.random.Generator) -> keras.Model:
    """Trains a network; the learning rate falls along a cosine."""
    net, loss = build(), make_loss()
    optimizer = keras.optimizers.Adam(2e-3)

    @tf.function
    def step(pictures: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            errors = loss(targets, net(pictures))
            # A little of the mean keeps answers alive that were never the best.
            value = tf.reduce_mean(0.9 * tf.reduce_min(errors, 1) + 0.1 * tf.reduce_mean(errors, 1))
        gradients = tape.gradient(value, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
        return value

    began, number, values = time.perf_counter(), 0, []
    while (passed := (time.perf_counter() - began) / 60 / minutes) < 1:
        optimizer.learning_rate = 2e-3 * (0.5 + 0.5 * np.cos(np.pi * passed)) + 1e-5
        rows = rng.integers(0, len(lesson.pictures), BATCH)
        values.append(float(step(_input(lesson.pictures[rows]), lesson.targets[rows])))
        number += 1
        if number % 500 == 0:
            answer = net.predict(_input(check.pictures), batch_size=BATCH, verbose=0)
            held_out = tf.reduce_mean(tf.reduce_min(loss(check.targets, answer), 1))
            print(f"{number} steps, {np.mean(values):.4f}, held out {held_out:.4f}", flush=True)
            values = []
    return net


def _input(pictures: np.ndarray) -> Any:
    return (pictures / np.float32(4))[..., None]


def main() -> int:
    """Runs the script."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("motions", nargs="+", metavar="MOTION", help="recordings to learn from")
    parser.add_argument("--held-out", nargs="+", default=[], help="recordings to check with")
    parser.add_argument("-o", "--out", required=True, help="the file of weights, .npz")
    parser.add_argument("--pictures", type=int, default=160_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    keras.utils.set_random_seed(arguments.seed)
    poses = read_poses(arguments.motions)
    lesson = make_lesson(poses, arguments.pictures, rng)
    held_out = read_poses(arguments.held_out) if arguments.held_out else poses
    net = train(lesson, make_lesson(held_out, 2_048, rng), arguments.minutes, rng)
    arrays = {
        f"{number:02d}": variable.numpy().astype(np.float16)
        for number, variable in enumerate(net.trainable_variables)
    }
    with open(arguments.out, "wb") as file:
        np.savez(file, **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main())
