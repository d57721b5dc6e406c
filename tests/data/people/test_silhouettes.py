"""The skeleton mends the mask: limbs come back, captions and neighbours go."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from bodies import limbs_of, painted, pose_of, standing

from dancenet.data.people.silhouettes import BONES, Build, Sight, mended

SHAPE = (300, 400)
HEIGHT = 220.0
SAME = np.array([[1.0, 0, 0], [0, 1.0, 0]])  # the canvas is the picture


@pytest.fixture
def points():
    return standing(200, 40, HEIGHT)


@pytest.fixture
def body(points):
    return painted(SHAPE, points, HEIGHT)


def forearm(points):
    """A mask of the left forearm with its hand, without its ends."""
    elbow, wrist, hand = (
        points[limbs_of(f"left_{name}")[0]] for name in ("elbow", "wrist", "index")
    )
    mask = np.zeros(SHAPE, np.uint8)
    for near, far in ((elbow + 0.2 * (wrist - elbow), wrist), (wrist, hand)):
        ends = (tuple(np.rint(end).astype(int).tolist()) for end in (near, far))
        cv2.line(mask, *ends, 1, 14)
    return mask > 0


def shown(body):
    """A picture of the body, reddish before grey, with noise."""
    picture = np.where(body[..., None], np.uint8([190, 90, 70]), np.uint8([120, 125, 130]))
    noise = np.random.default_rng(0).normal(0, 6, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


# Many: what is mended, and what it is mended by.
def mend(mask, points, seen=1.0, picture=None, difference=None):
    sight = Sight.of(pose_of(mask, points, HEIGHT, seen))
    skeleton = sight.skeleton(SAME, Build.measure([sight]))
    if picture is None:
        picture = shown(painted(SHAPE, points, HEIGHT))
    return mended(mask.astype(np.float32), skeleton, picture, difference) > 0.5


def shared(first, second):
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def test_a_whole_body_stays_as_it_is(points, body):
    assert shared(mend(body, points), body) > 0.99


def test_a_missing_forearm_comes_back(points, body):
    spoilt = body & ~forearm(points)
    whole = mend(spoilt, points)
    lost = body & ~spoilt
    assert np.count_nonzero(lost) > 100
    assert (whole[lost]).mean() > 0.8
    assert shared(whole, body) > 0.97


def test_a_limb_whose_joints_are_not_seen_is_not_invented(points, body):
    seen = np.ones(33)
    seen[limbs_of("left_wrist") + limbs_of("left_index") + limbs_of("left_pinky")] = 0.3
    spoilt = body & ~forearm(points)
    np.testing.assert_array_equal(mend(spoilt, points, seen), spoilt)


def test_no_limb_is_drawn_where_the_empty_scene_is_seen(points, body):
    spoilt = body & ~forearm(points)
    np.testing.assert_array_equal(
        mend(spoilt, points, difference=np.where(spoilt, np.float32(5), np.float32(0.2))), spoilt
    )
    assert (mend(spoilt, points, difference=np.full(SHAPE, 5.0))[body & ~spoilt]).mean() > 0.8


def test_a_caption_and_a_neighbour_are_not_the_dancer(points, body):
    spoilt = body.copy()
    spoilt[10:22, 20:120] = True  # far above
    neighbour = painted(SHAPE, standing(340, 60, 200.0), 200.0)
    whole = mend(spoilt | neighbour, points)
    assert shared(whole, body) > 0.97
    assert not whole[:, 300:].any() and not whole[:25, :150].any()


def test_a_speck_between_the_limbs_goes_and_a_hand_that_is_cut_off_stays(points, body):
    speck = np.zeros(SHAPE, bool)
    speck[90:97, 150:157] = True  # between arm and head, and on no bone
    hand = points[limbs_of("left_wrist")[0]]
    gap = np.zeros(SHAPE, np.uint8)
    cv2.circle(gap, tuple(np.rint(hand - (8, 14)).astype(int).tolist()), 5, 1, -1)
    whole = mend((body | speck) & (gap == 0), points)
    assert not (whole & speck & ~body).any()
    fingers = np.rint(points[limbs_of("left_index")[0]]).astype(int)
    assert whole[fingers[1], fingers[0]]


def test_no_limb_is_drawn_where_the_picture_shows_what_is_around_it(points, body):
    """So landmarks that are wrong do no harm."""
    without = body & ~forearm(points)
    np.testing.assert_array_equal(mend(without, points, picture=shown(without)), without)


def test_a_limb_that_the_landmarks_lack_is_not_cut_off(points, body):
    raised = points.copy()
    for name in ("left_knee", "left_ankle", "left_heel", "left_foot_index"):
        index = limbs_of(name)[0]
        raised[index] = (
            raised[limbs_of("left_hip")[0]]
            + (points[index] - points[limbs_of("left_hip")[0]])[::-1]
        )
    kicking = painted(SHAPE, raised, HEIGHT)
    assert shared(mend(kicking, points, picture=shown(kicking)), kicking) > 0.99


def test_hair_and_skirts_near_the_bones_stay(points, body):
    skirt = np.zeros(SHAPE, np.uint8)
    cv2.fillConvexPoly(skirt, np.array([[185, 150], [215, 150], [240, 210], [160, 210]]), 1)
    hair = np.zeros(SHAPE, np.uint8)
    cv2.circle(hair, (200, 50), 24, 1, -1)
    dressed = body | (skirt > 0) | (hair > 0)
    assert shared(mend(dressed, points), dressed) > 0.99


def test_landmarks_that_are_elsewhere_change_nothing(body):
    wrong = standing(60, 60, 200.0)
    np.testing.assert_array_equal(mend(body, wrong, picture=shown(body)), body)


@pytest.mark.parametrize("factor", [1.0, 1.6])
def test_thickness_is_measured_on_the_mask(points, body, factor):
    sights = []
    for _ in range(200):
        mask = body
        if factor > 1:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
            mask = cv2.dilate(body.astype(np.uint8), kernel) > 0
        sights.append(Sight.of(pose_of(mask, points, HEIGHT)))
    shins = [
        index for index, bone in enumerate(BONES) if bone.near in limbs_of("knee") and bone.is_limb
    ]
    measured = Build.measure(sights).radii[shins] * HEIGHT / 1.7  # pixels
    expected = 0.03 * HEIGHT + (3 if factor > 1 else 0)
    np.testing.assert_allclose(measured, expected, atol=1.5)


def test_a_dancer_who_is_never_seen_has_a_usual_build():
    usual = Build.measure([]).radii
    np.testing.assert_array_equal(usual, Build.measure([None, None]).radii)
    assert (usual > 0.02).all() and (usual < 0.2).all()


def test_a_sight_is_small_and_draws_its_mask_where_it_was(points, body):
    sight = Sight.of(pose_of(body, points, HEIGHT))
    assert len(sight.packed) < 6000
    assert shared(sight.drawn(SAME, SHAPE) > 0.5, body) > 0.97
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    small = cv2.resize(body.astype(np.float32), (200, 150), interpolation=cv2.INTER_AREA) > 0.5
    assert shared(sight.drawn(half, (150, 200)) > 0.5, small) > 0.93


def test_a_mask_in_a_turned_region_is_drawn_upright(points, body):
    from dancenet.data.people import regions

    pose = pose_of(body, points, HEIGHT)
    region = pose.region.turned(0.7)
    to_region = cv2.invertAffineTransform(regions.matrix(region, 256))
    mask = cv2.warpAffine(body.astype(np.float32), to_region, (256, 256))
    turned = Sight.of(type(pose)(**{**vars(pose), "region": region, "mask": mask}))
    assert shared(turned.drawn(SAME, SHAPE) > 0.5, body) > 0.96


def test_nothing_is_drawn_of_an_empty_mask(points):
    empty = np.zeros(SHAPE, bool)
    assert not mend(empty, points, seen=0.1).any()
