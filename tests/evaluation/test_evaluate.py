"""The evaluation of a whole model from the command line, on a model that draws discs."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from small_model import DIM, write_old_model, write_small_model

from dancenet.codecs.latents import Latents
from dancenet.codecs.silhouette import SilhouetteCodec
from dancenet.data.frames.writer import FrameWriter
from dancenet.evaluation import real, recipe_2018
from dancenet.evaluation.real import RealDances
from dancenet.evaluation.silhouettes import SilhouetteScene
from dancenet.generation.load import load_dancer
from dancenet.metrics.bodies.definitions import SILHOUETTE_MEASURES
from dancenet.metrics.definitions import COLUMNS, MODEL, RECIPE_2018
from dancenet.model.folder import ModelFolder
from dancenet.support import files, lock
from scripts import evaluate

QUICK = ["--seeds", "1", "2", "--dances", "2", "--seconds", "3"]


def write_frames(path: Path, clips: int = 10, seconds: float = 2.2, held_out: int = 2) -> None:
    """Writes clips of a disc on its way, the last of them held out whole."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :208]
    writer = FrameWriter(path)
    for clip in range(clips):
        phase, speed = rng.uniform(0, 6), rng.uniform(1, 3)
        angle = phase + speed * np.arange(round(seconds * 30)) / 30
        frames = [
            np.where(np.hypot(rows - 60 - 15 * y, columns - 104 - 30 * x) < 20, 0, 255)
            for x, y in zip(np.cos(angle), np.sin(angle))
        ]
        writer.add_clip(
            [frame.astype(np.uint8) for frame in frames],
            source=f"{clip}.npz",
            fps=30,
            method="drawn",
            split=("val" if clip >= clips - held_out else "train") if held_out else None,
        )


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "imgs"
    write_frames(path)
    return path


@pytest.fixture
def model(tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    monkeypatch.chdir(tmp_path)
    return write_small_model(tmp_path / "weights" / "small")


def run(*words: str) -> int:
    return evaluate.main(["--model", "small", *words])


def complain(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(*words) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said and said.count("error:") == 1
    return said


@pytest.fixture(scope="module")
def reported(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str, Path]:
    """Runs the script once with every column; returns the record, the page and the folder."""
    place = tmp_path_factory.mktemp("run")
    write_small_model(place / "small")
    write_old_model(place / "old")
    write_small_model(place / "other")
    out = place / "report"
    assert (
        evaluate.main(
            [
                "--model",
                str(place / "small"),
                "--frames",
                str(frames),
                "-o",
                str(out),
                *QUICK,
                "--recipe-2018",
                str(place / "old"),
                "--beside",
                str(place / "other"),
            ]
        )
        == 0
    )
    return json.loads((out / "report.json").read_text()), (out / "report.html").read_text(), out


def test_a_report_has_every_measure_in_every_column(reported):
    record, _, out = reported
    assert {path.name for path in out.iterdir()} == {"report.json", "report.html", "look.html"}
    measures = {one["key"]: one for one in record["measures"]}
    assert list(measures) == [measure.key for measure in SILHOUETTE_MEASURES]
    for key in ("energy", "soft", "freeze", "fast"):
        cells = measures[key]["columns"]
        assert list(cells) == list(COLUMNS)
        assert all(len(cell["seeds"]) == 2 for cell in cells.values()), key
    assert measures["iou"]["columns"][MODEL]["seeds"][0] > 0.5
    assert measures["held_out_nll"]["columns"]["ar1"]["mean"] is not None
    # 3 s are not enough for a Fréchet distance, nor for drift.
    assert "200 needed" in measures["frechet_latents"]["columns"][MODEL]["reason"]
    assert measures["drift_energy"]["passed"] is None


def test_a_page_of_blind_looks_shows_another_model_too(reported):
    page = (reported[2] / "look.html").read_text(encoding="utf-8")
    content = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.S)[0])
    assert content["answers"] == {
        "kind": "blind look",
        "format": 1,
        "model": "small",
        "beside": "small",
        "seed": 1,
    }
    # The held-out dances are 66 frames long.
    assert len(content["pairs"]) == 20 and content["frames"] == 66
    shown = [{pair["left"], pair["right"]} for pair in content["pairs"]]
    assert shown.count({"generated", "beside"}) == shown.count({"generated", "real"}) == 8


