"""Work in threads beside the caller's own, in order, and never far ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items in hand for each thread: one at work, and one so that the thread need not wait.
_IN_HAND = 2


@contextmanager
def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Iterator[Result]]:
    """Gives the results of `work` in the order of the items, computed in threads.

    Items are drawn in the caller's thread, as results are taken, so memory does not grow with
    their number. What `work` or `items` raises is raised where its result would have been
    taken. However the block ends, its threads have ended with it.

        with ordered_map(decode, batches, 2) as decoded:
            for frames in decoded:
                write(frames)

    Args:
        work: called in the threads, each item once.
        items: may be endless.
        threads: how many, at least 1.
    """
    pool = ThreadPoolExecutor(threads)

    def results() -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == _IN_HAND * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)
