"""What is revoked before it expires: a token, a session, a subject's or a client's tokens, a workload.

Owns: the kinds, the key under which an entry is filed, and what one act says. Must not: look anything up or know the
time. An entry is filed under a digest of what it names, so that memory doesn't depend on what issuers write into
their tokens, and a dump of it names nobody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

KEY_BYTES: Final = 15
"""Octets of a key: 120 bits, far out of reach of guessing, and with Python's own 33 an object of exactly 48 bytes."""
ALWAYS: Final = 2**32 - 1
"""As `before`: whenever it was issued."""
MAX_VALUE: Final = 2048
"""Characters of a `jti`, `sid`, subject, client or SPIFFE ID that can be named."""


class RevocationKind(Enum):
    """What an entry names. The values stand in the store: they never change their meaning."""

    TOKEN = "token"  # noqa: S105 - a kind, no password
    """One token, by its `jti`."""
    SESSION = "session"
    """The tokens of one session at the issuer, by their `sid`."""
    SUBJECT = "subject"
    """A subject's tokens that were issued until a time."""
    SESSIONLESS = "sessionless"
    """The same, but only tokens without `sid`: after a logout they may belong to the session that ended."""
    CLIENT = "client"
    """The tokens that a client was issued until a time."""
    WORKLOAD = "workload"
    """A SPIFFE ID, however it is shown."""

    # See `model.principal.Via`.
    __hash__ = object.__hash__


BY_NAME: Final = {kind.value: kind for kind in RevocationKind}
BOUNDED_BY_ISSUE: Final = frozenset({RevocationKind.SUBJECT, RevocationKind.SESSIONLESS, RevocationKind.CLIENT})
"""The kinds that spare what was issued later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationNote:
    """What people want to know of an act; it takes no part in decisions. `issuer` is the issuer's URL, empty for a
    workload; `at` is in seconds since the epoch. All of it is empty for an entry that was restored from memory."""

    issuer: str = ""
    value: str = ""
    by: str = ""
    why: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One entry. It concerns what was issued in the second `before` or earlier, and ends at `until`, when all that it
    concerns has expired; both are whole seconds since the epoch. `lifted` takes an earlier entry back."""

    kind: RevocationKind
    key: bytes
    until: int
    before: int = ALWAYS
    lifted: bool = False
    note: RevocationNote = field(default_factory=RevocationNote)


def key_of(kind: RevocationKind, issuer: str, value: str) -> bytes:
    """Where an entry about this value is filed; `issuer` is the issuer's URL, empty for a workload.

    Neither a kind nor a configured URL holds a NUL, so no two names make one text.
    """
    text = f"{kind.value}\0{issuer}\0{value}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
