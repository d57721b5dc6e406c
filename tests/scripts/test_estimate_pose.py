"""Films, pictures and cameras become recordings, JSON and films to look at."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from films import SHARED, write_film

from dancenet.data.footage.video import VideoFile
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.people.filters import MOVENET
from dancenet.data.people.keypoints.estimators import Body
from dancenet.data.people.landmarks import COCO_NAMES
from dancenet.data.people.poses import read_npz
from scripts import estimate_pose
from scripts.estimate_pose import main

MODELS = SHARED / "models"
# Places of the keypoints in a body, from its top, in its height.
ROWS = np.array([0.05] * 5 + [0.2] * 2 + [0.35] * 2 + [0.5] * 4 + [0.75] * 2 + [1.0] * 2)
ACROSS = np.array([0.0, *[0.1, -0.1] * 8])


class Blobs:
    """Finds each bright upright bar, and says that it is a body."""

    names, coco = COCO_NAMES, list(range(17))
    filter, filter_by_picture, is_multi = MOVENET, True, True

    def reset(self) -> None:
        pass

    def __call__(self, picture):
        bright = (picture.min(axis=2) > 150).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        bodies = []
        for left, top, width, height, area in stats[1:].tolist():
            if area < 40:
                continue
            x = left + width / 2 + ACROSS * height
            points = np.stack([x, top + ROWS * height, np.full(17, 0.9)], axis=1)
            bodies.append(Body(points.astype(np.float32), 0.9))
        return bodies


@pytest.fixture(autouse=True)
def fake(monkeypatch, tmp_path):
    monkeypatch.setattr(estimate_pose, "_estimator", lambda arguments: Blobs())
    monkeypatch.chdir(tmp_path)


def scene(*places: float, size=(160, 90)) -> np.ndarray:
    """A dark room with a bright bar for each person."""
    picture = np.full((size[1], size[0], 3), 40, np.uint8)
    for x in places:
        cv2.rectangle(picture, (int(x) - 5, 20), (int(x) + 5, 79), (230, 230, 230), cv2.FILLED)
    return picture


def film(path, *paths, frames: int = 30, fps: float = 30):
    """Writes people who walk from one place to another."""
    return write_film(
        path,
        (scene(*(a + (b - a) * index / frames for a, b in paths)) for index in range(frames)),
        fps,
    )


def test_a_film_becomes_a_recording_json_frames_and_a_film(tmp_path, capsys):
    film(tmp_path / "clip.mp4", (40, 110))
    outputs = ["me.npz", "me.json", "frames", "over.mp4", "over.gif"]
    flags = [word for output in outputs for word in ("-o", output)]
    assert main(["clip.mp4", *flags]) == 0
    assert "30 frames (1 s at 30 frames/s); person 1 in 30" in capsys.readouterr().out
    poses = read_npz("me.npz")
    assert poses.size == (160, 90) and poses.found.all()
    middle = poses.xy[:, 0, 0, 0]
    assert np.abs(middle - (40.5 + np.arange(30) * 70 / 30)).max() < 2
    assert read_skeleton("me.npz").ok.all()
    assert len(json.loads((tmp_path / "me.json").read_text())) == 30
    assert len(list((tmp_path / "frames").glob("clip_*_keypoints.json"))) == 30
    seen = list(VideoFile.open("over.mp4").frames())
    assert len(seen) == 30 and seen[0].shape == (90, 160, 3)
    # The colours of left and right.
    assert any((picture[..., 2].astype(int) - picture[..., 0] > 90).any() for picture in seen)
    assert any((picture[..., 0].astype(int) - picture[..., 2] > 90).any() for picture in seen)


def test_a_film_becomes_a_motion_in_space_that_other_programs_read(tmp_path):
    film(tmp_path / "duo.mp4", (40, 60), (110, 120), fps=25)
    assert main(["duo.mp4", "--people", "2", "-o", "duo.bvh"]) == 0
    for number in (1, 2):
        motion = read_skeleton(f"duo_{number}.bvh")
        assert motion.is_body and (motion.num_frames, motion.fps) == (30, 25)
    assert main(["duo.mp4", "-o", "duo_1.bvh"]) == 1  # it exists


def test_several_people_have_recordings_of_their_own(tmp_path):
    film(tmp_path / "duo.mp4", (30, 60), (130, 100))
    assert main(["duo.mp4", "--people", "3", "-o", "duo.npz", "-o", "duo.json"]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["duo_1.npz", "duo_2.npz"]
    ends = sorted(read_npz(f"duo_{who}.npz").xy[-1, 0, 0, 0] for who in (1, 2))
    assert ends == pytest.approx([59.5, 101.5], abs=2)
    tracks = {row["track_id"] for row in json.loads((tmp_path / "duo.json").read_text())}
    assert tracks == {1, 2}


def test_a_picture_a_folder_and_several_sources(tmp_path, capsys):
    cv2.imwrite("still.png", scene(80))
    assert main(["still.png"]) == 0
    (row,) = json.loads((tmp_path / "still.json").read_text())
    assert row["keypoints"][0] == pytest.approx(80.5, abs=1)
    assert main(["still.png", "-o", "over.png"]) == 0
    assert (cv2.imread("over.png") != cv2.imread("still.png")).any()
    folder = tmp_path / "walk"
    folder.mkdir()
    for index in range(12):
        cv2.imwrite(str(folder / f"{index}.png"), scene(40 + 2 * index))
    assert main(["walk", "still.png", "-o", "{name}_poses.json", "--json", "openpose"]) == 0
    assert len(json.loads((tmp_path / "walk_poses.json").read_text())) == 12
    assert len(json.loads((tmp_path / "still_poses.json").read_text())[0]["people"]) == 1
    assert "1 of the people" in capsys.readouterr().out


def test_a_large_film_keeps_its_own_pixels(tmp_path):
    write_film(
        tmp_path / "large.mp4",
        (cv2.resize(scene(60), (1280, 720), interpolation=cv2.INTER_NEAREST) for _ in range(8)),
        20,
    )
    assert main(["large.mp4", "-o", "a.npz"]) == 0
    poses = read_npz("a.npz")
    assert poses.size == (1280, 720) and poses.xy[0, 0, 0, 0] == pytest.approx(484, abs=4)


class Camera:
    """A camera of 10 pictures a second, on a clock of its own."""

    def __init__(self, number) -> None:
        self.now, self.left = 0.0, 15

    def isOpened(self):
        return True

    def read(self):
        if not self.left:
            return False, None
        self.left -= 1
        self.now += 0.1
        return True, scene(60 + self.left)[..., ::-1]

    def release(self):
        pass


def test_a_camera_is_followed_as_it_comes(tmp_path, monkeypatch, capsys):
    from dancenet.data.footage import camera

    opened = Camera(0)

    def watch(index, seconds):
        return original(index, seconds, opened, lambda: opened.now)

    original = camera.watch_camera
    monkeypatch.setattr(camera, "watch_camera", watch)
    arguments = ["--seconds", "1", "--fps", "20", "-o", "cam.mp4", "-o", "{name}.npz"]
    assert main(["camera", *arguments]) == 0
    poses = read_npz("camera0.npz")
    assert poses.fps == 20 and 17 <= poses.num_frames <= 21 and poses.found.all()
    assert len(list(VideoFile.open("cam.mp4").frames())) == poses.num_frames


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.mp4"], "none.mp4"),
        (["empty.mp4"], "empty.mp4"),
        (["text.mp4"], "text.mp4"),
        (["dark.mp4"], "Nobody was found in dark.mp4"),
        (["tiny.png"], "pictures of 10x10"),
        (["dark.png"], "Nobody was found in dark.png"),
        (["text.png"], "text.png"),
        (["dark.mp4", "-o", "a.xyz"], "a.xyz cannot be written"),
        (["dark.mp4", "-o", "a.png"], "a.png cannot be written"),
        (["dark.png", "-o", "a.mp4"], "a.mp4 cannot be written"),
        (["dark.mp4", "-o", "dark.mp4"], "both the source and the output"),
        (["dark.mp4", "-o", "mine.npz"], "mine.npz"),
        (["dark.mp4", "-o", "nowhere/a.npz"], "does not exist"),
        (["dark.mp4", "clip.mp4", "-o", "a.npz"], "put {name} into it"),
        (["dark.mp4", "other/dark.mp4", "-o", "{name}.npz"], "would be written for"),
        (["dark.mp4", "--people", "7"], "--people must be at most 6"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(tmp_path, capsys, arguments, said):
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("text.mp4", "text.png", "mine.npz"):
        (tmp_path / name).write_text("mine")
    cv2.imwrite("tiny.png", scene(5, size=(10, 10)))
    cv2.imwrite("dark.png", scene())
    (tmp_path / "other").mkdir()
    for name in ("dark.mp4", "other/dark.mp4"):
        film(tmp_path / name, frames=6)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("error:") == 1 and "Traceback" not in error
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert (tmp_path / "mine.npz").read_text() == "mine"


def test_one_bad_source_of_several_is_left_out(tmp_path, capsys):
    film(tmp_path / "clip.mp4", (40, 80), frames=10)
    (tmp_path / "text.mp4").write_text("no film")
    assert main(["clip.mp4", "text.mp4"]) == 1
    assert "It is left out." in capsys.readouterr().err
    assert read_npz("clip.npz").num_frames == 10


@pytest.mark.parametrize(("network", "people"), [("lightning", 1), ("multipose", 2), (None, 2)])
def test_the_networks_find_the_dancer_of_a_picture(monkeypatch, tmp_path, network, people):
    pytest.importorskip("ai_edge_litert")
    if not MODELS.exists():
        pytest.skip("../shared/models is absent")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    flags = ["--people", str(people)]
    if network:
        flags += ["--network", str(MODELS / f"movenet_{network}_fp16.tflite")]
    else:
        flags += ["--model-file", str(MODELS)]
    assert main([str(MODELS / "golden" / "pose.jpg"), *flags, "-o", "a.json"]) == 0
    (row,) = json.loads((tmp_path / "a.json").read_text())
    points = np.reshape(row["keypoints"], (17, 3))
    wrist, ankle = points[COCO_NAMES.index("left_wrist")], points[COCO_NAMES.index("right_ankle")]
    assert np.hypot(*(wrist[:2] - (715, 310))) < 40 and np.hypot(*(ankle[:2] - (345, 615))) < 40


def test_one_person_s_network_is_not_asked_for_two(monkeypatch, tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    if not MODELS.exists():
        pytest.skip("../shared/models is absent")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", scene(80))
    lightning = str(MODELS / "movenet_lightning_fp16.tflite")
    for network, said in (
        (lightning, "sees one person"),
        (str(MODELS / "selfie_segmentation.tflite"), "is not MoveNet"),
        ("nothing", "no network at"),
        ("a.png", "not a network of the LiteRT format"),
    ):
        assert main(["a.png", "--people", "2", "--network", network]) == 1
        assert said in capsys.readouterr().err
