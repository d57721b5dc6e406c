"""From files of motion to a dancer of joints, and from it to videos and files of motion."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the networks need the extra 'train'")
pytest.importorskip("keras_mdn_layer", reason="the dancer needs the extra 'train'")

from motion_files import bvh_text, dancing, shared, still
from workplaces import shorten_trainings

from dancenet.codecs.skeleton import SkeletonCodec
from dancenet.data.footage.video import open_footage
from dancenet.data.mocap import recordings
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.joints import JOINTS
from dancenet.generation.load import Dancer, load_dancer
from dancenet.generation.settings import DanceSettings, Recipe
from dancenet.generation.write import make_motions, write_dance
from dancenet.model.folder import ModelFolder
from dancenet.support import checked, files
from dancenet.support.errors import UserError
from scripts import evaluate, generate_video, train_dancer

SMALL = [
    "--units",
    "16",
    "--num-mixtures",
    "2",
    "--look-back",
    "16",
    "--stride",
    "8",
    "--batch-size",
    "8",
    "--epochs",
    "1",
    "--space",
    "skeleton",
]


def write_dances(folder: Path) -> list[str]:
    """Writes two dances of three: slow and fast circles; the second of each is held out."""
    for name, speed in (("slow_1", 1), ("slow_2", 1), ("fast_1", 2), ("fast_2", 2)):
        values = dancing(120, 30.0 / speed)
        (folder / f"{name}.bvh").write_text(bvh_text(values))
    (folder / "labels.csv").write_text(
        "file,style,split\n*_2*,,val\nslow*,slow,train\nfast*,fast,train\n"
    )
    return [str(folder / f"{name}.bvh") for name in ("slow_1", "slow_2", "fast_1", "fast_2")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dances and a dancer that has learnt them for a moment."""
    place = tmp_path_factory.mktemp("joints")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        shorten_trainings(patch)
        flags = [*write_dances(place), "--labels", "labels.csv", "--name", "joints", *SMALL]
        assert train_dancer.main([*flags, "--frame-rate", "30"]) == 0
    return place


@pytest.fixture()
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="module")
def dancer(place: Path) -> Dancer:
    return load_dancer(place / "weights" / "joints")


def run(*flags: str) -> int:
    return generate_video.main(
        ["--model", "weights/joints", "--seconds", "1", "--seed", "3", *flags]
    )


def pictures(path: Path) -> np.ndarray:
    return np.stack(list(open_footage(str(path)).frames())).astype(np.int16)


def test_training_leaves_a_whole_model_of_joints(here):
    folder = ModelFolder(here / "weights" / "joints")
    config = folder.read_config()
    assert (config.space, config.vae, config.fps) == ("skeleton", None, 30.0)
    assert config.dancer.styles == ("fast", "slow")
    assert {"codec.npz", "seeds.npz", "step.onnx", "dancer.weights.h5", "checksums.json"} <= {
        path.name for path in folder.path.iterdir()
    }
    folder.check()
    seeds = checked.read_npz(folder / "seeds.npz", "seeds")
    assert set(seeds["styles"]) == {"fast", "slow"}
    assert all(name.startswith(style) for name, style in zip(seeds["names"], seeds["styles"]))
    record = config.training["dancer"]
    assert record["frames"] == record["held_out_frames"] == 240


def test_a_dancer_that_is_there_is_not_replaced_unasked(here, capsys):
    flags = [*write_dances(here), "--name", "joints", *SMALL, "--frame-rate", "30"]
    assert train_dancer.main(flags) == 1
    assert "--resume" in capsys.readouterr().err


def test_a_training_is_resumed_where_it_stopped_and_only_with_its_styles(here, monkeypatch, capsys):
    shorten_trainings(monkeypatch)
    shutil.copytree("weights/joints", "weights/twin")
    flags = [*write_dances(here), "--name", "twin", *SMALL, "--frame-rate", "30", "--resume"]
    flags[flags.index("--epochs") + 1] = "2"
    assert train_dancer.main(flags) == 1  # without its labels it would be another dancer
    assert "resume it with the options it was begun with" in capsys.readouterr().err
    assert train_dancer.main([*flags, "--labels", "labels.csv"]) == 0
    assert ModelFolder("weights/twin").read_config().training["dancer"]["epochs"] == 2


