"""Turns the poses of a film into silhouettes: the network's mask, mended by the skeleton.

The mask says where the body is, to a pixel of 1/256 of the region. The landmarks say where its
bones are: ink far from every bone is not the dancer, and a limb whose joints are both seen is not
cut off. How thick a limb is, is measured on the dancer's own masks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dancenet.data.people import regions
from dancenet.data.people.landmarks import LANDMARK_NAMES, Pose
from dancenet.data.people.regions import Region

SEEN = 0.6  # visibility and presence from which a joint counts as seen
_COMMON = 0.5  # probability from which a pixel is the dancer's

# Points that are the mean of two landmarks, after the 33.
_MIDDLES = {
    "shoulders": ("left_shoulder", "right_shoulder"),
    "hips": ("left_hip", "right_hip"),
    "head": ("left_ear", "right_ear"),
}
_NAMES = (*LANDMARK_NAMES, *_MIDDLES)
_STATURE = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)  # shoulders to ankles


class Bone(NamedTuple):
    """A part of the body between two points."""

    near: int  # indices of the points
    far: int
    radius: float  # metres: half the usual thickness
    reach: float  # metres beyond its thickness that hair or cloth may reach
    is_limb: bool  # it is mended


def _bone(near: str, far: str, radius: float, reach: float, is_limb: bool = False) -> Bone:
    return Bone(_NAMES.index(near), _NAMES.index(far), radius, reach, is_limb)


def _sides(near: str, far: str, radius: float, reach: float) -> list[Bone]:
    return [_bone(f"{side}_{near}", f"{side}_{far}", radius, reach, True) for side in _SIDES]


_SIDES = ("left", "right")
BONES: tuple[Bone, ...] = (
    _bone("head", "nose", 0.09, 0.25),
    _bone("left_ear", "right_ear", 0.09, 0.25),
    _bone("shoulders", "head", 0.06, 0.2),
    _bone("left_shoulder", "right_shoulder", 0.09, 0.2),
    _bone("left_hip", "right_hip", 0.11, 0.25),
    _bone("left_shoulder", "left_hip", 0.1, 0.2),
    _bone("right_shoulder", "right_hip", 0.1, 0.2),
    _bone("shoulders", "hips", 0.12, 0.2),
    *_sides("shoulder", "elbow", 0.05, 0.15),
    *_sides("elbow", "wrist", 0.038, 0.15),
    *_sides("wrist", "index", 0.035, 0.12),
    *_sides("wrist", "pinky", 0.035, 0.12),
    *_sides("hip", "knee", 0.075, 0.25),
    *_sides("knee", "ankle", 0.05, 0.2),
    *_sides("ankle", "heel", 0.035, 0.12),
    *_sides("ankle", "foot_index", 0.035, 0.12),
)
_NEAR = np.array([bone.near for bone in BONES])
_FAR = np.array([bone.far for bone in BONES])
_USUAL = np.array([bone.radius for bone in BONES])
_REACH = np.array([bone.reach for bone in BONES])
_IS_LIMB = np.array([bone.is_limb for bone in BONES])


def _alike(index: int) -> list[int]:
    """Returns bones that may have a limb's colours: its own, both sides of it, and the head."""
    names = [tuple(_NAMES[end].split("_", 1)[-1] for end in (b.near, b.far)) for b in BONES]
    ends = set(names[index])
    return [k for k, name in enumerate(names) if k == 0 or ends & set(name) and BONES[k].is_limb]


_ALIKE = [_alike(index) for index in range(len(BONES))]
_ALONG = np.linspace(0.1, 0.9, 9)  # where on a bone the mask is looked at

_CUT_OFF = 0.34  # share of a limb that must lack ink for it to be mended
_SLIMMER = 0.85  # a mended limb is this part as thick as it was measured
_LIMB = 0.25  # share of the ink that a limb has at most
_COVERED = 0.75  # share of the bones that has ink if the landmarks are right
_LIKE = 40.0  # levels of a colour by which a limb differs at most from the dancer's colours ...
_UNLIKE = 30.0  # ... and at least from the colours around it ...
_SHOWN = 0.6  # ... in this share of its pixels
_FEWEST = 8  # pixels of a bone whose colour is known
_ON_BONES = 0.15  # share of a piece that must lie on bones for it to be the dancer's
_SCENE = 0.6  # share of a missing limb that shows the empty scene: then nothing is missing
_MENDED = 0.9  # probability of what is mended
_MEASURED = 30  # looks at a bone that outweigh the usual thickness
_FINEST = 4  # fractional bits of the coordinates that OpenCV draws
_FAR_OFF = 1e4  # pixels from the canvas at which lines end
_THICKEST = 1000  # pixels of a line


