"""Draws any skeleton as the silhouette of a figure: a rounded bone from joint to joint.

`data.motion.draw_body` draws a body and must know which joint is a knee. This needs the bones
only, and has the same picture, floor and camera.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dancenet.data.frames.picture import WIDTH
from dancenet.data.motion.camera import CIRCLE, SUPERSAMPLE, CameraView, Extent, Pen, aim, fit
from dancenet.support.errors import UserError

THICKNESS = 0.036  # radius of a bone, in heights of the figure
HEAD = 0.058  # radius of the head, in heights of the figure
_FULLER = 0.8  # radius at hips and shoulders, in radii of a bone: the trunk is their hull
_STANDING_HEIGHT = 75  # percentile of the height over all frames; dancers bend and jump
_CHUNK = 256  # frames whose outlines are held at once


def draw_figures(
    positions: np.ndarray,
    fps: float,
    parents: Sequence[int],
    view: CameraView = CameraView(),
    *,
    names: Sequence[str] = (),
    supersample: int = SUPERSAMPLE,
) -> Iterator[np.ndarray]:
    """Draws one clip, frame by frame, as `data.motion.draw_body.draw_bodies` does.

    Args:
        positions: (T, J, C), C 3: y up, floor at 0; C 2: x to the right and y up.
        fps: frames per second of `positions`.
        parents: J, the other end of each joint's bone, -1 for none.
        view: where the camera stands.
        names: J; head, hips and shoulders are drawn fuller if they have these names.
        supersample: how many times finer the outline is drawn before it is averaged.

    Returns:
        An iterator over (120, 208) uint8, 0 dancer and 255 background.

    Raises:
        UserError: positions in a picture are asked for from another side, or have no extent.
        ValueError: unknown camera.
    """
    right = view.right()
    if positions.shape[2] == 2:
        if view.yaw % 360:
            raise UserError(
                f"These joints are points of a picture and cannot be seen turned by {view.yaw:g} "
                "degrees; leave the yaw at 0."
            )
        places = positions.astype(np.float64) * [right[0], 1.0]
    else:
        plane = np.stack([right, [0.0, 1.0, 0.0]], axis=1)
        places = positions.astype(np.float64) @ plane
    height = float(np.percentile(np.ptp(positions[..., 1], axis=1), _STANDING_HEIGHT))
    if not height > 0:
        raise UserError("All joints are in one place or on one level; there is nothing to draw.")
    bones = _bones(parents, names, height)
    reach = HEAD * height
    across, up = places[..., 0], places[..., 1]
    highest, lowest = up.max() + reach, min(0.0, up.min() - THICKNESS * height)
    scale, floor = fit(height, highest, lowest)
    extent = Extent(across.mean(axis=1), across.min(axis=1) - reach, across.max(axis=1) + reach)
    scale, centre = aim(view.camera, scale, extent, fps)
    pixels = np.stack(
        [(across - centre[:, None]) * scale + WIDTH / 2, floor - up * scale], axis=-1
    ).astype(np.float32)
    return _draw(
        pixels, [[(j, radius * scale) for j, radius in part] for part in bones], supersample
    )


def _bones(
    parents: Sequence[int], names: Sequence[str], height: float
) -> list[list[tuple[int, float]]]:
    """Returns the parts of the figure: each the hull of balls, given by joint and radius."""
    thin = THICKNESS * height
    bones = [[(joint, thin), (parent, thin)] for joint, parent in enumerate(parents) if parent >= 0]
    plain = [name.lower() for name in names]
    trunk = [f"{side}_{limb}" for side in "lr" for limb in ("hip", "shoulder")]
    if set(trunk) <= set(plain):
        bones.append([(plain.index(name), _FULLER * thin) for name in trunk])
    bones += [[(joint, HEAD * height)] for joint, name in enumerate(plain) if name == "head"]
    return bones


def _draw(
    pixels: np.ndarray, parts: list[list[tuple[int, float]]], supersample: int
) -> Iterator[np.ndarray]:
    """Yields the pictures of joints (T, J, 2) in picture pixels, radii in pixels."""
    pen = Pen(supersample)
    for start in range(0, len(pixels), _CHUNK):
        points = pixels[start : start + _CHUNK, :, None]
        yield from pen.draw(
            [
                np.concatenate([points[:, j] + radius * CIRCLE for j, radius in part], axis=1)
                for part in parts
            ]
        )
