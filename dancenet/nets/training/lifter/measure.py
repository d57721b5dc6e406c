"""Measures the lifting network on recordings that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.feet import find_feet
from dancenet.data.motion.joints import PARENTS
from dancenet.data.people.lift import lift_points
from dancenet.data.people.lift.network import Lifter
from dancenet.data.people.lift.points import RATE
from dancenet.metrics.skeleton import bone_spread, foot_slide
from dancenet.nets.training.lifter.views import Course, Recordings, view

# Recordings keep their own bodies and tempo; a detector errs as in training.
HELD_OUT = Course(reshaped=0.0, resized=0.0, tumbled=0.0, tempo=0.0)

# What `_compare` returns after the joints.
_NUMBERS = ("scaled", "turned", "bone_spread", "slide", "recorded_slide", "jerk", "path")


@dataclass(frozen=True)
class LiftErrors:
    """How far lifted joints are off, means over all frames and joints."""

    places: float  # metres, from the pelvis
    scaled: float  # metres, after bringing each run to its true size
    turned: float  # metres, after also turning each frame the best way
    joints: np.ndarray  # (19,) metres, `places` of each joint
    bone_spread: float  # standard deviation over mean of the bones' lengths
    slide: float  # m/s, of the feet
    recorded_slide: float  # m/s
    jerk: float  # root mean square of third differences over that of the recording
    path: float  # metres, between true and lifted paths of the pelvis over two seconds


def measure(
    lifter: Lifter,
    clips: Sequence[SkeletonClip],
    views: int = 8,
    seed: int = 1,
    course: Course = HELD_OUT,
) -> LiftErrors:
    """Lifts recordings seen from `views` sides each with a detector's errors.

    Args:
        lifter: the network.
        clips: recordings that it was not trained on.
        views: how often each good run is seen, each time from another side and distance.
        seed: draws sides, distances and errors.
        course: how the recordings are seen.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for window in Recordings(clips).windows(frames=1 << 30):
        for _ in range(views):
            seen = view([window], rng, course)
            pelvis = np.concatenate([seen.velocity[0] / RATE, seen.height[0][:, None]], axis=1)
            true = seen.joints[0] + _moved(pelvis)[:, None]
            found = lift_points(seen.points[0], lifter).astype(np.float64)
            rows.append((len(true), _compare(true, found)))
    counts = np.array([count for count, _ in rows], dtype=np.float64)
    means = [
        np.average([values[index] for _, values in rows], axis=0, weights=counts)
        for index in range(len(rows[0][1]))
    ]
    numbers = {name: float(mean) for name, mean in zip(_NUMBERS, means[1:])}
    return LiftErrors(places=float(means[0].mean()), joints=means[0], **numbers)


def describe(errors: LiftErrors) -> str:
    """Returns the figures as a sentence each."""
    return (
        f"Joints are {1000 * errors.places:.1f} mm off with the pelvis on the pelvis, "
        f"{1000 * errors.turned:.1f} mm when turned and scaled the best way. Bones' spread "
        f"{errors.bone_spread:.2%}. Feet slide {errors.slide:.3f} m/s, recorded "
        f"{errors.recorded_slide:.3f}. Jerk {errors.jerk:.2f} of the recording's. The path of two "
        f"seconds is {errors.path:.2f} m off."
    )


def _moved(pelvis: np.ndarray) -> np.ndarray:
    """Returns places (T, 3) of steps along x and z and heights (T, 3)."""
    path = np.cumsum(pelvis[:, :2], axis=0)
    return np.stack([path[:, 0], pelvis[:, 2], path[:, 1]], axis=1)


def _compare(true: np.ndarray, found: np.ndarray) -> tuple[np.ndarray | float, ...]:
    local, lifted = true - true[:, :1], found - found[:, :1]
    apart = np.linalg.norm(local - lifted, axis=-1)
    size = (local * lifted).sum() / (lifted**2).sum()
    scaled = np.linalg.norm(local - size * lifted, axis=-1).mean()
    turned = np.linalg.norm(local - _turned(lifted * size, local), axis=-1).mean()
    jerks = [np.sqrt(np.mean(np.diff(values, 3, axis=0) ** 2)) for values in (lifted, local)]
    steps = 2 * int(RATE)
    paths = [(values[steps:, 0] - values[:-steps, 0])[:, [0, 2]] for values in (true, found)]
    return (
        apart.mean(axis=0),
        float(scaled),
        float(turned),
        bone_spread(found, PARENTS),
        float(foot_slide(found, RATE, *find_feet(found)).mean()),
        float(foot_slide(true, RATE, *find_feet(true)).mean()),
        float(jerks[0] / jerks[1]),
        float(np.linalg.norm(paths[0] - paths[1], axis=-1).mean()) if len(paths[0]) else 0.0,
    )


def _turned(places: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Turns each frame of places (T, J, 3) nearest to `to` (Kabsch, 1976)."""
    covariance = np.swapaxes(places, 1, 2) @ to
    left, _, right = np.linalg.svd(covariance)
    right[:, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    return places @ (left @ right)
