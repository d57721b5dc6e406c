"""Finds the landmarks and the mask of one body with MediaPipe's landmark network.

The figures are those of MediaPipe's graphs `pose_landmark_by_roi_cpu`, `pose_landmarks_to_roi` and
`tensors_to_pose_landmarks_and_segmentation` (Apache-2.0); Bazarevsky et al., "BlazePose: On-device
Real-time Body Pose Tracking", 2020, describes the network.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.people import litert, network_files, regions
from dancenet.data.people.detector import MARGIN, Detector, Network
from dancenet.data.people.litert import LiteNetwork
from dancenet.data.people.regions import Region
from dancenet.support.errors import UserError

SIDE = 256  # pixels of the network's input, and of its mask
LEAST_PRESENCE = 0.5  # score of a region that shows a person

LANDMARK_NAMES = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
COCO_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
_TO_COCO = [LANDMARK_NAMES.index(name) for name in COCO_NAMES]

_POINTS = 39  # the network's: the 33 landmarks, the two of the next region, four unused ones
_KEPT = len(LANDMARK_NAMES)
_HEAT_SIDE = 64
_KERNEL = 7  # pixels of the heat map around a landmark from which it is refined
_LEAST_HEAT = 0.5  # a weaker heat map says nothing


@dataclass(frozen=True)
class Pose:
    """One body in a picture."""

    landmarks: np.ndarray  # (33, 3) float32: x, y in picture pixels, z away in the same scale
    visibility: np.ndarray  # (33,) float32, 0..1: it is in the picture and nothing hides it
    presence: np.ndarray  # (33,) float32, 0..1: it is in the picture
    world: np.ndarray  # (33, 3) float32 metres from the mid-hips: x right, y down, z away
    score: float  # 0..1, that the region shows a body
    region: Region  # where the network looked
    mask: np.ndarray  # (256, 256) float32, probability of the body in the region
    axis: np.ndarray  # (2, 2) float32: mid-hips, a point of the body's circle, in picture pixels

    def next_region(self) -> Region:
        """Returns where to look for the same body in the next picture of a film."""
        return regions.around(self.axis[0], self.axis[1], MARGIN)


class LandmarkNetwork:
    """The network behind a call: a picture and a region in, a pose out."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @classmethod
    def open(cls, path: str | os.PathLike[str], threads: int = 1) -> LandmarkNetwork:
        """Opens a file: MediaPipe's lite, full or heavy network.

        Raises:
            MissingExtra: ai-edge-litert is not installed.
            UserError: it is missing, damaged, or another network.
        """
        network = LiteNetwork(path, threads)
        network.check(
            "MediaPipe's landmark network",
            [(1, SIDE, SIDE, 3)],
            [
                (1, 5 * _POINTS),
                (1, 1),
                (1, SIDE, SIDE, 1),
                (1, _HEAT_SIDE, _HEAT_SIDE, _POINTS),
                (1, 3 * _POINTS),
            ],
        )
        return cls(network)

    def __call__(self, picture: np.ndarray, region: Region) -> Pose:
        """Finds the body in a region.

        Args:
            picture: (H, W, 3) uint8 RGB.
            region: where the body is, upright in it.

        Returns:
            The pose. It means nothing where its score is below `LEAST_PRESENCE`.

        Raises:
            UserError: the network's file is damaged.
        """
        crop = regions.cut(picture, region, SIDE)
        values = np.multiply(crop, 1 / 255, dtype=np.float32)[None]
        points, score, mask, heat, world = self._network.run(values)
        if not (np.isfinite(points).all() and np.isfinite(score).all()):
            raise UserError(
                "The landmark network returns values that are no numbers, so its file is damaged; "
                "fetch it again."
            )
        table = points.reshape(_POINTS, 5).astype(np.float64)
        places = refine(table[:, :2] / SIDE, heat[0])
        there = regions.to_picture(places, region)
        depth = table[:, 2:3] / SIDE * region.size
        return Pose(
            landmarks=np.concatenate([there, depth], axis=1)[:_KEPT].astype(np.float32),
            visibility=sigmoid(table[:_KEPT, 3]).astype(np.float32),
            presence=sigmoid(table[:_KEPT, 4]).astype(np.float32),
            world=_turn(world.reshape(_POINTS, 3)[:_KEPT], region.angle),
            score=float(score[0, 0]),
            region=region,
            mask=sigmoid_picture(mask[0, :, :, 0]),
            axis=there[_KEPT : _KEPT + 2].astype(np.float32),
        )


