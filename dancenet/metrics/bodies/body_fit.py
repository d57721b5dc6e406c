"""Fits a body to a silhouette: is there any pose that looks like this picture?

A small network reads the first guess (see `pose_network`). Then the outline of the drawn body is
drawn towards the outline of the picture by Gauss-Newton steps, as in iterative closest point with
distances to lines (Chen and Medioni 1992): points of either outline pull at the nearest points of
the other. Lengths of bones are held, so that a body cannot become what it is not.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dancenet.data.motion.joints import JOINTS
from dancenet.metrics.bodies.pose_network import guess_bodies
from dancenet.metrics.bodies.redraw import Bodies, body_outlines, redraw

ROUNDS = 5  # of Gauss-Newton
GIRTHS = (0.6, 1.5)  # the least and the most
STATURES = (40.0, 130.0)  # pixels

_MOST_SIZES = (10, 90)  # percentiles
_CHUNK = 16  # pictures whose derivatives are held at once
_STEP = 0.5  # pixels that a joint is moved for a derivative
_GROWTH = 0.05  # log of stature and girth, likewise
_VISIBLE = 1.0  # pixels from the drawn figure's edge, within which a point of a part is seen
_MOST_POINTS = 220  # of a drawn outline
_FAR = 6.0  # pixels; a distance beyond pulls with constant force (Huber 1964)
_ALONG = (0.1, 2.0, 4.0)  # least share of pulls along the outline; pixels from which it grows, over
_BONE = 7.0  # weight of a bone's length, in weights of a pull
_HOLD = (0.8, 2000.0)  # weights of the first guess: of a joint's place, of log stature and girth
_DAMPING = 2.0
_LONGEST_STEP = (6.0, 0.08)  # pixels; log of stature or girth

_FREE = len(JOINTS) - 1  # the pelvis is the hips' middle
_PLACES = 3 * _FREE
_HIPS = [JOINTS.index(name) for name in ("l_hip", "r_hip")]
# Lengths in body heights, medians of the recordings that the network was trained on.
_BONES = {
    ("chest", "spine"): 0.094,
    ("neck", "chest"): 0.125,
    ("head", "neck"): 0.100,
    ("l_hip", "r_hip"): 0.106,
    ("l_shoulder", "r_shoulder"): 0.195,
    **{
        (f"{side}_{far}", f"{side}_{near}"): length
        for side in "lr"
        for far, near, length in (
            ("elbow", "shoulder", 0.167),
            ("wrist", "elbow", 0.142),
            ("knee", "hip", 0.221),
            ("ankle", "knee", 0.273),
            ("toe", "ankle", 0.076),
        )
    },
}
_ENDS = np.array([[JOINTS.index(name) for name in ends] for ends in _BONES])
_LENGTHS = np.array(list(_BONES.values()))


class Sizes(NamedTuple):
    """The sizes that a body may have: a figure without a head must not be a smaller body."""

    stature: tuple[float, float] = STATURES  # pixels, the least and the most
    girth: tuple[float, float] = GIRTHS

    @classmethod
    def of(cls, masks: np.ndarray) -> Sizes:
        """Returns the sizes of most of the bodies in real pictures (B, 120, 208)."""
        bodies = fit_bodies(masks).bodies
        limits = [np.percentile(part, _MOST_SIZES) for part in (bodies.stature, bodies.girth)]
        return cls(*((float(low), float(high)) for low, high in limits))

    def clip(self, bodies: Bodies) -> Bodies:
        """Returns bodies of such sizes."""
        stature = np.clip(bodies.stature, *self.stature)
        return Bodies(bodies.joints, stature, np.clip(bodies.girth, *self.girth))


class Fits(NamedTuple):
    """The best body that was found for each picture."""

    iou: np.ndarray  # (B,) of the picture and the redrawn body; 0 for an empty picture
    bodies: Bodies  # (B,)


class _Edge(NamedTuple):
    """The outline of a picture."""

    points: np.ndarray  # (C, 2) pixels, to the right and down
    normals: np.ndarray  # (C, 2) unit vectors


def fit_bodies(masks: np.ndarray, sizes: Sizes = Sizes()) -> Fits:
    """Fits a body to each picture.

    Args:
        masks: (B, 120, 208) bool, True on the dancer.
        sizes: the sizes that a body may have.
    """
    best = _first_guess(masks, sizes)
    current = Bodies(*(part.astype(np.float64) for part in best.bodies))
    guess = Bodies(*(part.copy() for part in current))
    edges = [_edge(mask) for mask in masks]
    for _ in range(ROUNDS):
        for begin in range(0, len(masks), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            parts, slopes = _derivatives(current.take(rows))
            drawn = redraw(parts)
            _keep_better(best, masks, drawn, (rows, current))
            points = np.concatenate(parts, axis=1)
            for index, number in enumerate(range(*rows.indices(len(masks)))):
                seen = _seen(points[index], drawn[index])
                if len(seen) and len(edges[number].points):
                    pulls = _pulls(points[index, seen], slopes[index][:, seen], edges[number])
                    _move(current, number, _solve(pulls, current.take(number), guess.take(number)))
            current = sizes.clip(current)
    whole = slice(0, len(masks))
    _keep_better(best, masks, redraw(body_outlines(current)), (whole, current))
    return best


def _first_guess(masks: np.ndarray, sizes: Sizes) -> Fits:
    """Returns the best of the network's guesses."""
    guesses = sizes.clip(guess_bodies(masks))
    count = guesses.stature.shape[1]
    scores = np.stack(
        [_iou(masks, redraw(body_outlines(_column(guesses, k)))) for k in range(count)], axis=1
    )
    chosen = scores.argmax(axis=1)
    rows = np.arange(len(masks))
    return Fits(scores[rows, chosen], Bodies(*(part[rows, chosen].copy() for part in guesses)))


