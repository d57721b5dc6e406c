"""Measures silhouettes of film: against a chroma key, against drawn bodies, and their flicker.

    python benchmarks/silhouettes.py --method person --films film.mp4 … --out sheets
    python benchmarks/silhouettes.py --key green_screen.mp4 --recordings mocap/npz

Writes one contact sheet per film, and prints one line: IoU with the truth where there is one,
flicker, the share of frames in which a dancer was found, and frames a second. Flicker is what the
IoU of neighbouring silhouettes lacks to 1 after dense optical flow between the two pictures (DIS)
has moved one onto the other; it is measured in the film's pixels, so that crops of different
sizes can be compared.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dancenet.data.footage.choose import Chooser, Settings
from dancenet.data.footage.crop import View
from dancenet.data.footage.draw import Drawn, draw
from dancenet.data.footage.finders import find
from dancenet.data.footage.methods import overlap, reduce_canvas
from dancenet.data.footage.person import open_tracker
from dancenet.data.footage.survey import survey
from dancenet.data.footage.video import open_footage
from dancenet.data.frames.picture import DANCER
from dancenet.data.motion.camera import CameraView, Extent, aim, fit
from dancenet.data.motion.draw_body import draw_bodies
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.data.motion.proportions import REACH, measure

FLOW_SIDE = 640  # longer side of the pictures in which the flow is measured
SHEET_COLUMNS = 10
ENLARGED = 3  # drawn bodies are shown so many times larger than frames

Truth = Callable[[int, np.ndarray], np.ndarray]  # (H, W) bool of a numbered picture


@dataclass
class Film:
    """Pictures at a constant rate, and the masks they should give if those are known."""

    name: str
    fps: float
    frames: Callable[[], Iterator[np.ndarray]]  # (H, W, 3) uint8 RGB
    truth: Truth | None = None


@dataclass
class Result:
    """Measures of one film."""

    name: str
    count: int = 0
    found: int = 0
    ious: list[float] = field(default_factory=list)
    steady: list[float] = field(default_factory=list)  # IoU of neighbours, flow removed
    steady_truth: list[float] = field(default_factory=list)  # the same of the true masks
    heights: list[float] = field(default_factory=list)  # share of the frame's height
    tiles: list[np.ndarray] = field(default_factory=list)
    seconds: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def line(self) -> str:
        def mean(values: list[float], digits: int = 3) -> str:
            return f"{np.mean(values):.{digits}f}" if values else "-"

        floor = f" (truth {1 - np.mean(self.steady_truth):.4f})" if self.steady_truth else ""
        low = f"{np.percentile(self.ious, 10):.3f}" if self.ious else "-"
        return (
            f"{self.name:28} IoU {mean(self.ious)} (10 % below {low})  flicker "
            f"{1 - np.mean(self.steady) if self.steady else float('nan'):.4f}{floor}  found "
            f"{self.found}/{self.count}  height {mean(self.heights, 2)}  "
            f"{self.count / max(self.seconds, 1e-9):.1f} frames/s"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--films", nargs="*", type=Path, default=[])
    parser.add_argument("--key", type=Path, help="a film before a green screen")
    parser.add_argument("--recordings", type=Path, help="a folder of recordings to draw")
    parser.add_argument("--count", type=int, default=6, help="recordings to draw (default: 6)")
    parser.add_argument("--method", default="person")
    parser.add_argument("--fit", default="crop")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--network", type=Path, help="as --model-file of extract_frames.py")
    parser.add_argument("--out", type=Path, default=Path("silhouettes"))
    parser.add_argument("--speed", action="store_true", help="measure speed only")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    films = [_opened(path, arguments) for path in arguments.films]
    if arguments.key:
        film = _opened(arguments.key, arguments)
        film.name = f"{film.name} (key)"
        film.truth = lambda _, picture: green_key(picture)
        films.append(film)
    drawn = drawn_films(arguments.recordings, arguments.count) if arguments.recordings else ()
    load = _loader(arguments.network)
    for film in itertools.chain(films, drawn):
        result = measured(film, Settings(arguments.method, arguments.fit), load, arguments.speed)
        print(result.line(), flush=True)
        print("   ", "; ".join(result.reasons), flush=True)
        if result.tiles:
            name = "".join(c if c.isalnum() else "_" for c in film.name)
            cv2.imwrite(str(arguments.out / f"{name}.png"), sheet(result.tiles)[..., ::-1])
    return 0


def measured(film: Film, settings: Settings, load: Any, speed_only: bool = False) -> Result:
    """Extracts a film's silhouettes and measures them."""
    result = Result(film.name)
    chooser = Chooser(settings, load)
    started = time.process_time()
    to_find, to_draw = film.frames(), film.frames()
    spent = 0.0  # on measuring
    for shot in survey(film.frames(), film.fps):
        method, reason = chooser.choose(shot)
        result.reasons.append(reason)
        found = find(_first(to_find, shot.num_frames), method, film.fps)
        if found.is_empty:
            result.count += sum(1 for _ in _first(to_draw, shot.num_frames))
            continue
        pictures: list[np.ndarray] = []
        judge = _Judge(film, result)
        for drawn in draw(
            _kept(_first(to_draw, shot.num_frames), pictures),
            found,
            method,
            fit=settings.fit,
            fps=film.fps,
        ):
            paused = time.process_time()
            picture = pictures.pop(0)
            if speed_only:
                result.found += drawn.silhouette is not None
            else:
                judge.see(drawn, picture)
            result.count += 1
            spent += time.process_time() - paused
    result.seconds = time.process_time() - started - spent
    return result


