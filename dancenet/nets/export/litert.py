"""Networks as LiteRT files (.tflite), for phones, browsers and small boards.

Each is converted from `tensorflow_layers`, and kept only if LiteRT alone can run it: a file with
TensorFlow's own operators ("Flex") would not load elsewhere. Converters have silently written such
files, and decoders that return NaN, so every file is read back, run and compared with Keras first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dancenet.nets.export import parity, signatures
from dancenet.nets.export.parity import Comparison, ParityError
from dancenet.nets.export.reference import Networks
from dancenet.nets.export.tensorflow.codecs import (
    TensorFlowDecoder,
    TensorFlowEncoder,
    TensorFlowJoints,
    TensorFlowScaler,
)
from dancenet.nets.export.tensorflow.layers import TensorFlowStep
from dancenet.runtime.onnx import count_cores
from dancenet.sequence.mixture import Mixture
from dancenet.support import errors, files, terminal
from dancenet.support.temporary import temporary_folder

# How weights are stored. A product with 8-bit weights rounds its inputs to 8 bits, too.
PRECISIONS = ("float32", "float16", "int8")

# The largest accepted effect of float16 and int8 on a picture. For comparison: rounding an outline
# to whole pixels moves it by a quarter of a pixel on average.
MOST_SHIFT = 0.25  # pixels
# The largest accepted effect on a dance, in nats per dimension, of mixtures blurred by a tenth of
# the RMS step, which is invisible. At 0.005 the energy and the jerk of 32 dances of a 2018 network
# changed by 0.3 % at most; at 0.047 (`silhouette_v0`, see TensorFlowStep) they rose by 10 and 7 %.
MOST_NATS = 0.01
BLUR = 0.1  # RMS steps

_DTYPES = {"number": tf.int32}


@dataclass(frozen=True)
class Function:
    """A function to convert."""

    signature: str
    inputs: dict[str, tuple[int | None, ...]]  # None is any number
    compute: Callable[..., dict[str, Any]]  # takes the inputs in order
    weights: Sequence[Any]


@dataclass(frozen=True)
class Exported:
    """The files written, and those left out because they change the result too much."""

    written: list[Comparison]
    left_out: list[Comparison]


class LiteRt:
    """A signature of a .tflite file behind a call: named arrays to named arrays."""

    def __init__(self, path: Path, signature: str, threads: int | None = None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with terminal.quiet_import():  # it announces its delegate
            # The runner does not keep the interpreter alive, which takes no path that is not UTF-8.
            self._interpreter = Interpreter(
                model_content=path.read_bytes(), num_threads=threads or count_cores()
            )
            self._interpreter.allocate_tensors()
            self._runner = self._interpreter.get_signature_runner(signature)

    def __call__(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        return self._runner(**arrays)


def export_litert(networks: Networks, to: Path, overwrite: bool = False) -> Exported:
    """Writes `encoder`, `decoder` and `step` in each of PRECISIONS, `scaler` and a description.

    Inputs and outputs are named as in the ONNX graphs; `signatures.md` explains them. `decode`
    takes one latent at a time: 8-bit transposed convolutions are fast only for a known batch size.

    Args:
        networks: the parts that are not None are exported.
        to: a folder, created if needed.
        overwrite: replace existing files.

    Returns:
        A record for each file. A float16 or int8 file that changes the picture or the dance by
        more than MOST_SHIFT or MOST_NATS is left out, and an older one of that name is removed.

    Raises:
        MissingExtra: ai-edge-litert is not installed.
        UserError: a file exists already, or the folder cannot be written.
        ParityError: a float32 file differs from Keras, or a file is not plain LiteRT; nothing
            was written.
    """
    require_litert()
    parts = ["encoder", "decoder"] if networks.pictures is not None else []
    if networks.dancer is not None:
        parts.append("step")
    if networks.seeds is not None:
        parts += ["scaler"] if networks.scaler is not None else []
        parts += ["joints"] if networks.codec is not None else []
    names = {
        (part, precision): f"{part}.tflite" if part in _SINGLE else f"{part}_{precision}.tflite"
        for part in parts
        for precision in (PRECISIONS[:1] if part in _SINGLE else PRECISIONS)
    }
    for name in (*names.values(), signatures.FILE):
        files.check_overwrite(to / name, overwrite)
    files.make_folder(to)
    try:
        rows = _write(networks, to, names)
    except BaseException:
        with contextlib.suppress(OSError):  # not empty
            to.rmdir()
        raise
    return Exported([row for row in rows if row.passed], [row for row in rows if not row.passed])


def _write(networks: Networks, to: Path, names: dict[tuple[str, str], str]) -> list[Comparison]:
    rows, sections = [], []
    with temporary_folder(to, "export") as temporary:
        for (part, precision), name in terminal.progress(
            names.items(), description="Converting", unit="file"
        ):
            make, compare = _PARTS[part]
            path = temporary / name
            functions = make(networks, precision)
            path.write_bytes(convert(functions, precision))
            require_builtin(path)
            rows.append(compare(networks, path))
            if precision == "float32":
                parity.require_parity(rows[-1:])
                sections += [_describe(path, function.signature) for function in functions]
        for row in rows:
            if row.passed:
                files.replace(temporary / row.name, to / row.name)
            else:
                (to / row.name).unlink(missing_ok=True)
    files.write_text(
        to / signatures.FILE,
        signatures.describe("LiteRT", networks.config, sections, networks.codec),
    )
    return rows


def require_litert() -> None:
    """Raises MissingExtra unless the LiteRT interpreter is installed."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise errors.why_not_imported(error, "Exporting to LiteRT", "train") from error


