"""Two ways from a picture to a dancer's silhouette, and the cleaning that all share.

Each method gives, for a picture, the probability that a pixel belongs to the dancer as
(H, W) float32. Probabilities are averaged over area and over time before they are cut at
one half, so no edge is eaten by an early decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from dancenet.data.footage.crop import Box, mask_box
from dancenet.data.frames.picture import BACKGROUND, DANCER, HEIGHT, WIDTH

METHODS = ("auto", "threshold", "background", "person")

_GREY_SOFTNESS = 12.0  # levels from the threshold at which a grey pixel counts as certain
_MIN_DIFFERENCE = 13.0  # Lab units that a pixel must differ from its background
_NOISE_FACTOR = 4.0  # ... or this many times its own noise, if that is more
_SHADOW_DARKEST = 0.55  # a shadow keeps at least this part of the light
_SHADOW_WEIGHT = 0.3  # how much darkening counts that a shadow would explain
_REVEAL_SIDE = 240  # longer side at which the scene behind an immobile dancer is guessed
_BODY_AROUND = 0.35  # share of an immobile torso's rim that is body in nearly all samples
_LARGEST_PATCH = 0.15  # share of the picture that a calm patch may cover to be a body
_COMPANION_AREA = 0.01  # share of the largest piece that another piece near it needs to be kept
_COMPANION_REACH = 0.04  # share of the picture's height that counts as near
_MIN_AREA = 0.003  # share of the picture that a dancer covers at least
_MAX_AREA = 0.9  # share of the picture that a dancer covers at most


class ThresholdMethod:
    """A dancer darker (or brighter) than everything behind them: backlit, or a plain wall."""

    name = "threshold"

    def __init__(self, level: float, dark: bool = True) -> None:
        """Takes the grey level (0 to 255) that parts dancer and wall, and which is darker."""
        self.level = float(level)
        self.dark = dark

    @classmethod
    def fit(
        cls, samples: np.ndarray, level: float | None = None, invert: bool = False
    ) -> ThresholdMethod:
        """Chooses level and side from sampled pictures (N, H, W, 3).

        The level is Otsu's over all samples together, so that it does not flicker. The wall
        is the side that most of the pictures' borders are on; `invert` takes the other one.
        """
        grey = np.stack([_grey(sample) for sample in samples])
        if level is None:
            level = otsu(grey)[0]
        border = np.concatenate([grey[:, :, 0].ravel(), grey[:, :, -1].ravel(), grey[:, 0].ravel()])
        wall_is_bright = bool((border > level).mean() >= 0.5)
        return cls(level, wall_is_bright != invert)

    def probability(self, picture: np.ndarray) -> np.ndarray:
        """Returns (H, W) float32 for an (H, W, 3) picture."""
        # Grey first: channels cut one by one turn a coloured edge into grey speckle.
        above = (_grey(picture).astype(np.float32) + 0.5 - self.level) / (2 * _GREY_SOFTNESS)
        return np.clip(0.5 - above if self.dark else 0.5 + above, 0, 1)


class BackgroundMethod:
    """A camera that does not move: whatever differs from the empty scene is the dancer."""

    name = "background"

    def __init__(
        self, plate: np.ndarray, noise: np.ndarray, known: np.ndarray | None = None
    ) -> None:
        """Takes the empty scene.

        Args:
            plate: (H, W, 3) uint8 RGB.
            noise: (H, W) float32, how much a pixel of it varies, in Lab units.
            known: (H, W) bool, where the scene was ever seen empty; None for everywhere.
        """
        self.plate = plate
        self.noise = noise
        self.known = np.ones(noise.shape, bool) if known is None else known
        self._planes = cv2.split(_lab(plate))

    @classmethod
    def fit(cls, samples: np.ndarray, occupied: np.ndarray | None = None) -> BackgroundMethod:
        """Takes the median over sampled pictures.

        Args:
            samples: (N, H, W, 3) uint8 RGB. Sampled by motion, not by time (see
                `footage.survey`), so that a dancer who stands still is seen once.
            occupied: (N, H, W) bool, pixels known to show a dancer, which are left out.
        """
        count = len(samples)
        height, width = samples.shape[1:3]
        plate = np.empty((height, width, 3), np.uint8)
        noise = np.empty((height, width), np.float32)
        known = np.empty((height, width), bool)
        strip = 64  # rows at a time, or sorting would need several copies of all samples
        for top in range(0, height, strip):
            rows = slice(top, top + strip)
            part = samples[:, rows]
            free = np.ones(part.shape[:3], bool) if occupied is None else ~occupied[:, rows]
            seen = free.sum(axis=0)
            # Where nobody ever left, the plain median is the best guess there is.
            free |= seen[None] == 0
            known[rows] = seen >= min(count, max(2, round(0.05 * count)))
            plate[rows] = _masked_median(part, free)
            spread = _apart(part.astype(np.int16), plate[rows]).astype(np.uint8)
            noise[rows] = 1.48 * _masked_median(spread[..., None], free)[..., 0]
        if occupied is None:
            known &= ~_reveal(plate, samples)
        return cls(plate, noise, known)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures it can be compared with."""
        return self.noise.shape[1], self.noise.shape[0]

    def resized(self, width: int, height: int) -> BackgroundMethod:
        """Returns the same scene for pictures of another size."""
        size = (width, height)
        return BackgroundMethod(
            cv2.resize(self.plate, size, interpolation=cv2.INTER_LINEAR),
            cv2.resize(self.noise, size, interpolation=cv2.INTER_LINEAR),
            cv2.resize(self.known.astype(np.uint8), size) > 0,
        )

    def viewed(self, show: Callable[[np.ndarray], np.ndarray]) -> BackgroundMethod:
        """Returns the same scene as a view shows it, by its `cut` or its `look`."""
        return BackgroundMethod(
            show(self.plate), show(self.noise), show(self.known.astype(np.uint8)) > 0
        )

    def difference(self, picture: np.ndarray) -> np.ndarray:
        """Returns (H, W) float32: how far each pixel is from the scene; 1 is the threshold."""
        # Channel by channel: NumPy reduces a last axis of three slowly.
        light, red, blue = self._planes
        now_light, now_red, now_blue = cv2.split(_lab(picture))
        lighter = now_light - light
        # The camera's exposure moves all levels at once; the scene's share is the median.
        lighter -= np.clip(np.median(lighter[::4, ::4]), -12, 12)
        # A shadow scales light and colour alike (Lab's neutral colours lie at 128).
        share = np.clip(1 + lighter / np.maximum(light, 1), 0, 1)
        shaded_red = now_red - 128 - (red - 128) * share
        shaded_blue = now_blue - 128 - (blue - 128) * share
        shadow = (share < 1) & (share > _SHADOW_DARKEST)
        shadow &= (np.abs(shaded_red) < 8) & (np.abs(shaded_blue) < 8)
        lighter = np.where(shadow, np.float32(_SHADOW_WEIGHT) * lighter, lighter)
        redder = np.where(shadow, shaded_red, now_red - red)
        bluer = np.where(shadow, shaded_blue, now_blue - blue)
        distance = np.sqrt(lighter**2 + 2 * (redder**2 + bluer**2))
        noise = np.minimum(self.noise, 2 * _MIN_DIFFERENCE / _NOISE_FACTOR)
        return distance / np.maximum(_MIN_DIFFERENCE, _NOISE_FACTOR * noise)

    def probability(self, picture: np.ndarray) -> np.ndarray:
        """Returns (H, W) float32 for an (H, W, 3) picture."""
        found = np.clip(self.difference(picture) / 2, 0, 1).astype(np.float32)
        # Enclosed by movement and never seen empty: the middle of a dancer who stays there.
        found[~self.known] = 1
        # Opening removes compression noise; closing joins a body parted by like colours.
        calm = cv2.morphologyEx(cv2.medianBlur(found, 3), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        reach = max(3, round(picture.shape[0] / 40)) | 1
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        return np.asarray(cv2.morphologyEx(calm, cv2.MORPH_CLOSE, ellipse), np.float32)


def find_dancer(
    probability: np.ndarray, near: Box | None = None, min_area: float = _MIN_AREA
) -> np.ndarray:
    """Returns the (H, W) bool mask of the dancer: the largest piece and those close to it.

    Args:
        probability: (H, W) float32.
        near: where the dancer was just before; a piece that overlaps it is preferred.
        min_area: part of the picture below which nothing is a dancer.
    """
    binary = (probability > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].astype(float)
    areas[0] = 0
    weights = areas.copy()
    if near is not None:
        for label in np.flatnonzero(areas):
            left, top, width, height = stats[label, :4]
            overlap = max(0, min(near.right, left + width) - max(near.left, left)) * max(
                0, min(near.bottom, top + height) - max(near.top, top)
            )
            weights[label] *= 0.25 + overlap / (width * height)
    best = int(weights.argmax())
    if not min_area <= areas[best] / binary.size <= _MAX_AREA or count < 2:
        return np.zeros(binary.shape, bool)
    kept = labels == best
    companions = np.flatnonzero(areas >= max(4, _COMPANION_AREA * areas[best]))
    if len(companions) > 1:
        reach = 2 * max(1, round(_COMPANION_REACH * binary.shape[0])) + 1
        around = cv2.dilate(kept.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
        for label in companions:
            if label != best and (around & (labels == label)).any():
                kept |= labels == label
    return kept


def fill_holes(mask: np.ndarray, largest: float) -> np.ndarray:
    """Fills holes of an (H, W) bool mask that are smaller than `largest` pixels.

    What is open to the picture's border is no hole.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (~mask).astype(np.uint8), connectivity=4
    )
    height, width = mask.shape
    filled = mask.copy()
    for label in range(1, count):
        left, top, box_width, box_height, area = stats[label]
        at_border = left == 0 or top == 0 or left + box_width == width or top + box_height == height
        if area < largest and not at_border:
            filled[labels == label] = True
    return filled


def reduce_canvas(canvas: np.ndarray) -> np.ndarray:
    """Averages a canvas of probabilities by area and cuts it at one half.

    Returns:
        (120, 208) uint8, 0 dancer and 255 background.
    """
    small = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.where(small > 0.5, np.uint8(DANCER), np.uint8(BACKGROUND))


def smooth_over_time(canvases: Iterable[np.ndarray], fps: float) -> Iterator[np.ndarray]:
    """Averages each canvas with its neighbours, one before and one after.

    The middle frame weighs more than its neighbours together, so a limb that is in one
    place for one frame only stays. Below 12 frames a second nothing is averaged: there
    neighbours show different poses.
    """
    weight = 0.2 * min(1.0, max(0.0, (fps - 12) / 12))
    previous = current = None
    for following in canvases:
        if current is not None:
            yield _average(previous, current, following, weight)
        previous, current = current, following
    if current is not None:
        yield _average(previous, current, None, weight)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the intersection over union of two bool masks; 1 if both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def otsu(grey: np.ndarray) -> tuple[float, float]:
    """Returns the grey level that parts bright from dark best, and how well it does.

    Otsu 1979, eq. 12 and 14: the level maximises the variance between the two classes;
    the second number is that variance over the total one, 1 for two clean levels.
    """
    counts = np.bincount(grey.ravel(), minlength=256).astype(float)
    share = counts / counts.sum()
    levels = np.arange(256)
    weight = np.cumsum(share)
    mean = np.cumsum(share * levels)
    total = mean[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total * weight - mean) ** 2 / (weight * (1 - weight))
    between = np.nan_to_num(between[:-1], posinf=0)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    variance = float((share * (levels - total) ** 2).sum())
    return float(best.mean()) + 1.0, float(between.max() / variance) if variance else 0.0


def touches(mask: np.ndarray, inside: np.ndarray) -> bool:
    """Tells whether an (H, W) mask reaches the border of the picture that `inside` marks."""
    border = mask_box(inside)
    if border is None:
        return False
    left, top, right, bottom = (int(value) for value in border)
    return bool(
        mask[top:bottom, left].any()
        or mask[top:bottom, right - 1].any()
        or mask[top, left:right].any()
        or mask[bottom - 1, left:right].any()
    )


def _average(
    previous: np.ndarray | None,
    current: np.ndarray,
    following: np.ndarray | None,
    weight: float,
) -> np.ndarray:
    neighbours = [other for other in (previous, following) if other is not None]
    if not weight or not neighbours:
        return current
    result = current * np.float32(1 - weight * len(neighbours))
    for other in neighbours:
        result += other * np.float32(weight)
    return result


def _masked_median(values: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Medians (N, H, W, C) uint8 over N where `free` (N, H, W); 255 counts as 254."""
    ordered = np.minimum(values, 254)
    ordered[~free] = 255  # sorts behind every real value
    ordered.sort(axis=0)
    middle = (np.maximum(free.sum(axis=0), 1) - 1) // 2
    index = np.broadcast_to(middle[None, ..., None], (1, *values.shape[1:]))
    return np.take_along_axis(ordered, index, axis=0)[0]


def _reveal(plate: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Paints over, in place, a dancer who hardly ever left some spot and became background.

    The scene behind is guessed from the calm pixels around all that moves. The guess is
    taken where some samples do show it.

    Returns:
        (H, W) bool: what movement encloses, as its outline does a torso, and where no
        sample shows anything like the guess.
    """
    height, width = plate.shape[:2]
    scale = min(1.0, _REVEAL_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.stack(
        [_lab(cv2.resize(sample, size, interpolation=cv2.INTER_AREA)) for sample in samples]
    )
    before = _lab(cv2.resize(plate, size, interpolation=cv2.INTER_AREA))
    moving = (_apart(small, before) > _MIN_DIFFERENCE).mean(axis=0) > 0.06
    moving = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    moving = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    # The floor line closes a body that the picture's lower border cuts.
    closed = np.pad(moving, ((0, 1), (0, 0)), constant_values=1)
    enclosed = fill_holes(closed > 0, _LARGEST_PATCH * moving.size)[:-1]
    hidden = cv2.dilate(enclosed.astype(np.uint8), np.ones((7, 7), np.uint8))
    if not moving.any() or hidden.mean() > 0.6:
        return np.zeros((height, width), bool)
    guess = cv2.inpaint(
        cv2.resize(plate, size, interpolation=cv2.INTER_AREA), hidden, 5, cv2.INPAINT_TELEA
    )
    guess = cv2.GaussianBlur(guess, (0, 0), 1.5)
    seen = (_apart(small, _lab(guess)) < 0.6 * _MIN_DIFFERENCE).mean(axis=0) > 0.1
    wrong = (_apart(before, _lab(guess)) > _MIN_DIFFERENCE) & (hidden > 0)
    replaced = cv2.resize((seen & wrong).astype(np.uint8), (width, height)) > 0
    plate[replaced] = cv2.resize(guess, (width, height), interpolation=cv2.INTER_LINEAR)[replaced]
    unknown = cv2.morphologyEx(
        (enclosed & wrong & ~seen).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)
    )
    after = _lab(cv2.resize(plate, size, interpolation=cv2.INTER_AREA))
    body = _apart(small, after) > _MIN_DIFFERENCE
    count, labels = cv2.connectedComponents(unknown)
    for label in range(1, count):
        patch = (labels == label).astype(np.uint8)
        rim = (cv2.dilate(patch, np.ones((7, 7), np.uint8)) > 0) & (unknown == 0)
        # A torso has the rest of the body around it in every sample; furniture has not.
        if not rim.any() or np.percentile(body[:, rim].mean(axis=1), 20) < _BODY_AROUND:
            unknown[patch > 0] = 0
    return cv2.resize(unknown, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns how far colours (..., 3) lie apart in the channel that differs most."""
    apart = np.abs(first - second)
    return np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2])


def _grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _lab(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
