"""A recipe in somebody else's video is checked before it is danced."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hostile import check_json
from mutation import check_reader
from small_model import write_small_model

from dancenet.generation.load import load_dancer
from dancenet.generation.settings import DanceSettings, Recipe
from dancenet.output.video_settings import GENERATOR
from dancenet.support.errors import UserError
from scripts import generate_video

HASH = "0" * 64


def write(folder: Path, settings: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Writes a folder of pictures whose settings hold a recipe."""
    content = {
        "generator": GENERATOR,
        "version": "2.0",
        **Recipe(DanceSettings(seconds=1, seed=3), "small", HASH, 0).to_json(),
        **changes,
    }
    content["settings"] |= settings or {}
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(content))
    return folder


def test_a_spoilt_recipe_is_one_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path / "dance", {"style": "salsa:0.7,pop:0.3", "colors": "fff,000"})

    def read(path: Path) -> Recipe:
        return Recipe.read(path.parent)

    assert check_reader(read, folder / "settings.json")
    assert check_json(read, folder / "settings.json")
    old = json.loads((folder / "settings.json").read_text())
    del old["format"]
    old["settings"] = {"seconds": 3, "seed": 1, "wander": 0.1, "guard": None, "settle": 2}
    (folder / "settings.json").write_text(json.dumps(old))
    assert Recipe.read(folder).settings.refine == 2
    assert check_json(read, folder / "settings.json")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seconds": 1e9}, "seconds must be greater than 0 and at most 86,400"),
        ({"seconds": 0}, "seconds must be greater than 0"),
        ({"count": 10**6}, "count must be 1 or more and at most 100,000"),
        ({"count": 2.0}, "count is 2.0, and must be a whole number"),
        ({"count": True}, "count is True"),
        ({"count": 1000, "seconds": 1000}, r"seconds \* count must be"),
        ({"scale": 40}, "makes pictures of 8320x4800"),
        ({"scale": 10**12}, "makes pictures of"),
        ({"fps": 1e6}, "fps must be 0.01 or more and at most 1,000"),
        ({"fps": 1e-300}, "fps must be"),
        ({"temperature": float("nan")}, "temperature is nan, and must be a finite number"),
        ({"refine": 10**6}, "refine must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 10**400}, "seed must be"),
        ({"start": "x"}, "a row of a file of latents, such as"),
        ({"start": "1" * 400}, "a row of a file of latents, such as"),
        ({"start": "²"}, "a row of a file of latents, such as"),
        ({"colors": "red"}, "two hexadecimal numbers"),
        ({"style": 3}, "style is 3, and must be text or null"),
        ({"shell": "rm"}, "does not know: shell"),
    ],
)
def test_settings_that_no_dance_has_are_refused(tmp_path: Path, settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Recipe.read(write(tmp_path / "dance", settings))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"index": 1}, "index must be 0 or more and at most 0"),
        ({"index": -1}, "index must be"),
        ({"index": 0.0}, "index is 0.0"),
        ({"model": "../../evil"}, "must be a plain name"),
        ({"model": "/evil"}, "must be a plain name"),
        ({"model": "\\\\host\\share"}, "must be a plain name"),
        ({"model": "~root"}, "is a path"),
        ({"model": ".."}, "must be a plain name"),
        ({"model": None}, "model is None, and must be text"),
        ({"model_sha256": "x"}, "'x' is not a hash"),
        ({"start_sha256": HASH}, "a start in a file and the hash of that file go together"),
        ({"settings": None}, "settings is None, and must be an object"),
    ],
)
def test_a_recipe_names_a_model_and_one_of_its_dances(
    tmp_path: Path, changes: dict, said: str
) -> None:
    folder = write(tmp_path / "dance")
    content = json.loads((folder / "settings.json").read_text()) | changes
    (folder / "settings.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        Recipe.read(folder)


@pytest.mark.parametrize("start", ["//host/share/l.npz:1", "\\\\host\\share\\l.npz:1"])
def test_a_recipe_asks_no_other_computer(tmp_path: Path, start: str) -> None:
    with pytest.raises(UserError, match="a file of another computer"):
        Recipe.read(write(tmp_path / "dance", {"start": start}, start_sha256=HASH))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_recipe_opens_no_device_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dancer = load_dancer(write_small_model(tmp_path / "weights" / "small").path)
    os.mkfifo("pipe.npz")
    Path("notes.txt").write_text("private")
    for start, said in (
        ("/dev/zero:3", "/dev/zero is not a regular file"),
        ("pipe.npz:3", "pipe.npz is not a regular file"),
        ("notes.txt:3", "notes.txt is not a file of latents"),
        ("missing.npz:3", "There is no file of latents at missing.npz"),
        (".:3", "cannot be read"),
    ):
        folder = write(
            tmp_path / "dance", {"start": start}, model_sha256=dancer.sha256, start_sha256=HASH
        )
        assert generate_video.main(["--replay", str(folder), "--out", "again.mp4"]) == 1
        printed = capsys.readouterr()
        assert said in printed.err
        assert f"starts at row 3 of {start[:-2]}" in printed.out


def test_a_replay_is_no_larger_than_somebody_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "dance", {"scale": 39})
    assert Recipe.read(folder).settings.scale == 19
    assert "scale=39" in capsys.readouterr().err
