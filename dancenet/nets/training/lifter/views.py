"""Recorded dances as a detector of keypoints would see them in a film.

A window of a recording is mirrored by chance, given other proportions, turned to any side, seen by
a camera near or far, and marked with a detector's errors: noise, drift, lost and swapped joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.feet import find_feet, floor_height
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.tree import top_down
from dancenet.data.people.lift.network import FEET
from dancenet.data.people.lift.points import POINTS, RATE, at_times, fill

_SHORTEST = 30  # frames of a run that are worth training on
_MIRRORED = [JOINTS.index({"l_": "r_", "r_": "l_"}.get(n[:2], n[:2]) + n[2:]) for n in JOINTS]
_SWAPPED = [POINTS.index({"l_": "r_", "r_": "l_"}.get(n[:2], n[:2]) + n[2:]) for n in POINTS]
# The bone of the same kind whose factor counts, so that both sides stay alike.
_SAME_BONE = [JOINTS.index(n.replace("r_", "l_", 1) if n.startswith("r_") else n) for n in JOINTS]
_FACE = 3  # the first of POINTS are no joints
_OF_JOINTS = [JOINTS.index(name) for name in POINTS[_FACE:]]
_LEGS = np.array([name[2:] in ("knee", "ankle", "toe") for name in POINTS])
_ARMS = np.array([name[2:] in ("elbow", "wrist") for name in POINTS])
_TOES = np.array([name[2:] == "toe" for name in POINTS])

# A foot counts as standing where it is this near its height at rest, and this slow.
_NEAR = 0.03  # metres
_STILL = 0.3  # m/s

# A detector's errors: standard deviations in metres. The ends of limbs err more. MediaPipe's
# landmarks on three films, looked at through five regions and a mirror, differ by 8 to 20 mm along
# an axis, forget that within some twenty frames, and jitter by 3 to 4 mm from frame to frame.
_MISPLACED = 0.010  # as long as a window lasts
_DRIFT = 0.011
_JITTER = 0.004
_HIDDEN = 0.045  # of a joint behind the trunk
_ERRS = np.array(
    [{"wrist": 1.5, "ankle": 1.2, "toe": 1.4, "hip": 0.7}.get(name[2:], 1.0) for name in POINTS]
)


@dataclass(frozen=True)
class Course:
    """How windows are varied, as chances in 0 … 1 and limits."""

    frames: int = 64  # of a window
    far: float = 0.15  # chance that the camera sees along nearly parallel rays
    reshaped: float = 0.35  # chance of other proportions
    resized: float = 0.02  # standard deviation of the size of those that are not reshaped
    tumbled: float = 0.05  # chance that the body is turned over
    tempo: float = 0.3  # logarithm of the most by which a motion is slowed or hastened
    noise: float = 1.0  # factor on a detector's errors


class Views(NamedTuple):
    """Windows of recordings, and what is seen of them."""

    points: np.ndarray  # (B, T, P, 3) x, y and weight; y down, in units of about a metre
    joints: np.ndarray  # (B, T, 19, 3) metres from the pelvis; x to the right, z to the camera
    height: np.ndarray  # (B, T) metres, the pelvis above the floor
    velocity: np.ndarray  # (B, T, 2) m/s, the pelvis along x and z
    standing: np.ndarray  # (B, T, F) in 0 … 1, whether each of FEET stands
    upright: np.ndarray  # (B,) bool, whether height, velocity and standing are true


class Window(NamedTuple):
    """Recorded frames in a row."""

    positions: np.ndarray  # (T, 19, 3) metres, y up, floor at 0
    standing: np.ndarray  # (T, F)


def find_standing(positions: np.ndarray, fps: float) -> np.ndarray:
    """Measures in 0 … 1 whether each of FEET of (T, 19, 3) stands: (T, F)."""
    feet, rest = find_feet(positions)
    known = dict(zip(feet.tolist(), rest.tolist()))
    usual = {"ankle": 0.08, "toe": 0.03}
    heights = [known.get(joint, usual[JOINTS[joint][2:]]) for joint in FEET]
    places = positions[:, list(FEET)].astype(np.float64)
    lifted = np.maximum(places[..., 1] - floor_height(positions) - heights, 0.0)
    speed = np.linalg.norm(np.gradient(places, axis=0), axis=-1) * fps
    return np.exp(-((lifted / _NEAR) ** 2) - (speed / _STILL) ** 2)


class Recordings:
    """The good runs of recordings, from which windows are drawn."""

    def __init__(self, clips: Sequence[SkeletonClip]) -> None:
        self._runs = []
        for clip in clips:
            standing = find_standing(clip.positions, clip.fps)
            for run, _ in clip.good_runs():
                if len(run) >= _SHORTEST:
                    rows = slice(run.start, run.stop)
                    self._runs.append((clip.positions[rows], standing[rows], clip.fps))
        lengths = np.array([len(positions) for positions, _, _ in self._runs], dtype=np.float64)
        # Short runs of rare dances are seen more often than their share.
        self._chances = np.sqrt(lengths) / np.sqrt(lengths).sum()

    def draw(self, rng: np.random.Generator, course: Course) -> Window:
        """Draws a window; a run that is shorter is played back and forth."""
        positions, standing, fps = self._runs[rng.choice(len(self._runs), p=self._chances)]
        step = fps / RATE * np.exp(rng.uniform(-course.tempo, course.tempo))
        last = len(positions) - 1
        start = rng.uniform(0, max(last - step * course.frames, 0))
        times = start + step * np.arange(course.frames)
        times = last - np.abs(np.mod(times, 2 * last) - last)
        return Window(at_times(positions, times), at_times(standing, times))

    def windows(self, frames: int) -> list[Window]:
        """Returns every run cut into windows of `frames`, what is left over included."""
        found = []
        for positions, standing, fps in self._runs:
            times = np.arange(int((len(positions) - 1) / fps * RATE) + 1) * fps / RATE
            run = Window(at_times(positions, times), at_times(standing, times))
            for start in range(0, len(times), frames):
                rows = slice(start, start + frames)
                if len(run.positions[rows]) >= _SHORTEST:
                    found.append(Window(run.positions[rows], run.standing[rows]))
        return found


def view(windows: Sequence[Window], rng: np.random.Generator, course: Course) -> Views:
    """Varies windows of one length, and looks at them."""
    positions = _vary(np.stack([window.positions for window in windows]), rng, course)
    standing = np.stack([window.standing for window in windows])
    mirrored = rng.random(len(windows)) < 0.5
    positions[mirrored] = positions[mirrored][:, :, _MIRRORED] * np.array([-1.0, 1.0, 1.0])
    half = len(FEET) // 2
    standing[mirrored] = np.roll(standing[mirrored], half, axis=-1)
    upright = rng.random(len(windows)) >= course.tumbled
    for index in np.flatnonzero(~upright):
        positions[index] = _tumble(positions[index], rng)
    positions = positions @ _about(1, rng.uniform(0, 2 * np.pi, len(windows)))[:, None]
    pelvis = positions[:, :, 0]
    velocity = np.gradient(pelvis[..., [0, 2]], axis=1) * RATE
    points, depth = _see(positions, rng, course)
    return Views(
        points=_err(points, depth, rng, course),
        joints=positions - pelvis[:, :, None],
        height=pelvis[..., 1],
        velocity=velocity,
        standing=standing,
        upright=upright,
    )


def _vary(positions: np.ndarray, rng: np.random.Generator, course: Course) -> np.ndarray:
    """Gives bodies (B, T, 19, 3) other proportions, and leaves their feet at their height."""
    count = len(positions)
    reshaped = rng.random(count) < course.reshaped
    sizes = np.where(reshaped, rng.uniform(0.93, 1.07, count), rng.normal(1, course.resized, count))
    factor = np.exp(rng.normal(0, 0.07, (count, len(JOINTS))))
    factor = np.where(reshaped[:, None], factor[:, _SAME_BONE], 1.0)[:, None, :, None]
    changed = positions.astype(np.float64).copy()
    for joint in top_down(PARENTS):
        parent = PARENTS[joint]
        if parent >= 0:
            bone = positions[:, :, joint] - positions[:, :, parent]
            changed[:, :, joint] = changed[:, :, parent] + bone * factor[:, :, joint]
    left, right = JOINTS.index("l_shoulder"), JOINTS.index("r_shoulder")
    across = changed[:, :, left] - changed[:, :, right]
    breadth = np.linalg.norm(across, axis=-1, keepdims=True)
    usual = np.median(breadth, axis=(1, 2))
    wanted = np.maximum(rng.uniform(0.26, 0.4, count), usual * rng.uniform(0.85, 1.15, count))
    wider = np.where(reshaped, wanted - usual, 0.0)[:, None, None]
    aside = (across / np.maximum(breadth, 1e-6) * wider / 2)[:, :, None]
    changed[:, :, left : left + 3] += aside
    changed[:, :, right : right + 3] -= aside
    feet = list(FEET)
    lifted = positions[:, :, feet, 1].min(axis=-1) - changed[:, :, feet, 1].min(axis=-1)
    changed[..., 1] += lifted[..., None]
    return changed * sizes[:, None, None, None]


def _tumble(positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turns a body over about its pelvis and lays it on the floor."""
    middle = positions[:, :1]
    turn = _about(0, rng.uniform(-np.pi, np.pi)) @ _about(2, rng.normal(0, 0.6))
    turned = (positions - middle) @ turn + middle
    turned[..., 1] += 0.04 - turned[..., 1].min()
    return turned