def test_a_model_of_joints_is_not_shown_beside_silhouettes(model, frames, capsys):
    joints = str(Path(__file__).parents[2] / "weights" / "skeleton_v1")
    said = complain(capsys, "--frames", str(frames), "-o", "r", "--beside", joints)
    assert "skeleton_v1 dances with joints, and this needs a model of silhouettes" in said


def test_references_measure_as_what_they_are(reported):
    cells = {one["key"]: one["columns"] for one in reported[0]["measures"]}
    assert cells["freeze"]["freeze"]["mean"] == 1.0
    assert cells["energy"]["freeze"]["mean"] == 0.0
    assert cells["soft"]["real"]["mean"] == 0.0
    assert cells["one_dancer"]["copy"]["mean"] == 1.0


def test_a_report_says_what_was_measured(reported):
    record = reported[0]
    assert record["kind"] == "evaluation" and record["model"] == "small"
    assert record["frames"]["training_frames"] == 528
    assert record["frames"]["held_out_clips"] == ["8.npz", "9.npz"]
    assert record["frames"]["halves"] == "whole recordings"
    assert record["recipe_2018"]["name"] == "old"
    assert record["settings"]["seeds"] == [1, 2]


def test_a_page_holds_pictures_films_and_plots(reported):
    page = reported[1]
    # An overview, the frames least like a body, four worst seconds, for this dancer is always in
    # one piece, and the best.
    assert page.count("data:image/png;base64,") == 7
    assert "Least like a body" in page and "The 18 frames, of 18," in page
    assert page.count("data:video/mp4;base64,") == 5
    assert page.count("<svg") > 10
    assert "http" not in page.replace("http-equiv", "")


def test_the_same_seed_gives_the_same_figures(model, frames, reported):
    assert run("--frames", str(frames), "--seeds", "2", "--dances", "2", "--seconds", "3") == 0
    record = json.loads(Path("report/report.json").read_text())
    alone = {one["key"]: one for one in record["measures"]}
    for beside in reported[0]["measures"]:
        for column in ("model", "real", "copy", "freeze", "ar1"):
            cell = beside["columns"][column]["seeds"]
            found = alone[beside["key"]]["columns"][column]["seeds"]
            assert found == (cell[1:] if len(cell) == 2 else cell), (beside["key"], column)


def test_the_table_is_printed_and_an_older_report_is_replaced(model, frames, capsys):
    words = ["--frames", str(frames), "--seeds", "1", "--dances", "1", "--seconds", "2"]
    assert run(*words) == 0
    before = Path("report/report.json").read_text()
    said = capsys.readouterr().out
    assert "2018 recipe" in said and "  one dancer" in said and "bars passed" in said
    assert "not given" in before
    for one in json.loads(before)["measures"]:
        assert one["columns"][RECIPE_2018]["mean"] is None
    assert run(*words, "--temperature", "0") == 0
    assert Path("report/report.json").read_text() != before


def test_a_folder_that_is_no_report_is_left_alone(model, frames, capsys):
    Path("thesis").mkdir()
    Path("thesis/report.json").write_text('{"kind": "thesis"}')
    assert "not a report of dancenet" in complain(capsys, "--frames", str(frames), "-o", "thesis")
    assert Path("thesis/report.json").read_text() == '{"kind": "thesis"}'
    Path("file").touch()
    assert "is a file" in complain(capsys, "--frames", str(frames), "-o", "file")
    assert "does not exist" in complain(capsys, "--frames", str(frames), "-o", "no/where")


