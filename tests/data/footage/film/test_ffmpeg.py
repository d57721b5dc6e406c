"""Where PyAV is missing or broken, everything that needs it says so in the same sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from films import timed_film

ROOT = Path(__file__).resolve().parents[2]

BROKEN = {
    "missing": "raise ModuleNotFoundError(\"No module named 'av'\")",
    "no library": 'raise ImportError("libavcodec.so: cannot open shared object file")',
    "no binary": 'raise RuntimeError("No ffmpeg exe could be found.\\n")',
    "another package": "",
}
# Each line ends with the sentence, or with nothing.
USES = """
import sys
from dancenet.support.errors import MissingFFmpeg, UserError
film = sys.argv[1]

def read():
    from dancenet.data.footage.video import open_footage
    open_footage(film)

def identify():
    from dancenet.project.record import identify
    identify(film)

def record():
    from dancenet.data.footage.camera import record_camera
    record_camera(0, 1.0, film)

def check():
    from dancenet.output.video_writer import check_output
    check_output(film + ".mp4", "mp4")

def write():
    from dancenet.output.video_writer import VideoWriter
    VideoWriter(film + ".webm", fps=25, size=(64, 48))

def replay():
    from dancenet.output.video_settings import read_settings
    read_settings(film)

def is_ours():
    from dancenet.output.video_settings import is_ours
    is_ours(film)

for use in (read, identify, record, check, write, replay, is_ours):
    try:
        use()
        print(use.__name__, "passed")
    except MissingFFmpeg as error:
        print(error)
"""


@pytest.mark.parametrize("kind", BROKEN)
def test_all_that_need_it_say_the_same_sentence(tmp_path, kind):
    film = timed_film(tmp_path / "a.mp4", [k / 25 for k in range(9)])
    package = tmp_path / "broken" / "av"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(BROKEN[kind])
    environment = {**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", USES, str(film)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    sentences = done.stdout.splitlines()
    assert len(sentences) == 7 and len(set(sentences)) == 1
    assert sentences[0].startswith(
        "Films can be neither read nor written, because the package 'av'"
    )
    assert "pip install" in sentences[0]


def test_a_module_of_the_users_with_that_name_is_pointed_at(tmp_path):
    (tmp_path / "av.py").write_text("pictures = []")
    done = subprocess.run(
        [sys.executable, "-c", "import dancenet.data.footage.film.ffmpeg"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert f"Python takes {tmp_path / 'av.py'} for it, so move that away" in done.stderr


def test_a_dance_of_joints_and_a_folder_of_pictures_need_none(tmp_path):
    (tmp_path / "av.py").write_text("raise ImportError('broken')")
    code = (
        "import dancenet.output.video_writer, dancenet.output.video_settings, "
        "dancenet.generation.write, dancenet.data.footage.pictures"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_an_encoder_that_is_missing_says_so(tmp_path, monkeypatch):
    import numpy as np

    from dancenet.output import encoders
    from dancenet.output.video_writer import VideoWriter
    from dancenet.support.errors import MissingFFmpeg

    closed: list[bool] = []
    monkeypatch.setitem(encoders._CODECS, "mp4", ("libnone", "yuv420p", {}))
    abort = encoders.FilmEncoder.abort

    def watched(encoder):
        closed.append(any(tmp_path.iterdir()))
        abort(encoder)

    monkeypatch.setattr(encoders.FilmEncoder, "abort", watched)
    with pytest.raises(MissingFFmpeg, match="it has no encoder libnone"):
        with VideoWriter(tmp_path / "a.mp4", fps=25, size=(64, 48)) as video:
            video.write(np.zeros((48, 64), np.uint8))
    assert closed == [True]  # before it is removed, which an open file hinders on Windows
    assert not list(tmp_path.iterdir())