def open_networks(
    model_file: str | os.PathLike[str] | None = None, threads: int = 1
) -> tuple[Detector, LandmarkNetwork]:
    """Opens both networks, fetching them the first time.

    Args:
        model_file: the user's own landmark network, with the detector beside it or in the cache,
            or a folder that holds both; None for those of the user's cache.
        threads: processor cores to use.

    Raises:
        MissingExtra: ai-edge-litert is not installed.
        UserError: a network is missing, damaged, or cannot be fetched.
    """
    litert.require()  # before a download that would be of no use
    if model_file is None:
        detector, landmarks = network_files.fetch()
    else:
        landmarks = network_files.find(network_files.LANDMARKS, model_file)
        beside = network_files.find_beside(network_files.DETECTOR, landmarks.parent)
        detector = beside or network_files.find(network_files.DETECTOR)
    return Detector.open(detector, threads), LandmarkNetwork.open(landmarks, threads)


def refine(places: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Moves points to the centre of the heat around them.

    Args:
        places: (N, 2) x and y in 0..1.
        heat: (H, W, N) logits.

    Returns:
        (N, 2): the mean of the pixels' places in a kernel of 7x7, weighted by their probability,
        where one of them is .5 or more; elsewhere, and outside the heat map, the point as it was.
    """
    height, width, count = heat.shape
    around = np.arange(_KERNEL) - _KERNEL // 2
    # Towards zero, as MediaPipe casts.
    columns = np.trunc(places[:, 0] * width).astype(np.int64)[:, None] + around
    rows = np.trunc(places[:, 1] * height).astype(np.int64)[:, None] + around
    middle = _KERNEL // 2
    inside = (0 <= columns[:, middle]) & (columns[:, middle] < width)
    inside &= (0 <= rows[:, middle]) & (rows[:, middle] < height)
    there = heat[
        np.clip(rows, 0, height - 1)[:, :, None],
        np.clip(columns, 0, width - 1)[:, None, :],
        np.arange(count)[:, None, None],
    ]
    weights = sigmoid(there.astype(np.float64))
    weights *= ((0 <= rows) & (rows < height))[:, :, None]
    weights *= ((0 <= columns) & (columns < width))[:, None, :]
    sums = np.maximum(weights.sum(axis=(1, 2)), np.finfo(np.float64).tiny)
    x = (weights * columns[:, None, :]).sum(axis=(1, 2)) / sums / width
    y = (weights * rows[:, :, None]).sum(axis=(1, 2)) / sums / height
    moved = inside & (weights.max(axis=(1, 2)) >= _LEAST_HEAT)
    return np.where(moved[:, None], np.stack([x, y], axis=1), places)


def to_coco(pose: Pose) -> np.ndarray:
    """Returns the 17 keypoints of COCO (17, 3) float32: x, y in picture pixels, score.

    The score is the visibility, at most the presence; what is hidden has a low one.
    """
    scores = np.minimum(pose.visibility, pose.presence)
    return np.concatenate([pose.landmarks[:, :2], scores[:, None]], axis=1)[_TO_COCO]


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Returns the logistic function, without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * values)


def sigmoid_picture(logits: np.ndarray) -> np.ndarray:
    """Returns the logistic function of (H, W) float32, faster than NumPy's."""
    odds = cv2.exp(np.clip(np.ascontiguousarray(logits, np.float32), -30, 30))
    return odds / (odds + 1)


def _turn(world: np.ndarray, angle: float) -> np.ndarray:
    """Turns points (N, 3) about the axis of depth, as the region is turned in the picture."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
    return world.astype(np.float32) @ turn
