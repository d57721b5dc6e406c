"""BVH files: closed-form kinematics, and messages about broken files."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from motion_files import bvh_text, still

from dancenet.data.mocap.formats.bvh import axis_rotation, joint_positions
from dancenet.data.mocap.formats.bvh_text import read_bvh
from dancenet.support.errors import UserError

ARM = """HIERARCHY
ROOT base
{
  OFFSET 0 0 0
  CHANNELS %s
  JOINT arm { OFFSET 0 10 0 CHANNELS %s
    End Site
    {
      OFFSET 0 5 0
    }
  }
}
MOTION
Frames: 1
Frame Time: 0.02
%s
"""


def arm(tmp_path, root, joint, values):
    """Returns the positions of a chain of two bones, 10 and 5 long, in one frame."""
    path = tmp_path / "arm.bvh"
    text = ARM % (root, joint, values)
    path.write_text(text.replace("OFFSET 0 10 0 CHANNELS", "\nOFFSET 0 10 0\nCHANNELS"))
    motion = read_bvh(path)
    return {name: place[0] for name, place in joint_positions(motion).items()}


def body(tmp_path, edit=lambda text: text, num_frames=4):
    path = tmp_path / "body.bvh"
    path.write_text(edit(bvh_text(still(num_frames))))
    return path


@pytest.mark.parametrize("axis", range(3))
def test_a_quarter_turn_brings_each_axis_to_the_next(axis):
    turn = axis_rotation(axis, np.array([90.0]))[0]
    first, second = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
    assert np.allclose(turn @ first, second)
    assert np.allclose(turn @ np.eye(3)[axis], np.eye(3)[axis])


def test_a_quarter_turn_about_z_lays_an_upright_arm_to_the_left(tmp_path):
    places = arm(tmp_path, "3 Zrotation Xrotation Yrotation", "1 Zrotation", "90 0 0 0")
    assert np.allclose(places["arm"], [-10, 0, 0])
    assert np.allclose(places["arm/end"], [-15, 0, 0])


def test_a_joint_turns_in_the_frame_of_its_parent(tmp_path):
    places = arm(tmp_path, "1 Zrotation", "1 Zrotation", "90 90")
    assert np.allclose(places["arm"], [-10, 0, 0])
    assert np.allclose(places["arm/end"], [-10, -5, 0])


@pytest.mark.parametrize(
    "order, expected",
    [("Zrotation Xrotation", [0, 0, 10]), ("Xrotation Zrotation", [-10, 0, 0])],
)
def test_rotations_multiply_in_the_order_of_the_channels(tmp_path, order, expected):
    places = arm(tmp_path, f"2 {order}", "0", "90 90")
    assert np.allclose(places["arm"], expected)


def test_position_channels_of_a_root_move_everything(tmp_path):
    places = arm(tmp_path, "3 Zposition Xposition Yrotation", "0", "3 2 0")
    assert np.allclose(places["base"], [2, 0, 3])
    assert np.allclose(places["arm"], [2, 10, 3])


def test_position_channels_of_a_joint_replace_its_offset_or_add_to_it(tmp_path):
    channels = "3 Xposition Yposition Zposition"
    replaced = arm(tmp_path, "1 Zrotation", channels, "0 0.5 9 0")
    added = arm(tmp_path, "1 Zrotation", channels, "0 0.5 -1 0")
    assert np.allclose(replaced["arm"], [0.5, 9, 0])
    assert np.allclose(added["arm"], [0.5, 9, 0])


def test_only_the_joints_asked_for_are_returned(tmp_path):
    motion = read_bvh(body(tmp_path))
    assert set(joint_positions(motion, ["LeftHand", "Head"])) == {"LeftHand", "Head"}


def test_a_gzipped_file_is_known_by_its_content(tmp_path):
    text = bvh_text(still(3))
    (tmp_path / "plain.bvh").write_text(text)
    (tmp_path / "packed.bvh").write_bytes(gzip.compress(text.encode()))
    plain, packed = read_bvh(tmp_path / "plain.bvh"), read_bvh(tmp_path / "packed.bvh")
    assert plain.names == packed.names and np.array_equal(plain.values, packed.values)


def test_carriage_returns_tabs_and_a_byte_order_mark_do_not_matter(tmp_path):
    path = body(tmp_path, lambda text: "\ufeff" + text.replace("\n", "\r\n"))
    assert read_bvh(path).num_frames == 4


def test_a_file_cut_in_a_frame_keeps_the_whole_ones_and_counts_the_lost(tmp_path):
    path = body(tmp_path, lambda text: text[:-150], num_frames=10)
    motion = read_bvh(path)
    assert motion.num_frames == 8  # a frame of zeros has about 135 characters
    assert "8 whole frames of 10; 2 are lost" in motion.warnings[0]


def test_a_file_cut_in_its_last_number_loses_that_frame(tmp_path):
    path = body(tmp_path, lambda text: text.rsplit("\n", 3)[0], num_frames=10)
    motion = read_bvh(path)
    assert motion.num_frames == 7
    assert motion.warnings


def test_a_cut_gzip_keeps_what_unpacks(tmp_path):
    rng = np.random.default_rng(0)
    values = still(400)
    values[:, 3:] = 10 * rng.normal(size=values[:, 3:].shape)
    data = gzip.compress(bvh_text(values).encode())
    (tmp_path / "cut.bvh.gz").write_bytes(data[: len(data) // 2])
    motion = read_bvh(tmp_path / "cut.bvh.gz")
    assert 100 < motion.num_frames < 300
    assert np.allclose(motion.values, values[: motion.num_frames], rtol=1e-5, atol=1e-5)
    assert len(motion.warnings) == 2


def test_more_frames_than_announced_are_used(tmp_path):
    motion = read_bvh(body(tmp_path, lambda text: text.replace("Frames: 4", "Frames: 2")))
    assert motion.num_frames == 4
    assert "announces 2 frames and holds 4" in motion.warnings[0]


def number(text, row, column, word):
    """Replaces one number of the motion."""
    lines = text.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    words = lines[first + row].split()
    words[column] = word
    lines[first + row] = " ".join(words)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda text: "mesh\n" + text, "is not a BVH file.*begins with 'mesh HIER"),
        (lambda text: "", "is empty"),
        (lambda text: text[: text.index("MOTION")], "ends before its MOTION"),
        (lambda text: text.replace("}", "", 1), "ends before its last bracket"),
        (lambda text: text[: text.index("Frame Time")], "holds no whole frame"),
        (lambda text: text.replace("CHANNELS 3", "CHANNELS 4", 1), "cannot be read at the line"),
        (lambda text: text.replace("Zrotation", "Wrotation", 1), "cannot be read at the line"),
        (lambda text: text.replace("OFFSET 0 10 0", "OFFSET 0 ten 0"), "line 'OFFSET 0 ten 0'"),
        (lambda text: number(text, 1, 4, ""), "Frame 2 .* has 68 values; .* 69 channels"),
        (lambda text: number(text, 1, 4, "1 2"), "Frame 2 .* has 70 values; .* 69 channels"),
        (lambda text: number(text, 2, 4, "nan"), "Frame 3 .*'nan' for Hips xrotation"),
        (lambda text: number(text, 2, 4, "-inf"), "Frame 3 .*'-inf' for Hips xrotation"),
        (lambda text: number(text, 0, 6, "1,5"), "Frame 1 .*'1,5' for Spine zrotation"),
    ],
)
def test_a_broken_file_says_what_is_broken(tmp_path, edit, message):
    with pytest.raises(UserError, match=message):
        read_bvh(body(tmp_path, edit))


def test_a_missing_file_is_a_plain_error(tmp_path):
    with pytest.raises(UserError, match="is not a file"):
        read_bvh(tmp_path / "none.bvh")


LEGS = """HIERARCHY
ROOT Hips
{
OFFSET 0 95 0
CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
JOINT %s
{
OFFSET 9 -80 0
CHANNELS 3 Zrotation Xrotation Yrotation
End Site
{
OFFSET 0 -20 5
}
}
JOINT %s
{
OFFSET -9 -80 0
CHANNELS 3 Zrotation Xrotation Yrotation
End Site
{
OFFSET 0 -20 5
}
}
}
MOTION
Frames: 3
Frame Time: 0.04
0 95 0 0 0 0 10 0 0 1 0 0
0 96 0 0 0 0 20 0 0 2 0 0
0 97 0 0 0 0 30 0 0 3 0 0
"""


def legs(tmp_path, left="LegA", right="LegB", edit=lambda text: text, encoding="utf-8"):
    path = tmp_path / "legs.bvh"
    path.write_bytes(edit(LEGS % (left, right)).encode(encoding))
    return read_bvh(path)


def test_joints_of_one_name_get_a_number_with_a_warning(tmp_path):
    motion = legs(tmp_path, "Leg", "Leg")
    assert motion.names == ("Hips", "Leg", "Leg/end", "Leg_2", "Leg_2/end")
    assert "the second 'Leg' is called 'Leg_2'" in motion.warnings[0]
    assert len(joint_positions(motion)) == 5
    assert legs(tmp_path, "Hips", "Hips_2").names[1::2] == ("Hips_3", "Hips_2")


def test_a_joint_that_is_called_like_an_end_site_is_none(tmp_path):
    motion = legs(tmp_path, "LegB/end", "LegB")
    assert motion.names == ("Hips", "LegB_end", "LegB_end/end", "LegB", "LegB/end")


def test_a_joint_may_have_several_end_sites_or_none(tmp_path):
    end = "End Site\n{\nOFFSET 0 -20 5\n}\n"
    motion = legs(tmp_path, edit=lambda text: text.replace(end, end * 2, 1))
    assert motion.names[1:4] == ("LegA", "LegA/end", "LegA_2/end")
    places = joint_positions(motion)
    assert np.array_equal(places["LegA/end"], places["LegA_2/end"])
    assert legs(tmp_path, edit=lambda text: text.replace(end, "")).names == ("Hips", "LegA", "LegB")


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n", 20),
        lambda text: text.replace("\n", " \t\n"),
        lambda text: text.replace("\n", "\n\f\n"),
        lambda text: text + "\0" * 40,
        lambda text: "# by hand\n" + text.replace("MOTION", "// here\nMOTION"),
        lambda text: text.lower().replace("lega", "LegA").replace("legb", "LegB"),
        lambda text: text.replace("End Site", "End Site Toe"),
        lambda text: text.replace("0 0 0 ", "0 0\n0 "),
        lambda text: text.split("0.04\n")[0] + "0.04\n" + " ".join(text.split("0.04\n")[1].split()),
        lambda text: text.replace("OFFSET 9 ", "OFFSET\n9 ").replace(
            "CHANNELS 3 Z", "CHANNELS 3\nZ"
        ),
        lambda text: text.replace("0 0 0 ", "0, 0, 0, "),
        lambda text: text.replace("Frames: 3\n", ""),
        lambda text: text.replace("Xposition", "Xtranslation"),
    ],
)
def test_the_same_legs_are_read_however_they_are_written(tmp_path, edit):
    plain, motion = legs(tmp_path), legs(tmp_path, edit=edit)
    assert motion.values == pytest.approx(plain.values)
    assert (motion.frame_time, len(motion.names)) == (0.04, 5)
    assert np.array_equal(motion.offsets, plain.offsets)


def test_decimal_commas_are_points(tmp_path):
    motion = legs(
        tmp_path, edit=lambda text: text.replace("95 0", "95,5 0").replace("0.04", "0,04")
    )
    assert motion.values[0, 1] == 95.5 and motion.offsets[0, 1] == 95.5
    assert motion.frame_time == 0.04


@pytest.mark.parametrize(
    "encoding, left, right",
    [
        ("cp932", "左足", "右足"),
        ("gbk", "左腿", "右腿"),
        ("cp949", "왼발", "오른발"),
        ("utf-16", "左足", "右足"),
        ("cp1252", "Hüfte", "Füße"),
    ],
)
def test_names_keep_their_letters_in_any_encoding(tmp_path, encoding, left, right):
    motion = legs(tmp_path, left, right, encoding=encoding)
    assert motion.names[1::2] == (left, right)
    assert "is not UTF-8" in motion.warnings[0]


def test_channels_of_scale_are_passed_over_with_a_warning(tmp_path):
    scaled = "CHANNELS 9 Xscale Yscale Zscale Xposition"
    motion = legs(
        tmp_path,
        edit=lambda text: text.replace("CHANNELS 6 Xposition", scaled).replace(
            "\n0 9", "\n1 1 1 0 9"
        ),
    )
    assert np.array_equal(motion.values, legs(tmp_path).values)
    assert "channels of scale are not used" in motion.warnings[0]


def test_turns_that_may_be_radians_are_said(tmp_path):
    small = legs(
        tmp_path,
        edit=lambda text: (
            text.replace("0 10 0", "0 1.5 0").replace(" 20 ", " 2 ").replace(" 30 ", " 3 ")
        ),
    )
    assert "if these are radians" in small.warnings[-1]
    assert not legs(tmp_path).warnings


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda text: text.replace("JOINT LegB", "}\nROOT LegB"), "holds two skeletons"),
        (lambda text: text.replace("97 0", "٩٧ 0"), "'٩٧' for Hips yposition"),
        (lambda text: text.replace("97 0", "9_7 0"), "'9_7' for Hips yposition"),
        (lambda text: text.replace("97 0", "1e30 0"), "'1e30' for Hips yposition"),
        (lambda text: text.replace("97 0", "\x1b[2J 0"), "Frame 3 .* for Hips yposition"),
        (lambda text: text.replace("95 0", "9\x005 0"), "cannot be read at the line"),
        (lambda text: text.replace("CHANNELS 3", "CHANNELS ²", 1), "cannot be read at the line"),
        (lambda text: text.replace("OFFSET -9 -80 0\n", ""), "'LegB' in .* has no OFFSET"),
    ],
)
def test_more_broken_files_say_what_is_broken(tmp_path, edit, message):
    with pytest.raises(UserError, match=message) as caught:
        legs(tmp_path, edit=edit)
    assert str(caught.value).isprintable()


def chain(count):
    """Returns a hierarchy of `count` joints, each in the one before."""
    joints = "".join(
        f"{'JOINT' if n else 'ROOT'} j{n}\n{{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\n"
        for n in range(count)
    )
    motion = f"MOTION\nFrames: 1\nFrame Time: 0.04\n{'0 ' * count}\n"
    return f"HIERARCHY\n{joints}" + "}\n" * count + motion


def test_a_thousand_joints_in_each_other_are_read_and_more_are_refused(tmp_path):
    path = tmp_path / "a.bvh"
    path.write_text(chain(1000))
    assert joint_positions(read_bvh(path))["j999"][0].tolist() == [0, 1000, 0]
    for count in (1001, 100_000):
        path.write_text(chain(count))
        with pytest.raises(UserError, match="more than 1,000 joints"):
            read_bvh(path)


def test_more_points_than_can_be_held_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("dancenet.data.mocap.formats.bvh_text.MOST_POINTS", 14)
    with pytest.raises(UserError, match="3 frames of 5 joints, more than is read"):
        legs(tmp_path)


@pytest.mark.parametrize("count", ["9" * 5000, "-3", "1e3", "٣", "none"])
def test_a_count_of_frames_that_is_no_number_is_passed_over(tmp_path, count):
    motion = legs(tmp_path, edit=lambda text: text.replace("Frames: 3", f"Frames: {count}"))
    assert motion.num_frames == 3
