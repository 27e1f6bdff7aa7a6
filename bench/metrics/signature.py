"""What a score must share with another to be comparable with it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Signature"]


@dataclass(frozen=True, slots=True)
class Signature:
    """How a score was computed: the number of sequences, the references, the version and whatever else decides it.

    Scores with different signatures are never averaged or compared (after Post 2018, "A call for clarity in reporting
    BLEU scores"). Its text is ``key=value`` joined by ``|``.

    Attributes:
        parts: Keys and values in order; a part without a value is a remark.

    Example:
        >>> str(Signature.of("nearest", n=200, refs="test:1000", v="1"))
        'nearest|n=200|refs=test:1000|v=1'
    """

    parts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, *remarks: str, **parts: object) -> Signature:
        """Remarks first, then what has a value, in the order given."""
        return cls((*((remark, "") for remark in remarks), *((key, str(value)) for key, value in parts.items())))

    def __str__(self) -> str:
        return "|".join(f"{key}={value}" if value else key for key, value in self.parts)

    def __getitem__(self, key: str) -> str:
        """The value of a part.

        Raises:
            KeyError: where there is none.
        """
        return dict(self.parts)[key]

    @property
    def n(self) -> int:
        """The number of sequences that were scored."""
        return int(self["n"])
