"""Answers of blind looks: shares, intervals, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mutation import check_reader

from dancenet.evaluation.answers import KIND, Answer, read_sheet, share, summary, wilson
from dancenet.support.errors import UserError
from scripts import evaluate


def content(chosen: str = "right", model: str = "me", beside: str | None = None) -> dict:
    """Returns a sheet on which every generated dance stands to the right."""
    answers = [{"left": "real", "right": "generated", "chosen": chosen} for _ in range(16)]
    answers += [
        {"left": "real", "right": check, "chosen": "left"}
        for check in ("frozen", "shuffled", "broken", "twin")
    ]
    return {
        "kind": KIND,
        "format": 1,
        "model": model,
        "beside": beside,
        "seed": 1,
        "answers": answers,
    }


def write(path: Path, sheet: object) -> Path:
    path.write_text(json.dumps(sheet), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "count, of, low, high",
    # Table I of Newcombe 1998, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
    + [(1, 29, 0.0061, 0.1718), (29, 29, 0.8830, 1.0)],
)
def test_the_interval_is_that_of_wilson(count, of, low, high):
    assert wilson(count, of) == pytest.approx((low, high), abs=6e-5)


def test_no_answers_say_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    assert str(share([], "generated", "real")) == "no answers"


def test_the_side_does_not_matter():
    answers = [
        Answer("real", "generated", "right"),
        Answer("generated", "real", "left"),
        Answer("generated", "real", "right"),
        Answer("generated", "beside", "left"),
        Answer("frozen", "real", "right"),
    ]
    found = share(answers, "generated", "real")
    assert (found.count, found.of) == (2, 3)
    assert share(answers, "generated", "beside").count == 1


def test_sheets_of_several_people_are_counted_together(tmp_path, capsys):
    fooled = write(tmp_path / "a.json", content("right"))
    sharp = write(tmp_path / "b.json", content("left"))
    assert evaluate.main(["--answers", str(fooled), str(sharp)]) == 0
    said = capsys.readouterr().out
    assert "me, 2 people, 40 answers" in said
    assert "beside a recorded one: 16 of 32 = 0.50 (0.34 to 0.66)" in said
    assert "Checks answered right: 6 of 6." in said and "missed" not in said


def test_a_sheet_that_missed_a_check_is_said(tmp_path):
    sheet = content(beside="old")
    sheet["answers"][16]["chosen"] = "right"
    sheet["answers"][0] = {"left": "beside", "right": "generated", "chosen": "right"}
    said = summary([read_sheet(write(tmp_path / "a.json", sheet))])
    assert "Preferred to old: 1 of 1 = 1.00 (0.21 to 1.00)" in said
    assert "1 of the sheets missed a check; consider leaving them out." in said


def test_sheets_of_different_models_are_not_added(tmp_path):
    sheets = [read_sheet(write(tmp_path / "a.json", content(model=name))) for name in ("a", "b")]
    with pytest.raises(UserError, match=r"different pages \(a, b\)"):
        summary(sheets)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "evaluation"}, "kind must be 'blind look'"),
        ({"format": 2}, "format must be 1"),
        ({"answers": [{"left": "real", "right": "me", "chosen": "left"}]}, "Received: 'me'"),
        ({"answers": [{"left": "real", "right": "real", "chosen": "left"}]}, "both sides"),
        ({"answers": [{"left": "real", "right": "twin", "chosen": "up"}]}, "left or right"),
        ({"answers": 3}, "answers"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, capsys, change, message):
    path = write(tmp_path / "a.json", content() | change)
    assert evaluate.main(["--answers", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_a_spoilt_file_gives_one_sentence(tmp_path):
    check_reader(read_sheet, write(tmp_path / "a.json", content()), seed=3)
