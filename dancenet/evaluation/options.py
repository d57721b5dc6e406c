"""The options of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from dancenet.generation.settings import DanceSettings
from dancenet.support.errors import UserError

LEAST_SECONDS = 1.0  # shortest dance that can be measured


@dataclass(frozen=True)
class Options:
    """Options of an evaluation, apart from the model and the dataset."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    dances: int = 4  # for each seed; the first of them is drawn
    seconds: float = 120.0  # length of each dance
    temperature: float = 1.0
    # The next four are as in `DanceSettings`; None is the model's own value.
    temperature_variation: float | None = None
    neighbour_correction: float | None = None
    refine: int = 1
    style: str | None = None
    beside: str | None = None  # another model of the same space, on the page of blind looks
    recipe_2018: str | None = None  # a model with the same VAE, trained on single vectors
    recipe_minutes: float | None = None  # train such a model for so long, if there is none yet

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(
                f"Seeds must be different numbers; received {', '.join(map(str, self.seeds))}."
            )
        if not self.seconds >= LEAST_SECONDS:
            raise UserError(
                f"A dance of {self.seconds:g} s is too short to be measured; make it "
                f"{LEAST_SECONDS:g} s or longer, best 120."
            )
        self.settings(self.seeds[0])  # raises UserError for impossible settings

    def settings(self, seed: int) -> DanceSettings:
        """Returns the settings of the dances of one seed."""
        return DanceSettings(
            seconds=self.seconds,
            seed=seed,
            temperature=self.temperature,
            temperature_variation=self.temperature_variation,
            count=self.dances,
            neighbour_correction=self.neighbour_correction,
            refine=self.refine,
            style=self.style,
        )