def convert(functions: Sequence[Function], precision: str) -> bytes:
    """Returns a LiteRT file with the functions as its signatures.

    Args:
        functions: the functions to convert.
        precision: one of PRECISIONS.
    """
    module = tf.Module()
    module.weights = [list(function.weights) for function in functions]
    concrete = {
        function.signature: tf.function(function.compute, autograph=False).get_concrete_function(
            *(
                tf.TensorSpec(shape, _DTYPES.get(name, tf.float32), name)
                for name, shape in function.inputs.items()
            )
        )
        for function in functions
    }
    # Conversion through a SavedModel keeps the names of inputs and outputs. The converter writes
    # pages to the terminal.
    with temporary_folder(name="litert") as place, terminal.quiet_import():
        folder = str(place)
        tf.saved_model.save(module, folder, concrete)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, list(concrete))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def require_builtin(path: Path) -> None:
    """Raises ParityError if a file needs operators that LiteRT does not have."""
    foreign = [name for name in operators(path) if not name.isupper()]
    if foreign:
        raise ParityError(
            f"{path.name} was not kept: it needs {', '.join(foreign)}, which LiteRT alone cannot "
            "run. This is a mistake in dancenet; please report it."
        )


def operators(path: Path) -> list[str]:
    """Returns the operators of a LiteRT file; those not built in begin with "custom:"."""
    from ai_edge_litert import schema_py_generated as schema

    builtin = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model = schema.Model.GetRootAs(path.read_bytes())
    found = []
    for index in range(model.OperatorCodesLength()):
        operator = model.OperatorCodes(index)
        if custom := operator.CustomCode():
            found.append(f"custom:{custom.decode()}")
        else:
            # Codes above 127 are in the newer of the two fields.
            found.append(builtin[max(operator.BuiltinCode(), operator.DeprecatedBuiltinCode())])
    return sorted(found)


def encoder_function(networks: Networks, precision: str) -> list[Function]:
    """Returns `encode`: `frames` (B, H, W) to `z_mean` and `z_log_var` (B, L)."""
    assert networks.pictures is not None
    plain = TensorFlowEncoder(networks.pictures)

    def compute(frames: Any) -> dict[str, Any]:
        return dict(zip(("z_mean", "z_log_var"), plain(frames)))

    size = (networks.pictures.config.height, networks.pictures.config.width)
    return [Function("encode", {"frames": (None, *size)}, compute, plain.variables)]


def decoder_function(networks: Networks, precision: str) -> list[Function]:
    """Returns `decode`: `latents` (1, L) to `frames` (1, H, W)."""
    assert networks.pictures is not None
    plain = TensorFlowDecoder(networks.pictures)

    def compute(latents: Any) -> dict[str, Any]:
        return {"frames": plain(latents)}

    shape = (1, networks.pictures.config.num_latents)
    return [Function("decode", {"latents": shape}, compute, plain.variables)]


