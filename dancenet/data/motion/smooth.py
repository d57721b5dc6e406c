"""A Gaussian low-pass over time, without lag."""

from __future__ import annotations

from typing import Literal

import numpy as np


def smooth(
    values: np.ndarray, deviation: float, radius: int, ends: Literal["hold", "reflect"]
) -> np.ndarray:
    """Low-passes values over time.

    Args:
        values: (T,) or (T, C).
        deviation: standard deviation of the Gaussian, frames.
        radius: frames on either side at which the Gaussian is cut off.
        ends: values beyond the ends: "hold" repeats the end; "reflect" continues by point
            reflection, which keeps the slope.

    Returns:
        The shape of `values`.
    """
    if ends == "reflect" and len(values) == 1:
        return values.copy()
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(deviation, 1e-9)) ** 2)
    kernel /= kernel.sum()
    columns = values[:, None] if values.ndim == 1 else values
    margin = ((radius, radius), (0, 0))
    if ends == "hold":
        padded = np.pad(columns, margin, mode="edge")
    else:
        padded = np.pad(columns, margin, mode="reflect", reflect_type="odd")
        # Repeated reflection runs away where the clip is shorter than the kernel; bound it.
        low, high = columns.min(axis=0), columns.max(axis=0)
        padded = np.clip(padded, low - (high - low), high + (high - low))
    smoothed = [np.convolve(column, kernel, "valid") for column in padded.T]
    return np.stack(smoothed, axis=1).reshape(values.shape)
