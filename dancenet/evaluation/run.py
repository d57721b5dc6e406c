"""Measures a model and writes the report.

    report = evaluate("silhouette_v1", "imgs", "report", Options())
    print(report.to_table())

Neither Keras nor TensorFlow is needed, unless the network of 2018 is to be trained too.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.frames.folder import FrameFolder
from dancenet.data.mocap.recordings import Recordings
from dancenet.evaluation import joints
from dancenet.evaluation.dances import Drawn, make_makers
from dancenet.evaluation.looks import look, over_time
from dancenet.evaluation.real import (
    BLOCK_SECONDS,
    GAP_SECONDS,
    MAX_REAL_FRAMES,
    RealDances,
    reconstruction,
)
from dancenet.evaluation.recipe_2018 import FOLDER as RECIPE_FOLDER
from dancenet.evaluation.recipe_2018 import load_recipe, trained_recipe
from dancenet.evaluation.scenes import Joints, Scene, Silhouettes
from dancenet.generation import write as pipeline
from dancenet.generation.encode import encode_frames
from dancenet.generation.settings import Dancer, DanceSettings, read_style
from dancenet.metrics import likelihood, measures
from dancenet.metrics import report as reports
from dancenet.metrics.likelihood import FirstOrder
from dancenet.metrics.measures import Values
from dancenet.metrics.motion import Gaussian
from dancenet.metrics.report import AR1, COPY, GAUSSIAN, MODEL, REAL
from dancenet.model import folder as model_folder
from dancenet.model.folder import ModelFolder
from dancenet.runtime.onnx import OnnxDecoder
from dancenet.support import files, terminal
from dancenet.support.errors import UserError

JSON, PAGE = "report.json", "report.html"
LEAST_SECONDS = 1.0  # of a dance
OWN_DANCE_SECONDS = 30.0  # of each dance, that the network is shown again


@dataclass(frozen=True)
class Options:
    """How a model is measured."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    dances: int = 4  # for each seed; the first of them is drawn
    seconds: float = 120.0  # of each dance
    temperature: float = 1.0
    temperature_variation: float | None = None  # as in `DanceSettings`
    neighbour_correction: float | None = None  # as in `DanceSettings`, as is the next
    refine: int = 1
    style: str | None = None  # as in `DanceSettings`
    recipe_2018: str | None = None  # a model with the same VAE, trained on single vectors
    recipe_minutes: float | None = None  # train one for so long, if none is there yet

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(
                f"Seeds must be different numbers; received {', '.join(map(str, self.seeds))}."
            )
        if not self.seconds >= LEAST_SECONDS:
            raise UserError(
                f"A dance of {self.seconds:g} s is too short to be measured; make it "
                f"{LEAST_SECONDS:g} s or longer, best 120."
            )
        self.settings(self.seeds[0])  # refuses what a dance cannot have

    def settings(self, seed: int) -> DanceSettings:
        """Returns what the dances of a seed are made with."""
        return DanceSettings(
            seconds=self.seconds,
            seed=seed,
            temperature=self.temperature,
            temperature_variation=self.temperature_variation,
            count=self.dances,
            neighbour_correction=self.neighbour_correction,
            refine=self.refine,
            style=self.style,
        )


