"""One seed gives one film, to the last byte, in two processes and on any number of cores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.generation.load import load_dancer
from dancenet.output.encoders import FilmEncoder, VideoSpec
from dancenet.output.picture import BLACK_ON_WHITE, draw

ROOT = Path(__file__).resolve().parents[2]
DANCE = ["generate-video", "--seconds", "1", "--seed", "3", "--scale"]
# Of every format, and of both kinds of model.
FILES = {
    "dance.mp4": [*DANCE, "4", "--latents-out", "latents.npz"],
    "dance.webm": [*DANCE, "4"],
    "dance.gif": [*DANCE, "1"],
    "pictures": [*DANCE, "1", "--format", "frames", "--count", "2"],
    "joints.bvh": [*DANCE, "4", "--model", "skeleton_v1"],
    "joints.npz": [*DANCE, "4", "--model", "skeleton_v1"],
    "joints.html": [*DANCE, "4", "--model", "skeleton_v1"],
    "joints.mp4": [*DANCE, "4", "--model", "skeleton_v1", "--yaw", "30"],
}


def dance(folder: Path, one_core: bool) -> None:
    """Makes every file in one new process, on one core or on all."""
    program = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"if {one_core} and hasattr(os, 'sched_setaffinity'):\n"
        "    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from dancenet.cli import main\n"
        f"for name, arguments in {FILES!r}.items():\n"
        "    assert main([*arguments, '--out', name]) == 0, name\n"
    )
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_one_seed_gives_the_same_bytes_in_two_processes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    dance(first, one_core=False)
    dance(second, one_core=True)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert len(names) == len(FILES) - 1 + 1 + 2 * 31  # latents; two folders with their settings
    different = [n for n in names if (first / n).read_bytes() != (second / n).read_bytes()]
    assert different == []


def placed(array: np.ndarray, offset: int) -> np.ndarray:
    """Returns a copy that begins `offset` bytes after a multiple of 64."""
    room = np.empty(array.nbytes + 128, np.uint8)
    first = -room.ctypes.data % 64 + offset
    copy = room[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def test_where_arrays_lie_in_memory_changes_no_bit(tmp_path: Path) -> None:
    dancer = load_dancer(ROOT / "weights" / "silhouette_v2")
    codec = SilhouetteCodec.of(dancer.codec, dancer.name)
    vectors = dancer.seeds[0, :4]
    made = set()
    for offset in (0, 4, 16, 36):
        background = codec.decode(placed(vectors, offset), 1)
        pictures = [draw(placed(frame, offset), 4) for frame in background]
        film = tmp_path / "dance.mp4"
        size = pictures[0].shape[::-1]
        encoder = FilmEncoder(film, VideoSpec("mp4", 30.0, size, BLACK_ON_WHITE, {}))
        copies = [placed(picture, offset + 1) for picture in pictures]
        for copy in copies:
            encoder.write(copy)
        encoder.finish()
        made.add((background.tobytes(), np.stack(pictures).tobytes(), film.read_bytes()))
    assert len(made) == 1
