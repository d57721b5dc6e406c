"""Motion capture of any kind: nineteen joints in metres, and what is said of what was assumed."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import pytest
from motion_files import AMC, ASF, BODY, HIPS_HEIGHT, LANDMARKS, bvh_text, shared, standing, still

from dancenet.data.mocap.joint_names import find_joints
from dancenet.data.mocap.standing import body_size, good_frames, read_motion, whole_rate
from dancenet.data.motion.motion import JOINTS, read_npz_clip
from dancenet.support.errors import UserError

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


def expected():
    """Returns BODY's nineteen joints with the toes on the floor, (19, 3) metres."""
    places = standing()
    places["Head"] = places["Head"] + [0, 0, 2.5]  # its End Site is 5 cm before it
    return (np.array([places[LANDMARKS[joint]] for joint in JOINTS]) + [0, HIPS_HEIGHT, 0]) / 100


def test_a_standing_body_comes_out_in_metres_on_the_floor(tmp_path):
    clip = read_motion(write(tmp_path, bvh_text(still(40))))
    assert clip.positions.shape == (40, 19, 3) and clip.positions.dtype == np.float32
    head = J("head")
    others = [joint for joint in range(19) if joint != head]
    assert np.allclose(clip.positions[:, others], expected()[others], atol=1e-4)
    assert clip.fps == 30
    assert clip.ok.all() and not clip.warnings


@pytest.mark.parametrize("family", SPELLINGS)
def test_the_spellings_of_many_programs_are_the_same_body(tmp_path, family):
    text = bvh_text(still(3), rename=SPELLINGS[family])
    plain = read_motion(write(tmp_path, bvh_text(still(3)), "plain.bvh"))
    assert np.allclose(read_motion(write(tmp_path, text)).positions, plain.positions)


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
    absolute = read_motion(write(tmp_path, bvh_text(values, root_offset=(0, HIPS_HEIGHT, 0))))
    values[:, 1] = 0
    relative = read_motion(write(tmp_path, bvh_text(values, root_offset=(0, HIPS_HEIGHT, 0))))
    assert np.allclose(absolute.positions, relative.positions, atol=1e-5)
    assert relative.positions[0, J("pelvis"), 1] == pytest.approx(HIPS_HEIGHT / 100, abs=1e-4)


@pytest.mark.parametrize(
    "scale, name", [(0.01, "metres"), (10, "millimetres"), (1 / 2.54, "inches"), (4, "of 0.00")]
)
def test_the_unit_of_length_is_measured_and_said(tmp_path, scale, name):
    values = still(5)
    values[:, 1] *= scale
    clip = read_motion(write(tmp_path, bvh_text(values, scale=scale)))
    assert any(f"lengths are taken to be {name}" in sentence for sentence in clip.warnings)
    size = 0.45 + 0.10 + 0.84  # trunk and leg of BODY
    assert body_size(clip.positions) == pytest.approx(size, rel=0.02)


def test_a_unit_that_is_given_is_used(tmp_path):
    clip = read_motion(write(tmp_path, bvh_text(still(5))), unit=0.02)
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
    measured, given = read_motion(path), read_motion(path, up=up)
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
    clip = read_motion(path)
    assert clip.fps == 60
    assert any("says 120 frames/s" in sentence for sentence in clip.warnings)
    assert read_motion(path, frame_rate=120).fps == 120


def test_a_true_frame_rate_is_kept(tmp_path):
    text = bvh_text(swaying(360, 60), body=centred(), frame_time="0.016667")
    clip = read_motion(write(tmp_path, text))
    assert clip.fps == 60 and not clip.warnings


@pytest.mark.parametrize(
    "time, fps",
    [(0.016667, 60), (0.00833333, 120), (0.0333333, 30), (0.04, 25), (1001 / 30000, 30000 / 1001)],
)
def test_a_frame_time_of_a_few_digits_is_a_whole_rate(time, fps):
    assert whole_rate(1 / time) == pytest.approx(fps, rel=1e-9)


def test_a_rest_pose_stuck_before_the_recording_is_marked_and_not_measured(tmp_path):
    values = still(60)
    values[:, 6:] = 20.0
    values[:, 3] = 90.0
    values[0] = still(1)[0]
    values[1:8] = (values[0] + values[20]) / 2  # the ringing
    clip = read_motion(write(tmp_path, bvh_text(values)))
    assert clip.num_frames == 60
    assert not clip.ok[:8].any() and clip.ok[8:].all()
    assert "begins with a rest pose" in clip.warnings[0]


def test_a_dancer_who_begins_in_a_rest_pose_is_kept(tmp_path):
    values = still(60)
    values[:, 6:] = np.linspace(0, 20, 60)[:, None]
    assert read_motion(write(tmp_path, bvh_text(values))).ok.all()


def still_clip(num_frames):
    return np.tile(expected(), (num_frames, 1, 1))


def test_a_jump_faster_than_a_body_is_bad_for_a_tenth_of_a_second_around():
    positions = still_clip(60)
    positions[30, J("l_wrist")] += [0, 0.4, 0]  # 0.4 m in 1/30 s is 12 m/s
    ok = good_frames(positions, 30)
    assert np.flatnonzero(~ok).tolist() == list(range(26, 35))


def test_a_bone_that_changes_its_length_is_bad():
    positions = still_clip(60)
    positions[20:40, J("l_wrist")] += np.array([0.08, 0, 0])
    ok = good_frames(positions, 30)
    assert not ok[20:40].any() and ok[:16].all() and ok[44:].all()


def test_a_head_that_rolls_off_is_bad():
    positions = still_clip(60)
    positions[40:, J("head")] = positions[40:, J("neck")] - [0, 0.1, 0]
    ok = good_frames(positions, 120)
    assert ok[:20].all() and not ok[40:].any()


