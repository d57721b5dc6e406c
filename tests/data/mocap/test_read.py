"""Any skeleton is read as the body we know or as its own, with warnings of what was assumed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from motion_files import BODY, bvh_text, dancing, shared, still

from dancenet.data.mocap.formats.bvh import joint_positions
from dancenet.data.mocap.formats.bvh_text import read_bvh
from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion.clip import check_body
from dancenet.data.motion.joints import JOINTS, PARENTS
from dancenet.support.errors import UnknownSkeleton, UserError

NAMES = tuple(name for name, _, _ in BODY)


def write(tmp_path, text, name="dance.bvh"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def save(tmp_path, array, name="dance.npy"):
    np.save(tmp_path / name, array)
    return tmp_path / name


def places(num_frames=120):
    """Returns (T, 22, 3) metres of BODY as it dances, y up."""
    with tempfile.TemporaryDirectory() as folder:
        found = joint_positions(read_bvh(write(Path(folder), bvh_text(dancing(num_frames)))))
    return np.stack([found[name] for name in NAMES], axis=1) / 100


def markers(num_frames=120, count=25):
    """Returns (T, 25, 3) metres: BODY and three more joints, none of which has a name."""
    known = places(num_frames)
    extra = (known[:, [3, 7, 15]] + known[:, [4, 8, 16]]) / 2
    return np.concatenate([known, extra], axis=1)[:, :count]


def test_a_recording_comes_as_the_body_we_know(tmp_path):
    clip = read_skeleton(write(tmp_path, bvh_text(dancing(60))), frame_rate=30)
    assert clip.is_body and clip.parents == PARENTS
    assert (clip.fps, clip.warnings, clip.source) == (30, (), "dance.bvh")


def test_a_recording_keeps_its_own_joints_and_rest_pose_if_asked_to(tmp_path):
    path = write(tmp_path, bvh_text(dancing(60)))
    clip = read_skeleton(path, own=True, frame_rate=30)
    body = read_skeleton(path, frame_rate=30)
    assert set(clip.names) - set(NAMES) == {  # End Sites, which are 5 cm long
        f"{name}/end" for name in ("Head", "LeftHand", "RightHand", "LeftToeBase", "RightToeBase")
    }
    for joint, name in (("l_knee", "LeftLeg"), ("r_wrist", "RightHand"), ("pelvis", "Hips")):
        assert np.allclose(
            clip.positions[:, clip.names.index(name)],
            body.positions[:, JOINTS.index(joint)],
            atol=1e-5,
        )
    shin = clip.names.index("LeftLeg")
    assert clip.names[clip.parents[shin]] == "LeftUpLeg"
    assert clip.offsets[shin] == pytest.approx([0, -0.42, 0])


def test_end_sites_without_a_length_are_left_out(tmp_path):
    text = bvh_text(still(5)).replace("OFFSET 0 0 5", "OFFSET 0 0 0")
    assert read_skeleton(write(tmp_path, text), own=True).names == tuple(
        bvh_name for bvh_name in read_bvh(tmp_path / "dance.bvh").names if "/end" not in bvh_name
    )


def test_a_recording_of_unknown_joints_keeps_them_with_a_warning(tmp_path):
    text = bvh_text(dancing(60), rename={"LeftArm": "Wing", "RightArm": "Fin"})
    clip = read_skeleton(write(tmp_path, text))
    assert "Wing" in clip.names and not clip.is_body
    assert any(
        sentence.startswith("No joint of dance.bvh was found for l_shoulder, r_shoulder")
        for sentence in clip.warnings
    )
    with pytest.raises(UnknownSkeleton, match="joints are Hips, .*Wing.* as in Mixamo"):
        check_body(clip)
    known = read_skeleton(write(tmp_path, bvh_text(dancing(60)), "b.bvh"), own=True)
    # Without names the floor is under the lowest joint, with them under the toes.
    difference = np.ptp(clip.positions - known.positions, axis=(0, 1))
    assert difference == pytest.approx([0, 0, 0], abs=1e-5)


def test_a_recording_that_is_cut_says_what_is_lost(tmp_path):
    for own in (False, True):
        clip = read_skeleton(write(tmp_path, bvh_text(still(10))[:-200]), own=own)
        assert clip.num_frames == 8
        assert clip.warnings[0] == "dance.bvh is cut: it holds 8 whole frames of 10; 2 are lost."


def test_a_recording_with_nan_names_its_frame(tmp_path):
    text = bvh_text(still(10)).replace("94", "nan", 1)
    with pytest.raises(UserError, match="Frame 1 of .*'nan' for Hips yposition"):
        read_skeleton(write(tmp_path, text), own=True)


def test_a_hierarchy_that_is_cut_is_refused(tmp_path):
    text = bvh_text(still(10))
    with pytest.raises(UserError, match="ends before its MOTION section"):
        read_skeleton(write(tmp_path, text[: len(text) // 5]))


@pytest.mark.parametrize("axes", ["TJ", "JT"])
@pytest.mark.parametrize("given", [True, False])
def test_joints_without_names_are_read_in_either_order(tmp_path, axes, given):
    array = markers() if axes == "TJ" else markers().swapaxes(0, 1)
    clip = read_skeleton(save(tmp_path, array), axes=axes if given else None, frame_rate=30)
    assert clip.positions.shape == (120, 25, 3) and clip.names[:2] == ("joint_0", "joint_1")
    assert clip.parents is None and clip.ok.all()
    difference = np.ptp(clip.positions - markers(), axis=(0, 1))
    assert difference == pytest.approx([0, 0, 0], abs=1e-4)
    order = "(frames, joints, 3)" if axes == "TJ" else "(joints, frames, 3)"
    assert any(order in sentence for sentence in clip.warnings) is not given


def test_a_wrong_order_that_is_insisted_on_is_taken(tmp_path):
    clip = read_skeleton(save(tmp_path, markers()), axes="JT", up="y", unit=1)
    assert clip.positions.shape == (25, 120, 3)


@pytest.mark.parametrize(
    "scale, name", [(100, "centimetres"), (1000, "millimetres"), (0.01, "of ")]
)
def test_the_unit_of_unnamed_joints_is_measured_and_said(tmp_path, scale, name):
    clip = read_skeleton(save(tmp_path, markers() * scale), axes="TJ", frame_rate=30)
    assert any(f"lengths are taken to be {name}" in sentence for sentence in clip.warnings)
    height = np.percentile(np.ptp(clip.positions[..., 1], axis=1), 75)
    assert 1.3 < height < 1.8
    given = read_skeleton(save(tmp_path, markers() * scale), axes="TJ", frame_rate=30, unit=2.0)
    width = np.ptp(markers()[..., 0]) * scale
    assert np.ptp(given.positions[..., 0]) == pytest.approx(2 * width, rel=1e-4)


@pytest.mark.parametrize("order, up", [([2, 0, 1], "z"), ([1, 2, 0], "x")])
def test_up_is_where_unnamed_joints_are_long_and_away_from_the_floor(tmp_path, order, up):
    known = places(120)
    # Stands still on its feet and bends the rest, so that only the upper end moves.
    known = known[:1] + (known - known[:1]) * np.clip(known[:1, :, 1:2] / 1.7, 0, 1) * 0.3
    array = known[..., order]
    for sign, said in ((1, up), (-1, f"-{up}")):
        clip = read_skeleton(save(tmp_path, array * sign), axes="TJ", frame_rate=30, unit=1)
        assert any(f"up is taken to be {said}" in sentence for sentence in clip.warnings)
        head = NAMES.index("Head")
        assert clip.positions[0, head, 1] > 1.2


def test_nineteen_joints_in_an_array_are_the_body_we_know(tmp_path):
    body = read_skeleton(write(tmp_path, bvh_text(dancing(80))), frame_rate=30).positions
    clip = read_skeleton(save(tmp_path, body), axes="TJ", frame_rate=30)
    assert clip.is_body and clip.parents == PARENTS
    assert np.ptp(clip.positions - body, axis=(0, 1)) == pytest.approx([0, 0, 0], abs=1e-4)


def test_axes_scaled_each_by_itself_are_made_even_with_a_warning(tmp_path):
    array = markers(200)
    low = array.min(axis=(0, 1))
    squeezed = (array - low) / (array.max(axis=(0, 1)) - low)
    clip = read_skeleton(save(tmp_path, squeezed), axes="TJ", frame_rate=30, up="y")
    assert any("each was scaled by itself" in sentence for sentence in clip.warnings)
    # True up to one factor for all.
    factor = np.ptp(clip.positions, axis=(0, 1)) / np.ptp(array, axis=(0, 1))
    assert factor / factor[1] == pytest.approx([1, 1, 1], rel=0.05)


def test_markers_that_were_lost_for_a_moment_are_filled(tmp_path):
    array = markers()
    array[40:45, 3] = np.nan
    clip = read_skeleton(save(tmp_path, array), axes="TJ", frame_rate=30, unit=1, up="y")
    whole = read_skeleton(save(tmp_path, markers()), axes="TJ", frame_rate=30, unit=1, up="y")
    assert clip.ok.all()
    assert np.abs(clip.positions - whole.positions).max() < 0.03
    assert any("in 5 of 120 frames joints are NaN" in sentence for sentence in clip.warnings)


def test_markers_that_were_lost_for_long_or_at_an_end_make_bad_frames(tmp_path):
    array = markers()
    array[40:60, 3] = np.nan
    array[-3:, 5] = np.nan
    clip = read_skeleton(save(tmp_path, array), axes="TJ", frame_rate=30, unit=1, up="y")
    assert np.flatnonzero(~clip.ok).tolist() == [*range(40, 60), 117, 118, 119]
    assert np.isfinite(clip.positions).all()


@pytest.mark.parametrize(
    "array, message",
    [
        (np.full((30, 25, 3), np.nan), "never says where joint_0 is"),
        (
            np.where(
                np.arange(30)[:, None, None] % 2 == np.arange(25)[:, None] % 2,
                np.nan,
                np.ones((30, 25, 3)),
            ),
            "in one place",
        ),
        (np.zeros((30, 25, 3)), "in one place"),
        (np.zeros((30, 75)), r"must hold joint positions .* shape \(30, 75\)"),
        (np.zeros((30, 25, 4)), "must hold joint positions"),
        (np.zeros((0, 25, 3)), "holds no frame"),
        (np.full((3, 25, 3), "a"), "no numbers"),
    ],
)
def test_an_array_that_is_not_a_motion_is_refused(tmp_path, array, message):
    with pytest.raises(UserError, match=message):
        read_skeleton(save(tmp_path, array), axes="TJ")


def test_an_array_in_the_plane_is_read(tmp_path):
    array = markers()[..., :2] * [100, -100] + [300, 900]
    clip = read_skeleton(save(tmp_path, array), axes="TJ", frame_rate=30, up="-y")
    assert clip.positions.shape == (120, 25, 2)
    difference = np.ptp(clip.positions - markers()[..., :2], axis=(0, 1))
    assert difference == pytest.approx([0, 0], abs=1e-4)
    with pytest.raises(UserError, match="In a picture up is y or -y"):
        read_skeleton(tmp_path / "dance.npy", axes="TJ", up="z")


def write_npz(tmp_path, **changes):
    arrays = {"pos": markers(), "fps": 30.0, **changes}
    np.savez(tmp_path / "a.npz", **{k: v for k, v in arrays.items() if v is not None})
    return tmp_path / "a.npz"


def test_an_npz_is_read_as_it_stands(tmp_path):
    names = np.array([f"m{index}" for index in range(25)])
    clip = read_skeleton(write_npz(tmp_path, joints=names, ok=np.arange(120) > 3))
    assert np.allclose(clip.positions, markers(), atol=1e-6)
    assert clip.names == tuple(names) and clip.ok.sum() == 116 and not clip.warnings
    assert read_skeleton(write_npz(tmp_path)).names[24] == "joint_24"
    assert read_skeleton(write_npz(tmp_path), frame_rate=24).fps == 24


def test_an_npz_that_has_our_joints_gives_them_in_order_or_its_own(tmp_path):
    rng = np.random.default_rng(0)
    names = np.array(["tail", *reversed(JOINTS)])
    positions = rng.normal(size=(9, 20, 3))
    path = write_npz(tmp_path, pos=positions, joints=names)
    assert np.allclose(read_skeleton(path).positions, positions[:, :0:-1], atol=1e-6)
    assert read_skeleton(path, own=True).names == tuple(names)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"pos": None}, "no array 'pos'"),
        ({"fps": None}, "no array 'fps'"),
        ({"fps": -1.0}, "one number above 0"),
        ({"fps": np.nan}, "one number above 0"),
        ({"pos": np.zeros((5, 25))}, "must hold joint positions"),
        ({"pos": np.zeros((0, 25, 3))}, "holds no frame"),
        ({"joints": np.array(["a"] * 25)}, "25 joints and 1 different names"),
        ({"joints": np.array(["a", "b"])}, "25 joints and 2 different names"),
        ({"parents": np.zeros(25, int)}, "make no skeleton"),
        ({"offsets": np.zeros((3, 3))}, "offsets of"),
        ({"ok": np.ones(3, bool)}, "'ok' of shape"),
    ],
)
def test_an_npz_that_is_no_motion_says_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read_skeleton(write_npz(tmp_path, **changes))


def test_other_kinds_of_file_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"read as a skeleton; those are .bvh, .amc, .npz, .npy"):
        read_skeleton(write(tmp_path, "x", "dance.fbx"))
    with pytest.raises(UserError, match="is not a file"):
        read_skeleton(tmp_path / "none.bvh")


def test_the_dance_of_fifty_five_joints_is_read():
    clip = read_skeleton(shared("dance.npy"))
    assert clip.positions.shape == (626, 55, 3) and clip.ok.mean() > 0.95
    said = " ".join(clip.warnings)
    for words in (
        "(joints, frames, 3)",
        "30 frames/s are assumed",
        "each was scaled by itself",
        "up is taken to be z",
    ):
        assert words in said
    # A body is about as broad from the front as from the side, over a whole dance.
    across = np.ptp(clip.positions, axis=1).mean(axis=0)
    assert across[0] == pytest.approx(across[2], rel=0.15)


@pytest.mark.parametrize(
    "name, count",
    [
        ("cmu_60_10_daz.bvh.gz", 57),
        ("cmu_05_03_icl.bvh.gz", 100),
        ("rokoko_jesse_dance.bvh.gz", 73),
    ],
)
def test_real_recordings_keep_their_own_joints(name, count):
    clip = read_skeleton(shared(f"raw/{name}"), own=True)
    body = read_skeleton(shared(f"raw/{name}"))
    assert clip.positions.shape == (body.num_frames, count, 3)
    assert clip.fps == body.fps and np.array_equal(clip.ok, body.ok)
    lengths = np.linalg.norm(clip.offsets, axis=1)
    bones = np.linalg.norm(clip.positions - clip.positions[:, np.maximum(clip.parents, 0)], axis=2)
    if "icl" not in name:  # iClone's joints have positions of their own
        assert np.median(bones, axis=0)[1:] == pytest.approx(lengths[1:], abs=1e-4)


def test_cmus_own_files_keep_their_bones():
    clip = read_skeleton(
        shared("raw/cmu_charleston1.amc.gz"), own=True, skeleton=shared("raw/cmu_charleston.asf")
    )
    assert clip.positions.shape[1] == 31 and clip.names[0] == "root"
    assert clip.parents[clip.names.index("ltibia")] == clip.names.index("lfemur")
    shin = clip.offsets[clip.names.index("ltibia")]
    assert 0.3 < np.linalg.norm(shin) < 0.5
