"""Bodies come to stand on the floor in metres, and what was assumed is said."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from motion_files import BODY, HIPS_HEIGHT, bvh_text, shared, standing_joints, still

from dancenet.data.mocap.joint_names import find_joints
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.mocap.standing import body_size
from dancenet.data.motion.joints import JOINTS

J = JOINTS.index

# Other spellings of BODY's names.
SPELLINGS = {
    "mixamo": {name: f"mixamorig:{name}" for name, _, _ in BODY},
    "unreal": {
        "Hips": "pelvis",
        "Spine": "spine_01",
        "Spine1": "spine_02",
        "Spine2": "spine_03",
        "Neck": "neck_01",
        "Head": "head",
        **{
            f"{long}{name}": f"{other}_{short}"
            for long, short in (("Left", "l"), ("Right", "r"))
            for name, other in {
                "Shoulder": "clavicle",
                "Arm": "upperarm",
                "ForeArm": "lowerarm",
                "Hand": "hand",
                "UpLeg": "thigh",
                "Leg": "calf",
                "Foot": "foot",
                "ToeBase": "ball",
            }.items()
        },
    },
    "iclone": {
        "Hips": "CC_Base_Hip",
        "Spine": "CC_Base_Waist",
        "Spine1": "CC_Base_Spine01",
        "Spine2": "CC_Base_Spine02",
        "Neck": "CC_Base_NeckTwist01",
        "Head": "CC_Base_Head",
        **{
            f"{long}{name}": f"CC_Base_{short}_{other}"
            for long, short in (("Left", "L"), ("Right", "R"))
            for name, other in {
                "Shoulder": "Clavicle",
                "Arm": "Upperarm",
                "ForeArm": "Forearm",
                "Hand": "Hand",
                "UpLeg": "Thigh",
                "Leg": "Calf",
                "Foot": "Foot",
                "ToeBase": "ToeBase",
            }.items()
        },
    },
    "daz": {
        "Hips": "hip",
        "Spine": "lower",
        "Spine1": "abdomen",
        "Spine2": "chest",
        "Neck": "neck",
        "Head": "head",
        **{
            f"{long}{name}": f"{short}{other}"
            for long, short in (("Left", "l"), ("Right", "r"))
            for name, other in {
                "Shoulder": "Collar",
                "Arm": "Shldr",
                "ForeArm": "ForeArm",
                "Hand": "Hand",
                "UpLeg": "Thigh",
                "Leg": "Shin",
                "Foot": "Foot",
                "ToeBase": "Toe",
            }.items()
        },
    },
    "smpl": {
        "Hips": "Pelvis",
        **{
            f"{long}{name}": f"{long[0]}_{other}"
            for long in ("Left", "Right")
            for name, other in {
                "Shoulder": "Collar",
                "Arm": "Shoulder",
                "ForeArm": "Elbow",
                "Hand": "Wrist",
                "UpLeg": "Hip",
                "Leg": "Knee",
                "Foot": "Ankle",
                "ToeBase": "Foot",
            }.items()
        },
    },
    "biped": {
        name: re.sub("^(Bip01) (Left|Right) ", lambda match: f"Bip01 {match.group(2)[0]} ", other)
        for name, other in {
            name: "Bip01 "
            + re.sub("^(Left|Right)", r"\1 ", name)
            .replace("UpLeg", "Thigh")
            .replace(" Arm", " UpperArm")
            .replace(" Leg", " Calf")
            .replace("ToeBase", "Toe0")
            for name, _, _ in BODY
        }.items()
    },
    "joints": {
        "LeftShoulder": "LeftCollar",
        "LeftArm": "LeftShoulder",
        "LeftForeArm": "LeftElbow",
        "LeftHand": "LeftWrist",
        "LeftUpLeg": "LeftHip",
        "LeftLeg": "LeftKnee",
        "LeftFoot": "LeftAnkle",
        "LeftToeBase": "LeftToe",
        "RightShoulder": "RightCollar",
        "RightArm": "RightShoulder",
        "RightForeArm": "RightElbow",
        "RightHand": "RightWrist",
        "RightUpLeg": "RightHip",
        "RightLeg": "RightKnee",
        "RightFoot": "RightAnkle",
        "RightToeBase": "RightToe",
    },
}


def write(tmp_path, text, name="dance.bvh"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_a_standing_body_comes_out_in_metres_on_the_floor(tmp_path):
    clip = read_skeleton(write(tmp_path, bvh_text(still(40))))
    assert clip.positions.shape == (40, 19, 3) and clip.positions.dtype == np.float32
    head = J("head")
    others = [joint for joint in range(19) if joint != head]
    assert np.allclose(clip.positions[:, others], standing_joints()[:, others], atol=1e-4)
    assert clip.fps == 30
    assert clip.ok.all() and not clip.warnings


@pytest.mark.parametrize("family", SPELLINGS)
def test_the_spellings_of_many_programs_are_the_same_body(tmp_path, family):
    text = bvh_text(still(3), rename=SPELLINGS[family])
    plain = read_skeleton(write(tmp_path, bvh_text(still(3)), "plain.bvh"))
    assert np.allclose(read_skeleton(write(tmp_path, text)).positions, plain.positions)


def test_the_spine_is_found_where_a_skeleton_has_one_joint_or_none(tmp_path):
    names = {"Hips": -1, "Spine": 0, "Neck": 1, "Head": 2}
    limbs = "Arm ForeArm Hand", "UpLeg Leg Foot ToeBase"
    for trunk in (1, 0):
        skeleton = dict(names)
        for side in ("Left", "Right"):
            for words, parent in zip(limbs, (trunk, 0)):
                for word in words.split():
                    skeleton[side + word] = parent
                    parent = len(skeleton) - 1
        joints = find_joints("x", list(skeleton), list(skeleton.values()))
        if trunk:
            assert joints["chest"] == ("Spine",) and joints["spine"] == ("Hips", "Spine")
        else:
            assert joints["chest"] == ("Hips", "Neck", "Neck")


def test_a_root_offset_moves_nothing_whether_channels_add_to_it_or_replace_it(tmp_path):
    values = still(20)
    absolute = read_skeleton(write(tmp_path, bvh_text(values, root_offset=(0, HIPS_HEIGHT, 0))))
    values[:, 1] = 0
    relative = read_skeleton(write(tmp_path, bvh_text(values, root_offset=(0, HIPS_HEIGHT, 0))))
    assert np.allclose(absolute.positions, relative.positions, atol=1e-5)
    assert relative.positions[0, J("pelvis"), 1] == pytest.approx(HIPS_HEIGHT / 100, abs=1e-4)


@pytest.mark.parametrize(
    "scale, name", [(0.01, "metres"), (10, "millimetres"), (1 / 2.54, "inches"), (4, "of 0.00")]
)
def test_the_unit_of_length_is_measured_and_said(tmp_path, scale, name):
    values = still(5)
    values[:, 1] *= scale
    clip = read_skeleton(write(tmp_path, bvh_text(values, scale=scale)))
    assert any(f"lengths are taken to be {name}" in sentence for sentence in clip.warnings)
    size = 0.45 + 0.10 + 0.84  # trunk and leg of BODY
    assert body_size(clip.positions) == pytest.approx(size, rel=0.02)


def test_a_unit_that_is_given_is_used(tmp_path):
    clip = read_skeleton(write(tmp_path, bvh_text(still(5))), unit=0.02)
    assert clip.positions[0, J("pelvis"), 1] == pytest.approx(2 * HIPS_HEIGHT / 100, abs=1e-4)


@pytest.mark.parametrize(
    "turn, up",
    [("0 90 0", "z"), ("0 -90 0", "-z"), ("-90 0 0", "x"), ("90 0 0", "-x"), ("180 0 0", "-y")],
)
def test_up_is_where_the_head_is(tmp_path, turn, up):
    values = still(5)
    values[:, 1] = 0
    values[:, 3:6] = [float(word) for word in turn.split()]
    path = write(tmp_path, bvh_text(values))
    measured, given = read_skeleton(path), read_skeleton(path, up=up)
    assert any(f"up is taken to be {up}" in sentence for sentence in measured.warnings)
    assert np.allclose(measured.positions, given.positions)
    assert measured.positions[0, J("neck"), 1] > 1.3
    # A turn, not a mirror: seen from above, left is where it was beside the toes.
    p = measured.positions[0]
    across, ahead = p[J("l_hip")] - p[J("r_hip")], p[J("l_toe")] - p[J("l_ankle")]
    assert np.cross(ahead, across)[1] > 0


def swaying(num_frames, fps):
    """Returns channel values of a body that slides sideways, as far as its balance allows."""
    values = still(num_frames)
    values[:, 2] = 5 * np.sin(2 * np.pi * 0.8 * np.arange(num_frames) / fps)
    return values


def centred():
    """Returns BODY with its toes as far before the hips as its heels are behind."""
    offsets = {"LeftFoot": (0, -42, -7), "RightFoot": (0, -42, -7)}
    return tuple((name, parent, offsets.get(name, offset)) for name, parent, offset in BODY)


def test_a_frame_rate_at_which_the_body_would_fall_is_halved_with_a_warning(tmp_path):
    text = bvh_text(swaying(360, 60), body=centred(), frame_time="0.00833333")
    path = write(tmp_path, text)
    clip = read_skeleton(path)
    assert clip.fps == 60
    assert any("says 120 frames/s" in sentence for sentence in clip.warnings)
    assert read_skeleton(path, frame_rate=120).fps == 120


def test_a_true_frame_rate_is_kept(tmp_path):
    text = bvh_text(swaying(360, 60), body=centred(), frame_time="0.016667")
    clip = read_skeleton(write(tmp_path, text))
    assert clip.fps == 60 and not clip.warnings


def test_one_frame_can_be_read(tmp_path):
    assert read_skeleton(write(tmp_path, bvh_text(still(1)))).num_frames == 1


# One recording of every family; the npz were made from the same files by another program.
@pytest.mark.parametrize(
    "name",
    ["cmu_60_10", "cmu_61_10", "cmu_94_13", "cmu_05_03", "cmu_charleston1", "rokoko_jesse_dance"],
)
def test_real_recordings_agree_with_the_same_clips_from_elsewhere(name):
    manifest = json.loads(shared("manifest.json").read_text())
    entry = next(entry for entry in manifest if entry["id"] == name)
    clip = read_skeleton(shared(f"raw/{entry['raw']}"))
    other = read_skeleton(shared(entry["npz"]))
    assert clip.fps == entry["fps_native"]
    lead = 8 if "daz" in entry["raw"] else 0
    assert not clip.ok[:lead].any()
    clip = clip.cut(range(lead, clip.num_frames)).resample(other.fps)
    assert clip.num_frames == other.num_frames
    # The floor and the middle were measured at other rates, which moves the whole by millimetres.
    difference = clip.positions - other.positions
    shift = np.median(difference, axis=(0, 1))
    assert np.abs(shift).max() < 0.01
    assert np.abs(difference - shift).max() < 0.001
    assert np.mean(clip.ok == other.ok) > 0.95