def _column(guesses: Bodies, number: int) -> Bodies:
    return Bodies(*(part[:, number] for part in guesses))


def _keep_better(
    best: Fits, masks: np.ndarray, drawn: np.ndarray, found: tuple[slice, Bodies]
) -> None:
    """Takes some of the found bodies over where they fit better, as they are drawn."""
    rows, bodies = found
    scores = _iou(masks[rows], drawn)
    better = np.flatnonzero(scores > best.iou[rows])
    best.iou[better + rows.start] = scores[better]
    for mine, theirs in zip(best.bodies, bodies):
        mine[better + rows.start] = theirs[better + rows.start]


def _iou(masks: np.ndarray, others: np.ndarray) -> np.ndarray:
    union = (masks | others).sum(axis=(1, 2))
    shared = (masks & others).sum(axis=(1, 2))
    # An empty picture shows no body.
    return np.where(masks.any(axis=(1, 2)), shared / np.maximum(union, 1), 0.0)


def _move(bodies: Bodies, number: int, step: np.ndarray) -> None:
    joints = bodies.joints[number]
    joints[1:] += step[:_PLACES].reshape(_FREE, 3)
    joints[0] = joints[_HIPS].mean(axis=0)
    bodies.stature[number] *= np.exp(step[-2])
    bodies.girth[number] *= np.exp(step[-1])