def test_a_dancer_can_start_from_another_and_knows_only_its_styles(here, monkeypatch, capsys):
    shorten_trainings(monkeypatch)
    flags = [
        *write_dances(here),
        "--labels",
        "labels.csv",
        "--name",
        "child",
        *SMALL,
        "--frame-rate",
        "30",
        "--start-from",
        "weights/joints",
    ]
    del flags[flags.index("--units") : flags.index("--look-back")]
    assert train_dancer.main(flags) == 0
    codecs = [Path("weights") / name / "codec.npz" for name in ("child", "joints")]
    assert files.sha256_of(codecs[0]) == files.sha256_of(codecs[1])
    Path("labels.csv").write_text("file,style\n*,tango\n")
    flags[flags.index("child")] = "other"
    assert train_dancer.main(flags) == 1
    assert "does not know the style tango; it knows fast, slow" in capsys.readouterr().err
    assert not Path("weights/other").exists()


@pytest.mark.parametrize(
    "suffix, kind",
    [(".mp4", "mp4"), (".gif", "gif"), (".bvh", "bvh"), (".npz", "npz"), (".html", "html")],
)
def test_a_dance_of_a_second_is_written_in_every_form(here, tmp_path, suffix, kind):
    path = tmp_path / f"dance{suffix}"
    assert run("-o", str(path)) == 0
    if kind in ("bvh", "npz"):
        clip = read_skeleton(path, own=kind == "bvh")
        assert (clip.num_frames, clip.fps) == (30, 30.0)
    elif kind == "html":
        assert '"frames": 30' in path.read_text(encoding="utf-8")
    else:
        assert len(pictures(path)) == 30


def test_what_was_written_as_bvh_and_as_npz_is_one_dance(here, tmp_path):
    for name in ("a.bvh", "a.npz"):
        assert run("-o", str(tmp_path / name)) == 0
    numbers = read_skeleton(tmp_path / "a.npz")
    angles = read_skeleton(tmp_path / "a.bvh", own=True, unit=0.01, up="y")
    assert numbers.names == JOINTS
    order = [angles.names.index(name) for name in JOINTS]
    moved = angles.positions[:, order] - numbers.positions
    # The reader puts a motion on the floor and in the middle; what is left is the fit of angles.
    moved -= moved.mean(axis=(0, 1))
    assert np.abs(moved).max() < 0.03


def test_the_same_seed_gives_the_same_joints_bit_for_bit(dancer):
    settings = DanceSettings(seconds=1, seed=4, style="slow")
    first, second = (make_motions(dancer, settings)[0] for _ in range(2))
    np.testing.assert_array_equal(first.positions, second.positions)


def test_bones_of_a_new_dance_have_the_lengths_of_the_real_ones(dancer):
    clip = make_motions(dancer, DanceSettings(seconds=1, seed=4))[0]
    assert isinstance(dancer.codec, SkeletonCodec)
    bones = clip.positions - clip.positions[:, np.maximum(clip.parents, 0)]
    lengths = np.linalg.norm(bones, axis=-1)
    np.testing.assert_allclose(
        lengths, np.broadcast_to(dancer.codec.lengths, lengths.shape), atol=1e-4
    )


def test_a_style_starts_from_its_own_seed_clips_and_changes_the_dance(dancer):
    dances = {
        style: make_motions(dancer, DanceSettings(seconds=1, seed=4, style=style, count=6))
        for style in ("slow", "fast", "slow:0.5,fast:0.5")
    }
    first = {style: np.stack([c.positions[0] for c in clips]) for style, clips in dances.items()}
    assert not np.allclose(first["slow"], first["fast"])
    named = DanceSettings(seconds=1, seed=4, start="0")
    one, other = (
        make_motions(dancer, DanceSettings(**{**vars(named), "style": style}))[0].positions
        for style in ("slow", "fast")
    )
    assert not np.allclose(one, other)


