"""What a training costs, and how much of it a budget allows: seconds, tokens and updates."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Cost:
    """What a training has cost.

    Attributes:
        seconds: Wall time, without evaluation and without writing checkpoints.
        pretraining_seconds: The part of ``seconds`` that a shared pre-training took.
        steps: Steps of all phases.
        amounts: What was counted, such as {"train_tokens": 200000, "updates": 157}.
        durations: Seconds spent on each of these amounts.
        peak_memory: Bytes: resident memory of the process, or allocated memory of the CUDA device.
    """

    seconds: float = 0.0
    pretraining_seconds: float = 0.0
    steps: int = 0
    amounts: dict[str, int] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0

    def add_shared(self, shared: Cost) -> None:
        """Charge a shared pre-training to this run."""
        self.seconds += shared.seconds
        self.pretraining_seconds += shared.seconds
        self.steps += shared.steps
        for name, amount in shared.amounts.items():
            self.amounts[name] = self.amounts.get(name, 0) + amount
            self.durations[name] = self.durations.get(name, 0.0) + shared.durations[name]
        self.peak_memory = max(self.peak_memory, shared.peak_memory)

    @property
    def tokens(self) -> int | None:
        """Tokens that any network read or drew for training: all amounts named ``*_tokens``; None if none was counted.

        Each pass counts: a token that the policy draws, that the discriminator reads for a reward and that both learn
        from counts four times. So rollouts and scheduled sampling's own draws are charged like what is learnt from.
        """
        counted = [amount for name, amount in self.amounts.items() if name.endswith("_tokens")]
        return sum(counted) if counted else None

    @property
    def updates(self) -> int | None:
        """Steps of any optimizer; None if none was counted."""
        return self.amounts.get("updates")

    def used(self, limit: str) -> float:
        """Amount spent so far of "seconds", "tokens", "updates" or "steps", to compare with a limit."""
        if limit in ("seconds", "steps"):
            return float(getattr(self, limit))
        return float((self.tokens if limit == "tokens" else self.updates) or 0)
