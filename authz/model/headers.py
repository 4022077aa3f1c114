"""Request headers as an immutable multimap (RFC 9110 §5).

Owns how names are folded (ASCII only, so that no other letter can become an ASCII one) and how duplicates are
kept. Checks nothing: that names are tokens and values hold no control characters is `parse_request`'s duty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView
from typing import Final

_ASCII_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Headers:
    """Headers by lower-case name, each with its values in the order they came.

    `joined` says that the source had folded duplicates with commas already (Envoy's `headers` map), so a
    comma in a value may hide a second one. Equal when names, values and `joined` are.
    """

    __slots__ = ("_values", "joined")

    _values: dict[str, tuple[str, ...]]
    joined: bool

    def __init__(self, items: Iterable[tuple[str, str]] = (), *, joined: bool = False) -> None:
        values: dict[str, tuple[str, ...]] = {}
        for name, value in items:
            # `fold_name` spelled out: this runs for each header of each check.
            folded = name.lower() if name.isascii() else name.translate(_ASCII_LOWER)
            if folded in values:
                values[folded] += (value,)
            else:
                values[folded] = (value,)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "joined", joined)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Headers are immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Headers are immutable")

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


def fold_name(name: str) -> str:
    """The name in lower case, touching A to Z only (`str.lower` makes a `k` of U+212A)."""
    return name.lower() if name.isascii() else name.translate(_ASCII_LOWER)
