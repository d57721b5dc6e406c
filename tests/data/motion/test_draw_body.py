"""Silhouettes of a body: its proportions, what the camera keeps, and what it lets move."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from bodies import stand

from dancenet.data.mocap.read import read_skeleton
from dancenet.data.motion import camera as cameras
from dancenet.data.motion import draw_body as body
from dancenet.data.motion.camera import CameraView
from dancenet.data.motion.draw_body import draw_bodies
from dancenet.data.motion.joints import JOINTS
from dancenet.data.motion.proportions import REACH, measure
from dancenet.support.errors import UserError

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "data" / "mocap" / "npz"


def turn(positions, degrees):
    """Turns a body about the vertical, from z towards x."""
    angle = np.deg2rad(degrees)
    x, y, z = np.moveaxis(positions, -1, 0)
    return np.stack(
        [x * np.cos(angle) + z * np.sin(angle), y, z * np.cos(angle) - x * np.sin(angle)], axis=-1
    ).astype(np.float32)


def walk(seconds=6.0, speed=1.5, fps=30.0):
    """Returns a body that glides to the right."""
    positions = stand(round(seconds * fps))
    positions[..., 0] += (np.arange(len(positions)) / fps * speed)[:, None]
    return positions


def dark(positions, fps=30.0, yaw=0.0, mirror=False, camera="follow", **options):
    return (
        np.stack(list(draw_bodies(positions, fps, CameraView(yaw, mirror, camera), **options))) == 0
    )


def extent(picture, axis):
    places = np.flatnonzero(picture.any(axis=1 - axis))
    return places[0], places[-1] + 1


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_picture_is_black_on_white_and_of_the_size_of_all_frames():
    frames = list(draw_bodies(stand(3), 30.0))
    assert len(frames) == 3
    assert all(frame.shape == (120, 208) and frame.dtype == np.uint8 for frame in frames)
    assert set(np.unique(frames)) == {0, 255}


def test_the_stature_is_measured_from_the_bones():
    assert measure(stand()).stature == pytest.approx(1.7, rel=0.03)


@pytest.mark.parametrize("factor", [0.6, 1.2])
def test_small_and_tall_people_give_the_same_picture(factor):
    same = dark(stand() * np.float32(factor))[0]
    assert overlap(dark(stand())[0], same) > 0.97


def test_a_standing_dancer_fills_about_seven_tenths_of_the_height_with_the_feet_on_the_floor():
    top, bottom = extent(dark(stand())[0], 0)
    assert 0.68 * 120 <= bottom - top <= 0.76 * 120
    assert bottom == pytest.approx(cameras.FLOOR * 120, abs=1)


def test_the_figure_has_the_proportions_of_a_person():
    picture = dark(stand(), supersample=8)[0]
    top, bottom = extent(picture, 0)
    height = bottom - top
    widths = picture.sum(axis=1) / height

    def width(low, high, picked):  # places: fractions of the stature above the floor
        return picked(widths[round(bottom - high * height) : round(bottom - low * height)])

    head, neck = width(0.9, 1.0, max), width(0.85, 0.88, min)
    assert 0.085 < head < 0.12  # Winter, fig. 4.1, has no head breadth; 0.087 is common, plus hair
    assert 0.05 < neck < 0.8 * head
    assert 0.22 < width(0.78, 0.82, max) < 0.36  # shoulders: 0.259 in Winter, fig. 4.1
    body_only = picture[:, 104 - 11 : 104 + 11]  # columns that the hanging arms do not enter
    waist = body_only[round(bottom - 0.64 * height)].sum() / height
    hips = body_only[round(bottom - 0.50 * height)].sum() / height
    assert 0.12 < waist < hips < 0.24  # hips: 0.191 in Winter, fig. 4.1
    assert width(0.20, 0.27, max) > 1.3 * width(0.07, 0.12, min)  # calves, ankles


def test_the_head_is_about_an_eighth_of_the_height():
    widths = dark(stand(), supersample=8)[0].sum(axis=1)
    top, bottom = np.flatnonzero(widths)[[0, -1]]
    broadest = widths[top : top + 8].max()
    neck = top + int(np.argmax(widths[top + 4 : top + 16] <= 0.8 * broadest)) + 4
    shoulders = top + int(np.argmax(widths[top:] > 1.3 * broadest))
    # The chin is where the outline has gone over to the neck; the neck is shorter than the head.
    assert 1 / 13 < (neck - top) / (bottom + 1 - top) < 1 / 6.5
    assert 1 / 8 < (shoulders - top) / (bottom + 1 - top) < 1 / 5


def test_limbs_have_volume_and_no_part_is_detached():
    moved = {
        "l_elbow": (0.45, 1.45, 0),
        "l_wrist": (0.62, 1.66, 0),
        "l_knee": (0.35, 0.72, 0.1),
        "l_ankle": (0.30, 0.32, 0),
        "l_toe": (0.36, 0.22, 0.08),
    }
    picture = dark(stand(1, **moved))[0].astype(np.uint8)
    assert cv2.connectedComponents(picture, connectivity=8)[0] == 2
    # A stick two pixels wide would not outlast an erosion by two pixels.
    thick = cv2.erode(picture, np.ones((3, 3), np.uint8))
    assert thick.sum() > 0.45 * picture.sum()


def test_every_joint_lies_in_the_silhouette():
    rng = np.random.default_rng(3)
    positions = stand(6) + rng.normal(0, 0.03, size=(6, 19, 3)).astype(np.float32)
    positions = turn(positions, 35)
    shape = measure(positions)
    scale, floor = cameras.fit(shape.stature, shape.highest, shape.lowest)
    pictures = dark(positions, camera="fixed", body=shape)
    across = positions[..., 0]
    reach = REACH * shape.stature
    middle = ((across.max() + reach) + (across.min() - reach)) / 2
    columns = np.floor((across - middle) * scale + 104).astype(int)
    rows = np.floor(floor - positions[..., 1] * scale).astype(int)
    for picture, x, y in zip(pictures, columns, rows):
        near = cv2.dilate(picture.astype(np.uint8), np.ones((3, 3), np.uint8))
        assert near[y, x].all()


def test_the_mirror_swaps_left_and_right():
    raised = stand(40, l_elbow=(0.43, 1.45, 0), l_wrist=(0.5, 1.7, 0))
    flipped = dark(raised, mirror=True)
    assert overlap(flipped, dark(raised)[:, :, ::-1]) > 0.97
    assert overlap(flipped, dark(raised)) < 0.95


@pytest.mark.parametrize("yaw", [-50, 90, 210])
def test_turning_the_camera_is_turning_the_dancer_the_other_way(yaw):
    raised = stand(1, l_elbow=(0.43, 1.45, 0.1), l_wrist=(0.5, 1.7, 0.3))
    assert overlap(dark(raised, yaw=yaw), dark(turn(raised, -yaw))) > 0.99


def test_a_quarter_turn_shows_a_narrower_figure_whose_feet_point_ahead():
    front, side = dark(stand())[0], dark(stand(), yaw=90)[0]
    assert np.ptp(extent(side[:100], 1)) < 0.75 * np.ptp(extent(front[:100], 1))
    # Seen from +x, what is in front of the dancer (+z) lies to the left.
    feet, knees = extent(side[105:], 1), extent(side[80:95], 1)
    assert knees[0] - feet[0] > feet[1] - knees[1] + 2


def test_the_camera_follows_a_travelling_dancer():
    pictures = dark(walk())
    centres = [np.mean(extent(picture, 1)) for picture in pictures]
    assert np.ptp(centres) < 12  # of the 470 pixels the dancer covers
    bottoms = {int(extent(picture, 0)[1]) for picture in pictures}
    assert len(bottoms) == 1


def test_a_sway_stays_a_sway_in_the_picture():
    positions = stand(180)
    sway = 0.15 * np.sin(2 * np.pi * np.arange(180) / 45)  # once in 1.5 s
    positions[..., 0] += sway[:, None]
    centres = np.array([np.mean(extent(picture, 1)) for picture in dark(positions)])
    scale = cameras.STANDING * 120 / measure(positions).stature
    assert np.ptp(centres[45:-45]) == pytest.approx(0.3 * scale, rel=0.2)


def test_the_camera_has_no_lag():
    positions = walk()
    positions[90:] = positions[90]  # stops in the middle
    forth, back = dark(positions), dark(positions[::-1])
    assert overlap(forth, back[::-1]) > 0.97


def test_the_camera_gives_way_before_a_leap_leaves_the_picture():
    positions = stand(120)
    leap = np.clip((np.arange(120) - 58) / 4, 0, 1) * 4.0  # 4 m in a seventh of a second
    positions[..., 0] += leap[:, None]
    pictures = dark(positions)
    assert not pictures[:, :, [0, -1]].any()
    assert pictures.any(axis=(1, 2)).all()


def test_a_fixed_camera_stands_far_enough_away_for_the_whole_clip():
    pictures = dark(walk(), camera="fixed")
    assert not pictures[:, :, [0, -1]].any()
    assert extent(pictures[0], 1)[0] < 8 and extent(pictures[-1], 1)[1] > 200
    assert np.ptp(extent(pictures[0], 0)) < 50
    assert extent(pictures[0], 0)[1] == extent(pictures[-1], 0)[1]


def test_jumps_with_raised_arms_fit():
    positions = stand(40, l_elbow=(0.2, 1.66, 0), l_wrist=(0.18, 1.9, 0))
    positions[..., 1] += 0.5 * np.sin(np.linspace(0, np.pi, 40))[:, None]
    assert not dark(positions)[:, [0, -1]].any()


def test_a_body_on_the_floor_is_drawn_and_its_feet_stay_in_the_picture():
    lying = stand(5)[..., [1, 0, 2]]  # on its side
    lying[..., 1] -= lying[..., 1].min()
    pictures = dark(lying)
    assert not pictures[:, -1].any()
    assert np.ptp(extent(pictures[0], 1)) > np.ptp(extent(pictures[0], 0))


def test_motion_is_drawn_smoothly():
    positions = stand(30)
    positions[:, JOINTS.index("l_wrist"), 1] += np.linspace(0, 0.2, 30)
    pictures = dark(positions)
    assert min(overlap(a, b) for a, b in zip(pictures, pictures[1:])) > 0.97


def test_pictures_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    whole = dark(walk(1.0))
    monkeypatch.setattr(body, "_CHUNK", 7)
    assert np.array_equal(dark(walk(1.0)), whole)


def test_a_stouter_body_is_thicker_and_no_taller():
    thin, usual, stout = (dark(stand(), girth=girth)[0] for girth in (0.8, 1.0, 1.25))
    assert thin.sum() < 0.9 * usual.sum() < 0.8 * stout.sum()
    heights = [np.ptp(extent(picture, 0)) for picture in (thin, usual, stout)]
    assert max(heights) - min(heights) <= 2


@pytest.mark.parametrize("girth", [0.5, 1.6])
def test_a_girth_that_takes_the_body_apart_is_refused(girth):
    with pytest.raises(ValueError, match="girth must be from 0.6 to 1.5"):
        next(draw_bodies(stand(), 30.0, girth=girth))


def test_an_unknown_camera_is_refused():
    with pytest.raises(ValueError, match="camera must be one of follow, fixed. Received: 'drone'"):
        next(draw_bodies(stand(), 30.0, CameraView(camera="drone")))


def test_a_recording_of_nothing_is_refused():
    with pytest.raises(UserError, match="no body"):
        measure(np.zeros((10, 19, 3)))


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recorded dances are not here")
@pytest.mark.parametrize("name", ["cmu_05_05", "cmu_charleston1", "rokoko_jesse_dance"])
def test_recorded_dances_stay_in_the_picture_and_in_one_piece(name):
    motion = read_skeleton(RECORDINGS / f"{name}.npz").resample(15)
    shape = measure(motion.positions[motion.ok])
    assert 1.5 < shape.stature < 2.0
    for run, long_enough in motion.good_runs():
        if long_enough:
            clip = motion.cut(run)
            pictures = dark(clip.positions, clip.fps, yaw=30, body=shape)
            edges = (pictures[:, [0, -1]].any(), pictures[:, :, [0, -1]].any())
            assert edges == (False, False)
            pieces = [cv2.connectedComponents(p.astype(np.uint8))[0] - 1 for p in pictures]
            assert max(pieces) == 1
