"""SPIFFE IDs as a type: parsed once, never equal to a string (SPIFFE-ID §2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_ID_BYTES: Final = 2048
"""SPIFFE-ID §2.3."""
MAX_TRUST_DOMAIN_BYTES: Final = 255
"""SPIFFE-ID §2.1."""

_SCHEME: Final = "spiffe://"
_KEPT_CHARACTERS: Final = 256
"""IDs are read before anybody vouches for them: the longest ones, kept by the thousand, would fill the memory."""
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]+")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]+")


class SpiffeIdError(ValueError):
    """The text breaks the SPIFFE ID grammar; the message names the broken rule, never the text."""


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A workload's SPIFFE ID: a trust domain and at least one path segment."""

    trust_domain: str
    path: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Read `spiffe://trust.domain/a/b`; raises `SpiffeIdError`. Nothing is folded or repaired.

        The same few workloads call again and again: what was read is kept, in bounds.
        """
        return _parse(text) if len(text) <= _KEPT_CHARACTERS else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> SpiffeId:
        if not text.startswith(_SCHEME):
            raise SpiffeIdError("a SPIFFE ID begins with spiffe:// (SPIFFE-ID §2)")
        if len(text.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
            raise SpiffeIdError("a SPIFFE ID has at most 2048 bytes (SPIFFE-ID §2.3)")
        trust_domain, slash, path = text[len(_SCHEME) :].partition("/")
        check_trust_domain(trust_domain)
        if not slash:
            raise SpiffeIdError("a workload's SPIFFE ID has a path (X509-SVID §3.1)")
        segments = tuple(path.split("/"))
        for segment in segments:
            _check_segment(segment)
        return cls(trust_domain, segments)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}/{'/'.join(self.path)}"


@lru_cache(maxsize=4096)
def _parse(text: str) -> SpiffeId:
    return SpiffeId._read(text)


def check_trust_domain(name: str) -> str:
    """The name itself, if it is a trust domain name (SPIFFE-ID §2.1); raises `SpiffeIdError`."""
    if not _TRUST_DOMAIN.fullmatch(name):
        raise SpiffeIdError("a trust domain is lower-case letters, digits, '.', '-' and '_' (SPIFFE-ID §2.1)")
    if len(name) > MAX_TRUST_DOMAIN_BYTES:
        raise SpiffeIdError("a trust domain has at most 255 bytes (SPIFFE-ID §2.1)")
    return name


def _check_segment(segment: str) -> None:
    if not _SEGMENT.fullmatch(segment):
        raise SpiffeIdError("path segments are not empty and hold letters, digits, '.', '-' and '_' (SPIFFE-ID §2.2)")
    if segment in (".", ".."):
        raise SpiffeIdError("path segments are never '.' or '..' (SPIFFE-ID §2.2)")
