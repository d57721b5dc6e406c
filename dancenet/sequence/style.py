"""What style is asked for, and its effect on the predicted mixture, which is strengthened."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection

import numpy as np

from dancenet.sequence.generate import State, StepModel
from dancenet.sequence.mixture import Mixture
from dancenet.support.errors import UserError

STRENGTH = 2.0  # trained models then keep to the style that is asked for
# A name, in double quotes or without, and perhaps its weight.
_STYLE = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<bare>[^\s",:][^,:]*))\s*(?::(?P<weight>[^,]*))?(?:,|\Z)'
)


class StyleGuided:
    """A step model in which the effect of the style is exaggerated.

    In training the pose alone nearly always tells the style, so a network listens little to the
    style input, and a dance that has strayed into another style goes on in that one.
    Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598, equation 6) runs the network
    twice, with the style and without. Means and logits become without + strength (with -
    without); sigmas are the ones with the style.

    It is a `StepModel`; its state holds both runs, (2 B, …) each.

    Args:
        inner: the network.
        strength: 1 is the network as it is, 0 forgets the style.
    """

    def __init__(self, inner: StepModel, strength: float = STRENGTH) -> None:
        if not 0 <= strength < np.inf:
            raise ValueError(f"strength must be 0 or more and finite; received {strength}.")
        self.dim = inner.dim
        self._inner = inner
        self._strength = np.float32(strength)

    def initial_state(self, batch: int, style: np.ndarray | None = None) -> State:
        """Returns the state before the first vector, with the style and without."""
        both = self._inner.initial_state(batch, style), self._inner.initial_state(batch)
        return tuple(np.concatenate(pair) for pair in zip(*both))

    def step(self, vectors: np.ndarray, state: State) -> tuple[Mixture, State]:
        """Takes (B, D) float32 and the state; returns the mixture for the next vectors."""
        batch = len(vectors)
        mixture, state = self._inner.step(np.concatenate([vectors, vectors]), state)
        pi_logits, mu = (
            part[batch:] + self._strength * (part[:batch] - part[batch:])
            for part in (mixture.pi_logits, mixture.mu)
        )
        return Mixture(pi_logits, mu, mixture.sigma[:batch]), state


def split_style(text: str, known: Collection[str] = ()) -> dict[str, float]:
    """Takes "salsa", or "salsa:0.7,modern:0.3"; returns the weight of each name, of sum 1.

    A name that has a comma or a colon stands in double quotes: "salsa, cubana":0.7,modern:0.3. A
    double quote in it is written twice. Alone, a known name needs none.

    Args:
        text: what is asked for.
        known: the names there are.

    Raises:
        UserError: the text is not of this form.
    """
    names = {_composed(name): name for name in known}
    whole = names.get(_composed(text))
    if whole is not None:
        return {whole: 1.0}
    weights: dict[str, float] = {}
    position = 0
    while position < len(text) or text.endswith(",") or not weights:
        part = _STYLE.match(text, position)
        name = "" if part is None else part["bare"] or (part["quoted"] or "").replace('""', '"')
        try:
            weight = 1.0 if part is None or part["weight"] is None else float(part["weight"])
        except ValueError:
            weight = math.nan
        name = names.get(_composed(name), name.strip())
        if part is None or not name or not 0 <= weight < math.inf or name in weights:
            raise UserError(
                "A style is a name, or names and weights such as salsa:0.7,modern:0.3; received "
                f"{text!r}. A name with a comma or a colon stands in double quotes."
            )
        weights[name] = weight
        position = part.end()
    total = sum(weights.values())
    if not total > 0:
        raise UserError(f"The weights of a style must not all be 0; received {text!r}.")
    return {name: weight / total for name, weight in weights.items()}


def style_text(name: str) -> str:
    """Returns the text by which `split_style` finds a name within a blend."""
    if name == name.strip() and not re.search('[",:]', name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _composed(name: str) -> str:
    """Returns a name as it is compared: some systems and keyboards write letters as two."""
    return unicodedata.normalize("NFC", name.strip())
