"""Windows of recordings larger than memory, read ahead from files by `tf.data`.

The pipeline is `tf.data`, whatever backend Keras trains with, so TensorFlow must be installed. It
returns NumPy arrays, for any backend.

`StreamedWindows` is a `WindowData` whose rows stay in files. For the same seed it gives the same
batches, to the last bit, because only the reading differs:

    range of batches ─▶ read, in threads, each batch's windows ─▶ in order ─▶ prefetch ─▶ noise

* Order: a round is a permutation of the numbers of all windows, drawn from the epoch's generator,
  that is, from the seed and the epoch alone. It takes 8 bytes a window, 1/512 of the data with 64
  dimensions and a stride of 16: 20 MB for 10 GB, and 2 GB for a terabyte. Shuffling clips first and
  then windows inside a few of them would take less memory, but `WindowData` draws another order.
* A round holds every window once, or more often for a rare style. `batches` carries the rest of a
  round, less than a batch, into the next one of the same epoch; `dataset` ends with a smaller
  batch, or without it.
* Reads run in parallel and return in order. The caller draws the noise afterwards.
* A file that is truncated or altered, or has a window that is not finite, is an error in one line.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dancenet.nets.training.windows import BatchOptions, WindowData, WindowRows
from dancenet.sequence.trajectory_file import TrajectoryFiles
from dancenet.support import errors

try:
    import tensorflow as tf
except ImportError as error:
    raise errors.why_not_imported(error, "Streaming windows from files", "train") from error

_READS = 4  # batches read in parallel
_PREFETCHED = 4  # batches kept ready


class StreamedWindows(WindowData):
    """Windows of trajectories in files, and batches drawn from them; see the module.

    It replaces a `WindowData`: `windows`, `draw`, `still` and `batches` return the same, and
    `batches` reads ahead. `vectors` is empty, because no row stays in memory, and `styles` has one
    row per clip.

    Args:
        files: the trajectories, or the paths of files with a clip each.
        options: length and noise of the windows.
        deviation: standard deviation of the vectors: one number for all, in model units, or
            files with as many rows, in the units that `to_model` converts.
        to_model: (L, D), from these units to model units.
        styles: (C, S) weights of the styles of each of `files.clips`.

    Raises:
        UserError: a file is missing, truncated or not a trajectory.
        ValueError: the deviation has another length, or there are not as many styles as clips.
    """

    def __init__(
        self,
        files: TrajectoryFiles | str | Path | Sequence[str | Path],
        options: BatchOptions,
        deviation: TrajectoryFiles | float = 0.0,
        to_model: np.ndarray | None = None,
        styles: np.ndarray | None = None,
    ) -> None:
        _leave_the_gpu_alone()
        self.files = files if isinstance(files, TrajectoryFiles) else TrajectoryFiles(files)
        super().__init__(np.zeros((0, self.files.dim), np.float32), options, None, to_model, styles)
        if isinstance(deviation, TrajectoryFiles) and deviation.num_rows != self.files.num_rows:
            raise ValueError(
                f"the deviation has {deviation.num_rows} rows and the vectors "
                f"{self.files.num_rows}."
            )
        if styles is not None and len(styles) != len(self.files.clips):
            raise ValueError(f"{len(styles)} styles for {len(self.files.clips)} clips.")
        self._uncertain = deviation
        # Windows are looked up among the clips by where they begin.
        self._by_start = np.argsort([clip.start for clip in self.files.clips], kind="stable")
        ordered = [self.files.clips[index] for index in self._by_start]
        self._starts = np.array([clip.start for clip in ordered])
        self._stops = np.array([clip.stop for clip in ordered])

    def dataset(
        self, windows: np.ndarray, batch_size: int, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Returns the batches of `still`, read ahead, as TensorFlow's own pipeline.

        Args:
            windows: (N, 2) in order; shuffled for an epoch of training:
                `rng.permutation(data.windows(clips, stride, rng))`.
            batch_size: B.
            drop_remainder: leave out the last batch if it is smaller, so that all have one shape.

        Returns:
            A dataset of dictionaries `inputs` and `targets` (B, T, D), `mask` (B, T), and `style`
            (B, S) if there are any. An error in a file becomes part of the message of TensorFlow's
            error; `batches` and `still` raise it unchanged. Delete iterators over the dataset
            before the program ends.
        """
        self._clips_of(windows)
        size = batch_size if drop_remainder else None
        length, dim = self.options.look_back, self.files.dim
        shapes = {
            "inputs": (size, length, dim),
            "targets": (size, length, dim),
            "mask": (size, length),
        }
        if self.styles is not None:
            shapes["style"] = (size, self.styles.shape[1])

        def read(batch: np.ndarray) -> list[np.ndarray]:
            found = self.still(batch)
            return [np.ascontiguousarray(found[name]) for name in shapes]

        def name(*arrays: Any) -> dict[str, Any]:
            return {
                name: tf.ensure_shape(array, shape)
                for array, (name, shape) in zip(arrays, shapes.items())
            }

        with tf.device("CPU"):
            batches = tf.data.Dataset.from_tensor_slices(windows)
            batches = batches.batch(batch_size, drop_remainder=drop_remainder)
            return _read_ahead(batches, read, len(shapes), name)

    def _read(self, windows: np.ndarray, noisy: bool) -> WindowRows:
        self._clips_of(windows)
        length = self.options.look_back + 1
        vectors = self.files.read_windows(windows, length)
        if not noisy:
            return WindowRows(vectors)
        if isinstance(self._uncertain, TrajectoryFiles):
            return WindowRows(vectors, self._uncertain.read_windows(windows, length))
        return WindowRows(vectors, self._same_deviation(vectors))

    def _same_deviation(self, vectors: np.ndarray) -> np.ndarray:
        assert not isinstance(self._uncertain, TrajectoryFiles)
        return np.broadcast_to(np.float32(self._uncertain), vectors.shape)

    def _read_batches(
        self,
        order: Callable[[int, int], np.ndarray],
        batch_size: int,
        count: int,
        noisy: bool,
    ) -> Iterator[tuple[np.ndarray, WindowRows]]:
        from_files = noisy and isinstance(self._uncertain, TrajectoryFiles)
        num_arrays = 1 + from_files
        reading = _Reading(order)

        def read(first: np.ndarray) -> list[np.ndarray]:
            known = reading.order
            if known is None:  # closed: no caller waits for this batch
                return [np.zeros(0, np.float32)] * num_arrays
            try:
                rows = self._read(known(int(first), int(first) + batch_size), from_files)
            except Exception as error:
                reading.failed[int(first)] = error
                raise
            return [rows.vectors] if rows.deviation is None else [rows.vectors, rows.deviation]

        firsts = range(0, count * batch_size, batch_size)
        with tf.device("CPU"):
            numbers = tf.data.Dataset.range(firsts.start, firsts.stop, firsts.step)
            reading.batches = iter(_read_ahead(numbers, read, num_arrays))
        try:
            for first in firsts:
                arrays = reading.take()
                if noisy and not from_files:
                    arrays.append(self._same_deviation(arrays[0]))
                yield order(first, first + batch_size), WindowRows(*arrays)
        finally:
            reading.close()

    def _styles_of(self, windows: np.ndarray) -> np.ndarray | None:
        return None if self.styles is None else self.styles[self._clips_of(windows)]

    def _clips_of(self, windows: np.ndarray) -> np.ndarray:
        """Returns the number (B,) of the clip that each window is in."""
        index = np.searchsorted(self._starts, windows[:, 0], side="right") - 1
        inside = (index >= 0) & (windows.sum(axis=1) <= self._stops[index])
        if not inside.all():
            start, size = windows[np.argmin(inside)]
            raise ValueError(f"the window of {size} rows from {start} is not inside one clip.")
        return self._by_start[index]


