"""What the discriminators of a benchmark were worth at the end of training, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["CHANCE", "HEART", "Critic", "critics"]

CHANCE = 0.6
"""Below this share of right answers, of which guessing gives 0.5, a discriminator is called near chance.

On 500 validation sequences and 500 samples, as in the ``quick`` preset, three standard errors of guessing are 0.05."""
HEART = 0.1
"""If P(real) of training sequences is above that of validation sequences by more, it knows them by heart."""
SIDES = ("train", "valid", "samples")


@dataclass(frozen=True, slots=True)
class Critic:
    """A model's discriminator at the last scored step, the mean over seeds.

    Attributes:
        task: Label of the task.
        preset: Label of the preset.
        model: Label of the model.
        p_real: The mean of P(real) on training sequences, validation sequences and samples.
        accuracy: The share of each that it judges rightly.
        seeds: The number of seeds.
    """

    task: str
    preset: str
    model: str
    p_real: tuple[float, float, float]
    accuracy: tuple[float, float, float]
    seeds: int

    @property
    def held_out(self) -> float:
        """How often it is right about validation sequences and samples, as many of each; 0.5 by guessing."""
        return (self.accuracy[1] + self.accuracy[2]) / 2

    @property
    def words(self) -> list[str]:
        """What to know before its rewards are trusted, in sentences; none where nothing is wrong with it."""
        found = []
        train, valid, _ = self.p_real
        if train - valid > HEART:  # then it takes validation sequences for samples, and is not guessing
            found.append(
                f"knows the training set by heart: P(real) is {train:.2f} on training sequences and {valid:.2f} on "
                "validation sequences, which are as real, so it rewards likeness to what it was trained on."
            )
        elif self.held_out < CHANCE:
            found.append(
                f"is near chance: it is right about {self.held_out:.0%} of validation sequences and samples, and "
                "guessing about 50%, so its rewards say little about what is real."
            )
        return found


def critics(curves: pd.DataFrame) -> list[Critic]:
    """The discriminators of all models that have one, by task, preset and model.

    Args:
        curves: One row for each (run, phase, step, name) of completed runs, in the order of training.
    """
    names = [f"{score}_{side}" for score in ("p_real", "d_accuracy") for side in SIDES]
    last = curves[curves["name"].isin(names)].dropna(subset=["value"])
    last = last.drop_duplicates(["run_id", "name"], keep="last")
    found = []
    for (task, preset, model), rows in last.groupby(["task", "preset", "model"]):
        mean = rows.groupby("name")["value"].mean()
        if set(names) <= set(mean.index):
            p_real, accuracy = (tuple(float(mean[name]) for name in part) for part in (names[:3], names[3:]))
            about = str(task), str(preset), str(model)
            found.append(Critic(*about, p_real, accuracy, rows["run_id"].nunique()))  # type: ignore[arg-type]
    return found
