"""Maximum likelihood mixed with word-pair counts: the cheapest known way to lower the held-out NLL of a small LSTM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval, MinLen
from torch import Tensor

from baselines.bigram import ROWS, BigramModel, Strength, drawn_words, scaled
from baselines.mle_tempered import BestEpoch
from bench.api import Decoding, Run, SequenceSpec, Share, Size, TrainingData
from seqgan.mle import Descent, LikelihoodGenerator, adam, maximize_likelihood, minibatches
from seqgan.networks import new_policy
from seqgan.policy import Policy


class NgramMixture(BestEpoch):
    """p(w | prefix) = (1 - weight) network(w | prefix) + weight bigram(w | last word), a mixture word by word.

    Args:
        model: The language model, which is trained.
        bigrams: The candidates for the other part; they differ in the strength of their smoothing.
    """

    def __init__(self, model: Policy, bigrams: tuple[BigramModel, ...]) -> None:
        super().__init__(model)
        self.spec: SequenceSpec = model.spec
        self.candidates = bigrams
        self.weight: Tensor
        self.choice: Tensor
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))
        self.register_buffer("choice", torch.zeros((), dtype=torch.long))

    @property
    def bigrams(self) -> BigramModel:
        """The candidate that was selected."""
        return self.candidates[int(self.choice)]

    @torch.no_grad()
    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T).

        At temperature 1, a coin with probability ``weight`` says for each word which of the two parts draws it, which
        is a draw from the mixture. Temperature, top-k and top-p apply to the mixed distribution, which is then computed
        for all words: exact, and slower.
        """
        model, device = self.model, self.model.device
        tokens = torch.empty(n, self.spec.seq_len, dtype=torch.long, device=device)
        state = model.initial_state(n)
        last = torch.full((n,), self.spec.bos, device=device)
        contexts = np.full(n, self.bigrams.start)
        ended = torch.zeros(n, dtype=torch.bool, device=device)
        draw = self._toss if decoding == Decoding() else self._draw
        read = model.reader()
        for t in range(self.spec.seq_len):
            read(last, *state)
            last = model.finish(draw(state[0], contexts, decoding, rng), ended)
            contexts = last.cpu().numpy()
            tokens[:, t] = last
        return tokens

    @torch.no_grad()
    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of each token under the mixture, int64 (N, T) to float64 (N, T), nats."""
        if temperature == 1.0:
            neural, counted = self.model.token_log_prob(tokens), self.bigrams.token_log_prob(tokens.cpu())
            return self._mixed(neural.double(), counted).masked_fill(~self.spec.mask(tokens.cpu()), 0.0)
        mask = self.spec.mask(tokens)
        # A position is a row: what the network knows there, the word before it, and the word that is there.
        hidden = self.model.hidden(self.model.shift(tokens.to(self.model.device)))
        known, words = hidden[mask.to(hidden.device)], tokens[mask].cpu().numpy()
        contexts = self.bigrams.contexts(tokens)[mask].cpu().numpy()
        scores = np.empty(len(words))
        for start in range(0, len(words), ROWS):
            rows = slice(start, start + ROWS)
            law = scaled(self._laws(known[rows], contexts[rows]), temperature)
            chosen = law[np.arange(len(law)), words[rows]]
            scores[rows] = np.log(chosen) / temperature - np.log((law ** (1 / temperature)).sum(1))
        found = torch.zeros(tokens.shape, dtype=torch.float64)
        return found.masked_scatter_(mask.cpu(), torch.from_numpy(scores))

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """Log-probability of every word after each prefix, int64 (N, k) to float64 (N, V), nats; k may be 0."""
        neural = self.model.next_token_log_probs(prefixes).double()
        return self._mixed(neural, self.bigrams.next_token_log_probs(prefixes))

    def _mixed(self, neural: Tensor, counted: Tensor) -> Tensor:
        """The log-probabilities of the mixture from those of its parts."""
        weight = self.weight.cpu()
        return torch.logaddexp(torch.log1p(-weight) + neural, weight.log() + counted)

    def _laws(self, hidden: Tensor, contexts: np.ndarray) -> np.ndarray:
        """Next-word distributions of the mixture: float (R, H) and int64 (R,) to float64 (R, V)."""
        neural = torch.softmax(self.model.output(hidden).double(), -1).cpu().numpy()
        weight = float(self.weight)
        law: np.ndarray = (1 - weight) * neural + weight * self.bigrams.laws(contexts)
        return law

    def _toss(self, hidden: Tensor, contexts: np.ndarray, decoding: Decoding, rng: torch.Generator) -> Tensor:
        coins = torch.rand(len(hidden), dtype=torch.float64, generator=rng, device=hidden.device)
        counted = coins < self.weight
        chosen = torch.empty(len(hidden), dtype=torch.long, device=hidden.device)
        chosen[~counted] = self.model.choose(hidden[~counted], rng)
        drawn = self.bigrams.choose(contexts[counted.cpu().numpy()], decoding, rng)
        chosen[counted] = torch.from_numpy(drawn).to(chosen.device)
        return chosen

    def _draw(self, hidden: Tensor, contexts: np.ndarray, decoding: Decoding, rng: torch.Generator) -> Tensor:
        uniforms = torch.rand(len(hidden), dtype=torch.float64, generator=rng, device=hidden.device).cpu().numpy()
        drawn = np.empty(len(hidden), dtype=np.int64)
        for start in range(0, len(drawn), ROWS):
            rows = slice(start, start + ROWS)
            drawn[rows] = drawn_words(self._laws(hidden[rows], contexts[rows]), uniforms[rows], decoding)
        return torch.from_numpy(drawn).to(hidden.device)


@dataclass(frozen=True, slots=True)
class MLENgram(LikelihoodGenerator):
    """Maximum likelihood mixed word by word with smoothed bigram counts; epoch, smoothing and weight by validation NLL.

    Trained exactly as ``mle`` is. After every epoch the NLL of the mixture on the validation split is computed for all
    pairs of strength and weight, and the best epoch and pair so far are the model. Interpolation with counts is as old
    as language models (Jelinek and Mercer 1980); mixed with a recurrent network, see Mikolov et al. 2010.
    """

    strengths: Annotated[tuple[Strength, ...], MinLen(1)] = (10.0, 30.0, 100.0, 200.0, 400.0, 1000.0)
    """Candidate weights of the bigrams' Dirichlet smoothing, in words."""
    weights: Annotated[tuple[Share, ...], MinLen(1)] = (
        *(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
        *(0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    )
    """Candidate shares of the bigrams in the mixture."""
    add: Annotated[float, Interval(ge=0, le=1_000_000)] = 0.5
    """Added to every word's own count in the bigrams' smoothing."""
    looked_at: Size = 2_000
    """Sequences of the validation split that are read after each epoch, at most."""

    def fit(self, data: TrainingData, run: Run) -> NgramMixture:
        """Minimise the mean negative log-likelihood of a token, and keep the best epoch and mixture."""
        model = new_policy(self.policy, data.spec, run.rng("init"), self.embedding_dim, self.hidden_dim, self.init_std)
        optimizer = adam(model, self.lr)
        bigrams = tuple(BigramModel(data.spec, data.train, strength, self.add) for strength in self.strengths)
        best = NgramMixture(model, bigrams)
        run.track(best, best=best, model=model, optimizer=optimizer)
        descent = Descent(model, optimizer, self.clip_norm)
        train, valid = data.train.to(run.device), data.valid[: self.looked_at]
        order = run.rng("batches") if self.reshuffle else None
        mask = data.spec.mask(valid)
        counted = [each.token_log_prob(valid)[mask].exp() for each in bigrams]
        for _ in run.phase("mle-ngram", self.epochs, open_ended=True):
            maximize_likelihood(descent, minibatches(train, self.batch_size, order), run)
            with run.measure(selection_tokens=int(mask.sum())):
                neural = model.token_log_prob(valid)[mask].double().exp()
                found, choice, weight = min(
                    (mixture_nll(neural, counted[choice], weight), choice, weight)
                    for choice in range(len(counted))
                    for weight in self.weights
                )
                if best.keep(model, found):
                    best.choice.fill_(choice)
                    best.weight.fill_(weight)
            run.log(looked=found, strength=self.strengths[choice], weight=weight)
        return best


def mixture_nll(neural: Tensor, counted: Tensor, weight: float) -> float:
    """Mean NLL of tokens under a mixture, from the probabilities of its parts, float64 (n,): nats, maybe infinite."""
    nll = -float(torch.log((1 - weight) * neural + weight * counted).mean())
    return math.inf if math.isnan(nll) else nll