class _Reading:
    """Batches in reading, until it is closed.

    TensorFlow never frees the functions it is given, nor the objects they refer to. They refer to
    this one, which drops the order and the errors when it is closed.
    """

    def __init__(self, order: Callable[[int, int], np.ndarray]) -> None:
        self.order: Callable[[int, int], np.ndarray] | None = order
        self.failed: dict[int, Exception] = {}  # by the place of a batch in the order
        self.batches: Any = None
        _open.add(self)

    def take(self) -> list[np.ndarray]:
        """Returns the arrays of the next batch."""
        try:
            return [array.numpy() for array in next(self.batches)]
        except tf.errors.OpError:
            if not self.failed:
                raise
            # TensorFlow's message is a page long. Raise the first error in order.
            raise self.failed[min(self.failed)] from None

    def close(self) -> None:
        """Ends the reading."""
        self.order = self.batches = None
        self.failed.clear()
        _open.discard(self)


_open: weakref.WeakSet[_Reading] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # A thread that reads after Python has ended would never end, nor would the program.
    for reading in list(_open):
        reading.close()


def _leave_the_gpu_alone() -> None:
    """Hides the GPU from TensorFlow if another backend trains: it would take all its memory.

    Nothing here runs on a GPU.
    """
    if keras.backend.backend() != "tensorflow":
        with suppress(RuntimeError):  # TensorFlow is initialised already
            tf.config.set_visible_devices([], "GPU")


def _read_ahead(
    items: tf.data.Dataset,
    read: Callable[[np.ndarray], list[np.ndarray]],
    num_arrays: int,
    name: Callable[..., Any] | None = None,
) -> tf.data.Dataset:
    """Returns the float32 arrays of `read` for each item, read in threads, in order."""

    def load(item: Any) -> Any:
        arrays = tf.numpy_function(read, [item], [tf.float32] * num_arrays)
        return tuple(arrays) if name is None else name(*arrays)

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    # Its own threads, so that reads that wait for the disk do not delay the training.
    options.threading.private_threadpool_size = _READS
    found = items.map(load, num_parallel_calls=_READS, deterministic=True)
    return found.prefetch(_PREFETCHED).with_options(options)
