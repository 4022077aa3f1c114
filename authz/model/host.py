"""The authority of a request: host and port, within one grammar (policy language §4, "Hosts").

Owns the grammar and the one folding (A to Z only). An authority that two parsers could read differently is
refused, never repaired: a trailing dot, user-info, an empty label, an underscore, an odd port. Resolves
nothing, knows no policy. Standards: RFC 3986 §3.2, RFC 1123 §2.1, RFC 1035 §2.3.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from authz.model.errors import Refused
from authz.model.reason import Reason

MAX_HOST_BYTES: Final = 253
"""RFC 1035 §2.3.4: 255 octets on the wire are 253 in text."""
MAX_PORT: Final = 65535

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_AUTHORITY: Final = re.compile(rf"({_LABEL}(?:\.{_LABEL})*)(?::([1-9][0-9]{{0,4}}))?")
_LITERAL: Final = re.compile(r"(\[([0-9a-f:.]{2,45})\])(?::([1-9][0-9]{0,4}))?")


@dataclass(frozen=True, slots=True)
class Authority:
    """A host in lower case and the port as it was written (None: none was).

    `host` is a name of LDH labels, an IPv4 address (which looks like one), or an IPv6 literal in brackets, as
    the client wrote it: two spellings of one address are two hosts.
    """

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Authority:
        """Read `host`, `host:port` or `[v6]:port`; raises `Refused(HOST_INVALID)`."""
        # A service has few hosts and each request names one; what is too long for a host isn't remembered.
        return _remembered(text) if len(text) <= MAX_HOST_BYTES else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> Authority:
        if not text.isascii():
            raise _refused("an authority is ASCII")
        folded = text.lower()
        match = _AUTHORITY.fullmatch(folded)
        if match is None:
            return _parse_literal(folded)
        host, port = match.groups()
        if len(host) > MAX_HOST_BYTES:
            raise _refused("a host has at most 253 bytes (RFC 1035 §2.3.4)")
        return cls(host, _port(port))

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


@lru_cache(maxsize=1024)
def _remembered(text: str) -> Authority:
    return Authority._read(text)


def _parse_literal(folded: str) -> Authority:
    match = _LITERAL.fullmatch(folded)
    if match is None:
        raise _refused("the authority is no host name or IPv6 literal with an optional port (RFC 3986 §3.2)")
    host, address, port = match.groups()
    try:
        IPv6Address(address)
    except AddressValueError:
        raise _refused("the brackets hold no IPv6 address (RFC 3986 §3.2.2)") from None
    return Authority(host, _port(port))


def _port(digits: str | None) -> int | None:
    if digits is None:
        return None
    port = int(digits)
    if port > MAX_PORT:
        raise _refused("a port is at most 65535")
    return port


def _refused(rule: str) -> Refused:
    return Refused(Reason.HOST_INVALID, rule)
