"""Windows never cross a clip."""

from __future__ import annotations

import numpy as np
import pytest

from dancenet.sequence.windows import WindowTable

CLIPS = [range(0, 10), range(10, 13), range(13, 20)]


def rows(*arguments: object) -> list[list[int]]:
    table = WindowTable(*arguments)
    return table.rows(np.arange(len(table))).tolist()


def test_every_window_lies_inside_one_clip_and_none_is_missing():
    expected = [
        [start, 4]
        for start in range(20)
        if any(clip.start <= start and start + 4 <= clip.stop for clip in CLIPS)
    ]
    assert rows([CLIPS[0], CLIPS[2]], 4) == expected


def test_stride_counts_from_the_start_of_each_clip():
    assert rows(CLIPS, 3, 3) == [[0, 3], [3, 3], [6, 3], [10, 3], [13, 3], [16, 3]]


def test_a_clip_of_just_one_window_gives_one_and_a_shorter_one_is_one_of_its_own_length():
    assert rows([range(5, 9)], 4) == [[5, 4]]
    assert rows(CLIPS, 8) == [[0, 8], [1, 8], [2, 8], [10, 3], [13, 7]]


def test_windows_are_found_by_their_numbers_in_any_order():
    table = WindowTable(CLIPS, 4, 2)
    order = np.random.default_rng(0).permutation(len(table))
    assert np.array_equal(table.rows(order), table.rows(np.arange(len(table)))[order])


def test_the_windows_of_a_clip_can_be_there_more_than_once():
    table = WindowTable(CLIPS, 6, 2).repeated(np.array([2, 3, 1]))
    assert table.counts.tolist() == [3, 1, 1]
    assert table.rows(np.arange(len(table)))[:, 0].tolist() == [0, 0, 2, 2, 4, 4, 10, 10, 10, 13]
    assert table.first_of_clips().tolist() == [[0, 6], [10, 3], [13, 6]]


def test_without_clips_there_are_no_windows():
    assert rows([], 4) == []


@pytest.mark.parametrize("length, stride", [(0, 1), (4, 0)])
def test_a_length_or_a_stride_of_zero_is_refused(length, stride):
    with pytest.raises(ValueError, match="positive"):
        WindowTable(CLIPS, length, stride)


def test_a_clip_without_rows_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        WindowTable([range(3, 3)], 4)