class _Judge:
    """Compares silhouettes with the truth and with their neighbours."""

    def __init__(self, film: Film, result: Result) -> None:
        self._film = film
        self._result = result
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._previous: tuple[np.ndarray, list[np.ndarray]] | None = None

    def see(self, drawn: Drawn, picture: np.ndarray) -> None:
        result = self._result
        index = result.count
        wanted = None
        if self._film.truth is not None:
            truth = self._film.truth(index, picture).astype(np.float32)
            wanted = reduce_canvas(drawn.view.cut(truth)) == DANCER
        if index % 10 == 0:
            result.tiles.append(_tile(drawn, wanted))
        if drawn.silhouette is None:
            self._previous = None
            return
        result.found += 1
        masks = [drawn.silhouette == DANCER]
        rows = np.flatnonzero(masks[0].any(axis=1))
        result.heights.append((rows[-1] + 1 - rows[0]) / len(masks[0]))
        if wanted is not None:
            result.ious.append(overlap(masks[0], wanted))
            masks.append(wanted)
        self._compare(masks, drawn.view, picture)

    def _compare(self, masks: list[np.ndarray], view: View, picture: np.ndarray) -> None:
        scale = FLOW_SIDE / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        shown = [
            cv2.resize(in_picture(mask, view, picture.shape[:2]), grey.shape[::-1])
            for mask in masks
        ]
        if self._previous is not None:
            moved = self._flow.calc(grey, self._previous[0], None)
            y, x = np.indices(grey.shape, np.float32)
            x += moved[..., 0]
            y += moved[..., 1]
            for now, before, kept in zip(
                shown, self._previous[1], (self._result.steady, self._result.steady_truth)
            ):
                warped = cv2.remap(before, x, y, cv2.INTER_LINEAR)
                kept.append(overlap(warped > 0.5, now > 0.5))
        self._previous = grey, shown


def in_picture(mask: np.ndarray, view: View, shape: tuple[int, int]) -> np.ndarray:
    """Draws a frame's (120, 208) mask where it lies in the picture, (H, W) float32."""
    scale = view.box.width / mask.shape[1]
    matrix = np.array(
        [
            [scale, 0, view.box.left + scale / 2 - 0.5],
            [0, scale, view.box.top + scale / 2 - 0.5],
        ]
    )
    return cv2.warpAffine(
        mask.astype(np.float32), matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR
    )


def green_key(picture: np.ndarray) -> np.ndarray:
    """Returns (H, W) bool, True where a picture is not the green of the screen."""
    red, green, blue = cv2.split(picture.astype(np.float32))
    excess = green - np.maximum(red, blue)
    mask = (excess < 0.5 * np.percentile(excess, 80)).astype(np.uint8)
    mask = cv2.medianBlur(mask, 5)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else 0
    return labels == largest


