"""Chooses how a shot's silhouettes are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dancenet.data.footage.film.matte import MatteMethod
from dancenet.data.footage.finders import Method
from dancenet.data.footage.methods import BackgroundMethod, ThresholdMethod, otsu
from dancenet.data.footage.person import PersonMethod, Tracker
from dancenet.data.footage.survey import Shot
from dancenet.support.errors import UserError

_PLAIN_SEPARATION = 0.92  # Otsu's measure from which two grey levels explain the picture
_HARDLY = 0.5  # share of the pictures with somebody below which another method is tried
_PLAIN_BORDER = 0.97  # share of the picture's border that must be wall


@dataclass(frozen=True)
class Settings:
    """The settings of an extraction."""

    method: str = "auto"
    fit: str = "crop"  # one of `crop.FITS`
    level: float | None = None  # threshold: the grey level; None lets Otsu choose
    invert: bool = False  # threshold: the dancer is on the side that touches the border
    split: str | None = None  # "train" or "val", recorded with each clip


class Chooser:
    """Makes the method for each shot, and opens the networks once for all of them."""

    def __init__(self, settings: Settings, load_tracker: Callable[[], Tracker]) -> None:
        self._settings = settings
        self._load_tracker = load_tracker
        self._track: Tracker | None = None
        self._missing: str | None = None

    def choose(self, shot: Shot, shows_matte: bool = False) -> tuple[Method, str]:
        """Returns the fitted method for a shot and the reason in words.

        Args:
            shot: what was learnt of it.
            shows_matte: its pictures are of a transparency that shows the dancer.
        """
        settings = self._settings
        if shows_matte:
            return MatteMethod(), "matte: the transparency of the footage shows the dancer"
        if settings.method == "threshold":
            fitted = self._threshold(shot)
            return fitted, f"threshold at grey level {fitted.level:.0f}, as asked"
        if settings.method == "background":
            reason = "background, as asked"
            if not shot.is_static:
                reason += "; the camera seems to move, so expect holes and ghosts"
            return BackgroundMethod.fit(shot.samples), reason
        if settings.method == "person":
            self._track = self._track or self._load_tracker()
            return self._person(shot), f"person, as asked{self._help(shot)}"
        separation, border = _plainness(shot.samples)
        if separation > _PLAIN_SEPARATION and border > _PLAIN_BORDER:
            fitted = self._threshold(shot)
            return fitted, (
                f"threshold at grey level {fitted.level:.0f}: two grey levels explain "
                f"{separation:.0%} of the picture and its border is all wall"
            )
        if self._track is None and self._missing is None:
            try:
                self._track = self._load_tracker()
            except UserError as error:
                self._missing = str(error)
        if self._track is not None:
            return self._person(shot), f"person: the background is not plain{self._help(shot)}"
        if shot.is_static:
            return BackgroundMethod.fit(shot.samples), (
                "background: the camera stands still, and the networks that see people cannot be "
                f"used ({self._missing})"
            )
        raise UserError(
            "This footage needs the networks that see people, because the camera moves and the "
            f"background is not plain; but they cannot be used: {self._missing}"
        )

    def instead(self, shot: Shot, method: Method, share: float) -> tuple[Method, str] | None:
        """Returns another method for a shot in which one found hardly anybody, and the reason.

        Args:
            shot: what was learnt of it.
            method: what was tried.
            share: of the pictures in which somebody was found.
        """
        is_choice = self._settings.method == "auto" and isinstance(method, PersonMethod)
        if not is_choice or not shot.is_static or share >= _HARDLY:
            return None
        return BackgroundMethod.fit(shot.samples), (
            "background: the camera stands still, and the networks see somebody in only "
            f"{share:.0%} of the pictures"
        )

    def _threshold(self, shot: Shot) -> ThresholdMethod:
        return ThresholdMethod.fit(shot.samples, self._settings.level, self._settings.invert)

    def _person(self, shot: Shot) -> PersonMethod:
        assert self._track is not None
        return PersonMethod(self._track, shot if shot.is_static else None)

    @staticmethod
    def _help(shot: Shot) -> str:
        return ", helped by the empty scene of a camera that stands still" if shot.is_static else ""


def _plainness(samples: np.ndarray) -> tuple[float, float]:
    grey = np.stack([cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY) for sample in samples])
    level, separation = otsu(grey)
    # The bottom is left out: a dancer may well stand on it or be cut by it.
    border = np.concatenate([grey[:, :, :2].ravel(), grey[:, :, -2:].ravel(), grey[:, :2].ravel()])
    bright = float((border >= level).mean())
    return separation, max(bright, 1 - bright)