@pytest.mark.parametrize("begun", [False, True])
def test_two_evaluations_do_not_share_a_report(model, frames, capsys, begun):
    if begun:
        files.make_folder("report/recipe_2018")
    with lock.hold_folder(Path("report"), ""):
        said = complain(capsys, "--frames", str(frames))
        assert "report is being written by process" in said and "choose another folder" in said
    assert Path("report").exists() == begun


def test_a_model_without_a_dancer_is_told_to_train_one(model, frames, capsys):
    model.write_config(dataclasses.replace(model.read_config(), dancer=None))
    model.seal()
    assert "train_dancer.py --name small" in complain(capsys, "--frames", str(frames))
    assert not Path("report").exists()


def test_frames_of_another_size_or_rate_are_refused(model, frames, capsys):
    shutil.copytree(frames, "imgs")
    cv2.imwrite("imgs/20.jpg", np.zeros((50, 50), np.uint8))
    assert "20.jpg is 50x50" in complain(capsys)
    write_small_model(Path("weights/small"), fps=25.0)
    shutil.copy(frames / "20.jpg", "imgs/20.jpg")
    assert "30 frames a second and small dances at 25" in complain(capsys)


def test_too_few_frames_are_refused_in_a_sentence(model, capsys):
    write_frames(Path("one"), clips=1, seconds=0.1, held_out=0)
    assert "film longer" in complain(capsys, "--frames", "one").lower()
    write_frames(Path("known"), clips=2, seconds=1.5, held_out=0)
    content = json.loads(Path("known/clips.json").read_text())
    for clip in content["clips"]:
        clip["split"] = "train"
    Path("known/clips.json").write_text(json.dumps(content))
    assert "0 held out" in complain(capsys, "--frames", "known")
    Path("empty").mkdir()
    assert "holds no frames" in complain(capsys, "--frames", "empty")


def test_a_short_film_is_measured_as_far_as_it_goes(model, capsys):
    write_frames(Path("short"), clips=2, seconds=11.0, held_out=0)
    assert run("--frames", "short", "--seeds", "1", "--dances", "1", "--seconds", "2") == 0
    assert "too few" in capsys.readouterr().out
    assert json.loads(Path("report/report.json").read_text())["frames"]["halves"].startswith("bl")


def test_a_film_of_three_seconds_has_hardly_a_figure_and_no_traceback(model, capsys):
    write_frames(Path("tiny"), clips=2, seconds=1.5, held_out=0)
    assert run("--frames", "tiny", "--seeds", "1", "--dances", "1", "--seconds", "1") == 0
    record = json.loads(Path("report/report.json").read_text())
    distance = next(one for one in record["measures"] if one["key"] == "frechet_latents")
    assert distance["columns"][MODEL]["reason"].startswith("too few windows")
    assert distance["passed"] is None


def test_latents_that_are_no_numbers_are_refused(model, frames, capsys):
    graph = onnx.load(model / "encoder.onnx")
    for tensor in graph.graph.initializer:
        if tensor.name == "kernel":
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(
                    np.full((120 * 208, DIM), np.nan, np.float32), "kernel"
                )
            )
    onnx.save(graph, model / "encoder.onnx")
    model.seal()
    assert "NaN or infinity" in complain(capsys, "--frames", str(frames))


def test_options_that_cannot_be_are_refused(model, frames, capsys):
    assert "too short to be measured" in complain(
        capsys, "--frames", str(frames), "--seconds", "0.03"
    )
    assert "different numbers" in complain(capsys, "--frames", str(frames), "--seeds", "1", "1")


def test_a_recipe_of_other_latents_or_of_many_vectors_is_refused(model, frames, capsys):
    words = ["--frames", str(frames), "--recipe-2018"]
    assert "look back 64 vectors" in complain(capsys, *words, "small")
    other = write_old_model(Path("weights/other"))
    graph = onnx.load(other / "encoder.onnx")
    graph.doc_string = "another"
    onnx.save(graph, other / "encoder.onnx")
    other.seal()
    assert "another encoder" in complain(capsys, *words, "other")


