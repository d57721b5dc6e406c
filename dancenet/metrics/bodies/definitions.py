"""The measures of bodies: their formulas, how to read them, and their bars.

A figure's x_t are 32 principal components of its picture, moved to one place (see `shapes`).
"""

from __future__ import annotations

from dancenet.metrics.bodies.scores import LAGS
from dancenet.metrics.definitions import (
    DISTRIBUTION,
    DRIFT,
    HIGHER,
    LIKELIHOOD,
    LOWER,
    MEASURES,
    MOTION,
    NEAR_ONE,
    NOVELTY,
    Measure,
    fixed,
    frechet,
    from_real,
)

_GROUP = "bodies"

_PICTURES = (
    Measure(
        key="unlike_1",
        group=_GROUP,
        title="unlike a body, 1 %",
        unit="share",
        definition="Figures whose IoU with the nearest training silhouette, wherever both stand, "
        "is below the 1st percentile of held-out figures.",
        reading="0.01 is as real; higher means more pictures that are no body.",
        bar=fixed(high=0.010),
    ),
    Measure(
        key="unlike_5",
        group=_GROUP,
        title="unlike a body, 5 %",
        unit="share",
        definition="The same below the 5th percentile.",
        reading="0.05 is as real; higher means more pictures that are no body.",
        bar=fixed(high=0.05),
    ),
    Measure(
        key="two_trunks",
        group=_GROUP,
        title="two trunks",
        unit="share",
        definition="Figures with two runs of 6 pixels or more in over 70 % of the rows from 28 to "
        "50 % of their height.",
        reading=LOWER,
        bar=fixed(high=0.0005),
    ),
    Measure(
        key="body_fit",
        group=_GROUP,
        title="body fit",
        unit="× real",
        definition="IoU of a figure with a body that is fitted to it and redrawn; the 1st "
        "percentile over every tenth picture, divided by the same for held-out pictures.",
        reading="1 is as real; lower means that limbs are missing, doubled or melted.",
        bar=fixed(low=0.9),
    ),
    Measure(
        key="misfit",
        group=_GROUP,
        title="no body fits",
        unit="share",
        definition="Figures whose IoU with the redrawn body is below the 1st percentile of "
        "held-out pictures.",
        reading="0.01 is as real; higher means more pictures that are no body.",
    ),
    *(
        Measure(
            key=f"structure_{lag}",
            group=_GROUP,
            title=f"change in {lag} frame{'s' if lag > 1 else ''}",
            unit="× real",
            definition=f"E|x_(t+{lag}) - x_t|² / (2 Var x), divided by the same for real.",
            reading=NEAR_ONE
            + (" Much more is trembling." if lag == 1 else " More is a dance that forgets itself."),
            bar=fixed(0.87, 1.15),
        )
        for lag in LAGS
    ),
    Measure(
        key="range",
        group=_GROUP,
        title="range",
        unit="× real",
        definition="Var x, divided by the same for real.",
        reading=NEAR_ONE,
        bar=fixed(0.9, 1.1),
    ),
    Measure(
        key="dwell",
        group=_GROUP,
        title="stay in a pose",
        unit="× real",
        definition="Mean time that a dance stays nearest to one of 40 poses (k-means of x of the "
        "training dances), divided by the same for real.",
        reading=NEAR_ONE,
        bar=fixed(0.9, 1.1),
    ),
    Measure(
        key="critic",
        group=_GROUP,
        title="critic",
        unit="AUC",
        definition="How well a small network, trained on training dances and generated ones, tells "
        "held-out dances from other generated ones by [x, Δx, Δ²x] of vectors x.",
        reading="0.5 is a guess, 1 is never wrong; lower is better.",
        bar=fixed(high=0.70),
    ),
)

SILHOUETTE_MEASURES = (
    *MEASURES,
    *_PICTURES,
    Measure(
        key="one_dancer_plain",
        group=_GROUP,
        title="one dancer, not refined",
        unit="share",
        definition="Frames in which one connected component holds 97 % of the dancer's pixels, "
        "where pictures are decoded once and not refined.",
        reading=HIGHER,
        bar=fixed(low=0.995),
    ),
)

_JOINTS = (
    # The recordings' own spread is 0.002.
    Measure(
        key="bones",
        group="body",
        title="bones",
        unit="share",
        definition="Standard deviation of a bone's length over time, divided by its mean; "
        "mean of all bones.",
        reading=LOWER,
        bar=fixed(high=0.005),
    ),
    Measure(
        key="bones_decoded",
        group="body",
        title="bones, decoded",
        unit="share",
        definition="The same before bone lengths are corrected.",
        reading="Lower means that the network itself keeps bone lengths.",
    ),
    Measure(
        key="slide",
        group="body",
        title="foot slide, m/s",
        unit="m/s",
        definition="Horizontal speed of the feet within 2.5 cm of the floor, weighted by height "
        "(Zhang et al. 2018).",
        reading=LOWER,
        bar=from_real("slide", "1.5 × real", high=1.5),
    ),
    Measure(
        key="kinetic",
        group="body",
        title="Fréchet, kinetic",
        unit="× variance",
        definition="Squared Fréchet distance to real between kinetic features of 2 s windows "
        "(Onuma et al. 2008; Li et al. 2021), divided by the variance of real.",
        reading="0 is the same distribution; lower is better.",
        bar=frechet("kinetic"),
    ),
    Measure(
        key="diversity",
        group="body",
        title="diversity, kinetic",
        unit="× real",
        definition="Mean distance between the kinetic features of two windows, divided by the "
        "same mean for real.",
        reading=NEAR_ONE,
    ),
    Measure(
        key="style_share",
        group="style",
        title="style followed",
        unit="share",
        definition="Windows of dances in a requested style that are nearest to training windows "
        "of that style; mean over styles. The column 'real' shows held-out dances.",
        reading=HIGHER,
        bar=from_real("style_share", "0.8 × held out", low=0.8),
    ),
)
JOINT_MEASURES = (
    *MOTION,
    *(measure for measure in DRIFT if measure.key != "drift_softness"),
    *DISTRIBUTION,
    *NOVELTY,
    *LIKELIHOOD,
    *_JOINTS,
    *_PICTURES,
)