def test_another_frame_rate_keeps_the_tempo_and_the_path(dancer):
    slow = make_motions(dancer, DanceSettings(seconds=2, seed=4))[0]
    fast = make_motions(dancer, DanceSettings(seconds=2, seed=4, fps=60))[0]
    assert (fast.fps, fast.num_frames) == (60, 120)
    # Floor and standing feet are found over the whole of each, and one is some frames longer.
    poses = [clip.positions - clip.positions[:, :1] for clip in (fast, slow)]
    np.testing.assert_allclose(poses[0][::2][:50], poses[1][:50], atol=1e-3)


def test_another_side_is_another_picture_of_the_same_dance(here, tmp_path):
    seen = {}
    for yaw in ("0", "90"):
        path = tmp_path / f"{yaw}.mp4"
        assert run("-o", str(path), "--yaw", yaw, "--scale", "1") == 0
        assert Recipe.read(path).settings.yaw == float(yaw)
        seen[yaw] = pictures(path)
    assert np.abs(seen["0"] - seen["90"]).max() > 200


def test_a_video_of_joints_can_be_made_again(here, tmp_path):
    path = tmp_path / "a.mp4"
    assert run("-o", str(path), "--style", "slow", "--scale", "1") == 0
    assert (
        generate_video.main(
            ["--replay", str(path), "--model", "weights/joints", "-o", str(tmp_path / "b.mp4")]
        )
        == 0
    )
    np.testing.assert_array_equal(pictures(path), pictures(tmp_path / "b.mp4"))


