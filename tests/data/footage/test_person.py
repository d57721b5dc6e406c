"""A body seen by networks is drawn where it is, and stays calm over time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from bodies import YELLOW, follow_yellow, painted, standing
from films import room, wall

from dancenet.data.footage.crop import letterbox_view
from dancenet.data.footage.finders import find
from dancenet.data.footage.methods import overlap
from dancenet.data.footage.person import PersonMethod, calm_over_time, combine
from dancenet.data.footage.survey import survey

SHAPE = (360, 640, 3)


def film(places, scene=None, height=200):
    """Pictures of a yellow body at places (x, top), and its masks."""
    pictures, masks = [], []
    for x, top in places:
        masks.append(painted(SHAPE, standing(x, top, height), height))
        picture = (wall(640, 360) if scene is None else scene).copy()
        picture[masks[-1]] = YELLOW
        pictures.append(picture)
    return pictures, masks


def test_the_scene_overrules_an_unsure_network_but_not_a_sure_one():
    known = np.array([True])

    def combined(person, difference, known=known):
        return float(combine(np.array([person]), np.array([difference]), known)[0])

    assert combined(0.8, 0.0) < 0.5  # a gap under an arm that looks like the empty wall
    assert combined(0.999, 0.0) > 0.5  # clothes in the wall's colour
    assert combined(0.2, 3.0) > 0.5  # a hand the network lost
    assert combined(0.002, 9.0) < 0.5  # a curtain that moved
    assert combined(0.8, 0.0, np.array([False])) == pytest.approx(0.8, abs=1e-6)
    assert combined(0.3, 1.0) == pytest.approx(0.3, abs=1e-6)  # at the threshold: no opinion


def test_the_boxes_hold_the_body_and_are_missing_where_nobody_is_seen():
    pictures, masks = film([(200 + 5 * k, 80) for k in range(6)])
    pictures[3] = wall(640, 360)
    found = find(iter(pictures), PersonMethod(follow_yellow), 25)
    assert np.isnan(found.boxes[3]).all() and not found.is_empty
    for k in (0, 1, 2, 4, 5):
        rows, columns = np.nonzero(masks[k])
        there = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(found.boxes[k], there, atol=4)


def test_a_body_is_drawn_where_it_is():
    pictures, masks = film([(300, 80)])
    found = find(iter(pictures), PersonMethod(follow_yellow), 25)
    view = letterbox_view(640, 360)
    drawn = found.people.probability(0, view, view.look(pictures[0]), None)
    assert overlap(drawn > 0.5, view.cut(masks[0].astype(np.float32)) > 0.5) > 0.9


def test_the_empty_scene_is_taken_from_pictures_without_the_body():
    scene = room(640, 360)
    pictures, _ = film([(200, 80)] * 30 + [(200 + 12 * k, 80) for k in range(20)], scene)
    (shot,) = survey(iter(pictures), 25)
    method = PersonMethod(follow_yellow, shot)
    body = find(iter(pictures), method, 25).people
    empty = method.empty_scene(body)
    apart = np.abs(empty.plate.astype(int) - scene).max(axis=2)
    assert (apart[empty.known] < 12).mean() > 0.99 and empty.known.mean() > 0.8
    assert PersonMethod(follow_yellow).empty_scene(body) is None


def textured(seed=0, width=500):
    noise = np.random.default_rng(seed).integers(0, 255, (240, width), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 4)


def shown(left, mask, patch=None):
    """A canvas whose picture lies `left` pixels further in a texture."""
    grey = textured()[:, left : left + 416]
    if patch is not None:
        grey = np.where(patch, np.uint8(255), grey)
    return np.repeat(grey[..., None], 3, axis=2), mask.astype(np.float32)


def test_a_flicker_of_one_picture_is_calmed():
    mask = np.zeros((240, 416), bool)
    mask[60:200, 150:230] = True
    spoilt = mask.copy()
    spoilt[100:120, 230:245] = True  # once
    spoilt[150:165, 150:165] = False
    entries = [shown(0, m) for m in (mask, mask, spoilt, mask, mask)]
    calm = list(calm_over_time(iter(entries), 30))
    assert len(calm) == 5
    assert overlap(calm[2] > 0.5, mask) > 0.98 > overlap(spoilt, mask)


def test_what_moves_with_the_picture_keeps_its_shape():
    masks = []
    for k in range(5):
        mask = np.zeros((240, 416), bool)
        mask[60:200, 150 - 3 * k : 230 - 3 * k] = True
        masks.append(mask)
    entries = [shown(3 * k, mask) for k, mask in enumerate(masks)]
    calm = list(calm_over_time(iter(entries), 30))
    assert min(overlap(c > 0.5, m) for c, m in zip(calm, masks)) > 0.97


def test_a_fast_limb_is_not_eaten():
    body = np.zeros((240, 416), bool)
    body[60:200, 150:230] = True
    masks = []
    for k in range(5):
        limb = np.zeros_like(body)
        limb[60 + 30 * k : 72 + 30 * k, 230:330] = True  # its own thickness 2.5 times a frame
        masks.append(body | limb)
    entries = [shown(0, mask, patch=mask) for mask in masks]
    calm = list(calm_over_time(iter(entries), 30))
    for k in (1, 2, 3):
        limb = masks[k] & ~body
        assert (calm[k] > 0.5)[limb].mean() > 0.8


@pytest.mark.parametrize("fps", [5, 30])
def test_as_many_canvases_come_out_as_went_in(fps):
    mask = np.zeros((240, 416), bool)
    for count in (0, 1, 2, 7):
        entries = [shown(0, mask) for _ in range(count)]
        assert len(list(calm_over_time(iter(entries), fps))) == count