def step_function(networks: Networks, precision: str) -> list[Function]:
    """Returns `step`: `vectors` (B, D) and the state to the mixture and the next state."""
    assert networks.dancer is not None
    plain = TensorFlowStep(networks.dancer, exact_line=precision == "int8")
    inputs: dict[str, tuple[int | None, ...]] = {"vectors": (None, networks.dancer.config.dim)}
    inputs |= {name: (None, width) for name, width in plain.states.items()}
    return [Function("step", inputs, plain.named, plain.variables)]


def scaler_functions(networks: Networks, precision: str) -> list[Function]:
    """Returns `to_latents`, `to_model`, and `seed_clip`: numbers (N,) to seed clips (N, S, D)."""
    assert networks.scaler is not None and networks.seeds is not None
    plain = TensorFlowScaler(networks.scaler, networks.seeds)
    dim, latent_dim = networks.scaler.dim, networks.scaler.latent_dim
    return [
        Function(
            "to_latents",
            {"vectors": (None, dim)},
            lambda vectors: {"latents": plain.to_latents(vectors)},
            plain.variables,
        ),
        Function(
            "to_model",
            {"latents": (None, latent_dim)},
            lambda latents: {"vectors": plain.to_model(latents)},
            plain.variables,
        ),
        _seed_clip_function(plain),
    ]


def _seed_clip_function(scaler: TensorFlowScaler) -> Function:
    return Function(
        "seed_clip",
        {"number": (None,)},
        lambda number: {"vectors": scaler.seed_clip(number)},
        scaler.variables,
    )


def joints_functions(networks: Networks, precision: str) -> list[Function]:
    """Returns `decode`: `vectors` (B, T, D) and `placement` to `joints`; and `seed_clip`."""
    assert networks.codec is not None and networks.seeds is not None
    plain = TensorFlowJoints(networks.codec, tf.float32)
    return [
        Function(
            "decode",
            {"vectors": (None, None, networks.codec.dim), "placement": (None, 3)},
            plain.named,
            plain.variables,
        ),
        _seed_clip_function(TensorFlowScaler(networks.codec.scaler, networks.seeds)),
    ]


def _compare_encoder(networks: Networks, path: Path) -> Comparison:
    run, frames = LiteRt(path, "encode"), networks.frames
    received = run(frames=frames)
    error = max(
        parity.largest_error(expected, received[name])
        for name, expected in zip(("z_mean", "z_log_var"), networks.encode(frames))
    )
    # The discs and the noise do not decode to figures, so only the first frames are compared.
    count = len(networks.latents)
    effect = _picture_effect(
        networks.decode(networks.encode(frames[:count])[0]),
        networks.decode(received["z_mean"][:count]),
    )
    times = parity.time_beside(lambda: run(frames=frames[:1]), lambda: networks.encode(frames[:1]))
    return _row(path, error, parity.TOLERANCE, effect, times)


def _compare_decoder(networks: Networks, path: Path) -> Comparison:
    run, latents = LiteRt(path, "decode"), networks.latents
    received = np.concatenate([run(latents=row[None])["frames"] for row in latents])
    expected = networks.decode(latents)
    times = parity.time_beside(
        lambda: run(latents=latents[:1]), lambda: networks.decode(latents[:1])
    )
    error = parity.largest_error(expected, received)
    return _row(path, error, parity.TOLERANCE, _picture_effect(expected, received), times)


def _compare_step(networks: Networks, path: Path) -> Comparison:
    run, walk = LiteRt(path, "step", threads=1), networks.walk
    states = networks.state_names
    state = networks.first_state(walk.shape[1])
    error, nats = 0.0, []
    for vectors, (mixture, following) in zip(walk, networks.steps):
        received = run(vectors=vectors, **state)
        state = {name: received[f"next_{name}"] for name in states}
        pairs = [(value, received[name]) for name, value in mixture._asdict().items()]
        pairs += zip(following, state.values())
        error = max(error, *(parity.largest_error(*pair) for pair in pairs))
        given = Mixture(received["pi_logits"], received["mu"], received["sigma"])
        nats.append(parity.nats_lost(mixture, given, BLUR * networks.rms_step))
    first = networks.first_state(1)
    times = parity.time_beside(
        lambda: run(vectors=walk[0, :1], **first),
        lambda: networks.step_model.step(walk[0, :1], tuple(first.values())),
    )
    lost = float(np.mean(nats))
    words = f"costs {lost:.1e} nats per dimension, {1e3 / times[0]:,.0f} steps/s"
    effect = (words, lost <= MOST_NATS)
    return _row(path, error, parity.CARRIED_TOLERANCE, effect, times)


