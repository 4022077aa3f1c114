"""Host patterns and the table that finds the most specific one (policy language §4, "Hosts").

Owns the grammar of `service.hosts` entries and the order among them: exact name, then longest suffix,
`{name}.` before `*.`; for one name a written port before none before `:*`. The cost of a look-up depends on the
labels of the request's host, never on the number of entries. The request's authority was read by `model.host`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from authz.model.errors import Refused
from authz.model.host import Authority
from authz.policy.faults import FaultCode, Faults
from authz.policy.values import Text

DEFAULT_PORTS: Final = (None, 80, 443)
"""What an entry without a port matches: the scheme is the client's word."""

_ANY_PORT: Final = ":*"
_VARIABLE: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}\.")
_NUMERIC: Final = re.compile(r"[0-9]+")


class HostKind(Enum):
    """How the name is written; the value orders them, the most specific first."""

    EXACT = 0
    ONE_LABEL = 1
    LABELS = 2


class AnyPort(Enum):
    """The port of `name:*`."""

    ANY = "*"


Port = int | None | AnyPort


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One entry. `name` is the host, or the suffix without the leading `*.`; `port` None: none was written.

    Two patterns are equal when they match the same requests: the variable's name takes no part.
    """

    kind: HostKind
    name: str
    port: Port

    def meets(self, other: HostPattern) -> bool:
        """Whether both stand for the same names and share a port: one host, written twice (§4)."""
        return self.kind is other.kind and self.name == other.name and _ports_meet(self.port, other.port)


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A pattern and the name of its variable ("" without one)."""

    pattern: HostPattern
    variable: str = ""


class HostError(Exception):
    """An entry breaks a rule; the message names it."""


def parse_host(text: str) -> HostEntry:
    """Read one entry; raises `HostError`."""
    name, any_port = (text[:-2], True) if text.endswith(_ANY_PORT) else (text, False)
    kind, suffix, variable = _split(name)
    authority = _authority(suffix)
    if any_port and authority.port is not None:
        raise HostError("a host entry has one port")
    if kind is not HostKind.EXACT and (
        authority.host.startswith("[") or _NUMERIC.fullmatch(authority.host.rpartition(".")[2])
    ):
        raise HostError("`*.` and `{name}.` stand before a domain name, not before an address")
    return HostEntry(HostPattern(kind, authority.host, AnyPort.ANY if any_port else authority.port), variable)


def read_host(text: Text, faults: Faults, policy: str = "") -> HostEntry | None:
    """Read an entry that somebody wrote; None when a fault was added."""
    try:
        return parse_host(text.value)
    except HostError as error:
        faults.add(text.place, FaultCode.HOST_PATTERN, str(error), policy=policy)
        return None


T = TypeVar("T")


class HostTable(Generic[T]):
    """From an authority to the most specific entry's value. Built once; of equal patterns the first stays."""

    __slots__ = ("_by_kind",)

    def __init__(self, entries: Iterable[tuple[HostPattern, T]] = ()) -> None:
        self._by_kind: tuple[dict[str, dict[Port, T]], ...] = ({}, {}, {})
        for pattern, value in entries:
            self._by_kind[pattern.kind.value].setdefault(pattern.name, {}).setdefault(pattern.port, value)

    def find(self, authority: Authority) -> T | None:
        """The value of the most specific entry that matches, or None."""
        host, port = authority.host, authority.port
        exact, one_label, labels = self._by_kind
        ports = exact.get(host)
        if ports is not None and (found := _at_port(ports, port)) is not None:
            return found
        if host[0] == "[" or not (one_label or labels):
            return None
        return self._find_suffix(host, port)

    def _find_suffix(self, host: str, port: int | None) -> T | None:
        _, one_label, labels = self._by_kind
        _, dot, suffix = host.partition(".")
        ports = one_label.get(suffix)
        if dot and ports is not None and (found := _at_port(ports, port)) is not None:
            return found
        while dot:
            ports = labels.get(suffix)
            if ports is not None and (found := _at_port(ports, port)) is not None:
                return found
            _, dot, suffix = suffix.partition(".")
        return None

    def items(self) -> Iterator[tuple[HostPattern, T]]:
        """Every entry with its value."""
        for kind, names in zip(HostKind, self._by_kind, strict=True):
            for name, ports in names.items():
                for port, value in ports.items():
                    yield HostPattern(kind, name, port), value

    def __iter__(self) -> Iterator[T]:
        return (value for names in self._by_kind for ports in names.values() for value in ports.values())


def _at_port(ports: dict[Port, T], port: int | None) -> T | None:
    if port is not None and (found := ports.get(port)) is not None:
        return found
    if port in DEFAULT_PORTS and (found := ports.get(None)) is not None:
        return found
    return ports.get(AnyPort.ANY)


def _ports_meet(one: Port, other: Port) -> bool:
    if one == other or AnyPort.ANY in (one, other):
        return True
    return (one is None and other in DEFAULT_PORTS) or (other is None and one in DEFAULT_PORTS)


def _split(name: str) -> tuple[HostKind, str, str]:
    if name.startswith("*."):
        return HostKind.LABELS, name[2:], ""
    variable = _VARIABLE.match(name)
    if variable is not None:
        return HostKind.ONE_LABEL, name[variable.end() :], variable[1]
    return HostKind.EXACT, name, ""


def _authority(text: str) -> Authority:
    """Hosts are written as requests spell them once folded: what `model.host` refuses could never match."""
    try:
        authority = Authority.parse(text)
    except Refused as error:
        raise HostError(f"no request can have this host: {error.detail}") from None
    if str(authority) != text:
        raise HostError("hosts are written in lower case")
    return authority
