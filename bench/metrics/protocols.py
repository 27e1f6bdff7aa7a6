"""How other benchmarks compute BLEU and self-BLEU: what to do as they did, to compare with their tables.

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
        name: What it is called.
        samples: Tokenizer of the samples; None for the one that is asked for.
        references: Tokenizer of the references, and of all other real text.
        lowercase: Whether real text is put into lower case.
        first_references: How many of the references are used, from the first; None for all.
        scored: How many of the samples get a BLEU, from the first; None for all.
        self_scored: How many get a self-BLEU.
        self_references: What self-BLEU compares a sample with: ``others``, those that are scored but itself; ``all``
            samples, itself among them; ``rest``: the last ``self_scored`` samples are compared with those before them.
        metrics: The families of metrics that it knows; none: all of ours.
        unknown_matches: Whether ``<unk>`` is a word like another.
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

FULL_STOPS = "A full stop inside a line stays at its word; their tokenizer, with downloaded data, parts some of these."

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "texygen",
            samples="nltk",
            references="nltk",
            source="geek-ai/Texygen at 3104e22, utils/metrics/Bleu.py and SelfBleu.py, get_bleu_parallel",
            note=f"Texygen's full evaluation, which its published tables are of. {FULL_STOPS}",
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
            "to the first 200. Its released self-BLEU compares a sample with all samples, itself among them: it is 1 "
            "whatever the samples are, short ones apart, and says nothing. "
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
            note="TextGAN-PyTorch scores the first 200 samples, and as self-BLEU 200 fresh samples against the others: "
            "here the last 200 of the file against those before them. Samples are split at spaces, as it writes them; "
            f"real text is put into lower case and tokenized by nltk. {FULL_STOPS}",
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
