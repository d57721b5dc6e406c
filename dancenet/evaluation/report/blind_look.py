"""A page on which people say which of two loops looks more like a recorded dancer.

Real loops stand beside generated ones, in an order and on sides that one does not know; a few
pairs among them have an answer that everyone sees, or none at all, and tell whether to trust the
sheet. The page holds its pictures as bits and needs no other file.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from dancenet.evaluation.answers import FORMAT, KIND
from dancenet.evaluation.dances import DrawnDances
from dancenet.evaluation.real import RealDances
from dancenet.metrics.figure import MASK

PAIRS = 20  # checks included
LOOP_SECONDS = 8.0
REAL, GENERATED, BESIDE = "real", "generated", "beside"  # what a side can show
# What checks show beside a real loop: one frame, held; its pieces in another order; its upper half
# with the lower half of another time; and itself, mirrored, which cannot be told from it.
FROZEN, SHUFFLED, BROKEN, TWIN = "frozen", "shuffled", "broken", "twin"
CHECKS = (FROZEN, SHUFFLED, BROKEN, TWIN)

_PIECE = 6  # frames of a piece of a shuffled loop
_DATA = "<!-- pairs -->"

Draw = Callable[
    [range], np.ndarray
]  # takes frame numbers, returns (T, H, W) background probability


@dataclass(frozen=True)
class Source:
    """A dance that loops are cut from."""

    num_frames: int
    draw: Draw

    def loop(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Returns a loop of `length` frames from anywhere, (T, H, W) bool, True on the dancer."""
        first = int(rng.integers(self.num_frames - length + 1))
        return np.asarray(self.draw(range(first, first + length))) < MASK


@dataclass(frozen=True)
class Pair:
    """Two loops side by side."""

    left: str  # what it shows
    right: str
    loops: tuple[np.ndarray, np.ndarray]  # (T, H, W) bool each, left and right


def real_sources(data: RealDances) -> list[Source]:
    """Returns the held-out dances."""

    def source(rows: range) -> Source:
        def draw(part: range) -> np.ndarray:
            wanted = range(rows.start + part.start, rows.start + part.stop)
            return np.concatenate(list(data.scene.real(wanted)))

        return Source(len(rows), draw)

    return [source(rows) for rows in data.held_out]


def generated_sources(drawn: Sequence[DrawnDances]) -> list[Source]:
    """Returns the first dance of each seed."""
    return [Source(sum(map(len, made.sample.dances[0])), made.draw) for made in drawn]


def make_pairs(
    sources: tuple[Sequence[Source], Sequence[Source], Sequence[Source]],
    fps: float,
    rng: np.random.Generator,
) -> list[Pair]:
    """Makes the pairs in the order they are shown.

    Args:
        sources: recorded dances, dances of the model, and those of another model, if any.
        fps: frames per second.
        rng: decides which loops, which order and which sides.
    """
    longest = [max(one.num_frames for one in kind) for kind in sources if kind]
    length = min(round(LOOP_SECONDS * fps), *longest)
    pool = {
        name: _Pool([one for one in kind if one.num_frames >= length], length, rng)
        for name, kind in zip((REAL, GENERATED, BESIDE), sources)
    }
    judged = PAIRS - len(CHECKS)
    others = [BESIDE if sources[2] and number % 2 else REAL for number in range(judged)]
    pairs = [
        _on_sides((other, pool[other].take()), (GENERATED, pool[GENERATED].take()), swap)
        # As many on either side, among pairs of either kind.
        for other, swap in zip(others, _sides(judged))
    ]
    for check, swap in zip(CHECKS, _sides(len(CHECKS))):
        loop = pool[REAL].take()
        pairs.append(_on_sides((REAL, loop), (check, _spoil(loop, check, rng)), swap))
    return [pairs[index] for index in rng.permutation(len(pairs))]


class _Pool:
    """Gives loops of one kind from all its dances in turn."""

    def __init__(self, sources: Sequence[Source], length: int, rng: np.random.Generator) -> None:
        self._sources = [sources[index] for index in rng.permutation(len(sources))]
        self._length, self._rng = length, rng
        self._taken = 0

    def take(self) -> np.ndarray:
        source = self._sources[self._taken % len(self._sources)]
        self._taken += 1
        return source.loop(self._length, self._rng)


def _sides(number: int) -> list[bool]:
    """Returns whether to swap: FFTTFFTT…, which is half of all and half of every other one."""
    return [index // 2 % 2 == 1 for index in range(number)]


def _on_sides(one: tuple[str, np.ndarray], other: tuple[str, np.ndarray], swap: bool) -> Pair:
    left, right = (other, one) if swap else (one, other)
    return Pair(left[0], right[0], (left[1], right[1]))


def _spoil(loop: np.ndarray, check: str, rng: np.random.Generator) -> np.ndarray:
    if check == FROZEN:
        return np.repeat(loop[:1], len(loop), axis=0)
    if check == TWIN:
        return loop[:, :, ::-1]
    if check == SHUFFLED:
        starts = rng.permutation(np.arange(0, len(loop), _PIECE))
        return np.concatenate([loop[start : start + _PIECE] for start in starts])
    rows = np.flatnonzero(loop.any(axis=(0, 2)))
    middle = int(rows.mean()) if len(rows) else loop.shape[1] // 2
    later = np.roll(loop, len(loop) // 2, axis=0)
    return np.concatenate([np.roll(later[:, :middle], 12, axis=2), loop[:, middle:]], axis=1)


def pack_loop(loop: np.ndarray) -> str:
    """Returns a loop (T, H, W) as text: bits that change from frame to frame, deflated."""
    bits = np.packbits(loop.reshape(len(loop), -1), axis=1)
    bits[1:] ^= bits[:-1].copy()
    return base64.b64encode(zlib.compress(bits.tobytes(), 9)).decode("ascii")


def blind_page(pairs: Sequence[Pair], fps: float, facts: dict[str, Any]) -> str:
    """Returns the page.

    Args:
        pairs: in the order they are shown; at least one.
        fps: frames per second.
        facts: about the models, which the answers repeat: "model", "beside" and "seed".
    """
    height, width = pairs[0].loops[0].shape[1:]
    content = {
        "answers": {"kind": KIND, "format": FORMAT, **facts},
        "fps": fps,
        "width": width,
        "height": height,
        "frames": len(pairs[0].loops[0]),
        "pairs": [
            {
                "left": pair.left,
                "right": pair.right,
                "loops": [pack_loop(loop) for loop in pair.loops],
            }
            for pair in pairs
        ],
    }
    text = json.dumps(content)
    # Escaped, so that no text in it can end the element that holds it.
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    page = resources.files(__package__).joinpath("blind_look.html").read_text(encoding="utf-8")
    before, _, after = page.partition(_DATA)
    return before + text + after