def _about(axis: int, angle: float | np.ndarray) -> np.ndarray:
    """Returns the rotation (..., 3, 3) about an axis, for rows of vectors."""
    cos, sin = np.cos(angle), np.sin(angle)
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((*np.shape(angle), 3, 3))
    turn[..., axis, axis] = 1
    turn[..., one, one] = turn[..., two, two] = cos
    turn[..., one, two], turn[..., two, one] = sin, -sin
    return turn


def _marks(positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the places (B, T, P, 3) of the points on bodies (B, T, 19, 3)."""
    count, num_frames = positions.shape[:2]
    joint = {name: positions[:, :, index] for index, name in enumerate(JOINTS)}
    left = _unit(joint["l_shoulder"] - joint["r_shoulder"])
    up = _unit(joint["head"] - joint["neck"])
    front = _unit(np.cross(left, up))
    turn = _wander(rng, (count, num_frames, 2), 20.0) * np.array([0.45, 0.2])
    front = _unit(front + np.sin(turn[..., :1]) * left + np.sin(turn[..., 1:]) * up)
    left = _unit(left - (left * front).sum(-1, keepdims=True) * front)
    back, rise = rng.uniform(0, 0.08, (count, 1, 1)), rng.uniform(-0.03, 0.06, (count, 1, 1))
    middle = joint["head"] - back * front + rise * up
    face = [middle + 0.11 * front, middle + 0.075 * left, middle - 0.075 * left]
    return np.concatenate([np.stack(face, axis=2), positions[:, :, _OF_JOINTS]], axis=2)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _wander(rng: np.random.Generator, shape: tuple[int, ...], time: float) -> np.ndarray:
    """Returns stationary random walks (B, T, ...) of variance 1 that forget in `time` frames."""
    keep = np.exp(-1 / time)
    num_frames = shape[1]
    steps = rng.normal(size=(shape[0], num_frames, int(np.prod(shape[2:]))))
    steps[:, 1:] *= np.sqrt(1 - keep**2)
    since = np.arange(num_frames)[:, None] - np.arange(num_frames)
    kept = np.where(since >= 0, keep ** np.maximum(since, 0), 0.0)
    return (kept @ steps).reshape(shape)


def _see(
    positions: np.ndarray, rng: np.random.Generator, course: Course
) -> tuple[np.ndarray, np.ndarray]:
    """Looks at bodies (B, T, 19, 3) with a camera each.

    Returns:
        The points (B, T, P, 2), y down, in units of about a metre, and their depths (B, T, P),
        which grow towards the camera.
    """
    count, num_frames = positions.shape[:2]
    marks = _marks(positions, rng)
    middle = np.median(positions[:, :, 0], axis=1)
    near = np.exp(rng.uniform(np.log(2.2), np.log(9.0), count))
    distance = np.where(rng.random(count) < course.far, 50.0, near)
    distance += np.maximum(0, positions[..., 2].max(axis=(1, 2)) - middle[:, 2] - 0.5)
    rise = np.where(
        rng.random(count) < 0.7, rng.normal(0, 0.12, count), rng.normal(0.15, 0.15, count)
    )
    camera = middle.copy()
    camera[:, 0] += rng.normal(0, 0.1, count) * distance
    camera[:, 1] = np.maximum(0.1, middle[:, 1] + np.tan(np.clip(rise, -0.5, 0.6)) * distance)
    camera[:, 2] += distance
    aim = middle - camera
    pitch = np.arctan2(aim[:, 1], np.hypot(aim[:, 0], aim[:, 2]))
    # The dancer is in the middle of the picture, which is upright to some degrees.
    turn = _about(1, np.arctan2(aim[:, 0], -aim[:, 2])) @ _about(0, -pitch)
    turn = turn @ _about(2, rng.normal(0, 0.03, count))
    seen = (marks - camera[:, None, None]) @ turn[:, None]
    depth = np.maximum(-seen[..., 2], 0.3)
    places = seen[..., :2] / depth[..., None] * np.median(depth, axis=(1, 2))[:, None, None, None]
    held = rng.choice([0.0, 0.1, 0.3], count)[:, None, None]  # a hand that holds the camera
    places = places + (_wander(rng, (count, num_frames, 2), 60.0) * held)[:, :, None]
    return places * np.array([1.0, -1.0]), seen[..., 2]


def _err(
    points: np.ndarray, depth: np.ndarray, rng: np.random.Generator, course: Course
) -> np.ndarray:
    """Adds a detector's errors and weights to points (B, T, P, 2) of depth (B, T, P)."""
    size = points.shape
    count, _, num_points, _ = size
    level = course.noise * np.exp(rng.normal(0, 0.4, (count, 1, 1, 1)))
    error = rng.normal(0, _MISPLACED, (count, 1, num_points, 2)) * np.minimum(level, 1.5)
    error = error + _wander(rng, size, rng.uniform(5, 30)) * _DRIFT * level
    error = error + rng.normal(0, _JITTER, size) * level
    hidden = _hidden(points, depth)
    error = error + hidden[..., None] * level * _wander(rng, size, 8.0) * _HIDDEN
    weight = rng.uniform(0.8, 1.0, (count, 1, num_points)) + rng.normal(0, 0.05, size[:3])
    weight = weight * (1 - hidden * rng.uniform(0.2, 1.0, (count, 1, 1)))
    weight = np.clip(weight, 0.02, 1.0)
    seen = np.concatenate([points + error * _ERRS[:, None], weight[..., None]], axis=-1)
    without_toes: np.ndarray = np.asarray(rng.random(count) < 0.4)  # as COCO has none
    for index, one in enumerate(seen):
        if course.noise > 0:
            _lose(one, rng)
            _swap(one, rng)
        if without_toes[index]:
            one[:, _TOES, 2] = 0.0
        seen[index] = fill(one)
    return seen


def _hidden(points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Measures in 0 … 1 how far each point is hidden behind the trunk: (B, T, P)."""
    corners = [POINTS.index(f"{side}_{joint}") for side in "lr" for joint in ("shoulder", "hip")]
    trunk = points[:, :, corners]
    low, high = trunk.min(axis=2) - 0.06, trunk.max(axis=2) + 0.06
    inside = ((points > low[:, :, None]) & (points < high[:, :, None])).all(axis=-1)
    behind = depth[:, :, corners].mean(axis=2, keepdims=True) - depth
    hidden = inside * np.clip((behind - 0.03) / 0.08, 0.0, 1.0)
    hidden[:, :, corners] *= 0.3
    return hidden


def _lose(seen: np.ndarray, rng: np.random.Generator) -> None:
    """Loses joints for some frames, or misplaces them with little confidence."""
    num_frames, num_points, _ = seen.shape
    for _ in range(rng.poisson(num_frames / 25)):
        joint = rng.integers(num_points)
        start, length = rng.integers(num_frames), rng.integers(2, 26)
        rows = slice(start, start + length)
        if rng.random() < 0.5:
            seen[rows, joint, 2] = 0.0
        else:
            seen[rows, joint, :2] += rng.normal(0, 0.15, 2)
            seen[rows, joint, 2] = rng.uniform(0.02, 0.5)
    for _ in range(rng.poisson(num_frames / 600)):  # the whole body
        start = rng.integers(num_frames)
        seen[start : start + rng.integers(1, 9), :, 2] = 0.0
    for _ in range(rng.poisson(num_frames / 1000)):  # beyond the edge of the picture
        start = rng.integers(-32, num_frames)
        part = _LEGS if rng.random() < 0.8 else _ARMS
        seen[max(0, start) : start + rng.integers(32, 65), part, 2] = 0.0


def _swap(seen: np.ndarray, rng: np.random.Generator) -> None:
    """Takes left for right in the legs, the arms or both, for some frames."""
    for _ in range(rng.poisson(len(seen) / 360)):
        start, length = rng.integers(len(seen)), rng.integers(2, 13)
        rows = seen[start : start + length]
        part = [_LEGS, _ARMS, np.ones(len(POINTS), dtype=bool)][rng.integers(3)]
        rows[:, part] = rows[:, _SWAPPED][:, part]
