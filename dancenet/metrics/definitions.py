"""Every measure of the report: its formula, its unit, how to read it, and its bar.

In the formulas x_t is the vector of frame t in model units, p the background probability of a
pixel (0 dancer, 1 background), and "real" the reference half of the real dances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MODEL, REAL, COPY = "model", "real", "copy"
FREEZE, AR1, RECIPE_2018 = "freeze", "ar1", "recipe_2018"
COLUMNS = {
    MODEL: "model",
    REAL: "real",
    COPY: "copy",
    FREEZE: "freeze",
    AR1: "AR(1)",
    RECIPE_2018: "2018 recipe",
}
COLUMN_NOTES = {
    MODEL: "dances that the model generates",
    REAL: "the second half of the real dances, compared with the first: the best to expect",
    COPY: "training dances, encoded and decoded: the loss of the picture network alone",
    FREEZE: "one training frame, held for the whole dance",
    AR1: "a linear map from each vector to the next, plus noise, fitted to the training dances",
    RECIPE_2018: "a network that sees one vector, with the sampler and the feedback of 2018",
}
GAUSSIAN = "gaussian"  # one Gaussian for all vectors; has a likelihood only, and no column

HIGHER, LOWER = "Higher is better.", "Lower is better."
NEAR_ONE = "1 is as real; higher means more than real, lower means less."
NO_DRIFT = "1 is no drift; higher means that it grows, lower that it shrinks."


@dataclass(frozen=True)
class Limits:
    """The range in which a figure must lie; None is no limit."""

    low: float | None = None
    high: float | None = None
    note: str = ""  # the source of the limits, if they depend on other figures

    def hold(self, value: float) -> bool:
        """Tells whether a value lies in the range."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


# Takes a measure's key and a column; returns the mean over seeds, or None if there is none.
Means = Callable[[str, str], float | None]
Bar = Callable[[Means], Limits]


@dataclass(frozen=True)
class Measure:
    """One line of the report."""

    key: str
    group: str
    title: str
    definition: str  # one sentence or formula
    reading: str  # what higher and lower mean
    unit: str = ""  # "" for a number without a unit
    bar: Bar | None = None


def fixed(low: float | None = None, high: float | None = None) -> Bar:
    """Returns a bar with the same limits for every evaluation."""
    return lambda means: Limits(low, high)


def from_real(
    key: str, note: str, *, low: float | None = None, high: float | None = None, plus: float = 0.0
) -> Bar:
    """Returns a bar at `low` or `high` times the real figure, plus `plus`."""

    def bar(means: Means) -> Limits:
        real = means(key, REAL)
        if real is None:
            return Limits(note=note)
        return Limits(
            low=None if low is None else low * real + plus,
            high=None if high is None else high * real + plus,
            note=note,
        )

    return bar


def _loop(means: Means) -> Limits:
    return Limits(high=means("loop_limit", MODEL), note="99th percentile of real")


def frechet(key: str) -> Bar:
    def bar(means: Means) -> Limits:
        real, recipe = means(key, REAL), means(key, RECIPE_2018)
        if real is None:
            return Limits(note="2 × real")
        if recipe is None or 2 * real <= recipe / 2:
            return Limits(high=2 * real, note="2 × real")
        return Limits(high=recipe / 2, note="half of the 2018 recipe")

    return bar


def _likelihood(means: Means) -> Limits:
    rivals = {
        name: value
        for name, column in (("AR(1)", AR1), ("one Gaussian", GAUSSIAN))
        if (value := means("held_out_nll", column)) is not None
    }
    if not rivals:
        return Limits()
    best = min(rivals, key=rivals.__getitem__)
    return Limits(high=rivals[best], note=best)


