"""Keypoints of a film become the joints of its frames."""

from __future__ import annotations

import numpy as np

from dancenet.data.frames.writer import FrameWriter
from dancenet.data.motion.joints import JOINTS
from dancenet.data.people.keypoints.frames import to_frames
from dancenet.data.people.landmarks import COCO_NAMES, LANDMARK_NAMES

HALF = np.array([[0.5, 0, 10], [0, 0.5, -20]])


def points(names, frames: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    found = rng.uniform(0, 200, (frames, len(names), 3))
    found[..., 2] = 0.9
    return found


def test_joints_are_where_the_points_are_in_the_frame():
    film = points(LANDMARK_NAMES)
    found = to_frames(film, LANDMARK_NAMES, HALF)
    wrist = film[:, LANDMARK_NAMES.index("left_wrist"), :2] / 2 + (10, -20)
    np.testing.assert_allclose(found.xy[:, JOINTS.index("l_wrist")], wrist, rtol=1e-5)
    toe = film[:, LANDMARK_NAMES.index("right_foot_index"), :2] / 2 + (10, -20)
    np.testing.assert_allclose(found.xy[:, JOINTS.index("r_toe")], toe, rtol=1e-5)
    pelvis, neck, spine = (found.xy[:, JOINTS.index(name)] for name in ("pelvis", "neck", "spine"))
    np.testing.assert_allclose(spine, (2 * pelvis + neck) / 3, rtol=1e-5)
    assert np.isfinite(found.xy).all() and (found.score > 0.8).all()


def test_each_frame_may_have_a_view_of_its_own():
    film = np.repeat(points(COCO_NAMES, 1), 2, axis=0)
    views = np.stack([HALF, HALF + [[0, 0, 5], [0, 0, 0]]])
    found = to_frames(film, COCO_NAMES, views).xy[:, JOINTS.index("l_hip"), 0]
    np.testing.assert_allclose(found[1] - found[0], 5, rtol=1e-5)


def test_what_is_not_known_or_not_seen_is_nan(tmp_path):
    film = points(COCO_NAMES)
    film[0], film[1, COCO_NAMES.index("left_hip"), 2] = np.nan, 0.01
    found = to_frames(film, COCO_NAMES, HALF)
    assert np.isnan(found.xy[0]).all() and not found.score[0].any()
    lost = {JOINTS[j] for j in np.flatnonzero(np.isnan(found.xy[1, :, 0]))}
    assert lost == {"l_hip", "pelvis", "spine", "chest", "l_toe", "r_toe"}
    frames = np.full((3, 120, 208), 255, np.uint8)
    frames[:, 30:90, 90:110] = 0
    clip = FrameWriter(tmp_path / "imgs").add_clip(
        frames, source="film", fps=30.0, method="person", poses=lambda: found
    )
    assert clip.poses == found.hash
