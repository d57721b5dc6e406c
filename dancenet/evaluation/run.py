"""Evaluates a model and writes the report.

    report = evaluate("silhouette_v2", "imgs", "report", Options())
    print(report.to_table())

Keras is needed only to train the network of 2018, which is one of the references.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from dancenet.data.mocap.recordings import Recordings
from dancenet.evaluation.blind import load_beside, look_page
from dancenet.evaluation.bodies import BodyMeasures
from dancenet.evaluation.dances import DanceMakers, DrawnDances
from dancenet.evaluation.joints import StyleFigures
from dancenet.evaluation.options import Options
from dancenet.evaluation.real import Halves, RealDances
from dancenet.evaluation.recipe_2018 import FOLDER as RECIPE_FOLDER
from dancenet.evaluation.report.looks import draw_pictures, over_time
from dancenet.evaluation.report.page import to_html
from dancenet.evaluation.report.record import Record
from dancenet.evaluation.scenes import open_scene
from dancenet.generation.load import Dancer, load_dancer
from dancenet.generation.trajectory import read_style
from dancenet.metrics import likelihood, measures
from dancenet.metrics import report as reports
from dancenet.metrics.definitions import AR1, GAUSSIAN, MODEL, REAL
from dancenet.metrics.likelihood import FirstOrder
from dancenet.metrics.measures import Values
from dancenet.metrics.motion import Gaussian
from dancenet.metrics.reference import MotionSample, ReferenceStatistics, Value
from dancenet.model.folder import ModelFolder
from dancenet.model.releases import find_model
from dancenet.support import checked, files, lock, terminal
from dancenet.support.errors import UserError
from dancenet.support.lock import LOCK
from dancenet.support.names import is_litter, quoted
from dancenet.support.temporary import sweep

JSON, PAGE, LOOK = "report.json", "report.html", "look.html"
GENERATED_NLL_SECONDS = 30.0  # part of each generated dance whose likelihood is measured


def evaluate(
    model: str | Path,
    dataset: str | Path | Recordings,
    out: str | Path,
    options: Options = Options(),
) -> reports.Report:
    """Evaluates a model, and writes `report.json`, `report.html` and `look.html`.

    What the trainers hold out of a dataset (`data.frames.clips.split_clips`) is held out here too.

    Args:
        model: a name, or a model folder.
        dataset: the frames or the recordings that it was trained on.
        out: the folder for the report; made if its parent exists.
        options: how to evaluate.

    Raises:
        UserError: the model or the dataset cannot be used, `out` holds something else, or another
            process is at work there.
    """
    out = Path(out)
    check_output(out)
    with lock.hold_folder(out, "choose another folder"):
        return _evaluate(model, dataset, out, options)


def _evaluate(
    model: str | Path, dataset: str | Path | Recordings, out: Path, options: Options
) -> reports.Report:
    began = time.perf_counter()
    dancer = load_dancer(model)
    folder = ModelFolder(find_model(model))
    if options.style is not None:
        read_style(dancer, options.style)  # raises UserError for an unknown style
    data = RealDances.prepare(dancer, open_scene(dancer, folder, dataset, options))
    beside = load_beside(options.beside, data.scene)
    makers = DanceMakers(
        dancer=dancer,
        data=data,
        chain=FirstOrder.fit(data.train_runs),
        options=options,
        num_frames=max(1, round(options.seconds * dancer.fps)),
        recipe=data.scene.load_recipe(dancer, out, data.train),
    )
    figures = _Figures()
    figures.measure_real(makers)
    figures.measure_dances(makers)
    styles = figures.measure_styles(makers) if options.style is None else None
    record = Record(
        dancer=dancer,
        config=folder.read_config(),
        data=data,
        recipe=makers.recipe,
        options=options,
        styles=styles,
    )
    report = reports.Report.of(
        dancer.name,
        figures.columns,
        {**record.facts(), "seconds": round(time.perf_counter() - began)},
        measures=data.scene.measures,
        notes=record.notes(),
        series=over_time(figures.drawn, data, figures.references),
    )
    shown = draw_pictures(figures.drawn, data, options.seeds, figures.bodies)
    look = look_page(makers, figures.drawn[MODEL], beside)
    _write(out, report, to_html(report, tuple(shown)), look)
    return report


def _write(out: Path, report: reports.Report, page: str, look: str) -> None:
    out.mkdir(exist_ok=True)
    files.write_json(out / JSON, report.to_json())  # first: the folder is known by it
    files.write_text(out / PAGE, page)
    files.write_text(out / LOOK, look)


class _Figures:
    """Collects the figures of every column, and the dances they were measured on."""

    def __init__(self) -> None:
        self.columns: dict[str, dict[str, list[Value]]] = {}  # by column, key and seed
        self.drawn: dict[str, list[DrawnDances]] = {}  # by column and seed
        self.references: list[ReferenceStatistics] = []  # one for each seed
        self.bodies: BodyMeasures | None = None  # after the dances are measured

    def add(self, column: str, values: Values) -> None:
        """Adds one value for each key."""
        for key, value in values.items():
            self.columns.setdefault(column, {}).setdefault(key, []).append(value)

    def measure_real(self, makers: DanceMakers) -> None:
        """Measures how well the networks decode and predict real dances."""
        data = makers.data
        for column, values in data.scene.reconstruct(data.train, data.held_out).items():
            self.add(column, values)
        for column, nll in _held_out_nll(makers).items():
            self.add(column, {"held_out_nll": nll})

    def measure_styles(self, makers: DanceMakers) -> StyleFigures | None:
        """Measures whether the model follows the styles it is asked for, on the first seed."""
        settings = makers.options.settings(makers.options.seeds[0])
        scene = makers.data.scene
        styles = scene.measure_styles(makers.dancer, settings, makers.num_frames)
        if styles is not None:
            for column, share in ((MODEL, styles.mean("asked")), (REAL, styles.mean("real"))):
                if share is not None:
                    self.add(column, {"style_share": share})
        return styles

    def measure_dances(self, makers: DanceMakers) -> None:
        """Makes, draws and measures the dances of every seed and column."""
        data, seeds = makers.data, makers.options.seeds
        real = data.score_real()
        bodies = BodyMeasures.prepare(data)
        self.add(REAL, bodies.measure_real(seeds[0]))
        self.bodies = bodies
        columns = makers.columns()
        # All columns are drawn but 'freeze'.
        pictures = -(-makers.num_frames // data.step) * len(seeds) * (len(columns) - 1)
        with terminal.progress(total=pictures, description="Drawing dances") as bar:
            for number, seed in enumerate(seeds):
                terminal.say(f"Seed {seed} ({number + 1} of {len(seeds)})")
                rng = np.random.default_rng([seed, 0])
                halves = data.split(real, rng, makers.num_frames, makers.options.dances)
                self.references.append(halves.statistics)
                real_values = _measure(data, halves, halves.other, is_training=True)
                self.add(REAL, real_values | measures.novelty_of_halves(data.statistics, rng))
                for column, make in columns.items():
                    made = make(seed, bar.update)
                    self.drawn.setdefault(column, []).append(made)
                    self.add(column, _measure(data, halves, made.sample))
                    self.add(column, bodies.measure(made, seed, is_model=column == MODEL))
                self.add(MODEL, _generated_nll(makers.dancer, self.drawn[MODEL][-1].sample))


def _measure(
    data: RealDances, halves: Halves, sample: MotionSample, is_training: bool = False
) -> Values:
    values = measures.measure_sample(
        sample, data.statistics, halves.statistics, is_training=is_training
    )
    return values | data.scene.measure_runs(sample.runs, halves.reference.runs)


def _held_out_nll(makers: DanceMakers) -> dict[str, Value]:
    """Returns, by column, the NLL of the held-out dances, all on the same steps."""
    data, held_out = makers.data, makers.data.held_out_runs
    if max(map(len, held_out)) <= likelihood.WARM_UP + 1:
        return dict.fromkeys((MODEL, AR1, GAUSSIAN), "the held-out dances are too short")
    warm = [run[likelihood.WARM_UP + 1 :] for run in held_out]
    return {
        MODEL: likelihood.prediction_nll(makers.dancer.step_model, held_out),
        AR1: makers.chain.nll(held_out),
        GAUSSIAN: Gaussian.fit(np.concatenate(data.train_runs)).nll(np.concatenate(warm)),
    }


def _generated_nll(dancer: Dancer, sample: MotionSample) -> Values:
    length = round(GENERATED_NLL_SECONDS * dancer.fps)
    runs = [run[:length] for run in sample.runs]
    return {"generated_nll": likelihood.prediction_nll(dancer.step_model, runs)}


def check_output(out: Path) -> None:
    """Raises UserError unless a report may be written to a folder."""
    sweep(out)
    if not out.exists():
        files.check_parent(out)
    elif not out.is_dir():
        raise UserError(f"{quoted(out)} is a file; name a folder for the report.")
    elif _names(out) and not is_report(out) and not _holds_only_recipe(out):
        raise UserError(
            f"{quoted(out)} holds something that is not a report of dancenet; choose another "
            "folder."
        )
    else:
        files.check_parent(out / JSON)


def is_report(out: Path) -> bool:
    """Tells whether a folder holds a report."""
    try:
        content = checked.read_json(out / JSON, "report")
    except UserError:
        return False
    return isinstance(content, dict) and content.get("kind") == reports.KIND


def _holds_only_recipe(out: Path) -> bool:
    # An interrupted evaluation leaves the trained network of 2018, which is worth keeping.
    return _names(out) == [RECIPE_FOLDER]


def _names(folder: Path) -> list[str]:
    return [
        path.name for path in folder.iterdir() if not is_litter(path.name) and path.name != LOCK
    ]