_RECONSTRUCTION = (
    Measure(
        key="iou",
        group="reconstruction, held out",
        title="IoU",
        definition="Intersection over union of the true and the decoded dancer (p < 0.5).",
        reading=HIGHER,
        bar=fixed(low=0.95),
    ),
    Measure(
        key="boundary_f",
        group="reconstruction, held out",
        title="boundary F",
        definition="F measure of the outlines, with a tolerance of 2 pixels (Csurka et al. 2013).",
        reading=HIGHER,
        bar=fixed(low=0.85),
    ),
    Measure(
        key="boundary_f_1",
        group="reconstruction, held out",
        title="boundary F, 1 px",
        definition="The same, with a tolerance of 1 pixel.",
        reading=HIGHER,
        bar=fixed(low=0.95),
    ),
    Measure(
        key="psnr",
        group="reconstruction, held out",
        title="PSNR, dB",
        unit="dB",
        definition="Peak signal-to-noise ratio, 10 log10(1 / mean squared error of p).",
        reading=HIGHER,
    ),
    Measure(
        key="ssim",
        group="reconstruction, held out",
        title="SSIM",
        definition="Structural similarity of the true and the decoded frame (Wang et al. 2004).",
        reading=HIGHER,
    ),
)
_SHARPNESS = (
    Measure(
        key="soft",
        group="sharpness",
        title="soft pixels",
        unit="share",
        definition="Pixels with 0.1 < p < 0.9, divided by pixels with p < 0.9.",
        reading=LOWER,
        bar=fixed(high=0.15),
    ),
    Measure(
        key="hazy",
        group="sharpness",
        title="hazy frames",
        unit="share",
        definition="Frames in which over 10 % of the background has 0.5 < p < 0.97.",
        reading=LOWER,
        bar=fixed(high=0.01),
    ),
    Measure(
        key="one_dancer",
        group="sharpness",
        title="one dancer",
        unit="share",
        definition="Frames in which one connected component holds 97 % of the dancer's pixels.",
        reading=HIGHER,
        bar=from_real("one_dancer", "0.98 × real", low=0.98),
    ),
)
MOTION = (
    Measure(
        key="energy",
        group="motion",
        title="energy, latents",
        unit="× real",
        definition="Mean of |x_(t+1) - x_t|², divided by the same mean for real.",
        reading=NEAR_ONE,
        bar=fixed(0.8, 1.25),
    ),
    Measure(
        key="mask_change",
        group="motion",
        title="energy, pictures",
        unit="× real",
        definition="Mean share of pixels that change between dancer and background from one "
        "picture to the next, divided by the same mean for real.",
        reading=NEAR_ONE,
        bar=fixed(0.8, 1.25),
    ),
    Measure(
        key="freeze",
        group="motion",
        title="freeze",
        unit="share",
        definition="Frames in which the speed |x_(t+n) - x_t| / n, with n frames = 0.2 s, stays "
        "below a tenth of the training median for 0.5 s or longer.",
        reading=LOWER,
        bar=from_real("freeze", "real + 0.02", high=1.0, plus=0.02),
    ),
    Measure(
        key="jerk",
        group="motion",
        title="jerk",
        unit="× real",
        definition="Mean of |x_(t+3) - 3 x_(t+2) + 3 x_(t+1) - x_t|, divided by the same mean "
        "for real.",
        reading="1 is as real; higher means more jitter.",
        bar=fixed(high=1.3),
    ),
    Measure(
        key="fast",
        group="motion",
        title="fast steps",
        unit="share",
        definition="Steps |x_(t+1) - x_t| above the 99.9th percentile of real.",
        reading="0.001 is as real; higher means more sudden jumps.",
        bar=fixed(high=0.005),
    ),
    Measure(
        key="loop",
        group="motion",
        title="loop",
        unit="correlation",
        definition="Highest autocorrelation of x at lags above 1 s in windows of 10 s; the 90th "
        "percentile over windows.",
        reading="1 is an exact repetition; lower is better.",
        bar=_loop,
    ),
)
DRIFT = (
    Measure(
        key="drift_energy",
        group="drift",
        title="energy",
        unit="last / first",
        definition="Mean of |x_(t+1) - x_t|² in the last 10 s, divided by the first 10 s.",
        reading=NO_DRIFT,
        bar=fixed(0.8, 1.25),
    ),
    Measure(
        key="drift_softness",
        group="drift",
        title="softness",
        unit="last / first",
        definition="Share of soft pixels in the last 10 s, divided by the first 10 s.",
        reading=NO_DRIFT,
        bar=fixed(0.8, 1.25),
    ),
    Measure(
        key="drift_distance",
        group="drift",
        title="distance",
        unit="last / first",
        definition="Mean Mahalanobis distance of x from the training data in the last 10 s, "
        "divided by the first 10 s.",
        reading=NO_DRIFT,
        bar=fixed(0.8, 1.25),
    ),
)
DISTRIBUTION = (
    Measure(
        key="frechet_latents",
        group="distribution",
        title="Fréchet, latents",
        unit="× variance",
        definition="Squared Fréchet distance to real between statistics of 2 s windows (mean, "
        "standard deviation and mean step of each dimension), divided by the variance of real.",
        reading="0 is the same distribution; lower is better.",
        bar=frechet("frechet_latents"),
    ),
    Measure(
        key="frechet_flow",
        group="distribution",
        title="Fréchet, flow",
        unit="× variance",
        definition="Squared Fréchet distance to real between optical-flow histograms of 2 s "
        "windows, divided by the variance of real.",
        reading="0 is the same distribution; lower is better.",
        bar=frechet("frechet_flow"),
    ),
    Measure(
        key="density",
        group="distribution",
        title="density",
        definition="Mean number of balls around real windows (to the 5th neighbour) that contain "
        "a window, divided by 5 (Naeem et al. 2020).",
        reading="1 is as real; lower means that windows lie away from real ones.",
    ),
    Measure(
        key="coverage",
        group="distribution",
        title="coverage",
        unit="share",
        definition="Balls around real windows (to the 5th neighbour) that contain at least one "
        "window (Naeem et al. 2020).",
        reading=HIGHER,
        bar=from_real("coverage", "0.9 × real", low=0.9),
    ),
    Measure(
        key="precision",
        group="distribution",
        title="precision",
        unit="share",
        definition="Windows inside a ball around a real window (to the 3rd neighbour; "
        "Kynkäänniemi et al. 2019).",
        reading=HIGHER,
    ),
    Measure(
        key="recall",
        group="distribution",
        title="recall",
        unit="share",
        definition="Real windows inside a ball around a window (to the 3rd neighbour; "
        "Kynkäänniemi et al. 2019).",
        reading=HIGHER,
        bar=from_real("recall", "0.68 × real", low=0.68),
    ),
)
NOVELTY = (
    Measure(
        key="novelty_z",
        group="novelty",
        title="Z",
        unit="std",
        definition="Mann-Whitney Z of the distances from windows to the nearest training window, "
        "compared with held-out windows.",
        reading="0 is as new as held-out dances; far below 0 means copied training data.",
        bar=fixed(low=-3.0),
    ),
    Measure(
        key="near",
        group="novelty",
        title="near training",
        unit="share",
        definition="Windows that are nearer to a training window than the 5th percentile of "
        "held-out windows.",
        reading="0.05 is as new as held-out dances; higher means more copying.",
        bar=fixed(high=0.1),
    ),
)
LIKELIHOOD = (
    Measure(
        key="held_out_nll",
        group="prediction",
        title="held-out NLL, nats",
        unit="nats",
        definition="Negative log-likelihood of each next vector of the held-out dances, per "
        "dimension and step.",
        reading="Lower is better; it can be negative.",
        bar=_likelihood,
    ),
    Measure(
        key="generated_nll",
        group="prediction",
        title="generated NLL, nats",
        unit="nats",
        definition="The same for the dances that the model generated itself.",
        reading="Near the held-out NLL if the model is as sure of its own dances as of real ones.",
    ),
)
MEASURES = (
    *_RECONSTRUCTION,
    *_SHARPNESS,
    *MOTION,
    *DRIFT,
    *DISTRIBUTION,
    *NOVELTY,
    *LIKELIHOOD,
)
