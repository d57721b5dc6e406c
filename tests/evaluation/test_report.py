"""Bars, verdicts, the record, the table and the page."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from dancenet.evaluation.report import plots
from dancenet.evaluation.report.page import Picture, to_html
from dancenet.metrics import report
from dancenet.metrics.bodies.definitions import JOINT_MEASURES, SILHOUETTE_MEASURES
from dancenet.metrics.definitions import (
    AR1,
    COLUMNS,
    COPY,
    FREEZE,
    GAUSSIAN,
    MEASURES,
    MODEL,
    REAL,
    RECIPE_2018,
)
from dancenet.metrics.report import Cell


def judge(**columns: dict[str, list[float | str]]) -> report.Report:
    return report.Report.of(
        "me",
        columns,
        {"settings": {"seeds": [1, 2]}},
        measures=SILHOUETTE_MEASURES,
        notes=("a <note>",),
    )


def verdict(key: str, **columns: float) -> bool | None:
    return judge(**{name: {key: [value]} for name, value in columns.items()}).row(key).verdict()


@pytest.mark.parametrize(
    "key, passes, fails",
    [
        ("iou", 0.95, 0.949),
        ("boundary_f", 0.85, 0.84),
        ("soft", 0.15, 0.151),
        ("hazy", 0.01, 0.011),
        ("energy", 0.8, 0.79),
        ("energy", 1.25, 1.26),
        ("mask_change", 1.0, 0.7),
        ("jerk", 1.3, 1.31),
        ("fast", 0.005, 0.006),
        ("drift_energy", 1.25, 1.3),
        ("drift_softness", 0.8, 0.7),
        ("drift_distance", 1.0, 1.3),
        ("novelty_z", -2.9, -3.1),
        ("near", 0.1, 0.11),
        ("unlike_1", 0.010, 0.011),
        ("unlike_5", 0.05, 0.051),
        ("two_trunks", 0.0005, 0.0006),
        ("structure_1", 1.15, 1.16),
        ("structure_150", 0.87, 0.86),
        ("range", 0.9, 0.89),
        ("dwell", 1.1, 1.11),
        ("critic", 0.70, 0.71),
        ("one_dancer_plain", 0.995, 0.994),
        ("boundary_f_1", 0.95, 0.949),
    ],
)
def test_fixed_bars_are_where_they_were_set(key, passes, fails):
    assert verdict(key, model=passes) is True
    assert verdict(key, model=fails) is False


def test_bars_that_depend_on_real_dances_move_with_them():
    assert verdict("one_dancer", model=0.89, real=0.9) is True
    assert verdict("one_dancer", model=0.87, real=0.9) is False
    assert verdict("coverage", model=0.86, real=0.95) is True
    assert verdict("coverage", model=0.85, real=0.95) is False
    assert verdict("recall", model=0.41, real=0.59) is True
    assert verdict("recall", model=0.40, real=0.59) is False
    assert verdict("freeze", model=0.119, real=0.1) is True
    assert verdict("freeze", model=0.121, real=0.1) is False
    assert verdict("freeze", model=0.0) is None


def test_a_loop_is_judged_by_the_real_windows_of_the_same_seeds():
    found = judge(model={"loop": [0.5, 0.6], "loop_limit": [0.55, 0.57]})
    assert found.row("loop").verdict() is True
    assert judge(model={"loop": [0.6], "loop_limit": [0.5]}).row("loop").verdict() is False


def test_a_frechet_distance_has_two_bars_and_the_lower_counts():
    assert verdict("frechet_flow", model=1.9, real=1.0) is True
    assert verdict("frechet_flow", model=2.1, real=1.0) is False
    assert verdict("frechet_flow", model=1.9, real=1.0, recipe_2018=3.0) is False
    assert verdict("frechet_flow", model=1.9, real=1.0, recipe_2018=9.0) is True
    assert verdict("frechet_flow", model=1.9) is None


def test_a_network_must_predict_better_than_ar1_and_one_gaussian():
    assert verdict("held_out_nll", **{MODEL: -2.0, AR1: -1.9, GAUSSIAN: 1.4}) is True
    assert verdict("held_out_nll", **{MODEL: -1.8, AR1: -1.9, GAUSSIAN: 1.4}) is False
    assert verdict("held_out_nll", **{MODEL: 1.0, AR1: 2.0, GAUSSIAN: 0.9}) is False


def test_a_cell_is_a_mean_and_a_spread_over_the_seeds_that_have_a_figure():
    cell = Cell.of([1.0, "too few windows: 3", 3.0])
    assert cell.mean == 2.0 and cell.spread == pytest.approx(np.sqrt(2))
    assert cell.reason == "too few windows: 3"
    assert cell.seeds == (1.0, None, 3.0)
    assert report.show_cell(cell, True) == "2.00 ± 1.41 (2 of 3)"
    assert Cell.of(["no"]).mean is None and Cell.of([1.0]).spread is None


def test_every_measure_has_one_sentence_and_says_how_to_read_it():
    for measure in {*MEASURES, *JOINT_MEASURES}:
        assert measure.definition.endswith(".") and measure.reading.endswith("."), measure.key
    page = to_html(judge(model={"energy": [1.0]}))
    assert "(× real): Mean of |x_(t+1) - x_t|²" in page and "1 is as real" in page


def test_what_is_not_known_is_not_judged():
    found = judge(model={"frechet_latents": ["too few windows: 3, 200 needed"]})
    row = found.row("frechet_latents")
    assert row.verdict() is None and report.verdict_word(row) == "?"
    assert "too few" in found.to_table()


def test_the_table_has_a_line_for_each_measure_and_fits_a_wide_terminal():
    cells = {measure.key: [1.2345, 1.3] for measure in MEASURES}
    found = judge(**{name: cells for name in COLUMNS})
    lines = found.to_table().splitlines()
    for measure in MEASURES:
        assert any(line.startswith(f"  {measure.title} ") for line in lines)
    assert max(map(len, lines)) < 120
    passed, failed, unknown = found.counts
    assert passed + failed + unknown == sum(row.limits is not None for row in found.rows)


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (0.92341, "0.923"),
        (0.0123, "0.012"),
        (12.345, "12.3"),
        (123.4, "123"),
        (0.00001, "1.0e-05"),
        (-1.9215, "-1.92"),
        (1234567, "1.2e+06"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_short(value, text):
    assert report.show(value) == text


def test_the_record_is_plain_json_whatever_the_figures():
    found = judge(model={"psnr": [float("inf")], "soft": [float("nan"), 0.1]})
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["kind"] == report.KIND and content["settings"] == {"seeds": [1, 2]}
    measures = {one["key"]: one for one in content["measures"]}
    assert measures["psnr"]["columns"][MODEL]["mean"] is None
    assert measures["soft"]["columns"][MODEL]["seeds"] == [None, 0.1]
    assert set(measures["soft"]["columns"]) == {MODEL, REAL, COPY, FREEZE, AR1, RECIPE_2018}


def test_the_page_needs_no_other_file_and_shows_text_as_text():
    found = judge(model={"soft": [0.1, 0.2]}, real={"soft": [0.0, 0.0]})
    page = to_html(found)
    assert "a &lt;note&gt;" in page and "<note>" not in page
    assert "src='http" not in page and "href=" not in page
    assert page.count("<svg") == 1


def test_names_in_the_page_are_no_html():
    evil = "</script></title><img src=x onerror=alert(1)> ' \" &"
    found = dataclasses.replace(
        judge(model={"soft": [0.1]}),
        model=evil,
        facts={"clips": [evil], evil: {"styles": evil}},
        notes=(evil,),
        series={evil: {MODEL: [[1.0, 2.0]]}},
    )
    page = to_html(found, [Picture(evil, evil, "")])
    assert "<img src=x" not in page and "</script>" not in page
    assert page.count("&lt;img src=x") >= 8


def test_a_strip_has_a_dot_for_each_finite_value_and_shades_what_is_allowed():
    drawn = plots.strip("soft", {"model": [0.1, 0.2, float("nan")], "real": []}, high=0.15)
    assert drawn.count("<circle") == 2 and drawn.count("<rect") == 1
    assert "real" not in drawn
    assert plots.strip("soft", {"model": []}) == ""


def test_dots_keep_their_order_on_either_axis():
    for values in ([1.0, 2.0, 3.0], [0.01, 1.0, 100.0], [-5.0, 0.0, 5.0]):
        drawn = plots.strip("x", {"model": values})
        places = [float(part.split()[0]) for part in drawn.split("cx=")[1:]]
        assert places == sorted(places) and len(set(places)) == 3


def test_a_column_has_one_colour_in_all_plots():
    series = {"energy": {AR1: [[1.0, 2.0]]}}
    found = report.Report.of("me", {AR1: {"soft": [0.1]}}, {}, series=series)
    page = to_html(found)
    dot = page.split("<circle")[1].split("fill='")[1].split("'")[0]
    assert f"stroke='{dot}'" in page.split("<polyline")[1]


def test_a_curve_has_a_point_for_each_bin():
    drawn = plots.lines("energy", {"model": [[1.0, 2.0, 1.5]], "AR(1)": [[1.0, 1.0, 1.0]]}, "s", 10)
    assert drawn.count("<polyline") == 2 and "30 s" in drawn
    assert plots.lines("energy", {"model": [[float("nan")]]}, "s", 10) == ""