def _compare_scaler(networks: Networks, path: Path) -> Comparison:
    assert networks.scaler is not None and networks.seeds is not None
    scaler = networks.scaler
    vectors, latents = networks.walk[0], scaler.to_latents(networks.walk[0])
    numbers = np.arange(len(networks.seeds), dtype=np.int32)
    to_latents = LiteRt(path, "to_latents", threads=1)
    error = max(
        parity.largest_error(expected, received)
        for expected, received in (
            (latents, to_latents(vectors=vectors)["latents"]),
            (scaler.to_model(latents), LiteRt(path, "to_model")(latents=latents)["vectors"]),
            (networks.seeds, LiteRt(path, "seed_clip")(number=numbers)["vectors"]),
        )
    )
    times = parity.time_beside(
        lambda: to_latents(vectors=vectors[:1]), lambda: scaler.to_latents(vectors[:1])
    )
    return _row(path, error, parity.TOLERANCE, ("", True), times)


def _compare_joints(networks: Networks, path: Path) -> Comparison:
    assert networks.codec is not None and networks.seeds is not None
    codec = networks.codec
    decode = LiteRt(path, "decode", threads=1)
    vectors = networks.walk.swapaxes(0, 1)
    placement, joints, after = networks.joints
    given = decode(vectors=vectors, placement=placement)
    numbers = np.arange(len(networks.seeds), dtype=np.int32)
    error = max(
        parity.largest_difference(expected, received)
        for expected, received in (
            (joints, given["joints"]),
            (after, given["next_placement"]),
            (networks.seeds, LiteRt(path, "seed_clip")(number=numbers)["vectors"]),
        )
    )
    times = parity.time_beside(
        lambda: decode(vectors=vectors[:1], placement=placement[:1]),
        lambda: codec.decode(vectors[0]),
    )
    return _row(path, error, parity.JOINT_TOLERANCE, (f"{vectors.shape[1]} frames", True), times)


_SINGLE = ("scaler", "joints")  # with constants only, in one precision
_PARTS: dict[
    str, tuple[Callable[[Networks, str], list[Function]], Callable[[Networks, Path], Comparison]]
] = {
    "encoder": (encoder_function, _compare_encoder),
    "decoder": (decoder_function, _compare_decoder),
    "step": (step_function, _compare_step),
    "scaler": (scaler_functions, _compare_scaler),
    "joints": (joints_functions, _compare_joints),
}


def _picture_effect(expected: np.ndarray, received: np.ndarray) -> tuple[str, bool]:
    shift, iou = parity.outline_shift(expected, received)
    return f"IoU {iou:.4f}, outline moved {shift:.3f} px", shift <= MOST_SHIFT


def _row(
    path: Path, error: float, tolerance: float, effect: tuple[str, bool], times: tuple[float, float]
) -> Comparison:
    # For float16 and int8 only the effect counts, but NaN never passes.
    smaller = path.stem.endswith(("_float16", "_int8"))
    limit = float(np.finfo(np.float64).max) if smaller else tolerance
    words, fits = effect
    return Comparison(
        name=path.name,
        size_bytes=path.stat().st_size,
        error=error,
        limit=limit,
        effect=words,
        milliseconds=times[0],
        keras_milliseconds=times[1],
        fits=fits,
    )


def _describe(path: Path, signature: str) -> signatures.Section:
    run = LiteRt(path, signature)._runner
    inputs, outputs = (
        [
            signatures.Value(
                name,
                np.dtype(value["dtype"]).name,
                tuple(int(size) for size in value["shape_signature"]),
            )
            for name, value in details.items()
        ]
        for details in (run.get_input_details(), run.get_output_details())
    )
    return signatures.Section(signature, path.name.replace("float32", "*"), inputs, outputs)
