"""The number of a frame is the one that differs between names."""

from __future__ import annotations

from pathlib import Path

import pytest

from dancenet.data.mocap.formats.frame_names import numbers_of
from dancenet.support.errors import UserError


@pytest.mark.parametrize(
    "pattern",
    ["frame_{:05d}_720p.jpg", "d_{:06d}_keypoints_2d", "{}.jpg", "take2/cam 1/{:03d}", "x265 ({})"],
)
def test_the_digits_that_differ_are_the_number(pattern):
    names = [pattern.format(number) for number in (9, 10, 12)]
    assert numbers_of(Path("a"), names) == [9, 10, 12]


@pytest.mark.parametrize(
    "names, numbers",
    [
        (["clip_1_0.033", "clip_2_0.067", "clip_3_0.100"], [1, 2, 3]),
        ([7, "8", 9.0], [7, 8, 9]),
        (["a_5.jpg"] * 3, [5, 5, 5]),  # three people in one picture
        (["9.jpg", "10.png"], [9, 10]),
        (["a2_001", "b_002"], [1, 2]),
    ],
)
def test_names_of_many_programs_are_numbered(names, numbers):
    assert numbers_of(Path("a"), names) == numbers


@pytest.mark.parametrize(
    "names, message",
    [
        (["a_1", "b_1", "b_2"], "'a_1' and 'b_1' have one number of a frame, 1"),
        (["a1_01", "a1_02", "a2_01", "a2_02"], "'a1_01' and 'a2_01' have one number"),
        (["1.jpg", "01.jpg"], "'1.jpg' and '01.jpg' have one number"),
        ([1, 3_000_000_000], "numbered from 1 to 3000000000 and there are only 2"),
        (["first"], "'first' holds no number"),
        (["²", "٣"], "holds no number"),
        (["9" * 400], "holds no number"),
        ([1.5], "names a frame 1.5"),
        ([True], "names a frame True"),
        ([None], "names a frame None"),
        ([-1], "names a frame -1"),
        ([[1]], "names a frame"),
        ([float("nan")], "names a frame nan"),
        ([float("inf")], "names a frame inf"),
        ([1e300], "names a frame 1e"),
    ],
)
def test_names_that_do_not_number_one_film_are_refused(names, message):
    with pytest.raises(UserError, match=message):
        numbers_of(Path("a"), names)
