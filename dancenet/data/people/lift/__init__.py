"""Joints in space from the keypoints of one camera; see `lift`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from dancenet.data.motion.clip import SkeletonClip
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.resample import catmull_rom
from dancenet.data.people.landmarks import COCO_NAMES, LANDMARK_NAMES
from dancenet.data.people.lift import points as of_body
from dancenet.data.people.lift.network import WEIGHTS, Lifter
from dancenet.data.people.lift.refine import refine_joints
from dancenet.data.people.lift.standing import stand
from dancenet.data.people.poses import Poses
from dancenet.support.checked import check_rate
from dancenet.support.errors import UserError
from dancenet.support.names import quoted

_FEWEST = 6  # points that make a body
_LONGEST_GAP = 0.5  # seconds without a body that are bridged


@lru_cache(maxsize=2)
def _network(path: Path) -> Lifter:
    return Lifter.load(path)


def lift(
    keypoints: np.ndarray,
    fps: float,
    source: str = "film",
    stature: float | None = None,
    rate: float | None = None,
    weights: Path = WEIGHTS,
) -> SkeletonClip:
    """Finds the joints in space of a dancer whose keypoints one camera saw.

    The camera may stand or be held, near or far; where the dancer goes follows from the feet that
    stand. It is taken to be about upright.

    Args:
        keypoints: (T, 17, 3) as COCO has them, or (T, 33, 3) as MediaPipe has them: x and y in
            pixels, y down, and a score in 0 … 1. NaN or a score of 0 where a point was not seen.
        fps: frames per second.
        source: the film's name.
        stature: metres, the dancer's height; None for what an adult of such proportions has.
        rate: frames per second of the result; None for `fps`, which gives T frames.
        weights: the network.

    Returns:
        The nineteen joints of a body in metres, y up, floor at 0. x is to the right in the picture,
        z to the camera. Frames of a longer gap, in which nobody was seen, are not `ok`.

    Raises:
        UserError: nobody was seen.
    """
    check_rate(fps)
    points = of_body.to_points(np.asarray(keypoints, dtype=np.float64))
    seen = (points[..., 2] > 0).sum(axis=1) >= _FEWEST
    if not seen.any():
        raise UserError(
            f"No dancer was seen in {quoted(source)}, so there are no joints to lift. Show the "
            "whole body, in even light."
        )
    known = _bridged(seen, round(_LONGEST_GAP * fps))
    points = of_body.resample(points, fps)
    positions = lift_points(points, _network(weights), stature)
    if rate is None:
        rate, num_frames = fps, len(seen)
    else:
        check_rate(rate)
        num_frames = int((len(seen) - 1) / fps * rate + 1e-6) + 1
    times = np.minimum((np.arange(num_frames) * fps / rate + 0.5).astype(int), len(seen) - 1)
    return SkeletonClip(
        positions=_at_rate(positions, num_frames, rate),
        fps=float(rate),
        ok=known[times],
        names=JOINTS,
        parents=PARENTS,
        offsets=None,
        source=source,
    )


def lift_points(points: np.ndarray, network: Lifter, stature: float | None = None) -> np.ndarray:
    """Lifts points (T, P, 3) at `points.RATE` to joints (T, 19, 3) that stand on a floor."""
    lifted = network(of_body.features(points))
    lifted = replace(lifted, joints=refine_joints(lifted.joints, points))
    return stand(lifted, of_body.RATE, stature)


def lift_poses(
    poses: Poses, source: str, stature: float | None = None, rate: float | None = None
) -> SkeletonClip:
    """Lifts the keypoints of one person; see `lift`."""
    if len(poses.names) != len(LANDMARK_NAMES):
        poses = poses.joints(COCO_NAMES)
    keypoints = np.concatenate([poses.xy[:, 0], poses.score[:, 0, :, None]], axis=-1)
    return lift(keypoints, poses.fps, source, stature, rate)


def _at_rate(positions: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    """Interpolates positions at the network's rate at the times of `num_frames` frames."""
    last = len(positions) - 1
    times = np.minimum(np.arange(num_frames) * of_body.RATE / fps, last)
    here = np.minimum((times + 1e-6).astype(int), last)
    part = np.maximum(times - here, 0).astype(np.float32)
    rows = [np.clip(here + step, 0, last) for step in (-1, 0, 1, 2)]
    before, at, after, later = (positions[row] for row in rows)
    return catmull_rom(before, at, after, later, part[:, None, None])


def _bridged(seen: np.ndarray, longest: int) -> np.ndarray:
    """Marks frames (T,) that are seen, or in a gap of at most `longest` frames."""
    known = np.flatnonzero(seen)
    ok = seen.copy()
    for first, following in zip(known[:-1], known[1:]):
        if following - first - 1 <= longest:
            ok[first:following] = True
    return ok
