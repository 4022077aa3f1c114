"""Kinds of setting: how a written value becomes a typed one, and how the reference describes it.

Owns: reading single values, from YAML (already typed) and from text (environment, flags). Must not: know
which settings there are. A kind raises ValueError with a sentence that completes "NAME: …" and never holds
the value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from authz.config.listen import ListenAddress, parse_listen
from authz.model.spiffe import SpiffeId, SpiffeIdError

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)?")
_BYTES: Final = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_STORE_URL: Final = re.compile(r"rediss?://[^\s/?#@]+(?:/[0-9]{1,5})?|unix:///[^\s?#@]+")
_INTEGER: Final = re.compile(r"[0-9]{1,12}")
_Number = TypeVar("_Number", int, float)
_WORDS: Final = {"true": True, "false": False}


class Kind(Protocol):
    """`read` takes a YAML value (None, bool, int, float, str, list of these) or the text of a variable or
    flag."""

    @property
    def description(self) -> str: ...
    def read(self, value: object) -> Any: ...
    def show(self, value: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class Text:
    """Any text of one line."""

    description: str = "text"

    def read(self, value: object) -> str:
        return _text(value)

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path, which stays as written: relative ones count from the working directory."""

    description: str = "a path"

    def read(self, value: object) -> Path:
        return Path(_text(value))

    def show(self, value: Path | None) -> str:
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    choices: tuple[str, ...]

    @property
    def description(self) -> str:
        return " or ".join(f"`{choice}`" for choice in self.choices)

    def read(self, value: object) -> str:
        if value not in self.choices:
            raise ValueError(f"it is one of {', '.join(self.choices)}")
        return str(value)

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    description: str = "`true` or `false`"

    def read(self, value: object) -> bool:
        known = _WORDS.get(value) if isinstance(value, str) else value
        if not isinstance(known, bool):
            raise ValueError("it is true or false")
        return known

    def show(self, value: bool) -> str:
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number within bounds."""

    lowest: int
    highest: int

    @property
    def description(self) -> str:
        return f"{self.lowest} to {self.highest}"

    def read(self, value: object) -> int:
        number = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
        if type(number) is not int:
            raise ValueError("it is a whole number")
        return _within(number, self.lowest, self.highest, str(self.lowest), str(self.highest))

    def show(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes: a whole number, or one with B, KiB, MiB or GiB."""

    lowest: int
    highest: int

    @property
    def description(self) -> str:
        return f"a size, {self.show(self.lowest)} to {self.show(self.highest)}"

    def read(self, value: object) -> int:
        match = _SIZE.fullmatch(str(value)) if type(value) in (int, str) else None
        if match is None:
            raise ValueError("it is a size such as 512KiB")
        number = int(match[1]) * _BYTES[match[2]]
        return _within(number, self.lowest, self.highest, self.show(self.lowest), self.show(self.highest))

    def show(self, value: int) -> str:
        for unit in ("GiB", "MiB", "KiB"):
            if value and value % _BYTES[unit] == 0:
                return f"{value // _BYTES[unit]}{unit}"
        return f"{value}B"


@dataclass(frozen=True, slots=True)
class Seconds:
    """A duration with its unit; a bare number is refused (seconds or milliseconds?)."""

    lowest: float
    highest: float

    @property
    def description(self) -> str:
        return f"a duration, {self.show(self.lowest)} to {self.show(self.highest)}"

    def read(self, value: object) -> float:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("it is a duration with its unit, such as 200ms, 10s or 5m")
        number = float(match[1]) * _SECONDS[match[2]]
        return _within(number, self.lowest, self.highest, self.show(self.lowest), self.show(self.highest))

    def show(self, value: float) -> str:
        if value < 1:
            return f"{value * 1000:g}ms"
        for unit in ("d", "h", "m"):
            if value % _SECONDS[unit] == 0:
                return f"{value / _SECONDS[unit]:g}{unit}"
        return f"{value:g}s"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    description: str = "`HOST:PORT`, `[IPv6]:PORT` or `unix:PATH`"

    def read(self, value: object) -> ListenAddress:
        return parse_listen(_text(value))

    def show(self, value: ListenAddress | None) -> str:
        return "off" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where a Redis or Valkey answers; a credential in it would show in process lists and logs."""

    description: str = "`redis://HOST:PORT/DB`, `rediss://…` (TLS) or `unix:///PATH`"

    def read(self, value: object) -> str:
        text = _text(value)
        if not _STORE_URL.fullmatch(text):
            raise ValueError(
                "it is redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH, without credentials and parameters"
            )
        return text

    def show(self, value: str | None) -> str:
        return value or ""


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A Unix socket that somebody else listens on."""

    description: str = "`unix:PATH`"

    def read(self, value: object) -> ListenAddress:
        address = parse_listen(_text(value))
        if not address.is_unix:
            raise ValueError("it is a Unix socket, unix:PATH")
        return address

    def show(self, value: ListenAddress | None) -> str:
        return "off" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class IssuerClient:
    """An issuer by its name in the policies, and a client id that it knows us by."""

    description: str = "`ISSUER=CLIENT_ID`"

    def read(self, value: object) -> tuple[str, str]:
        issuer, equals, client = _text(value).partition("=")
        if not (issuer and equals and client):
            raise ValueError("it is ISSUER=CLIENT_ID, the issuer by its name in the policies")
        return issuer, client

    def show(self, value: tuple[str, str]) -> str:
        return "=".join(value)


@dataclass(frozen=True, slots=True)
class Optional:
    """Another kind, or the word that means "none"."""

    inner: Kind
    word: str = "off"

    @property
    def description(self) -> str:
        return f"{self.inner.description}, or `{self.word}`"

    def read(self, value: object) -> Any:
        return None if value == self.word else self.inner.read(value)

    def show(self, value: Any) -> str:
        return self.word if value is None else self.inner.show(value)


@dataclass(frozen=True, slots=True)
class Spiffe:
    """One SPIFFE ID."""

    description: str = "a SPIFFE ID"

    def read(self, value: object) -> SpiffeId:
        try:
            return SpiffeId.parse(_text(value))
        except SpiffeIdError as error:
            raise ValueError(str(error)) from None

    def show(self, value: SpiffeId) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Many:
    """A list: in YAML a sequence or one item, in text separated by commas. Items are unique."""

    item: Kind
    required: bool = False

    @property
    def description(self) -> str:
        return f"a list; each item is {self.item.description}"

    def read(self, value: object) -> tuple[Any, ...]:
        items = tuple(self.item.read(item) for item in _items(value))
        if self.required and not items:
            raise ValueError("it needs at least one item")
        if len(set(items)) != len(items):
            raise ValueError("an item is there twice")
        return items

    def show(self, value: tuple[Any, ...]) -> str:
        return ",".join(self.item.show(item) for item in value)


def _items(value: object) -> Sequence[object]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value.strip() else []
    return value if isinstance(value, (list, tuple)) else [value]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("it is a text that isn't empty")
    return value


def _within(number: _Number, lowest: _Number, highest: _Number, low_text: str, high_text: str) -> _Number:
    if not lowest <= number <= highest:
        raise ValueError(f"it is between {low_text} and {high_text}")
    return number
