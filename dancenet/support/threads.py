"""Maps a function over items in threads, in order, with a bounded number of items at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items per thread: one in work, and one so that the thread need not wait.
_PER_THREAD = 2


@contextmanager
def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Iterator[Result]]:
    """Yields an iterator over the results of `work` in the order of the items.

    Items are read in the caller's thread, as results are taken, so memory use is bounded. An
    exception in `work` or `items` is raised where its result would have been taken. The threads
    end with the block, also after an exception.

        with ordered_map(decode, batches, 2) as decoded:
            for frames in decoded:
                write(frames)

    Args:
        work: called in the threads, each item once.
        items: may be endless.
        threads: the number of threads, at least 1.
    """
    pool = ThreadPoolExecutor(threads)

    def results() -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == _PER_THREAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)
