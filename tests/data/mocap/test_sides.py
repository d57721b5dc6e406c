"""Left and right in the names of many programs, and words that only look like them."""

from __future__ import annotations

import pytest

from dancenet.data.mocap.sides import other_sides, split_side

LEFT = {
    "L_Hip": "hip",
    "hip_L": "hip",
    "thigh.L": "thigh",
    "thigh.L.001": "thigh",
    "DEF-forearm.L.002": "def forearm",
    "upperarm_l": "upperarm",
    "thigh_twist_01_l": "thigh twist",
    "HIP_LEFT": "hip",
    "LHIP": "hip",
    "LEFTHIP": "hip",
    "LeftLeg": "leg",
    "leftHip": "hip",
    "Left ankle": "ankle",
    "mixamorig:LeftUpLeg": "up leg",
    "Bip01 L Thigh": "bip thigh",
    "ValveBiped.Bip01_L_Calf": "valve biped bip calf",
    "CC_Base_L_Foot": "cc base foot",
    "J_Bip_L_UpperLeg": "j bip upper leg",
    "LHipJoint": "hip joint",
    "lfemur": "femur",
    "lThumb1": "thumb",
    "lShldr": "shldr",
    "armL": "arm",
    "Hand_Lt": "hand",
    "main_gauche": "main",
    "左足": "足",
    "左ひじ": "ひじ",
    "왼발": "발",
}
MIDDLE = (
    "Leg Lower Root Roll Ring Clavicle lower root roll ring lowerneck lowerback UpperLeg LowerLeg "
    "Lumbar Rib Rig Rear rear Lid lip Loc relax ear legLower armRoll ROOT LEG ROLL Reference "
    "LeftRight head 首 목 x"
).split()


def right(name: str) -> str:
    for one, other in (
        ("Left", "Right"),
        ("LEFT", "RIGHT"),
        ("left", "right"),
        ("Lt", "Rt"),
        ("gauche", "droite"),
        ("左", "右"),
        ("왼", "오른"),
        (".L", ".R"),
        ("_L", "_R"),
        (" L", " R"),
        ("_l", "_r"),
    ):
        if one in name:
            return name.replace(one, other, 1)
    if name[0] in "lL":
        return {"l": "r", "L": "R"}[name[0]] + name[1:]
    return name[:-1] + "R"


@pytest.mark.parametrize("name", LEFT)
def test_a_side_is_told_from_the_name(name):
    assert split_side(name) == ("l", tuple(LEFT[name].split()))
    assert split_side(right(name)) == ("r", tuple(LEFT[name].split()))
    assert other_sides(["root", name, right(name)]) == [0, 2, 1]


@pytest.mark.parametrize("name", MIDDLE)
def test_other_words_are_no_sides(name):
    assert split_side(name)[0] == ""
    assert other_sides([name, "spine"]) == [0, 1]


def test_markers_that_differ_by_their_first_letter_are_a_pair():
    assert other_sides(["LFHD", "RFHD", "CLAV", "LTHI", "RTHI"]) == [1, 0, 2, 4, 3]


def test_a_joint_without_a_partner_stands_in_the_middle():
    assert other_sides(["LeftHand", "RightFoot", "Hips"]) == [0, 1, 2]


def test_numbers_and_end_sites_keep_their_partner():
    names = ["LeftFinger1", "LeftFinger2", "RightFinger1", "RightFinger2", "LeftToe/end"]
    assert other_sides([*names, "RightToe/end"]) == [2, 3, 0, 1, 5, 4]


def test_two_dancers_in_one_file_keep_apart():
    names = ["a:LeftLeg", "b:LeftLeg", "a:RightLeg", "b:RightLeg"]
    assert other_sides(names) == [2, 3, 0, 1]
