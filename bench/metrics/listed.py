"""Is a sample real? Where all real sequences are on a list, as the names of a census, it can be looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np

from bench.metrics.base import Estimate, Subject
from bench.metrics.copying import copies
from bench.metrics.ranges import SHARE

__all__ = ["Listed"]


class Listed:
    """How many samples are on the list of all real sequences; nothing for tasks that have no such list.

    ``listed``: the share of samples that are on it. ``new_distinct``: different samples that are neither training nor
    validation sequences, divided by the number of samples. ``listed_new``: the share of these that are on the list,
    that is, the validity of what the model found by itself; absent where it found nothing.

    In the row of the real data all three are of the whole list: what draws from it would score, were they many.

    How they can be gamed: ``listed`` by copying the training set or by one real name, forever. ``listed_new`` by
    writing little that is new, and that only where the model is sure: read it beside ``new_distinct``, as precision
    beside recall. It grows with the length of the list: random strings of a few letters are often names. It also grows
    with the part of the list that models were not given (``list`` and ``given`` in the signature), where there is more
    to be found: values of different training sets are not comparable.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``listed``, ``listed_new`` and ``new_distinct``."""
        whole, given = subject.against.listed, subject.against.copied_from
        if whole is None or given is None:
            return
        if subject.trained:
            subject = replace(subject, text=whole, real="list", trained=False)
        text = subject.text
        n = len(text)
        real = copies(text, whole)
        signature = subject.signature(self.version, n=n, list=len(whole), given=len(given))
        part = real.astype(float) if subject.intervals else None
        yield Estimate("listed", float(real.mean()), "", "higher", signature, None, part, "wilson", possible=SHARE)

        where: dict[bytes, int] = {}
        for row, (words, length) in enumerate(zip(text.ids, text.lengths, strict=True)):
            where.setdefault(words[:length].tobytes(), row)
        new = np.zeros(n, dtype=bool)
        new[list(where.values())] = True
        new &= ~copies(text, given)
        found = int(new.sum())
        about = ("", "higher", signature)
        if found:
            yield Estimate("listed_new", float(real[new].mean()), *about, possible=SHARE)
        else:
            why = "every sample is a training or validation sequence"
            yield Estimate("listed_new", None, *about, why, answered=True)
        yield Estimate("new_distinct", found / n, "", "higher", signature, possible=SHARE)
