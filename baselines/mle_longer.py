"""Maximum likelihood with SeqGAN's compute: what the same pre-training becomes if it just continues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

from bench.api import Count, Run, StepSize, TrainingData
from seqgan.mle import MLE, Descent, adam, maximize_likelihood, minibatches
from seqgan.policy import Policy


@dataclass(frozen=True, slots=True)
class MLELonger(MLE):
    """Maximum likelihood that goes on from the shared pre-training for as long as SeqGAN's adversarial phase takes.

    The extra epochs took as many seconds as SeqGAN's adversarial phase on two cores. Their number is fixed here,
    because a clock would make runs unrepeatable. With a budget (``--budget``) the match is exact instead. The fields of
    MLE hold for the pre-training and for what comes after it, which has an optimizer and a step size of its own: those
    of the pre-training may have been searched for its number of epochs, and would be too large for many more.
    """

    extra_epochs: Count = 18_600
    """Additional epochs, 2 s each; the paper's 982,800 discriminator updates and 200 generator steps take 37,700 s."""
    extra_lr: StepSize = 0.01
    """Adam's step size in the additional epochs."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **MLE.presets,
        "quick": {**MLE.presets["quick"], "extra_epochs": 24},
        "medium": {**MLE.presets["medium"], "extra_epochs": 12},
        "smoke": {**MLE.presets["smoke"], "extra_epochs": 4},
    }

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Start from the shared checkpoint and minimise the mean negative log-likelihood of a token further."""
        pretraining = MLE(**{field.name: getattr(self, field.name) for field in fields(MLE)})
        model = cast(Policy, run.pretrained(pretraining, data))
        optimizer = adam(model, self.extra_lr)
        run.track(model, model=model, optimizer=optimizer)
        descent = Descent(model, optimizer, self.clip_norm)
        train = data.train.to(run.device)
        order = run.rng("longer") if self.reshuffle else None
        for _ in run.phase("longer", self.extra_epochs, open_ended=True):
            maximize_likelihood(descent, minibatches(train, self.batch_size, order), run)
        return model
