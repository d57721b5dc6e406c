"""A critic: how well a small network tells generated motion from real motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from dancenet.metrics.reference import Value, too_few

LEAST_FRAMES = 120  # on either side, to learn from and to judge
_MOST_FRAMES = 6_000  # on either side, chosen evenly
_UNITS = 64
_EPOCHS = 30

Runs = Sequence[np.ndarray]


def critic_auc(learn: tuple[Runs, Runs], judge: tuple[Runs, Runs], seed: int) -> Value:
    """Trains a critic on some real and some generated motion, and lets it judge others.

    The critic sees a vector and its first and second differences: [x, Δx, Δ²x].

    Args:
        learn: real runs (T, D), such as training dances, and generated runs.
        judge: real runs (T, D) that it does not learn from, such as held-out dances, and other
            generated runs.
        seed: of the network's first weights.

    Returns:
        The area under the receiver operating characteristic: 0.5 if the critic can only guess,
        1 if it is never wrong; or why there is none.
    """
    sides = [_inputs(runs) for runs in (*learn, *judge)]
    few = too_few(min(map(len, sides)), LEAST_FRAMES, "frames")
    if few:
        return few
    # As many of either side, so that the critic has no reason to prefer one.
    rows, labels = _joined(sides[:2])
    scaler = StandardScaler().fit(rows)
    critic = MLPClassifier((_UNITS,), alpha=1e-2, batch_size=256, random_state=seed)
    rng = np.random.default_rng(seed)
    known = scaler.transform(rows)
    for _ in range(_EPOCHS):
        order = rng.permutation(len(known))
        critic.partial_fit(known[order], labels[order], classes=[0, 1])
    rows, labels = _joined(sides[2:])
    return float(roc_auc_score(labels, critic.predict_proba(scaler.transform(rows))[:, 1]))


def halves(runs: Runs) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Deals runs to two sides in turn; a single run is cut, and a tenth in the middle left out."""
    if len(runs) == 1:
        length = len(runs[0])
        return [runs[0][: length * 45 // 100]], [runs[0][length * 55 // 100 :]]
    return list(runs[::2]), list(runs[1::2])


def _joined(sides: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    count = min(_MOST_FRAMES, *map(len, sides))
    chosen = [side[np.arange(count) * len(side) // count] for side in sides]
    return np.concatenate(chosen), np.repeat([0, 1], count)


def _inputs(runs: Runs) -> np.ndarray:
    """Returns [x, Δx, Δ²x] of every frame that has them, (N, 3 D) float32."""
    parts = []
    for run in runs:
        if len(run) > 2:
            steps = np.diff(run, axis=0)
            parts.append(np.concatenate([run[2:], steps[1:], np.diff(steps, axis=0)], axis=1))
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 1), np.float32)