def drawn_films(folder: Path, count: int, num_frames: int = 60) -> Iterator[Film]:
    """Yields films of drawn bodies in clothes before noisy scenes, still and moving."""
    paths = sorted(folder.glob("*.npz"))
    chosen = np.linspace(0, len(paths) - 1, count).round().astype(int)
    for number, index in enumerate(chosen):
        rng = np.random.default_rng(number)
        with np.load(paths[index]) as recording:
            positions = np.asarray(recording["pos"], float)
            fps = float(recording["fps"])
        start = int(rng.integers(0, max(1, len(positions) - num_frames)))
        positions = positions[start : start + num_frames]
        kind = SCENES[number % len(SCENES)]
        still = number % 2 == 0
        view = CameraView(float(rng.uniform(0, 360)), camera="fixed" if still else "follow")
        frames, masks = _composed(positions, fps, view, scene=kind, rng=rng)
        yield Film(
            f"{paths[index].stem} {kind} {'still' if still else 'pans'}",
            fps,
            lambda frames=frames: iter(frames),
            lambda k, _, masks=masks: masks[k],
        )


SCENES = ("plaster", "shapes", "stripes", "clutter")


def _composed(
    positions: np.ndarray, fps: float, view: CameraView, *, scene: str, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    silhouettes = list(draw_bodies(positions, fps, view))
    joints = _projected(positions, fps, view)
    height, width = (side * ENLARGED for side in silhouettes[0].shape)
    backdrop = _scene(scene, width + 300, height, rng)
    clothes = {name: rng.integers(20, 220, 3).astype(float) for name in ("shirt", "trousers")}
    clothes["shoes"] = rng.integers(10, 90, 3).astype(float)
    clothes["skin"] = np.array([224, 172, 140]) * rng.uniform(0.35, 1.05)
    clothes["hair"] = np.array([60, 40, 30]) * rng.uniform(0.3, 2)
    cloth = _octaves(width, height, rng)
    frames, masks = [], []
    for k, silhouette in enumerate(silhouettes):
        fine = cv2.resize(255 - silhouette, (width, height), interpolation=cv2.INTER_CUBIC)
        alpha = np.clip((cv2.GaussianBlur(fine.astype(np.float32), (0, 0), 1.2) - 96) / 64, 0, 1)
        body = _dressed(joints[k] * ENLARGED, (height, width), clothes)
        body *= (0.85 + 0.3 * cloth)[..., None]
        pan = 150 if view.camera == "fixed" else round(150 + 140 * np.sin(k / 20))
        behind = backdrop[:, pan : pan + width]
        picture = behind + (body - behind) * alpha[..., None]
        picture += rng.normal(0, 6, picture.shape)
        frames.append(picture.clip(0, 255).astype(np.uint8))
        masks.append(alpha > 0.5)
    return frames, masks


def _projected(positions: np.ndarray, fps: float, view: CameraView) -> np.ndarray:
    """Returns (T, 19, 2), the joints in the pixels of `draw_bodies`."""
    body = measure(positions)
    scale, floor = fit(body.stature, body.highest, body.lowest)
    across = positions @ view.right()
    reach = REACH * body.stature
    middle = across[:, JOINTS.index("pelvis")]
    extent = Extent(middle, across.min(axis=1) - reach, across.max(axis=1) + reach)
    scale, centre = aim(view.camera, scale, extent, fps)
    x = (across - centre[:, None]) * scale + 208 / 2
    return np.stack([x, floor - positions[..., 1] * scale], axis=-1)


def _dressed(joints: np.ndarray, shape: tuple[int, int], clothes: dict[str, Any]) -> np.ndarray:
    """Returns (H, W, 3) float: each pixel has the colour of the bone that is nearest."""
    part_of = {"head": "skin", "wrist": "skin", "elbow": "shirt", "knee": "trousers"}
    part_of |= {"ankle": "trousers", "toe": "shoes", "hip": "trousers"}
    colours = np.zeros((*shape, 3), np.float32)
    best = np.full(shape, np.inf, np.float32)
    y, x = np.mgrid[: shape[0] : 4, : shape[1] : 4].astype(np.float32)
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        part = next((v for k, v in part_of.items() if JOINTS[joint].endswith(k)), "shirt")
        start, end = joints[parent], joints[joint]
        end = end + (end - start) * (0.8 if part in ("skin", "shoes") else 0)
        span = end - start
        along = ((x - start[0]) * span[0] + (y - start[1]) * span[1]) / max(span @ span, 1e-6)
        along = along.clip(0, 1)
        apart = np.hypot(x - start[0] - along * span[0], y - start[1] - along * span[1])
        apart = cv2.resize(apart, shape[::-1], interpolation=cv2.INTER_LINEAR)
        nearer = apart < best
        best[nearer] = apart[nearer]
        shade = (0.75 + 0.25 * np.exp(-apart / 12))[..., None]  # rounder than a flat colour
        colours[nearer] = (clothes[part] * shade)[nearer]
        if JOINTS[joint] == "head":
            hair = nearer & (cv2.resize(along, shape[::-1]) > 0.75)
            colours[hair] = clothes["hair"]
    return colours


def _scene(kind: str, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Returns (H, W, 3) float of one of SCENES."""
    base = rng.integers(60, 200, 3).astype(np.float32)
    noise = _octaves(width, height, rng)
    scene = base + 60 * (noise[..., None] - 0.5)
    if kind == "stripes":
        period = rng.integers(24, 60)
        stripes = (np.arange(width) // period) % 2
        scene = scene + 40 * (stripes[None, :, None] - 0.5)
    if kind in ("shapes", "clutter"):
        for _ in range(40 if kind == "shapes" else 160):
            x, y = rng.integers(0, width), rng.integers(0, height)
            w, h = rng.integers(10, 160 if kind == "shapes" else 60, 2)
            scene[y : y + h, x : x + w] = rng.integers(20, 235, 3)
        scene = cv2.GaussianBlur(scene, (0, 0), 1.5) + 30 * (noise[..., None] - 0.5)
    floor = round(0.8 * height)
    scene[floor:] = scene[floor:] * 0.6 + 0.4 * rng.integers(40, 160, 3)
    return np.asarray(scene, np.float32)


def _octaves(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Returns (H, W) noise of many sizes, about 0 to 1."""
    total = np.zeros((height, width), np.float32)
    for level in range(2, 8):
        cells = rng.random((2**level, 2**level)).astype(np.float32)
        total += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC) / 2 ** (
            level - 2
        )
    return (total - total.min()) / np.ptp(total)


def sheet(tiles: list[np.ndarray]) -> np.ndarray:
    """Lays tiles out in rows, at most 60 of them."""
    if len(tiles) > 60:
        tiles = [tiles[k] for k in np.linspace(0, len(tiles) - 1, 60).round().astype(int)]
    columns = min(SHEET_COLUMNS, len(tiles))
    blank = np.full_like(tiles[0], 128)
    tiles = tiles + [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    return np.vstack(rows)


def _tile(drawn: Drawn, wanted: np.ndarray | None) -> np.ndarray:
    """Returns a picture above its silhouette; red is missing, blue is too much."""
    size = (208, 120)
    above = cv2.resize(drawn.picture, size, interpolation=cv2.INTER_AREA)
    if drawn.silhouette is None:
        below = np.full((120, 208, 3), (200, 120, 120), np.uint8)
    else:
        below = np.repeat(drawn.silhouette[..., None], 3, axis=2)
        mask = (drawn.silhouette == DANCER).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(above, outlines, -1, (255, 40, 200), 1)
        if wanted is not None:
            below[wanted & (mask == 0)] = (230, 30, 30)
            below[~wanted & (mask > 0)] = (60, 60, 255)
    return np.vstack([above, below])


def _opened(path: Path, arguments: argparse.Namespace) -> Film:
    footage = open_footage(path, arguments.fps, arguments.start, arguments.seconds)
    return Film(path.stem, footage.fps, footage.frames)


def _loader(network: Path | None) -> Callable[[], Any]:
    return functools.cache(lambda: open_tracker(network))


def _first(pictures: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    for _ in range(count):
        picture = next(pictures, None)
        if picture is None:
            return
        yield picture


def _kept(pictures: Iterator[np.ndarray], kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    for picture in pictures:
        kept.append(picture)
        yield picture


if __name__ == "__main__":
    sys.exit(main())
