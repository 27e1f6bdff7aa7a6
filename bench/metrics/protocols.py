"""How other benchmarks compute BLEU and self-BLEU, for comparison with their tables.

Each entry follows the released code of the project that it is named after, read file by file; what their papers say may
differ. All of them average nltk's ``sentence_bleu`` over sentences, with uniform weights and smoothing method 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import unknown

__all__ = ["OURS", "PROTOCOLS", "Protocol", "protocol"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which sentences are scored against which.

    Attributes:
        name: Its name.
        samples: Tokenizer of the samples; None for the requested one.
        references: Tokenizer of the references, and of all other real text.
        lowercase: Whether real text is converted to lower case.
        first_references: The number of references that are used, from the first; None for all.
        scored: The number of samples that get a BLEU, from the first; None for all.
        self_scored: The number of samples that get a self-BLEU.
        self_references: What self-BLEU compares a sample with: ``others``, the scored samples except itself; ``all``,
            all samples, including itself; ``rest``, the last ``self_scored`` samples are compared with those before.
        metrics: The families of metrics that it defines; empty for all of ours.
        unknown_matches: Whether ``<unk>`` is an ordinary word.
        source: Where its code is.
        note: What a reader of its numbers has to know.
    """

    name: str
    samples: str | None = None
    references: str | None = None
    lowercase: bool = False
    first_references: int | None = None
    scored: int | None = None
    self_scored: int | None = None
    self_references: Literal["others", "all", "rest"] = "others"
    metrics: tuple[str, ...] = ("bleu", "self-bleu")
    unknown_matches: bool = True
    source: str = ""
    note: str = ""


OURS = Protocol("", metrics=(), unknown_matches=False)
"""All samples against all references, and self-BLEU against all other samples."""

FULL_STOPS = "A full stop inside a line stays with its word; their tokenizer, with downloaded data, splits some off."

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "texygen",
            samples="nltk",
            references="nltk",
            source="geek-ai/Texygen at 3104e22, utils/metrics/Bleu.py and SelfBleu.py, get_bleu_parallel",
            note=f"Texygen's full evaluation, as in its published tables. {FULL_STOPS}",
        ),
        Protocol(
            "texygen-fast",
            samples="nltk",
            references="nltk",
            first_references=500,
            self_scored=500,
            source="geek-ai/Texygen at 3104e22, utils/metrics/Bleu.py and SelfBleu.py, get_bleu_fast",
            note="What Texygen computes by default: BLEU against the first 500 references, self-BLEU among the first "
            f"500 samples; both are lower than with all. {FULL_STOPS}",
        ),
        Protocol(
            "relgan",
            samples="nltk",
            references="nltk",
            scored=100,
            self_scored=200,
            self_references="all",
            source="weilinie/RelGAN at 7402725, utils/metrics/Bleu.py and SelfBleu.py",
            note="RelGAN gives a BLEU to the first 100 samples, in other versions of its code to 200, and a self-BLEU "
            "to the first 200. Its released self-BLEU compares a sample with all samples, including itself: it is 1 "
            "whatever the samples are, except for short ones, and says nothing. "
            f"{FULL_STOPS}",
        ),
        Protocol(
            "textgan",
            samples="space",
            references="nltk",
            lowercase=True,
            scored=200,
            self_scored=200,
            self_references="rest",
            source="williamSYSU/TextGAN-PyTorch as read in 2026, metrics/bleu.py and "
            "instructor/real_data/instructor.py",
            note="TextGAN-PyTorch scores the first 200 samples, and for self-BLEU 200 fresh samples against the "
            "others: here the last 200 of the file against those before them. Samples are split at spaces, as it "
            f"writes them; real text is converted to lower case and tokenized by nltk. {FULL_STOPS}",
        ),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UsageError: for another name.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