def test_slow_movement_is_good_at_any_rate():
    positions = still_clip(240)
    positions[:, :, 0] += (np.arange(240) / 240 * 2)[:, None]
    assert good_frames(positions, 30).all() and good_frames(positions, 120).all()


def test_one_frame_can_be_read(tmp_path):
    assert read_motion(write(tmp_path, bvh_text(still(1)))).num_frames == 1


def test_an_unknown_skeleton_lists_its_joints(tmp_path):
    text = bvh_text(still(2), rename={"LeftArm": "Wing", "RightArm": "Fin"})
    with pytest.raises(UserError, match="no joint was found for l_shoulder, r_.*Hips, .*Wing"):
        read_motion(write(tmp_path, text))


def test_a_motion_without_a_rate_needs_one(tmp_path):
    path = write(tmp_path, bvh_text(still(2), frame_time="0"))
    with pytest.raises(UserError, match="does not say its frame time"):
        read_motion(path)
    assert read_motion(path, frame_rate=24).fps == 24


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
        read_motion(write(tmp_path, bvh_text(still(2))), **options)


def test_other_kinds_of_file_are_refused_by_their_name(tmp_path):
    with pytest.raises(UserError, match=r"those are .bvh, .amc, .npz and .npy"):
        read_motion(write(tmp_path, "x", "dance.fbx"))
    with pytest.raises(UserError, match="is not a file"):
        read_motion(tmp_path / "none.bvh")


def test_warnings_of_a_cut_file_reach_the_clip(tmp_path):
    clip = read_motion(write(tmp_path, bvh_text(still(10))[:-200]))
    assert clip.num_frames == 8
    assert clip.warnings == ("dance.bvh is cut: it holds 8 whole frames of 10; 2 are lost.",)


def save(tmp_path, array, name="dance.npy"):
    np.save(tmp_path / name, array)
    return tmp_path / name


@pytest.mark.parametrize("axes", ["TJ", "JT", None])
def test_an_array_is_read_in_either_order(tmp_path, axes):
    positions = still_clip(19 if axes else 50)
    positions[:, :, 0] += np.linspace(0, 1, len(positions))[:, None]
    array = positions.swapaxes(0, 1) if axes == "JT" else positions
    clip = read_motion(save(tmp_path, array), axes=axes, frame_rate=25)
    moved = clip.positions - clip.positions[0]
    assert clip.fps == 25
    assert np.allclose(moved[-1], [1, 0, 0], atol=1e-5)


def test_the_axes_of_nineteen_frames_of_nineteen_joints_follow_continuity(tmp_path):
    positions = still_clip(19)
    positions[:, :, 0] += np.linspace(0, 0.2, 19)[:, None]
    first = read_motion(save(tmp_path, positions, "a.npy"))
    second = read_motion(save(tmp_path, positions.swapaxes(0, 1), "b.npy"))
    assert np.array_equal(first.positions, second.positions)
    assert "taken to be (frames, joints, 3)" in first.warnings[0]
    assert "taken to be (joints, frames, 3)" in second.warnings[0]
    assert any("30 frames/s are assumed" in sentence for sentence in first.warnings)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((30, 55, 3)), "holds 55 joints without names"),
        (np.zeros((30, 57)), "must hold joint positions .* shape \\(30, 57\\)"),
        (np.full((30, 19, 3), np.nan), "holds NaN"),
        (np.zeros((30, 19, 3)), "one place"),
        (np.zeros((0, 19, 3)), "no frame"),
    ],
)
def test_an_array_that_is_no_body_is_refused(tmp_path, array, message):
    with pytest.raises(UserError, match=message):
        read_motion(save(tmp_path, array))


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "dance.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="not an array of numbers"):
        read_motion(tmp_path / "dance.npy")


def test_an_npz_of_ours_is_read_as_it_stands(tmp_path):
    positions = still_clip(5).astype(np.float32)
    np.savez(tmp_path / "a.npz", pos=positions, fps=30.0, joints=np.array(JOINTS))
    assert np.array_equal(read_motion(tmp_path / "a.npz").positions, positions)
    assert read_motion(tmp_path / "a.npz", frame_rate=24).fps == 24


def test_an_amc_of_a_strange_skeleton_lists_its_bones(tmp_path):
    write(tmp_path, ASF, "leg.asf")
    path = write(tmp_path, AMC, "leg.amc")
    with pytest.raises(UserError, match="no bone lowerback.*root, thigh, shin, foot"):
        read_motion(path)


def test_an_amc_without_its_skeleton_says_so(tmp_path):
    (tmp_path / "leg.amc.gz").write_bytes(gzip.compress(AMC.encode()))
    with pytest.raises(UserError, match="needs its skeleton, a file leg.asf"):
        read_motion(tmp_path / "leg.amc.gz")


# One recording of every family; the npz were made from the same files by another program.
@pytest.mark.parametrize(
    "name",
    ["cmu_60_10", "cmu_61_10", "cmu_94_13", "cmu_05_03", "cmu_charleston1", "rokoko_jesse_dance"],
)
def test_real_recordings_agree_with_the_same_clips_from_elsewhere(name):
    manifest = json.loads(shared("manifest.json").read_text())
    entry = next(entry for entry in manifest if entry["id"] == name)
    clip = read_motion(shared(f"raw/{entry['raw']}"))
    other = read_npz_clip(shared(entry["npz"]))
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


def test_unlabelled_markers_are_refused():
    with pytest.raises(UserError, match="holds 55 joints without names"):
        read_motion(shared("dance.npy"))
