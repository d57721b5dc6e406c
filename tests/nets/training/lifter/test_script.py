"""The script trains and measures the lifting network, and says in a sentence what it cannot do."""

from __future__ import annotations

from pathlib import Path

import bodies
import pytest

pytest.importorskip("keras", reason="the networks need the extra 'train'")

from films import SHARED

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.people.lift.network import WEIGHTS, Lifter
from dancenet.nets.training.lifter.measure import measure
from scripts.train_lifter import main

RECORDINGS = SHARED / "data" / "mocap" / "npz"


@pytest.fixture(autouse=True)
def recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        bodies.body_clip(bodies.turning(90)).save(f"{name}.npz")


def test_it_trains_on_some_recordings_and_measures_on_others(capsys):
    files = ["one.npz", "two.npz", "--held-out", "two", "-o", "lifter.npz"]
    assert main([*files, "--steps", "1"]) == 0
    assert "mm off with the pelvis on the pelvis" in capsys.readouterr().out
    Lifter.load(Path("lifter.npz"))


def test_weights_are_measured_without_a_training(capsys):
    assert main(["two.npz", "--held-out", "two", "--steps", "0", "--start-from", str(WEIGHTS)]) == 0
    assert "Bones' spread 0.00%" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["one.npz", "--held-out", "other"], "names other, which is not among the files"),
        (["one.npz", "--held-out", "one"], "All files are held out"),
        (["one.npz", "--steps", "0"], "name weights to measure with --start-from"),
        (["one.npz", "-o", "two.npz"], "two.npz exists already"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(capsys, arguments, said):
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not there")
def test_recordings_that_it_never_saw_are_lifted_as_the_page_says():
    clips = [read_skeleton(RECORDINGS / f"{name}.npz") for name in ("cmu_61_13", "cmu_94_13")]
    errors = measure(Lifter.load(), clips, views=1)
    assert errors.places < 0.080  # 55 and 70 mm, and two views differ by some
    assert errors.bone_spread <= 0.02
    assert errors.slide <= 1.5 * errors.recorded_slide
