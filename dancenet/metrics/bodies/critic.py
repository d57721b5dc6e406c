"""A critic: how well a small network tells generated motion from real motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from dancenet.metrics.reference import Value, too_few

LEAST_FRAMES = 300  # on either side
_MOST_FRAMES = 6_000  # on either side, chosen evenly
_UNITS = (64,)
_EPOCHS = 40
_BLOCKS = 10  # blocks of neighbouring frames that are learnt from or judged as a whole


def critic_auc(real: Sequence[np.ndarray], found: Sequence[np.ndarray], seed: int) -> Value:
    """Trains a critic on half of the frames and lets it judge the other half, both ways round.

    The critic sees a vector and its first and second differences: [x, Δx, Δ²x]. Frames are split
    in blocks, so that no frame is judged whose neighbour was learnt from.

    Args:
        real: runs (T, D) of held-out dances.
        found: runs (T, D) of other dances.
        seed: of the network's first weights.

    Returns:
        The area under the receiver operating characteristic: 0.5 if the critic can only guess,
        1 if it is never wrong; or why there is none.
    """
    sides = [_inputs(runs) for runs in (real, found)]
    few = too_few(min(map(len, sides)), LEAST_FRAMES, "frames")
    if few:
        return few
    count = min(_MOST_FRAMES, *map(len, sides))
    inputs, blocks = [], []
    for side in sides:
        chosen = np.arange(count) * len(side) // count
        inputs.append(side[chosen])
        blocks.append(np.arange(count) * _BLOCKS // count)
    rows = np.concatenate(inputs)
    labels = np.repeat([0, 1], count)
    is_odd = np.concatenate(blocks) % 2 == 1
    judged = np.zeros(len(rows))
    for learn in (is_odd, ~is_odd):
        scaler = StandardScaler().fit(rows[learn])
        critic = MLPClassifier(
            _UNITS, alpha=1e-2, batch_size=256, max_iter=_EPOCHS, tol=0, random_state=seed
        )
        _fit(critic, scaler.transform(rows[learn]), labels[learn])
        judged[~learn] = critic.predict_proba(scaler.transform(rows[~learn]))[:, 1]
    parts = [float(roc_auc_score(labels[part], judged[part])) for part in (is_odd, ~is_odd)]
    return float(np.mean(parts))


def _fit(critic: MLPClassifier, rows: np.ndarray, labels: np.ndarray) -> None:
    # Epoch by epoch, because `fit` warns when it stops at the last of a fixed number.
    rng = np.random.default_rng(0)
    for _ in range(_EPOCHS):
        order = rng.permutation(len(rows))
        critic.partial_fit(rows[order], labels[order], classes=[0, 1])


def _inputs(runs: Sequence[np.ndarray]) -> np.ndarray:
    """Returns [x, Δx, Δ²x] of every frame that has them, (N, 3 D) float32."""
    parts = []
    for run in runs:
        steps = np.diff(run, axis=0)
        parts.append(np.concatenate([run[2:], steps[1:], np.diff(steps, axis=0)], axis=1))
    return np.concatenate(parts).astype(np.float32)
