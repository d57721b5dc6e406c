"""Threads beside the caller: in order, a bounded way ahead, and gone at the end."""

import threading
import time
from collections.abc import Iterator

import pytest

from dancenet.support.threads import ordered_map


def test_results_come_in_the_order_of_their_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))  # some take longer, and are overtaken
        return number**2

    with ordered_map(work, range(50), 4) as results:
        assert list(results) == [number**2 for number in range(50)]


def test_items_are_drawn_as_results_are_taken_so_they_may_be_endless() -> None:
    drawn: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            drawn.append(len(drawn))
            yield drawn[-1]

    with ordered_map(str, endless(), 3) as results:
        for taken, result in zip(range(1, 30), results):
            assert result == str(taken - 1)
            assert len(drawn) - taken < 2 * 3


def test_what_the_work_raises_comes_in_the_place_of_its_result() -> None:
    def work(number: int) -> float:
        return 1 / (5 - number)

    taken = []
    with pytest.raises(ZeroDivisionError):
        with ordered_map(work, range(100), 2) as results:
            for result in results:
                taken.append(result)
    assert taken == [1 / 5, 1 / 4, 1 / 3, 1 / 2, 1]


def test_what_the_items_raise_reaches_the_caller() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        with ordered_map(str, broken(), 2) as results:
            list(results)


@pytest.mark.parametrize("place", ["work", "items", "caller", "nowhere"])
def test_no_thread_is_left_however_it_ends(place: str) -> None:
    before = threading.active_count()

    def fail_at(where: str, number: int) -> int:
        if where == place and number == 7:
            raise KeyboardInterrupt
        return number

    try:
        with ordered_map(
            lambda number: fail_at("work", number),
            (fail_at("items", number) for number in range(40)),
            3,
        ) as results:
            for result in results:
                fail_at("caller", result)
        assert place == "nowhere"
    except KeyboardInterrupt:
        assert place != "nowhere"
    assert threading.active_count() == before
