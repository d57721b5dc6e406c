"""A hand on the dancer's shoulder: what leaves all that was ever danced is led back to it."""

from __future__ import annotations

import numpy as np

NEIGHBORS = 8
# Of the usual distance between one stretch of real motion and the others: nearer than that a
# dance is left alone.
FREE = 0.7
_MEASURED = 24  # stretches that the usual distance is measured from
_EVERY = 4  # of their vectors, one
_OVERLAP = 3  # stretches this near in the list may show the same moment


class NeighbourCorrection:
    """Pulls a vector towards the real vectors nearest to it, the more the further it is away.

    A dancer feeds on its own vectors, and small errors lead it to places between poses where no
    picture is known. The pull is a share of the way to the mean of the nearest real vectors,
    each weighted by the inverse of its squared distance.

    Args:
        stretches: (N, S, D) real motion in model units.
        scale: (D,) what one model unit is worth, so that directions that hardly show in the
            picture count little.
        strength: share of the way that a vector far outside is led back in one step, in [0, 1].
    """

    def __init__(self, stretches: np.ndarray, scale: np.ndarray, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be in [0, 1]; received {strength}.")
        self.strength = strength
        self._weights = (scale / scale.max()).astype(np.float32)
        self._known = stretches.reshape(-1, stretches.shape[2]).astype(np.float32)
        self._places = self._known * self._weights
        self._squares = np.einsum("nd,nd->n", self._places, self._places)
        self.radius = FREE * self._usual_distance(stretches.shape[:2])

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Takes (B, D) in model units; returns (B, D) float32, each row by itself."""
        return np.stack([self._lead(vector) for vector in vectors.astype(np.float32)])

    def distance(self, vector: np.ndarray) -> float:
        """Returns how far a vector (D,) is from the nearest real one, in weighted units."""
        return float(np.sqrt(self._squared(vector).min()))

    def _lead(self, vector: np.ndarray) -> np.ndarray:
        squared = self._squared(vector)
        count = min(NEIGHBORS, len(squared))
        nearest = np.argpartition(squared, count - 1)[:count]
        distance = float(np.sqrt(squared[nearest].min()))
        if distance <= self.radius:
            return vector
        closeness = 1.0 / (squared[nearest] + np.float32(1e-3))
        goal = (closeness / closeness.sum()) @ self._known[nearest]
        share = np.float32(self.strength * (1.0 - self.radius / distance))
        return vector + share * (goal - vector)

    def _squared(self, vector: np.ndarray) -> np.ndarray:
        place = vector * self._weights
        # One product with a vector for each dance: its bits do not depend on its neighbours.
        return np.maximum(self._squares - 2.0 * (self._places @ place) + place @ place, 0.0)

    def _usual_distance(self, shape: tuple[int, ...]) -> float:
        count, length = shape
        stretch = np.repeat(np.arange(count), length)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _MEASURED)).round().astype(int))
        distances = []
        for index in chosen:
            others = np.abs(stretch - index) > _OVERLAP
            if not others.any():
                continue
            asked = self._places[index * length : (index + 1) * length : _EVERY]
            squared = (
                self._squares[others]
                - 2.0 * asked @ self._places[others].T
                + np.einsum("nd,nd->n", asked, asked)[:, None]
            )
            distances.append(np.sqrt(np.maximum(squared.min(axis=1), 0.0)))
        return float(np.median(np.concatenate(distances))) if distances else 0.0
