"""Draws people's keypoints over the picture they were found in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np

from dancenet.data.mocap.formats.keypoints import plain_name
from dancenet.output.picture import Color
from dancenet.support import files

LEAST_SCORE = 0.2  # of a keypoint that is drawn

_LIMBS = (("shoulder", "elbow", "wrist", "index"), ("hip", "knee", "ankle", "foot_index", "heel"))
_BONES = (
    ("l_shoulder", "r_shoulder"),
    ("l_hip", "r_hip"),
    ("l_ankle", "l_heel"),
    ("r_ankle", "r_heel"),
    ("nose", "l_eye"),
    ("nose", "r_eye"),
    *((f"{side}_eye", f"{side}_ear") for side in "lr"),
    *((f"{side}_shoulder", f"{side}_hip") for side in "lr"),
    *(
        (f"{side}_{near}", f"{side}_{far}")
        for side in "lr"
        for limb in _LIMBS
        for near, far in zip(limb, limb[1:])
    ),
)
# Of the left side, the right side and the middle: the first person's, the second's, …
_COLORS: tuple[tuple[Color, Color, Color], ...] = (
    ((64, 190, 255), (255, 150, 40), (255, 255, 255)),
    ((80, 230, 120), (240, 230, 60), (255, 255, 255)),
    ((220, 130, 255), (255, 90, 140), (255, 255, 255)),
    ((120, 255, 255), (255, 200, 170), (255, 255, 255)),
    ((150, 150, 255), (200, 255, 130), (255, 255, 255)),
    ((255, 120, 220), (130, 220, 190), (255, 255, 255)),
)
_OUTLINE: Color = (20, 20, 20)
_THICKNESS = 1 / 160  # of a bone, in sides of the picture
_FRACTION_BITS = 4


class Overlay:
    """Draws keypoints of one set of joints."""

    def __init__(self, names: Sequence[str]) -> None:
        """Prepares the bones.

        Args:
            names: J, of the joints, such as COCO's seventeen.
        """
        plain = [plain_name(name) for name in names]
        self._bones = [
            (plain.index(near), plain.index(far), _side(near, far))
            for near, far in _BONES
            if near in plain and far in plain
        ]
        self._sides = [_side(name, name) for name in plain]
        self._bound = sorted({joint for near, far, _ in self._bones for joint in (near, far)})

    def draw(
        self, picture: np.ndarray, xy: np.ndarray, score: np.ndarray, numbered: bool = False
    ) -> np.ndarray:
        """Draws people.

        Args:
            picture: (H, W, 3) uint8 RGB; it is left as it is.
            xy: (P, J, 2) picture pixels, NaN where somebody was not found.
            score: (P, J), 0..1.
            numbered: write the number of each beside the head.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        drawn = picture.copy()
        width = max(1, round(_THICKNESS * (picture.shape[0] + picture.shape[1]) / 2))
        seen = np.isfinite(xy).all(axis=-1) & (score >= LEAST_SCORE)
        # OpenCV takes whole numbers of 32 bits.
        places = np.clip(np.nan_to_num(xy), -1e4, 3e4)
        points = np.rint(places * (1 << _FRACTION_BITS)).astype(int).tolist()
        for person in range(len(points)):
            colors = _COLORS[person % len(_COLORS)]
            for thickness, is_outline in ((width + 2, True), (width, False)):
                for near, far, side in self._bones:
                    if seen[person, near] and seen[person, far]:
                        color = _OUTLINE if is_outline else colors[side]
                        ends = points[person][near], points[person][far]
                        # Many: they are OpenCV's.
                        cv2.line(drawn, *ends, color, thickness, cv2.LINE_AA, _FRACTION_BITS)
            for joint in self._bound:
                if seen[person, joint]:
                    self._dot(drawn, points[person][joint], width, colors[self._sides[joint]])
            if numbered and seen[person].any():
                _write(drawn, str(person + 1), places[person][seen[person]], colors[0])
        return drawn

    @staticmethod
    def _dot(drawn: np.ndarray, point: list[int], width: int, color: Color) -> None:
        radius = round((0.5 + 0.8 * width) * (1 << _FRACTION_BITS))
        place = {"lineType": cv2.LINE_AA, "shift": _FRACTION_BITS}
        cv2.circle(drawn, point, radius, color, cv2.FILLED, **place)


def even(picture: np.ndarray) -> np.ndarray:
    """Returns a picture (H, W, 3) of even width and height, as films have; edges are repeated."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes a picture (H, W, 3) uint8 RGB as .png or .jpg, atomically."""
    content = iio.imwrite("<bytes>", picture, plugin="pillow", extension=path.suffix.lower())
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _side(near: str, far: str) -> int:
    sides = {name[0] if name[1:2] == "_" else "" for name in (near, far)}
    return {"l": 0, "r": 1}.get(sides.pop(), 2) if len(sides) == 1 else 2


def _write(drawn: np.ndarray, text: str, places: np.ndarray, color: Color) -> None:
    """Writes a text above somebody."""
    scale = max(0.4, (drawn.shape[0] + drawn.shape[1]) / 1600)
    x, y = int(places[:, 0].mean()), int(places[:, 1].min() - 14 * scale)
    origin = (x, max(y, int(24 * scale)))
    for thickness, shade in (
        (max(3, round(5 * scale)), _OUTLINE),
        (max(1, round(2 * scale)), color),
    ):
        # Many: they are OpenCV's.
        cv2.putText(drawn, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, shade, thickness)
