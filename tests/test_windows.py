"""Windows never cross a clip."""

from __future__ import annotations

import pytest

from dancenet.errors import UserError
from dancenet.sequence.windows import window_starts

CLIPS = [range(0, 10), range(10, 13), range(13, 20)]


def test_every_window_lies_inside_one_clip_and_none_is_missing():
    starts = window_starts(CLIPS, length=4)
    expected = [
        start
        for start in range(20)
        if any(clip.start <= start and start + 4 <= clip.stop for clip in CLIPS)
    ]
    assert starts.tolist() == expected


def test_stride_counts_from_the_start_of_each_clip():
    assert window_starts(CLIPS, length=4, stride=3).tolist() == [0, 3, 6, 13, 16]


def test_a_clip_of_just_one_window_gives_one():
    assert window_starts([range(5, 9)], length=4).tolist() == [5]


def test_clips_that_are_all_too_short_are_named():
    with pytest.raises(UserError, match="needs 11 frames and the longest clip has 10"):
        window_starts(CLIPS, length=11)


def test_a_length_of_zero_is_refused():
    with pytest.raises(ValueError, match="positive"):
        window_starts(CLIPS, length=0)