def evaluate(
    model: str | Path,
    material: str | Path | Recordings,
    out: str | Path,
    options: Options = Options(),
) -> reports.Report:
    """Measures a model, and writes `report.json` and `report.html`.

    What the trainers hold out of such material (`data.frames.clips.split_clips`) is held out here.

    Args:
        model: a name, or a model folder.
        material: a folder of frames, or, for a model of joints, recordings; best those the model
            was trained on.
        out: the folder for the report; made if its parent exists.
        options: how.

    Raises:
        UserError: the model or the material cannot be used, nothing is held out, or `out` holds
            something else.
    """
    began = time.perf_counter()
    out = Path(out)
    check_output(out)
    dancer = pipeline.load_dancer(model)
    source = ModelFolder(pipeline.find_model(model))
    if options.style is not None:
        read_style(dancer, options.style)  # refuses what the model does not know
    recipe = None
    scene: Scene
    if isinstance(dancer.codec, SkeletonCodec):
        scene, name = _joints(dancer, material, options), "The set of recordings"
    elif isinstance(material, Recordings):
        raise UserError(
            f"{dancer.name} dances in silhouettes; name the frames it learnt from with --frames."
        )
    else:
        frames = FrameFolder.open(material)
        if options.recipe_2018 is not None:
            recipe = load_recipe(options.recipe_2018, dancer)
        latents = encode_frames(source, frames)
        scene, name = Silhouettes(frames, latents, dancer.codec, options.refine), str(frames.path)
    data = RealDances.prepare(dancer, scene, name)
    if recipe is None and options.recipe_minutes is not None and isinstance(scene, Silhouettes):
        recipe = load_recipe(
            trained_recipe(source, scene.latents, out, options.recipe_minutes), dancer
        )
    columns: dict[str, dict[str, list[measures.Value]]] = {}

    def note(column: str, values: Values) -> None:
        for key, value in values.items():
            columns.setdefault(column, {}).setdefault(key, []).append(value)

    if isinstance(scene, Silhouettes):
        decoder = OnnxDecoder(source / model_folder.DECODER_GRAPH)
        note(MODEL, reconstruction(scene, decoder, data.held_out, "Held-out frames"))
        note(COPY, reconstruction(scene, decoder, data.train, "Training frames"))
    chain = FirstOrder.fit(data.train_runs)
    for column, nats in _foretold(dancer, data, chain).items():
        note(column, {"foretold": nats})
    real = data.score_real()
    shown: dict[str, list[Drawn]] = {}
    num_frames = max(1, round(options.seconds * dancer.fps))
    makers = make_makers(dancer, recipe, data, chain, options.settings, num_frames)
    pictures = -(-num_frames // data.step) * len(options.seeds) * (len(makers) - 1)
    standards = []
    with terminal.progress(total=pictures, description="Drawing dances") as bar:
        for number, seed in enumerate(options.seeds):
            terminal.say(f"Seed {seed} ({number + 1} of {len(options.seeds)})")
            rng = np.random.default_rng([seed, 0])
            standard, half, other = data.split(real, rng, num_frames, options.dances)
            standards.append(standard)
            values = measures.measure(half, data.yardstick, standard, is_training=True)
            if isinstance(scene, Joints):
                values |= joints.measure(scene, half.runs, other.runs, dancer.fps)
            note(REAL, values | measures.novelty_of_halves(data.yardstick, rng))
            for column, maker in makers.items():
                made = maker(seed, bar.update)
                shown.setdefault(column, []).append(made)
                found = measures.measure(made.material, data.yardstick, standard)
                if isinstance(scene, Joints):
                    found |= joints.measure(scene, made.material.runs, other.runs, dancer.fps)
                if column == MODEL:
                    own = round(OWN_DANCE_SECONDS * dancer.fps)
                    found["free_running"] = likelihood.foretold_nats(
                        dancer.step_model, [run[:own] for run in made.material.runs]
                    )
                note(column, found)
    steered: dict[str, Any] = {}
    if isinstance(scene, Joints) and options.style is None:
        table, asked, held_out = joints.steer(
            dancer, data, options.settings(options.seeds[0]), num_frames
        )
        for column, figure in ((MODEL, asked), (REAL, held_out)):
            if figure is not None:
                note(column, {"steered": figure})
        steered = {"styles": table}
    report = reports.Report.of(
        dancer.name,
        columns,
        {**_facts(dancer, source, data, options, recipe, began), **steered},
        measures=reports.MEASURES if isinstance(scene, Silhouettes) else reports.JOINT_MEASURES,
        notes=(*_notes(dancer, data, options, recipe), *_style_notes(steered.get("styles", {}))),
        series=over_time(shown, data, standards),
        pictures=tuple(look(shown, data, options.seeds)),
    )
    _write(out, report)
    return report


def _foretold(dancer: Dancer, data: RealDances, chain: FirstOrder) -> dict[str, measures.Value]:
    """Returns by column how well the held-out dances are foretold, all on the same steps."""
    if max(map(len, data.held_out)) <= likelihood.WARM_UP + 1:
        return dict.fromkeys((MODEL, AR1, GAUSSIAN), "what is held out is too short")
    warm = [run[likelihood.WARM_UP + 1 :] for run in data.held_out_runs]
    everything = Gaussian.fit(np.concatenate(data.train_runs))
    return {
        MODEL: likelihood.foretold_nats(dancer.step_model, data.held_out_runs),
        AR1: chain.nats(data.held_out_runs),
        GAUSSIAN: everything.nats(np.concatenate(warm)),
    }


def check_output(out: Path) -> None:
    """Raises UserError unless a report may be written to a folder."""
    if not out.exists():
        files.check_parent(out)
    elif not out.is_dir():
        raise UserError(f"{out} is a file; name a folder for the report.")
    elif any(out.iterdir()) and not is_report(out) and not _holds_recipe_alone(out):
        raise UserError(
            f"{out} holds something that is no report of dancenet; choose another folder."
        )
    else:
        files.check_parent(out / JSON)


def is_report(out: Path) -> bool:
    """Tells whether a folder holds a report."""
    try:
        content = files.read_json(out / JSON, "report")
    except UserError:
        return False
    return isinstance(content, dict) and content.get("kind") == reports.KIND


def _holds_recipe_alone(out: Path) -> bool:
    # What a run that was stopped leaves: the network of 2018 is worth keeping.
    return [path.name for path in out.iterdir()] == [RECIPE_FOLDER]


def _write(out: Path, report: reports.Report) -> None:
    out.mkdir(exist_ok=True)
    files.write_text(out / PAGE, report.to_html())
    files.write_json(out / JSON, report.to_json())


def _joints(dancer: Dancer, material: str | Path | Recordings, options: Options) -> Joints:
    assert isinstance(dancer.codec, SkeletonCodec)
    if not isinstance(material, Recordings):
        raise UserError(
            f"{dancer.name} dances with joints; name the files of motion that it learnt from."
        )
    if options.recipe_2018 is not None or options.recipe_minutes is not None:
        raise UserError(
            "The recipe of 2018 knows latents of pictures only; leave it out for a model of joints."
        )
    dancer.codec.check(material.clips[0])
    return Joints.of(material, dancer.codec)


def _origin(scene: Scene) -> dict[str, Any]:
    if isinstance(scene, Silhouettes):
        frames = scene.frames
        return {"folder": str(frames.path), "frames": frames.num_frames, "clips": len(frames.clips)}
    recordings = scene.recordings
    return {
        "recordings": sorted(set(recordings.sources)),
        "styles": list(recordings.style_names),
        "frames": sum(map(len, recordings.rows)),
        "clips": len(recordings.clips),
    }


def _smoothing(scene: Scene) -> float:
    return scene.codec.smoothing if isinstance(scene, Silhouettes) else 0.0


def _facts(
    dancer: Dancer,
    source: ModelFolder,
    data: RealDances,
    options: Options,
    recipe: Dancer | None,
    began: float,
) -> dict[str, Any]:
    config = source.read_config()
    trained = {
        part: record.get("frames")
        for part, record in config.training.items()
        if isinstance(record, dict)
    }
    return {
        "model_sha256": dancer.sha256,
        "frames": {
            **_origin(data.scene),
            "fps": dancer.fps,
            "training_frames": sum(map(len, data.train)),
            "held_out_frames": sum(map(len, data.held_out)),
            "held_out_clips": sorted(
                {
                    source
                    for clip, source in zip(data.scene.clips, data.scene.sources)
                    for rows in data.held_out
                    if rows.start in clip
                }
            ),
            "model_trained_on_frames": trained,
            "measured_frames": sum(map(len, data.blocks)),
            "halves": "whole recordings"
            if data.by_recording
            else f"blocks of {BLOCK_SECONDS:g} s, {GAP_SECONDS:g} s apart",
        },
        "settings": {
            **dataclasses.asdict(options),
            "seeds": list(options.seeds),
            "picture_fps": data.yardstick.picture_fps,
            "smoothing_frames": _smoothing(data.scene),
            "window_seconds": measures.WINDOW_SECONDS,
        },
        "windows": {
            "training": len(data.yardstick.paths),
            "held_out": len(data.yardstick.held_out),
        },
        "recipe_2018": None
        if recipe is None
        else {
            "name": recipe.name,
            "sha256": recipe.sha256,
        },
        "seconds": round(time.perf_counter() - began),
    }


def _style_notes(table: dict[str, dict[str, measures.Value]]) -> tuple[str, ...]:
    def show(value: measures.Value) -> str:
        return value if isinstance(value, str) else f"{value:.2f}"

    lines = [f"{name} {show(row['asked'])} ({show(row['real'])})" for name, row in table.items()]
    if not lines:
        return ()
    return (
        "Share of the windows of dances of a style that are nearest to training windows of that "
        f"style (in brackets: of held-out windows): {'; '.join(lines)}. Chance is "
        f"{1 / len(lines):.2f}.",
    )


def _notes(
    dancer: Dancer, data: RealDances, options: Options, recipe: Dancer | None
) -> tuple[str, ...]:
    notes = [
        f"{len(options.seeds)} seeds of {options.dances} dances of {options.seconds:g} s at "
        f"temperature {options.temperature:g}, wandering by "
        f"{dancer.temperature_variation if options.temperature_variation is None else options.temperature_variation:g}, and guard "
        f"{dancer.neighbour_correction if options.neighbour_correction is None else options.neighbour_correction:g}; pictures of the first "
        f"dance of each, {data.yardstick.picture_fps:g} a second. Figures are means over the "
        "seeds, ± standard deviation.",
        "Real is the dance as the dancer learns it: latents of the frames, smoothed over "
        f"{_smoothing(data.scene):g} frames. Real pictures are the frames themselves, which are "
        "never soft; what the picture network makes of real dances is in the column 'copy'."
        if isinstance(data.scene, Silhouettes)
        else "Real is the dance as the dancer learns it: joints in the directions that it dances. "
        "Pictures are figures drawn of joints. Everything but the spread of the bones is measured "
        "after bones were given one length and standing feet their place; real dances are treated "
        "alike.",
        "Every seed splits the real dances into two halves, by "
        + ("recording" if data.by_recording else f"block of {BLOCK_SECONDS:g} s")
        + "; all columns are compared with the one half, and 'real' is the other.",
        f"Held out: {sum(map(len, data.held_out)):,} of {len(data.vectors):,} frames, as "
        "train_vae.py and train_dancer.py split such a folder. They are new to the model only if "
        "it was trained on this folder, or on one with the same split.",
    ]
    measured = sum(map(len, data.blocks))
    everything = sum(map(len, data.train)) + sum(map(len, data.held_out))
    if everything > MAX_REAL_FRAMES:
        notes.append(
            f"Of {everything:,} real frames {measured:,} are measured, in blocks spread evenly."
        )
    if not isinstance(data.scene, Silhouettes):
        notes.append("The recipe of 2018 knows latents of pictures only, and has no column.")
    elif recipe is None:
        notes.append(
            "The 2018 recipe is not given: name a model with --recipe-2018, or let one be trained "
            "with --recipe-minutes. Its bar is left out."
        )
    else:
        notes.append("The 2018 recipe foretells in other units; its likelihood cannot be compared.")
    return tuple(notes)
