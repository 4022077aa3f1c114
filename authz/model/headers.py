"""Request headers as an immutable multimap (RFC 9110 §5).

Owns their grammar, header by header, how names are folded (ASCII only, so that no other letter can become an ASCII
one) and how duplicates are kept. That headers are within the grammar and its limits is `parse_request`'s duty; whoever
has judged each of them already (`wire.decode`, which meets most of them again and again) says so with `Judged`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, KeysView
from typing import Final, NamedTuple

OWN_PREFIX: Final = "x-authz-"
"""What our own headers begin with."""

_ASCII_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
# RFC 9110 §5.6.2.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Tab is allowed; the C1 controls of Unicode and lone surrogates are not text either.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_FIELD_OCTETS: Final = bytes((9, *range(0x20, 0x7F)))


class Judged(NamedTuple):
    """What is known of headers that were judged one by one: each within the grammar, `number` values, and `size` bytes
    of names and values together, the name counted once for each value."""

    number: int
    size: int


class Headers:
    """Headers by lower-case name, each with its values in the order they came.

    `joined` says that the source had folded duplicates with commas already (Envoy's `headers` map), so a
    comma in a value may hide a second one. Equal when names, values and `joined` are.
    """

    __slots__ = ("_lookalikes", "_values", "joined", "judged")

    def __init__(
        self,
        items: Iterable[tuple[str, str]] = (),
        *,
        joined: bool = False,
        table: dict[str, tuple[str, ...]] | None = None,
        judged: Judged | None = None,
        lookalikes: tuple[str, ...] | None = None,
    ) -> None:
        """From `items`; or from a `table` of values by folded name, not to be changed any more, that somebody has
        collected with what is known of it."""
        self._values: dict[str, tuple[str, ...]] = _collected(items) if table is None else table
        self.joined = joined
        self.judged: Judged | None = judged
        self._lookalikes: tuple[str, ...] | None = lookalikes

    @property
    def lookalikes(self) -> tuple[str, ...]:
        """The names that a lenient reader may take for one of ours: see `is_lookalike`."""
        if self._lookalikes is None:
            self._lookalikes = tuple(filter(is_lookalike, self._values))
        return self._lookalikes

    def get_all(self, name: str) -> tuple[str, ...]:
        """Every value of the header; `name` is given in lower case. Empty when the header is absent."""
        return self._values.get(name, ())

    def names(self) -> KeysView[str]:
        """The distinct names, lower case, in the order they came."""
        return self._values.keys()

    def items(self) -> Iterator[tuple[str, str]]:
        """Each name with each of its values; the values of one name stand together."""
        for name, values in self._values.items():
            for value in values:
                yield name, value

    def values(self) -> list[str]:
        """All values, in the order of `items`."""
        return [value for values in self._values.values() for value in values]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __len__(self) -> int:
        return sum(map(len, self._values.values()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._values == other._values and self.joined == other.joined

    def __hash__(self) -> int:
        return hash((tuple(self._values.items()), self.joined))

    def __repr__(self) -> str:
        # Names only: values may be credentials, and a repr ends in logs.
        return f"Headers({', '.join(self._values)})"


def _collected(items: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for name, value in items:
        folded = fold_name(name)
        values[folded] = (*values.get(folded, ()), value)
    return values


def fold_name(name: str) -> str:
    """The name in lower case, touching A to Z only (`str.lower` makes a `k` of U+212A)."""
    return name.lower() if name.isascii() else name.translate(_ASCII_LOWER)


def is_token(text: str) -> bool:
    """Whether the text is one token, as methods and header names are (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def field_size(text: str) -> int:
    """Bytes of a header's value, or of several joined; -1 with a control character in it (RFC 9110 §5.5)."""
    if text.isascii():
        # Octets are deleted in bulk: for a token's length that takes a fifth of the expression's time.
        return -1 if text.encode("ascii").translate(None, _FIELD_OCTETS) else len(text)
    return -1 if _CONTROL.search(text) else len(text.encode())


def is_lookalike(name: str) -> bool:
    """Whether a folded name may pass for one of ours: it has our prefix, or a `_` that readers take for `-`."""
    return "_" in name or name.startswith(OWN_PREFIX)
