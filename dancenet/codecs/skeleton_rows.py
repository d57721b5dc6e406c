"""Joints as rows of numbers that do not depend on where a dancer is and faces.

A row says how the dancer turns and moves from the frame before, how high its middle is, and
where every joint is relative to the middle, in the dancer's own directions:

    turn           radians about the vertical since the frame before
    across, ahead  metres the middle moved since the frame before, in that frame's heading
    height         metres of the middle above the floor
    joints         metres from the middle to each joint, in this frame's heading

Turns and moves are summed in double precision. Joints of a picture have no turn and no ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

HEADING_SECONDS = 0.1  # deviation of the Gaussian over the heading: hips twist, dancers turn


@dataclass(frozen=True)
class Placement:
    """Where a dancer is and faces before the first frame of a trajectory."""

    heading: float = 0.0  # radians about the vertical, 0 faces +z and grows towards +x
    place: tuple[float, ...] = (0.0, 0.0)  # metres of the middle: x and z, or x of a picture


def lead_columns(num_axes: int) -> int:
    """Returns the number of columns of a row before the joints."""
    return 2 if num_axes == 2 else 4


def to_rows(
    positions: np.ndarray, middle_weights: np.ndarray, facing: np.ndarray, fps: float
) -> tuple[np.ndarray, Placement]:
    """Takes positions (T, J, C); returns rows (T, R), see the module, and where they start.

    Args:
        positions: metres.
        middle_weights: (J,) sum 1, of the joints whose mean is the middle.
        facing: (J, 2) as in `SkeletonCodec.facing`.
        fps: frames per second.
    """
    positions = positions.astype(np.float64)
    middle = np.einsum("tjc,j->tc", positions, middle_weights)
    local = positions - middle[:, None]
    if positions.shape[2] == 2:
        moves = _differences(middle[:, 0])
        rows = np.column_stack([moves, middle[:, 1], local.reshape(len(local), -1)])
        return rows, Placement(0.0, (float(middle[0, 0] - moves[0]),))
    headings = _headings(local, facing, fps)
    turns = _differences(headings)
    before = headings - turns
    moves = _turned(_differences(middle), -before)
    # The first frame's move is the second's in the dancer's directions, not in the stage's.
    moves[0] = moves[min(1, len(moves) - 1)]
    first = middle[0] - _turned(moves[:1], before[:1])[0]
    local = _turned(local, -headings[:, None])
    rows = np.column_stack(
        [turns, moves[:, 0], moves[:, 2], middle[:, 1], local.reshape(len(local), -1)]
    )
    return rows, Placement(_wrapped(before[0]), (float(first[0]), float(first[2])))


def from_rows(
    moves: np.ndarray, local: np.ndarray, start: Placement
) -> tuple[np.ndarray, Placement]:
    """Takes rows apart into joints; the inverse of `to_rows`.

    Args:
        moves: (T, L) float64, the columns before the joints: turn, across, ahead and height; of a
            picture across and height.
        local: (T, J, C) float64, each joint relative to the middle.
        start: where the dancer is before the first row.

    Returns:
        The joints (T, J, C) float32, metres, and where the dancer is after the last row.
    """
    if local.shape[2] == 2:
        across = start.place[0] + np.cumsum(moves[:, 0])
        middle = np.stack([across, moves[:, 1]], axis=1)
        end = Placement(0.0, (float(across[-1]),)) if len(moves) else start
        return (local + middle[:, None]).astype(np.float32), end
    headings = start.heading + np.cumsum(moves[:, 0])
    before = np.concatenate([[start.heading], headings[:-1]])
    ahead = np.stack([moves[:, 1], np.zeros(len(moves)), moves[:, 2]], axis=1)
    middle = np.cumsum(_turned(ahead, before), axis=0) + [start.place[0], 0.0, start.place[1]]
    middle[:, 1] = moves[:, 3]
    positions = _turned(local, headings[:, None]) + middle[:, None]
    end = start
    if len(moves):
        end = Placement(_wrapped(headings[-1]), (middle[-1, 0], middle[-1, 2]))
    return positions.astype(np.float32), end


def _headings(local: np.ndarray, facing: np.ndarray, fps: float) -> np.ndarray:
    """Returns (T,) radians, continuous, of joints (T, J, 3) around their middle.

    The turn that brings places m nearest to places p is the angle whose cosine and sine are two
    sums of products. The sums are smoothed over time, not the angle, so that a frame in which
    they are small (a dancer who lies on the side) counts little.
    """
    if not facing.any():
        return np.zeros(len(local))
    x, z = local[..., 0], local[..., 2]
    cos = x @ facing[:, 0] + z @ facing[:, 1]
    sin = x @ facing[:, 1] - z @ facing[:, 0]
    deviation = HEADING_SECONDS * fps
    return np.unwrap(np.arctan2(_smooth(sin, deviation), _smooth(cos, deviation)))


def _turned(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turns (…, 3) about the vertical by (…) radians, from z towards x."""
    cos, sin = np.cos(angles), np.sin(angles)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack(
        [x * cos + z * sin, np.broadcast_to(y, np.broadcast(x, cos).shape), z * cos - x * sin],
        axis=-1,
    )


def _wrapped(angle: float) -> float:
    return float(math.remainder(angle, 2 * math.pi))


def _differences(values: np.ndarray) -> np.ndarray:
    """Returns the difference (T, …) of each row to the row before; the first is as the second."""
    steps = np.diff(values, axis=0)
    return np.concatenate([steps[:1] if len(steps) else np.zeros_like(values[:1]), steps])


def _smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Low-passes (T,) with a Gaussian of a deviation in frames; the ends are held."""
    radius = math.ceil(3 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(deviation, 1e-9)) ** 2)
    return np.convolve(np.pad(values, radius, mode="edge"), kernel / kernel.sum(), "valid")
