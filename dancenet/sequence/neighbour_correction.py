"""Moves generated vectors that have left real motion back towards it."""

from __future__ import annotations

import numpy as np

NEIGHBORS = 8
# A vector nearer to real motion than this share of the usual distance is left alone. The usual
# distance is the median distance from a vector of one seed clip to the nearest one of the others.
FREE = 0.7
_MEASURED = 24  # seed clips that the usual distance is measured from
_EVERY = 4  # every fourth of their vectors is taken
_OVERLAP = 3  # seed clips this near in the list may overlap


class NeighbourCorrection:
    """Pulls a vector towards the real vectors nearest to it, the more the further it is away.

    A dancer is fed its own vectors, and small errors lead it between poses, where the decoder
    knows no picture. Each step moves a vector a share of the way to the mean of the nearest real
    vectors, weighted by the inverse of their squared distances.

    Args:
        seed_clips: (N, S, D) real motion in model units.
        scale: (D,) latent units per model unit, so that directions that hardly show in the
            picture count little.
        strength: share of the way that a vector far outside moves in one step, in [0, 1].
    """

    def __init__(self, seed_clips: np.ndarray, scale: np.ndarray, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be in [0, 1]; received {strength}.")
        self.strength = strength
        self._weights = (scale / scale.max()).astype(np.float32)
        self._known = seed_clips.reshape(-1, seed_clips.shape[2]).astype(np.float32)
        self._places = self._known * self._weights
        self._squares = np.einsum("nd,nd->n", self._places, self._places)
        self.radius = FREE * self._usual_distance(seed_clips.shape[:2])

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
        # One product per dance, so that its bits do not depend on the other dances.
        return np.maximum(self._squares - 2.0 * (self._places @ place) + place @ place, 0.0)

    def _usual_distance(self, shape: tuple[int, ...]) -> float:
        count, length = shape
        clip = np.repeat(np.arange(count), length)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _MEASURED)).round().astype(int))
        distances = []
        for index in chosen:
            others = np.abs(clip - index) > _OVERLAP
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


def make_correction(
    seed_clips: np.ndarray, scale: np.ndarray, strength: float
) -> NeighbourCorrection | None:
    """Returns the correction of a model, or None where it would do nothing.

    Args:
        seed_clips: (N, S, D) the model's own, in model units.
        scale: (D,) as in `NeighbourCorrection`.
        strength: in [0, 1]; 0 corrects nothing.
    """
    # Single vectors, as in a model imported from 2018, are not a motion to return to.
    if not strength or seed_clips.shape[1] < 2:
        return None
    return NeighbourCorrection(seed_clips, scale, strength)
