"""ASF/AMC files: closed-form kinematics, which skeleton belongs to them, and broken files."""

from __future__ import annotations

import numpy as np
import pytest
from motion_files import AMC, ASF

from dancenet.data.mocap.formats.amc import bone_ends, find_asf, read_amc, read_asf
from dancenet.support.errors import UserError


def files(tmp_path, asf=ASF, amc=AMC):
    (tmp_path / "leg.asf").write_text(asf)
    (tmp_path / "leg.amc").write_text(amc)
    return tmp_path / "leg.asf", tmp_path / "leg.amc"


def ends(tmp_path, **changes):
    asf, amc = files(tmp_path, **changes)
    skeleton = read_asf(asf)
    return bone_ends(skeleton, read_amc(amc, skeleton)[0])


def test_the_unit_is_an_inch_over_the_length(tmp_path):
    assert read_asf(files(tmp_path)[0]).unit == pytest.approx(0.0254 / 0.45)


def test_bones_hang_end_to_end_in_the_rest_pose(tmp_path):
    places = ends(tmp_path)
    assert np.allclose(places["root"][0], [1, 2, 3])
    assert np.allclose(places["thigh"][0], [1, -6, 3])  # 8 long, whatever the direction's length
    assert np.allclose(places["shin"][0], [1, -13, 3])
    assert np.allclose(places["foot"][0], [1, -13, 5])


def test_a_bone_turns_in_the_frame_of_its_parent(tmp_path):
    # The root's quarter turn about z follows the thigh's about x: down, to -z, stays -z.
    assert np.allclose(ends(tmp_path)["thigh"][1], [0, 0, -8])


def test_degrees_of_freedom_turn_in_their_order(tmp_path):
    # Down by a quarter about x is -z; the quarter about z leaves it there.
    assert np.allclose(ends(tmp_path)["thigh"][2], [0, 0, -8])


def test_a_bone_turns_about_its_own_axis(tmp_path):
    # The shin's x axis is turned by 90 degrees about z, so it is y: a shin along y stays.
    straight = ends(tmp_path, amc=AMC.replace("shin 0\n3", "shin 90\n3"))
    places = ends(tmp_path)
    assert np.allclose(straight["shin"][1], places["shin"][1])
    assert not np.allclose(straight["foot"][1], places["foot"][1])


def test_radians_are_read_as_radians(tmp_path):
    quarter = f"{np.pi / 2:.9f}"
    asf = ASF.replace("angle deg", "angle rad").replace("90", quarter)
    radians = ends(tmp_path, asf=asf, amc=AMC.replace("90", quarter))
    degrees = ends(tmp_path)
    assert all(np.allclose(radians[name], degrees[name], atol=1e-6) for name in degrees)


@pytest.mark.parametrize("name", ["leg.asf", "le.asf", "unlike.asf", "leg.ASF"])
def test_the_skeleton_is_found_beside_the_motion(tmp_path, name):
    (tmp_path / name).write_text(ASF)
    assert find_asf(tmp_path / "leg.amc").name == name


def test_of_two_skeletons_the_one_with_the_motions_name_is_taken(tmp_path):
    for name in ("07.asf", "08.asf"):
        (tmp_path / name).write_text(ASF)
    assert find_asf(tmp_path / "08_03.amc.gz").name == "08.asf"


def test_a_missing_skeleton_is_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"needs its skeleton, a file leg.asf.*there is none"):
        find_asf(tmp_path / "leg.amc")
    for name in ("07.asf", "08.asf"):
        (tmp_path / name).write_text(ASF)
    with pytest.raises(UserError, match="there are 07, 08"):
        find_asf(tmp_path / "leg.amc")


def test_a_cut_motion_keeps_its_whole_frames(tmp_path):
    asf, amc = files(tmp_path, amc=AMC[: AMC.rindex("shin")])
    motion, warnings = read_amc(amc, read_asf(asf))
    assert len(motion["root"]) == 2
    assert "cut in frame 3" in warnings[0]


@pytest.mark.parametrize(
    "asf, amc, message",
    [
        (ASF.replace(":bonedata", ":bones"), AMC, "not an .asf skeleton.*no bonedata"),
        (ASF[: ASF.index(":hierarchy")], AMC, "not an .asf skeleton.*no hierarchy"),
        (ASF.replace("length 7", "length"), AMC, "cannot be read"),
        (ASF.replace("shin foot", "knee foot"), AMC, "the bone 'knee' has no parent"),
        (ASF, "HIERARCHY\n", "is not an .amc file"),
        (ASF, AMC.replace("thigh 90 0", "thigh 90"), "Frame 2 .* has 1 values for thigh"),
        (ASF, AMC.replace("shin 0\n3", "3"), "Frame 2 .* has 0 values for shin"),
        (ASF, AMC.replace("shin 0\n3", "shin 0\nfin 0\n3"), "Frame 2 .* has a bone fin"),
        (ASF, AMC.replace("thigh 90 0", "thigh nan 0"), "Frame 2 .*'nan' for thigh rx"),
    ],
)
def test_a_broken_file_says_what_is_broken(tmp_path, asf, amc, message):
    with pytest.raises(UserError, match=message):
        ends(tmp_path, asf=asf, amc=amc)


