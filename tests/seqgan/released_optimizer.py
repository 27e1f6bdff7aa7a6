"""How the released code's optimizer differs from ours: a script that measures what the difference matters.

LantaoYu/SeqGAN @ e2b52fb clips by ``tf.clip_by_global_norm`` and steps by ``tf.train.AdamOptimizer``. Two details are
not those of torch:

- The gradient of the embedding is a list of rows, one for each token that was read (``IndexedSlices``), and the global
  norm is taken over this list. Torch adds the rows of equal tokens up first.
- Adam's step is ``lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + 1e-8)``, "epsilon hat" of Kingma and Ba (2015,
  sec. 2). In torch the epsilon is added to ``sqrt(v / (1 - b2^t))``.

``python tests/seqgan/released_optimizer.py`` trains MLE on one draw of the oracle's data with ours, with each of the
two and with both, from the same initial weights, and prints what docs/mle.md says.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor

from seqgan.lm import LSTMLanguageModel
from seqgan.mle import evenly, minibatches, trainable

BETAS, EPSILON = (0.9, 0.999), 1e-8


def gradients(model: LSTMLanguageModel, tokens: Tensor, weights: Tensor) -> tuple[list[Tensor], Tensor]:
    """The gradient of each parameter, and that of each embedded token, (B, T, E), before equal ones are added up."""
    read: list[Tensor] = []
    handle = model.embedding.register_forward_hook(lambda _, __, words: read.append(words))
    loss, _ = model.weighted_nll(tokens, weights)
    handle.remove()
    *found, rows = torch.autograd.grad(loss, [*trainable(model), *read])
    return list(found), rows


def norm(found: list[Tensor], embedding: int, rows: Tensor | None) -> float:
    """The global norm; with ``rows`` as TensorFlow takes it, with the embedding's rows one by one."""
    parts = [rows if rows is not None and index == embedding else part for index, part in enumerate(found)]
    return math.sqrt(sum(float(part.square().sum()) for part in parts))


class TensorFlowAdam:
    """``tf.train.AdamOptimizer``: epsilon is added after the correction has been taken out of the second moment."""

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float, hat: bool) -> None:
        self.parameters, self.lr, self.hat, self.steps = parameters, lr, hat, 0
        self.moments = [(torch.zeros_like(part), torch.zeros_like(part)) for part in parameters]

    @torch.no_grad()
    def step(self, found: list[Tensor]) -> None:
        """One step; without ``hat``, that of torch's Adam."""
        self.steps += 1
        first, second = (1 - beta**self.steps for beta in BETAS)
        for parameter, gradient, (m, v) in zip(self.parameters, found, self.moments, strict=True):
            m.lerp_(gradient, 1 - BETAS[0])
            v.lerp_(gradient.square(), 1 - BETAS[1])
            epsilon = EPSILON if self.hat else EPSILON * math.sqrt(second)
            parameter.sub_(self.lr * math.sqrt(second) / first * m / (v.sqrt() + epsilon))


def train(
    train_set: Tensor, valid: Tensor, model: LSTMLanguageModel, epochs: int, unmerged: bool, hat: bool
) -> dict[str, float]:
    """MLE with the defaults of :class:`seqgan.mle.MLE`; what clipping did, and the NLL that it led to."""
    parameters = trainable(model)
    embedding = next(index for index, part in enumerate(parameters) if part is model.embedding.weight)
    optimizer = TensorFlowAdam(parameters, 0.01, hat)
    norms, ratios, clipped = [], [], 0
    for _ in range(epochs):
        for batch in minibatches(train_set, 64):
            found, rows = gradients(model, batch, evenly(model.spec, batch))
            ours, theirs = norm(found, embedding, None), norm(found, embedding, rows)
            norms.append(ours)
            ratios.append(theirs / ours)
            scale = min(1.0, 5.0 / (theirs if unmerged else ours))
            clipped += scale < 1
            optimizer.step([part * scale for part in found])
    nll = -float(model.log_prob(valid).sum()) / model.spec.count(valid)
    return {
        "largest norm": max(norms), "least ratio": min(ratios), "largest ratio": max(ratios),
        "clipped": clipped, "updates": len(norms), "nll_valid": nll,
    }  # fmt: skip


def policy_gradient_norms(model: LSTMLanguageModel, batch: Tensor) -> tuple[float, float]:
    """Both norms of a policy-gradient step with a constant reward of one half: the loss is a sum over tokens."""
    embedding = next(index for index, part in enumerate(trainable(model)) if part is model.embedding.weight)
    found, rows = gradients(model, batch, torch.full(batch.shape, 0.5))
    return norm(found, embedding, None), norm(found, embedding, rows)


def main() -> None:
    """Measure and print."""
    from bench.api import Decoding
    from bench.tasks.oracle import LSTMOracle

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    epochs = parser.parse_args().epochs
    data = LSTMOracle(draw=0).load().training
    for unmerged, hat in ((False, False), (True, False), (False, True), (True, True)):
        model = LSTMLanguageModel(data.spec, torch.Generator().manual_seed(0))
        found = train(data.train, data.valid, model, epochs, unmerged, hat)
        print(f"unmerged norm: {unmerged}, epsilon hat: {hat}:", {name: round(each, 6) for name, each in found.items()})
    batch = model.sample(64, Decoding(), torch.Generator().manual_seed(1))
    print("norms of a policy-gradient step, merged and unmerged:", policy_gradient_norms(model, batch))


if __name__ == "__main__":
    main()