def test_the_network_of_2018_predicts_the_same_in_other_units(tmp_path):
    recipe = load_dancer(write_old_model(tmp_path / "old").path)
    rng = np.random.default_rng(0)
    z_mean = rng.normal(size=(200, DIM)).astype(np.float32) * [1, 5, 0.1]
    latents = Latents(
        z_mean.astype(np.float32),
        np.full((200, DIM), -4, np.float32),
        30.0,
        (range(200),),
        (None,),
        ("a",),
        "x",
    )
    units = recipe_2018.RangeUnits.fit(recipe, latents, [range(150)])
    scaler = recipe.codec.scaler
    vectors = units.to_range(z_mean[:4])
    assert units.to_latents(vectors) == pytest.approx(z_mean[:4], abs=1e-5)
    assert -0.2 < vectors.min() and vectors.max() < 1.2
    found, _ = units.step(vectors, units.initial_state(4))
    expected, _ = recipe.step_model.step(scaler.to_model(z_mean[:4]), units.initial_state(4))
    assert units.to_latents(found.mu) == pytest.approx(scaler.to_latents(expected.mu), abs=1e-4)
    assert found.sigma * units.spread == pytest.approx(expected.sigma * scaler.scale, rel=1e-5)
    dance = units.dance(3, 2, 20)
    assert dance.shape == (2, 20, DIM) and np.isfinite(dance).all()


def make_latents(num_clips: int, seconds: float, sources: int) -> Latents:
    length = round(seconds * 30)
    clips = tuple(range(i * length, (i + 1) * length) for i in range(num_clips))
    shape = (num_clips * length, 2)
    return Latents(
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        30.0,
        clips,
        (None,) * num_clips,
        tuple(str(i % sources) for i in range(num_clips)),
        "x",
    )


def split(latents):
    return real.split_blocks(latents.clips, latents.sources, latents.fps, latents.clips)


def test_clips_of_one_recording_stay_on_one_side():
    latents = make_latents(20, 10, sources=10)
    blocks, groups, by_recording = split(latents)
    assert by_recording and blocks == list(latents.clips)
    assert groups == [str(i % 10) for i in range(20)]


def test_few_recordings_are_cut_into_blocks_with_gaps_between():
    latents = make_latents(1, 60, sources=1)
    blocks, groups, by_recording = split(latents)
    assert not by_recording and len(set(groups)) == len(blocks) == 4
    assert all(b.start - a.stop == 30 for a, b in zip(blocks, blocks[1:]))


def test_what_few_recordings_show_at_one_time_stays_on_one_side():
    # Two recordings, each drawn from three sides.
    latents = make_latents(6, 60, sources=2)
    blocks, groups, by_recording = split(latents)
    assert not by_recording and len(blocks) == 24
    for block, group in zip(blocks, groups):
        clip = block.start // 1800
        assert group == f"{clip % 2}, {block.start % 1800}"


def test_many_frames_are_thinned_out_evenly(monkeypatch):
    monkeypatch.setattr(real, "MAX_REAL_FRAMES", 3000)
    latents = make_latents(20, 40, sources=10)
    blocks, groups, _ = split(latents)
    assert sum(map(len, blocks)) <= 3600
    assert blocks[0].start < 1200 and blocks[-1].stop > 20_000
    assert len(set(groups)) > 1


def test_what_is_held_out_is_what_the_trainers_hold_out(tmp_path, frames):
    from dancenet.data.frames.folder import FrameFolder
    from dancenet.generation.encode import encode_frames

    folder = write_small_model(tmp_path / "small")
    source = FrameFolder.open(frames)
    latents = encode_frames(folder, source)
    dancer = load_dancer(folder.path)
    scene = SilhouetteScene(
        source, latents, SilhouetteCodec.of(dancer.codec, dancer.name), folder, refine=0
    )
    data = RealDances.prepare(dancer, scene)
    # Ten clips of 66 frames, of which the last two are marked as held out.
    assert data.train == [range(first, first + 66) for first in range(0, 528, 66)]
    assert data.held_out == [range(528, 594), range(594, 660)]
    assert files.sha256_of(folder / "encoder.onnx") == latents.encoder_sha256
