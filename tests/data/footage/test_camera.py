"""A camera is recorded at the speed of the clock."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.data.footage.camera import camera_index, record_camera, watch_camera
from dancenet.data.footage.video import open_footage
from dancenet.support.errors import UserError


def count(footage):
    return sum(1 for _ in footage.frames())


class FakeCamera:
    """A camera of 10 pictures a second, on a clock of its own."""

    def __init__(self, opened=True, num_pictures=1000):
        self.opened, self.left, self.now, self.released = opened, num_pictures, 0.0, False

    def isOpened(self):
        return self.opened

    def read(self):
        if not self.left:
            return False, None
        self.left -= 1
        self.now += 0.1
        return True, np.full((48, 64, 3), 100, np.uint8)

    def release(self):
        self.released = True


def test_a_slow_camera_is_recorded_at_the_speed_of_the_clock(tmp_path):
    camera = FakeCamera()
    path = tmp_path / "c.mkv"
    written = record_camera(0, 2.0, path, 30.0, camera, lambda: camera.now)
    assert written == 60
    assert camera.released
    assert count(open_footage(path)) == 60


def test_a_camera_that_stops_keeps_what_it_gave(tmp_path, capsys):
    camera = FakeCamera(num_pictures=6)
    path = tmp_path / "c.mkv"
    assert record_camera(0, 2.0, path, 10.0, camera, lambda: camera.now) in (5, 6)
    assert "stopped after" in capsys.readouterr().err
    assert count(open_footage(path)) in (5, 6)


def test_a_camera_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(UserError, match="Camera 3 cannot be opened"):
        record_camera(3, 1.0, tmp_path / "c.mkv", capture=FakeCamera(opened=False))


def test_a_number_is_a_camera_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert camera_index("0") == 0
    assert camera_index("dance.mp4") is None
    (tmp_path / "7").touch()
    assert camera_index("7") is None
    for name in ("²", "٣", "1²", "-1", "", " 1", "9" * 300, "1.0"):
        assert camera_index(name) is None, name


@pytest.mark.parametrize("fps", [0.0003, 1e12])
def test_a_camera_is_not_recorded_at_a_rate_of_no_dance(tmp_path, fps):
    with pytest.raises(UserError, match="Nothing can dance at"):
        record_camera(0, 1.0, tmp_path / "c.mkv", fps, FakeCamera())


def test_a_camera_is_watched_at_its_own_pace(capsys):
    camera = FakeCamera()
    seen = list(watch_camera(0, 1.0, camera, lambda: camera.now))
    times = [time for time, _ in seen]
    assert times[0] == 0.0 and times == sorted(times) and 9 <= len(times) <= 11
    assert seen[0][1].shape == (48, 64, 3) and camera.released
    stopping = FakeCamera(num_pictures=4)
    assert len(list(watch_camera(0, 9.0, stopping, lambda: stopping.now))) == 4
    assert "stopped after" in capsys.readouterr().err


def test_a_camera_that_cannot_be_watched_says_so():
    with pytest.raises(UserError, match="Camera 2 cannot be opened"):
        list(watch_camera(2, 1.0, FakeCamera(opened=False)))