def test_files_of_a_person_are_not_replaced_unasked(here, tmp_path, capsys):
    path = tmp_path / "mine.bvh"
    path.write_text("precious")
    assert run("-o", str(path)) == 1
    assert path.read_text() == "precious" and "--overwrite" in capsys.readouterr().err
    assert run("-o", str(path), "--overwrite") == 0 and path.read_text() != "precious"


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--style", "tango"], "does not know the style 'tango': it knows fast, slow"),
        (["--style", "slow:x"], "salsa:0.7,modern:0.3; received 'slow:x'"),
        (["--style", "slow:0"], "must not all be 0"),
        (["--style", "slow,slow"], "received 'slow,slow'"),
        (["--latents-out", "l.npz"], "has no latents to store"),
        (["--start", "latents.npz:3"], "has no latents to start from"),
        (["-o", "dance.mp4", "--format", "bvh"], "does not end with .bvh"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_one_sentence(here, capsys, flags, message):
    assert run(*flags) == 1
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_silhouettes_are_not_written_as_joints_nor_turned():
    silhouettes = load_dancer("silhouette_v2")
    for options, message in (
        ({"path": "a.bvh"}, "cannot be written as .bvh"),
        ({"path": "a.mp4", "settings": DanceSettings(yaw=90)}, "have one side"),
        ({"path": "a.mp4", "settings": DanceSettings(style="salsa")}, "trained without styles"),
    ):
        with pytest.raises(UserError, match=message):
            write_dance(silhouettes, **options)
    with pytest.raises(UserError, match="which have no joints"):
        make_motions(silhouettes, DanceSettings(seconds=1))


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "needs files of motion"),
        (["a.bvh", "--variance", "1.5"], "--variance must be at most 1"),
        (["none.bvh"], "none.bvh is not a file"),
        (
            ["cut.bvh"],
            r"is cut: it holds 2\d whole frames of 90; 6\d are lost.*\n.*No recording has 1 s",
        ),
        (["nan.npy"], "NaN"),
        (["still.bvh"], "Nothing moves|nothing to dance|no dance"),
    ],
)
def test_bad_motions_are_named_and_leave_no_model(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    text = bvh_text(dancing(90))
    Path("a.bvh").write_text(text)
    Path("cut.bvh").write_text(text[: len(text) // 3])
    Path("still.bvh").write_text(bvh_text(still(90)))
    array = np.random.default_rng(0).normal(size=(90, 25, 3))
    array[20:40, 3] = np.nan
    np.save("nan.npy", array)
    status = train_dancer.main([*flags, *SMALL, "--name", "new"])
    said = capsys.readouterr().err
    assert status == 1 and "Traceback" not in said
    assert re.search(message, said), said
    assert not Path("weights/new").exists()


def test_motions_and_silhouettes_are_not_mixed_up(here, capsys):
    assert train_dancer.main(["a.bvh", "--name", "x"]) == 1
    assert "say --space skeleton" in capsys.readouterr().err


def test_a_motion_of_other_joints_does_not_fit_the_model(dancer):
    with pytest.raises(UserError, match="dances with 19 joints"):
        dancer.codec.encode(np.zeros((5, 25, 3), np.float32))


@pytest.mark.parametrize("num_joints", [25, 55])
def test_skeletons_of_any_number_of_joints_are_learned(tmp_path, monkeypatch, num_joints):
    monkeypatch.chdir(tmp_path)
    shorten_trainings(monkeypatch)
    rng = np.random.default_rng(1)
    time = np.arange(200)[:, None, None] / 30
    rest = rng.uniform(-0.4, 0.4, (1, num_joints, 3)) + [0, 1.0, 0]
    array = rest + 0.1 * np.sin(2 * time + rng.uniform(0, 6, (1, num_joints, 3)))
    np.save("dance.npy", array.transpose(1, 0, 2))
    flags = ["dance.npy", "--axes", "JT", "--up", "y", "--unit", "1", "--name", "any", *SMALL]
    assert train_dancer.main([*flags, "--variance", "1"]) == 0
    dancer = load_dancer("weights/any")
    # Every coordinate moves, and the body's turn and way beside them.
    assert dancer.codec.scaler.latent_dim >= 3 * num_joints
    clip = make_motions(dancer, DanceSettings(seconds=1, seed=0))[0]
    assert clip.positions.shape == (30, num_joints, 3)
    assert (
        generate_video.main(
            ["--model", "weights/any", "--seconds", "0.5", "-o", "any.mp4", "--yaw", "45"]
        )
        == 0
    )


def test_the_well_known_dance_of_55_joints_trains_at_32_mixtures(tmp_path, monkeypatch):
    path = shared("dance.npy")
    monkeypatch.chdir(tmp_path)
    shorten_trainings(monkeypatch)
    flags = [str(path), "--name", "dance", *SMALL]
    flags[flags.index("--num-mixtures") + 1] = "32"
    assert train_dancer.main(flags) == 0
    config = ModelFolder("weights/dance").read_config()
    assert np.isfinite(config.training["dancer"]["held_out"]["nats_per_dimension"])


def measured(*flags: str) -> int:
    return evaluate.main(
        [*flags, "--seeds", "1", "2", "--dances", "1", "--seconds", "3", "-o", "report"]
    )


def test_a_dancer_of_joints_is_measured_beside_the_recordings(here, capsys):
    flags = [*write_dances(here), "--labels", "labels.csv", "--frame-rate", "30"]
    assert measured("--model", "weights/joints", *flags) == 0
    said = capsys.readouterr().out
    report = json.loads(Path("report/report.json").read_text())
    rows = {row["key"]: row["columns"] for row in report["measures"]}
    # What is a picture's is left out, what is a body's is there.
    assert "iou" not in rows and "soft" not in rows
    assert rows["bones"]["model"]["mean"] < 1e-4
    assert rows["bones_decoded"]["real"]["mean"] < rows["bones_decoded"]["model"]["mean"]
    assert rows["freeze"]["freeze"]["mean"] == 1.0 and rows["energy"]["freeze"]["mean"] == 0.0
    assert 0.4 < rows["energy"]["real"]["mean"] < 2.5
    assert rows["slide"]["real"]["mean"] >= 0.0
    assert rows["held_out_nll"]["model"]["mean"] is not None
    assert report["frames"]["styles"] == ["fast", "slow"]
    assert "foot slide" in said and "IoU" not in said
    page = Path("report/report.html").read_text(encoding="utf-8")
    assert "data:video/mp4" in page and "kinetic" in page


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model", "weights/joints"], "dances with joints; name the files of motion"),
        (["--model", "silhouette_v2", "a.bvh"], "dances in silhouettes; name the frames"),
        (["--model", "weights/joints", "a.bvh", "--recipe-minutes", "1"], "leave it out"),
        (
            ["--model", "weights/joints", "other.npy", "--axes", "TJ", "--unit", "1"],
            "this model dances with 19",
        ),
        (["--model", "weights/joints", "a.bvh", "--style", "tango"], "does not know the style"),
    ],
)
def test_the_wrong_material_is_said_in_one_sentence(here, capsys, flags, message):
    Path("a.bvh").write_text(bvh_text(dancing(240)))
    array = np.random.default_rng(0).uniform(0, 1, (90, 25, 3)) + [0, 1, 0]
    np.save("other.npy", array.cumsum(axis=0) / 100)
    assert measured(*flags) == 1
    assert message in capsys.readouterr().err


def test_a_streamed_training_is_the_same_training(here, monkeypatch):
    shorten_trainings(monkeypatch)
    flags = [
        *write_dances(here),
        "--labels",
        "labels.csv",
        "--mirror",
        *SMALL,
        "--frame-rate",
        "30",
        "--overwrite",
    ]
    assert train_dancer.main([*flags, "--name", "whole"]) == 0
    assert train_dancer.main([*flags, "--name", "streamed", "--stream"]) == 0
    whole, streamed = (ModelFolder(f"weights/{name}") for name in ("whole", "streamed"))
    for name in ("codec.npz", "seeds.npz", "step.onnx"):
        arrays = [folder / name for folder in (whole, streamed)]
        assert files.sha256_of(arrays[0]) == files.sha256_of(arrays[1]), name
    first, second = (folder.read_config() for folder in (whole, streamed))
    assert first.dancer == second.dancer
    assert first.training["dancer"]["frames"] == second.training["dancer"]["frames"]


def test_a_stream_longer_than_what_is_fitted_is_fitted_on_parts_of_it(here, monkeypatch):
    from dancenet.data.mocap.reading import ReadOptions
    from dancenet.data.mocap.recordings import RecordingOptions, each_recording
    from dancenet.nets.training import dataset
    from dancenet.nets.training.windows import BatchOptions

    paths = write_dances(here)
    labels = recordings.Labels.read("labels.csv")
    options = RecordingOptions(labels=labels, reading=ReadOptions(frame_rate=30))

    def read():
        return each_recording(paths, options, quiet=True)

    whole = dataset.Dataset.of_stream(read, here / "whole.npy")
    monkeypatch.setattr(dataset, "_MOST_FITTED", 150)
    parts = dataset.Dataset.of_stream(read, here / "parts.npy")
    assert len(whole.vectors) == 480 and len(parts.vectors) <= 300
    assert parts.window_train == whole.window_train
    assert parts.dim > 0 and parts.style_names == ("fast", "slow")
    data = parts.windows(BatchOptions(16))
    batch = data.still(data.windows(parts.window_train, 8))
    # A window of the first clip, slow, and one of the last to learn from, fast.
    assert batch["style"][0].tolist() == [0, 1] and batch["style"][-1].tolist() == [1, 0]


def test_a_model_of_joints_is_no_model_of_pictures(here, tmp_path):
    from dancenet.data.frames.folder import FrameFolder
    from dancenet.data.frames.writer import FrameWriter
    from dancenet.generation.encode import encode_frames
    from scripts import train_vae

    frames = np.full((3, 120, 208), 255, np.uint8)
    writer = FrameWriter(tmp_path / "frames")
    writer.add_clip(iter(frames), source="a", fps=30.0, method="threshold")
    joints = ModelFolder("weights/joints")
    with pytest.raises(UserError, match="dances with joints and has no picture network"):
        encode_frames(joints, FrameFolder.open(tmp_path / "frames"))
    before = joints.sha256
    flags = ["--frames", str(tmp_path / "frames"), "--name", "joints", "--overwrite"]
    assert train_vae.main(flags) == 1
    assert ModelFolder("weights/joints").sha256 == before
    joints.check()
