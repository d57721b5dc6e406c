"""The command that dances, as a person types it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import write_small_model

from dancenet.codecs.latents import Latents
from dancenet.generation.settings import Recipe
from dancenet.model import releases
from dancenet.model.folder import ModelFolder
from dancenet.output.video_settings import read_settings
from dancenet.support.errors import UserError
from scripts import generate_video


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    monkeypatch.chdir(tmp_path)
    return write_small_model(tmp_path / "weights" / "small")


def run(*arguments: Any, seconds: float | None = 0.4, model: str | None = "small") -> int:
    words = [str(argument) for argument in arguments]
    if model:
        words += ["--model", model]
    if seconds:
        words += ["--seconds", str(seconds), "--scale", "1"]
    return generate_video.main(words)


def test_a_dance_is_written_and_says_how_to_make_it_again(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    said = capsys.readouterr().out
    seed = Recipe.read("dance.mp4").settings.seed
    assert f"dance.mp4: 0.4 s, 12 frames, by small, seed {seed}" in said
    assert "--replay dance.mp4 --model small" in said


@pytest.mark.parametrize("suffix", [".BVH", ".Npz", ".HTML"])
def test_only_what_can_be_replayed_is_told_to_be(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        releases.find_model("skeleton_v1")
    except UserError:
        pytest.skip("the bundled model is not here")
    assert run("--out", f"dance{suffix}", model="skeleton_v1") == 0
    assert Path(f"dance{suffix}").stat().st_size
    assert "--replay" not in capsys.readouterr().out


def test_a_dance_can_be_replayed_larger_and_in_colour(model: ModelFolder) -> None:
    assert run("--seed", 5, "--temperature", 0.8, "--latents-out", "first.npz") == 0
    assert (
        run(
            "--replay",
            "dance.mp4",
            "--scale",
            2,
            "--colors",
            "fff,124",
            "--invert",
            "--out",
            "large.webm",
            "--latents-out",
            "second.npz",
            seconds=None,
            model=None,
        )
        == 0
    )
    first, second = Latents.load("first.npz"), Latents.load("second.npz")
    np.testing.assert_array_equal(first.z_mean, second.z_mean)
    settings = Recipe.read("large.webm").settings
    assert (settings.seed, settings.temperature, settings.seconds) == (5, 0.8, 0.4)
    assert (settings.scale, settings.colors, settings.invert) == (2, "fff,124", True)


def test_a_replay_goes_beside_the_video_and_not_over_it(model: ModelFolder) -> None:
    assert run() == 0
    before = Path("dance.mp4").read_bytes()
    assert run("--replay", "dance.mp4", seconds=None, model=None) == 0
    assert Path("dance.mp4").read_bytes() == before
    assert Recipe.read("dance-replay.mp4") == Recipe.read("dance.mp4")


def test_a_replay_by_another_model_is_refused_unless_it_is_named(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    np.savez(model / "seeds.npz", vectors=np.zeros((2, 3, 3), np.float32))
    model.seal()
    assert run("--replay", "dance.mp4", seconds=None, model=None) == 1
    assert "would dance another dance" in capsys.readouterr().err
    assert run("--replay", "dance.mp4", seconds=None) == 0
    assert "warning: The dance was made by a model small" in capsys.readouterr().err


def test_a_replay_leaves_no_choice_about_the_dance(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert run("--replay", "dance.mp4", "--seed", 3, seconds=None) == 1
    assert "leave out --seed" in capsys.readouterr().err


def test_a_replay_needs_the_latents_it_started_from(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--latents-out", "start.npz") == 0
    assert run("--start", "start.npz:2", "--out", "second.mp4") == 0
    assert run("--replay", "second.mp4", seconds=None) == 0
    assert run("--seed", 9, "--latents-out", "start.npz") == 0
    capsys.readouterr()
    assert run("--replay", "second.mp4", seconds=None, model=None) == 1
    assert "start.npz:2, and that file has changed" in capsys.readouterr().err
    Path("start.npz").unlink()
    assert run("--replay", "second.mp4", seconds=None, model=None) == 1
    assert "There is no file of latents at start.npz" in capsys.readouterr().err


def test_a_replay_of_something_else_says_so(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("holiday.mp4").write_bytes(b"not a video")
    assert run("--replay", "holiday.mp4", seconds=None) == 1
    assert "does not say how it was made" in capsys.readouterr().err
    assert run("--replay", "nothing.mp4", seconds=None) == 1
    assert "There is no video" in capsys.readouterr().err


def test_a_picture_too_large_to_play_is_refused(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--scale", 1000, seconds=None) == 1
    assert "208000x120000; choose 1 to 39" in capsys.readouterr().err


def test_the_command_it_names_can_be_pasted(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my dances").mkdir()
    assert run("--out", "my dances/été.mp4", "--scale", 1) == 0
    assert "--replay 'my dances/été.mp4' --model small" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif", "frames"])
def test_every_format_is_written_and_says_its_seed(model: ModelFolder, kind: str) -> None:
    assert run("--format", kind, "--seed", 11) == 0
    path = Path("dance" if kind == "frames" else f"dance.{kind}")
    assert read_settings(path)["settings"]["seed"] == 11


def test_several_dances(model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--count", 2, "--out", "d.mp4") == 0
    assert Recipe.read("d-1.mp4").index == 0 and Recipe.read("d-2.mp4").index == 1
    assert not Path("d.mp4").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--seconds", "0"),
        ("--seconds", "-3"),
        ("--seconds", "nan"),
        ("--seconds", "soon"),
        ("--temperature", "-1"),
        ("--count", "0"),
        ("--fps", "0"),
        ("--scale", "0"),
        ("--seed", "-1"),
        ("--seed", "1.5"),
        ("--format", "avi"),
    ],
)
def test_usage_errors_exit_with_2(words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as stop:
        generate_video.main(list(words))
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "nowhere/d.mp4"), "does not exist"),
        (("--out", "d.avi"), "end it with .mp4, .gif or .webm"),
        (("--out", "d.mp4", "--format", "gif"), "does not end with .gif"),
        (("--colors", "red,blue"), "two hexadecimal numbers"),
        (("--start", "99"), "seed clips 0 to 3"),
        (("--start", "nothing.npz:4"), "nothing.npz"),
        (("--model", "nobody"), "nobody"),
        (("--fps", "60", "--format", "gif"), "at most 50"),
    ],
)
def test_other_mistakes_are_one_sentence_and_exit_with_1(
    model: ModelFolder, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert (
        run(
            "--seconds",
            0.4,
            *([] if "--model" in words else ["--model", "small"]),
            *words,
            seconds=None,
            model=None,
        )
        == 1
    )
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert {path.name for path in Path().iterdir()} == {"weights"}


def test_a_video_of_somebody_else_is_not_replaced(
    model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("dance.mp4").write_bytes(b"mine")
    assert run() == 1
    assert "--overwrite" in capsys.readouterr().err
    assert Path("dance.mp4").read_bytes() == b"mine"
    assert run("--overwrite") == 0
    assert Path("dance.mp4").read_bytes() != b"mine"


def test_the_settings_are_plain_json(model: ModelFolder) -> None:
    assert run("--seed", 1, "--format", "frames") == 0
    content = json.loads(Path("dance/settings.json").read_text())
    assert content["model"] == "small"
    assert len(content["model_sha256"]) == 64
    assert content["settings"]["temperature"] == 1.0