@pytest.mark.parametrize("skeleton_says", [True, False])
def test_radians_are_read_as_radians_whichever_file_says_so(tmp_path, skeleton_says):
    quarter = f"{np.pi / 2:.9f}"
    amc = AMC.replace("90", quarter)
    if skeleton_says:
        asf = ASF.replace("angle deg", "angle rad").replace("90", quarter)
        amc = amc.replace(":DEGREES\n", "")
    else:
        asf, amc = ASF, amc.replace(":DEGREES", ":RADIANS")
    radians, degrees = ends(tmp_path, asf=asf, amc=amc), ends(tmp_path)
    assert all(np.allclose(radians[name], degrees[name], atol=1e-6) for name in degrees)


def test_two_files_that_disagree_about_angles_are_read_by_their_size(tmp_path):
    asf, amc = files(tmp_path, amc=AMC.replace(":DEGREES", ":RADIANS"))
    motion, warnings = read_amc(amc, read_asf(asf))
    assert motion["thigh"][1, 0] == 90 and "taken to be degrees" in warnings[0]


def test_bones_may_be_listed_children_first(tmp_path):
    asf = ASF.replace(
        "    thigh shin\n    root thigh\n", "    shin foot\n    thigh shin\n"
    ).replace("    shin foot\n  end", "    root thigh\n  end")
    assert list(read_asf(files(tmp_path, asf=asf)[0]).bones) == ["root", "thigh", "shin", "foot"]


def test_frames_that_do_not_follow_one_another_are_said(tmp_path):
    asf, amc = files(tmp_path, amc=AMC.replace("\n3\n", "\n7\n"))
    motion, warnings = read_amc(amc, read_asf(asf))
    assert len(motion["root"]) == 3 and "do not follow one another" in warnings[0]


@pytest.mark.parametrize(
    "asf, amc, message",
    [
        (ASF.replace("shin foot", "shin foot\n    foot thigh"), AMC, "'thigh' has two parents"),
        (ASF.replace("root thigh", "foot thigh"), AMC, "has no parent"),  # in a circle
        (ASF.replace("name shin", "name thigh"), AMC, "two bones are called 'thigh'"),
        (ASF.replace("name shin", "id 7"), AMC, "bone number 2 has no name"),
        (ASF.replace("shin foot", "shin toe"), AMC, "'toe' is in its hierarchy and not described"),
        (ASF.replace("direction 0 -1 0", "direction 0 0 0"), AMC, "a length and no direction"),
        (ASF.replace("direction 0 -1 0", "direction 0 -1"), AMC, "has 2 numbers instead of 3"),
        (ASF.replace("length 7", "length nan"), AMC, "'nan', which is no number"),
        (ASF.replace("length 0.45", "length 0"), AMC, "the length in :units is 0"),
        (ASF.replace("length 0.45", "length -1"), AMC, "the length in :units is -1"),
        (ASF.replace("dof rx rz", "dof rx rx"), AMC, "the freedom of the bone 'thigh' is 'rx rx'"),
        (ASF.replace("dof rx rz", "dof rq"), AMC, "the freedom of"),
        (ASF.replace("axis 0 0 90 XYZ", "axis 0 0 90 XXZ"), AMC, "the order of an axis is 'XXZ'"),
        (ASF, AMC.replace("\n1\n", "\n²\n"), "is not an .amc file"),
        (ASF, AMC.replace("\n1\n", "\n١\n"), "is not an .amc file"),
        (ASF, AMC.replace("shin 0\n3", "shin 0\nshin 0\n3"), "the bone shin twice"),
        (ASF, AMC.replace("thigh 90 0", "thigh 1e30 0"), "'1e30' for thigh rx"),
        (ASF, AMC.replace("shin 90", "shin ٩"), "'٩' for shin rx"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(tmp_path, asf, amc, message):
    with pytest.raises(UserError, match=message) as caught:
        ends(tmp_path, asf=asf, amc=amc)
    assert str(caught.value).isprintable()


def test_a_bone_without_length_needs_no_direction(tmp_path):
    asf = ASF.replace("direction 0 -1 0\n     length 7", "direction 0 0 0\n     length 0")
    places = ends(tmp_path, asf=asf)
    assert np.array_equal(places["shin"], places["thigh"])


def test_what_a_file_manager_leaves_beside_a_skeleton_is_passed_over(tmp_path):
    (tmp_path / "07.asf").write_text(ASF)
    (tmp_path / "._07.asf").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    assert find_asf(tmp_path / "walk.amc").name == "07.asf"
