"""Files of angles: their rate, the rest pose before them, and skeletons that are not known."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from motion_files import AMC, ASF, bvh_text, still

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.mocap.reading import whole_rate
from dancenet.support.errors import UserError


def write(tmp_path, text, name="dance.bvh"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize(
    "time, fps",
    [(0.016667, 60), (0.00833333, 120), (0.0333333, 30), (0.04, 25), (1001 / 30000, 30000 / 1001)],
)
def test_a_frame_time_of_a_few_digits_is_a_whole_rate(time, fps):
    assert whole_rate(1 / time) == pytest.approx(fps, rel=1e-9)


def test_a_rest_pose_put_before_the_recording_is_marked_and_not_measured(tmp_path):
    values = still(60)
    values[:, 6:] = 20.0
    values[:, 3] = 90.0
    values[0] = still(1)[0]
    values[1:8] = (values[0] + values[20]) / 2  # the ringing
    clip = read_skeleton(write(tmp_path, bvh_text(values)))
    assert clip.num_frames == 60
    assert not clip.ok[:8].any() and clip.ok[8:].all()
    assert "begins with a rest pose" in clip.warnings[0]


def test_a_dancer_who_begins_in_a_rest_pose_is_kept(tmp_path):
    values = still(60)
    values[:, 6:] = np.linspace(0, 20, 60)[:, None]
    assert read_skeleton(write(tmp_path, bvh_text(values))).ok.all()


def test_an_amc_of_a_strange_skeleton_keeps_its_bones_and_says_so(tmp_path):
    write(tmp_path, ASF, "leg.asf")
    path = write(tmp_path, AMC, "leg.amc")
    clip = read_skeleton(path, unit=0.05)
    assert clip.names == ("root", "thigh", "shin", "foot")
    assert any("no bone lowerback" in sentence for sentence in clip.warnings)


def test_an_amc_without_its_skeleton_says_so(tmp_path):
    (tmp_path / "leg.amc.gz").write_bytes(gzip.compress(AMC.encode()))
    with pytest.raises(UserError, match="needs its skeleton, a file leg.asf"):
        read_skeleton(tmp_path / "leg.amc.gz")


def test_a_motion_without_a_rate_needs_one(tmp_path):
    path = write(tmp_path, bvh_text(still(2), frame_time="0"))
    with pytest.raises(UserError, match="does not say its frame time"):
        read_skeleton(path)
    assert read_skeleton(path, frame_rate=24).fps == 24


@pytest.mark.parametrize(
    "options, message",
    [
        ({"frame_rate": 0}, "must be above 0, received 0"),
        ({"frame_rate": float("nan")}, "must be above 0"),
        ({"unit": -1}, "must be above 0, received -1"),
        ({"up": "w"}, "is one of x, y, z"),
        ({"axes": "JTC"}, "are TJ .* or JT"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        read_skeleton(write(tmp_path, bvh_text(still(2))), **options)