def _derivatives(bodies: Bodies) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns the parts (B, P, 2) of bodies, and how their points move, (B, parameters, V, 2)."""
    number, count = len(bodies.stature), _PLACES + 3
    joints = np.repeat(bodies.joints[:, None], count, axis=1)
    for place in range(_PLACES):
        joints[:, place + 1, 1 + place // 3, place % 3] += _STEP
    joints[..., 0, :] = joints[..., _HIPS, :].mean(axis=-2)
    stature, girth = (np.repeat(part[:, None], count, axis=1) for part in bodies[1:])
    stature[:, -2] *= np.exp(_GROWTH)
    girth[:, -1] *= np.exp(_GROWTH)
    moved = body_outlines(
        Bodies(joints.reshape(-1, len(JOINTS), 3), stature.ravel(), girth.ravel())
    )
    shaped = [part.reshape(number, count, -1, 2) for part in moved]
    points = np.concatenate(shaped, axis=2)
    slopes = points[:, 1:] - points[:, :1]
    slopes[:, :_PLACES] /= _STEP
    slopes[:, _PLACES:] /= _GROWTH
    return [part[:, 0] for part in shaped], slopes


def _seen(points: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Returns the numbers of the points (V, 2) that lie on the edge of the drawn figure."""
    depth = cv2.distanceTransform(drawn.astype(np.uint8), cv2.DIST_L2, 3)
    height, width = drawn.shape
    columns = np.clip(np.floor(points[:, 0]).astype(int), 0, width - 1)
    rows = np.clip(np.floor(points[:, 1]).astype(int), 0, height - 1)
    seen = np.flatnonzero(depth[rows, columns] <= _VISIBLE)
    if len(seen) > _MOST_POINTS:
        seen = seen[np.arange(_MOST_POINTS) * len(seen) // _MOST_POINTS]
    return seen


def _edge(mask: np.ndarray) -> _Edge:
    """Returns every other place between two pixels that differ."""
    beside = np.nonzero(mask[:, 1:] != mask[:, :-1])
    below = np.nonzero(mask[1:] != mask[:-1])
    points = np.concatenate(
        [
            np.stack([beside[1] + 1.0, beside[0] + 0.5], axis=1),
            np.stack([below[1] + 0.5, below[0] + 1.0], axis=1),
        ]
    )[::2].astype(np.float32)
    if not len(points):
        return _Edge(points, points)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
    # OpenCV puts pixel centres on whole coordinates.
    columns, rows = (points[None] - np.float32(0.5)).transpose(2, 0, 1)
    slope = [
        cv2.remap(cv2.Sobel(soft, cv2.CV_32F, *order), columns, rows, cv2.INTER_LINEAR)[0]
        for order in ((1, 0), (0, 1))
    ]
    normals = np.stack(slope, axis=1)
    return _Edge(points, normals / np.maximum(np.linalg.norm(normals, axis=1)[:, None], 1e-6))


def _pulls(points: np.ndarray, slopes: np.ndarray, edge: _Edge) -> tuple[np.ndarray, np.ndarray]:
    """Lets each outline pull at the other.

    Args:
        points: (V, 2) of the drawn body.
        slopes: (parameters, V, 2) how they move.
        edge: the picture's.

    Returns:
        The weighted Jacobian (parameters, M) and the weighted distances (M,).
    """
    apart = np.square(points[:, None] - edge.points[None]).sum(axis=-1)
    mine = np.concatenate([np.arange(len(points)), apart.argmin(axis=0)])
    theirs = np.concatenate([apart.argmin(axis=1), np.arange(len(edge.points))])
    away = edge.points[theirs] - points[mine]
    distance = np.linalg.norm(away, axis=1)
    weight = 1 / np.maximum(1, distance / _FAR)
    least, begin, over = _ALONG
    along = np.clip((distance - begin) / over, least, 1)
    normal = edge.normals[theirs]
    tangent = normal[:, ::-1] * np.array([-1, 1], np.float32)
    jacobian, distances = [], []
    for direction, share in ((normal, weight), (tangent, weight * along)):
        root = np.sqrt(share)
        jacobian.append(np.einsum("pmc,mc->pm", slopes[:, mine], direction * root[:, None]))
        distances.append((away * direction).sum(axis=1) * root)
    return np.concatenate(jacobian, axis=1), np.concatenate(distances)


def _solve(pulls: tuple[np.ndarray, np.ndarray], body: Bodies, guess: Bodies) -> np.ndarray:
    """Returns the step (parameters,) of one body: joints in pixels, log stature, log girth."""
    jacobian, distances = pulls
    square, slope = jacobian @ jacobian.T, jacobian @ distances
    one, other = _ENDS.T
    bones = body.joints[one] - body.joints[other]
    lengths = np.linalg.norm(bones, axis=1)
    along = bones / np.maximum(lengths, 1e-6)[:, None]
    wanted = _LENGTHS * body.stature
    rows = np.zeros((len(_ENDS), _FREE, 3))
    numbers = np.arange(len(_ENDS))
    rows[numbers, one - 1] = along
    rows[numbers, other - 1] = -along
    bone = np.concatenate(
        [rows.reshape(len(_ENDS), -1), -wanted[:, None], np.zeros((len(_ENDS), 1))], axis=1
    )
    square = square + _BONE * bone.T @ bone
    slope = slope + _BONE * bone.T @ (wanted - lengths)
    hold = np.repeat(_HOLD, (_PLACES, 2))
    back = [*(guess.joints - body.joints)[1:].ravel()]
    back += [np.log(guess.stature / body.stature), np.log(guess.girth / body.girth)]
    square[np.diag_indices(len(square))] += hold + _DAMPING
    step = np.linalg.solve(square, slope + hold * np.array(back))
    longest = np.repeat(_LONGEST_STEP, (_PLACES, 2))
    return np.clip(step, -longest, longest)