@dataclass(frozen=True)
class Sight:
    """A pose as it is kept until its silhouette is drawn; some kilobytes."""

    packed: bytes  # the mask, 256x256 levels of a byte
    region: Region
    points: np.ndarray  # (33, 2) float32, picture pixels
    seen: np.ndarray  # (33,) float32, the smaller of visibility and presence
    scale: float  # picture pixels per metre of the body

    @classmethod
    def of(cls, pose: Pose) -> Sight:
        levels = cv2.convertScaleAbs(pose.mask, alpha=255)
        return cls(
            zlib.compress(levels.tobytes(), 1),
            pose.region,
            np.ascontiguousarray(pose.landmarks[:, :2], np.float32),
            np.minimum(pose.visibility, pose.presence).astype(np.float32),
            _pixels_per_metre(pose),
        )

    def mask(self) -> np.ndarray:
        """Returns (S, S) uint8: 255 times the probability in the region."""
        levels = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        side = int(round(len(levels) ** 0.5))
        return levels.reshape(side, side)

    def drawn(self, to_canvas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Draws the mask on a canvas.

        Args:
            to_canvas: (2, 3), picture pixels to canvas pixels.
            size: (height, width) of the canvas.

        Returns:
            (H, W) float32 probability; 0 outside of the region.
        """
        mask = self.mask()
        matrix = _joined(to_canvas, regions.matrix(self.region, mask.shape[0]))
        drawn = cv2.warpAffine(mask, matrix, size[::-1], flags=cv2.INTER_LINEAR)
        return np.multiply(drawn, 1 / 255, dtype=np.float32)

    def lies(self) -> bool:
        """Tells whether the body's axis, hips to shoulders, is nearer to level than upright."""
        shoulders, hips, _ = _with_middles(self.points)[len(LANDMARK_NAMES) :]
        across, up = np.abs(shoulders - hips)
        return bool(across > up)

    def skeleton(self, to_canvas: np.ndarray, build: Build) -> Skeleton:
        """Returns the bones on a canvas."""
        points = _with_middles(self.points) @ to_canvas[:, :2].T + to_canvas[:, 2]
        zoom = float(np.hypot(*to_canvas[:, 0])) * self.scale
        seen = np.concatenate(
            [self.seen, [min(self.seen[i] for i in pair) for pair in _MIDDLE_INDICES]]
        )
        bones_seen = np.minimum(seen[_NEAR], seen[_FAR])
        return Skeleton(
            points[_NEAR],
            points[_FAR],
            build.radii * zoom,
            _REACH * zoom,
            seen=bones_seen,
            zoom=zoom,
        )


_MIDDLE_INDICES = [tuple(LANDMARK_NAMES.index(n) for n in pair) for pair in _MIDDLES.values()]


class Build(NamedTuple):
    """How thick the dancer's bones are."""

    radii: np.ndarray  # (number of BONES,) metres

    @classmethod
    def measure(cls, sights: Iterable[Sight | None], every: int = 5) -> Build:
        """Measures the masks of a shot; a bone that is hardly seen is as thick as usual.

        Args:
            sights: one for each picture, None where nobody was found.
            every: pictures between two that are measured.
        """
        looks = [_thickness(sight) for k, sight in enumerate(sights) if sight and k % every == 0]
        if not looks:
            return cls(_USUAL)
        radii = np.stack(looks)
        weights = np.minimum(1, (~np.isnan(radii)).sum(axis=0) / _MEASURED)
        filled = np.where(np.isnan(radii), _USUAL, radii)
        # Below the median, because limbs that touch the body seem thicker.
        measured = np.clip(np.percentile(filled, 35, axis=0), 0.6 * _USUAL, 2 * _USUAL)
        return cls(weights * measured + (1 - weights) * _USUAL)


class Skeleton(NamedTuple):
    """The bones in the pixels of a canvas; B is the number of BONES."""

    near: np.ndarray  # (B, 2)
    far: np.ndarray  # (B, 2)
    radii: np.ndarray  # (B,)
    reach: np.ndarray  # (B,) beyond the radii
    seen: np.ndarray  # (B,) how surely both ends are seen
    zoom: float  # pixels per metre

    def drawn(self, size: tuple[int, int], radii: np.ndarray) -> np.ndarray:
        """Draws all bones with round ends as (H, W) uint8, 1 on them."""
        canvas = np.zeros(size, np.uint8)
        for bone in self._strokes(radii):
            _draw(canvas, bone)
        return canvas

    def drawn_bone(self, index: int, size: tuple[int, int], radius: float) -> np.ndarray:
        """Draws one bone as (H, W) uint8, 1 on it."""
        canvas = np.zeros(size, np.uint8)
        _draw(canvas, self._strokes(np.full(len(self.radii), radius))[index])
        return canvas

    def _strokes(self, radii: np.ndarray) -> list[list[int]]:
        ends = np.concatenate([self.near, self.far], axis=1).clip(-_FAR_OFF, _FAR_OFF)
        whole = np.rint(ends * (1 << _FINEST)).astype(int)
        thickness = np.rint(2 * radii).clip(1, _THICKEST).astype(int)
        return np.concatenate([whole, thickness[:, None]], axis=1).tolist()

    def along(self, values: np.ndarray) -> np.ndarray:
        """Returns (B, 9): `values` (H, W) at places along each bone, NaN off the canvas."""
        places = self.near[:, None] + (self.far - self.near)[:, None] * _ALONG[None, :, None]
        columns, rows = np.rint(places).astype(int).transpose(2, 0, 1)
        inside = (rows >= 0) & (rows < values.shape[0])
        inside &= (columns >= 0) & (columns < values.shape[1])
        found = values[np.where(inside, rows, 0), np.where(inside, columns, 0)]
        return np.where(inside, found, np.nan)


def mended(
    probability: np.ndarray,
    skeleton: Skeleton,
    picture: np.ndarray | None = None,
    difference: np.ndarray | None = None,
) -> np.ndarray:
    """Mends a silhouette by the skeleton.

    Masks are surer than landmarks, so the skeleton decides only what the mask cannot know. Pieces
    that lie beside all bones go: captions, lamps, neighbours; so does what hangs on the body, is
    far from every bone and larger than a limb. A limb whose two joints are seen comes back where
    ink is missing and the picture shows the dancer's colours rather than those around the limb.

    Args:
        probability: (H, W) float32.
        skeleton: on the same canvas.
        picture: (H, W, 3) uint8 the canvas; None to bring no limb back.
        difference: (H, W) how far each pixel is from the empty scene; below 1 it is the scene.

    Returns:
        (H, W) float32.
    """
    core = skeleton.drawn(probability.shape, skeleton.radii)
    kept = _without_strangers(probability, core)
    kept = _without_neighbours(kept, skeleton, core)
    return kept if picture is None else _with_limbs(kept, skeleton, picture, difference)


def _without_strangers(probability: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Removes pieces that lie beside the bones; the largest one always stays."""
    ink = (probability > _COMMON).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    if count < 3:
        return probability
    on_bones = np.bincount(labels.ravel(), weights=core.ravel(), minlength=count)
    strange = on_bones < _ON_BONES * stats[:, cv2.CC_STAT_AREA]
    strange[0] = False
    if on_bones[1:].any():
        strange[1 + int(on_bones[1:].argmax())] = False
    return _erased(probability, strange[labels]) if strange.any() else probability


def _without_neighbours(
    probability: np.ndarray, skeleton: Skeleton, core: np.ndarray
) -> np.ndarray:
    """Removes what hangs on the body, far from every bone, and is larger than a limb."""
    allowed = skeleton.drawn(probability.shape, skeleton.radii + skeleton.reach)
    ink = (probability > _COMMON).view(np.uint8)
    total = cv2.countNonZero(ink)
    far = ink & (1 - allowed)
    if cv2.countNonZero(far) <= _LIMB * total:
        return probability
    # Bones that lack ink are those of wrong landmarks.
    if cv2.countNonZero(ink & core) < _COVERED * cv2.countNonZero(core):
        return probability
    _, labels, stats, _ = cv2.connectedComponentsWithStats(far, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] > _LIMB * total
    large[0] = False
    return _erased(probability, large[labels])


def _erased(probability: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Sets what is marked to 0, with its soft edge, and leaves the edges of other ink alone."""
    around = cv2.dilate(away.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(around & (away | (probability <= _COMMON)), np.float32(0), probability)


def _with_limbs(
    probability: np.ndarray,
    skeleton: Skeleton,
    picture: np.ndarray,
    difference: np.ndarray | None,
) -> np.ndarray:
    """Draws limbs that the mask lacks and the picture shows."""
    found = skeleton.along(probability)
    inside = ~np.isnan(found)
    lacking = (inside & (found < _COMMON)).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    candidates = _IS_LIMB & (skeleton.seen >= SEEN) & (lacking > _CUT_OFF)
    result = probability
    for index in np.flatnonzero(candidates).tolist():
        limb = skeleton.drawn_bone(index, probability.shape, _SLIMMER * skeleton.radii[index])
        missing = (limb > 0) & (probability < _COMMON)
        if difference is not None and (difference[missing] < 1).mean() > _SCENE:
            continue
        if _shows_dancer(picture, missing, probability > _COMMON, (skeleton, index)):
            result = np.where(missing, np.float32(_MENDED), result)
    return result


def _shows_dancer(
    picture: np.ndarray, missing: np.ndarray, ink: np.ndarray, bone: tuple[Skeleton, int]
) -> bool:
    """Tells whether a missing limb has the dancer's colours rather than those around it."""
    skeleton, index = bone
    width = 2 * int(np.clip(2 * skeleton.radii[index], 3, 40)) + 1
    around = cv2.dilate(missing.view(np.uint8), np.ones((width, width), np.uint8)) > 0
    around &= ~missing & ~ink
    colours = picture[missing].astype(np.float32)
    if not len(colours) or not around.any():
        return False
    behind = np.median(picture[around], axis=0)
    own = []
    for like in _ALIKE[index]:
        part = (skeleton.drawn_bone(like, ink.shape, 0.6 * skeleton.radii[like]) > 0) & ink
        if np.count_nonzero(part) >= _FEWEST:
            own.append(np.median(picture[part], axis=0))
    if not own:
        return False
    to_own = np.min([np.abs(colours - colour).max(axis=1) for colour in own], axis=0)
    to_behind = np.abs(colours - behind).max(axis=1)
    is_own = (to_own < _LIKE) & (to_behind > _UNLIKE) & (to_own < to_behind)
    return bool(is_own.mean() > _SHOWN)


def _thickness(sight: Sight) -> np.ndarray:
    """Returns (B,) half the thickness of each bone in metres, NaN where it is not seen."""
    mask = sight.mask()
    to_mask = cv2.invertAffineTransform(regions.matrix(sight.region, mask.shape[0]))
    skeleton = sight.skeleton(to_mask, Build(_USUAL))
    inside = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    found = skeleton.along(inside)
    pixels_per_metre = sight.scale * mask.shape[0] / sight.region.size
    middle = np.median(found[:, 2:-2], axis=1)
    is_seen = (skeleton.seen >= SEEN) & (middle > 0)
    return np.where(is_seen, middle / pixels_per_metre, np.nan)


def _pixels_per_metre(pose: Pose) -> float:
    """Compares landmarks in the picture with those in metres, which lie in the same plane."""
    joints = list(_STATURE)
    flat = pose.landmarks[joints, :2]
    world = pose.world[joints, :2]
    spread = float(np.linalg.norm(world - world.mean(axis=0)))
    if spread < 0.1:
        return pose.region.size / 2  # a body of 1.6 m in its region
    return float(np.linalg.norm(flat - flat.mean(axis=0))) / spread


def _with_middles(points: np.ndarray) -> np.ndarray:
    middles = [points[list(pair)].mean(axis=0) for pair in _MIDDLE_INDICES]
    return np.concatenate([points, middles])


def _joined(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Returns the (2, 3) map that applies `first`, then `second`."""
    return np.hstack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]])


def _draw(canvas: np.ndarray, stroke: list[int]) -> None:
    start, end, thickness = tuple(stroke[:2]), tuple(stroke[2:4]), stroke[4]
    cv2.line(canvas, start, end, 1, thickness=thickness, lineType=cv2.LINE_8, shift=_FINEST)
