"""Makes entries of the revocation list, as acts and records hold them."""

from __future__ import annotations

from typing import Final

from authz.model.revocation import ALWAYS, BOUNDED_BY_ISSUE, Revocation, RevocationKind, RevocationNote, key_of
from tests.mint.tokens import ISSUER, NOW

LATER: Final = int(NOW) + 3600


def revocation(
    kind: RevocationKind,
    value: str,
    *,
    issuer: str = ISSUER,
    until: int = LATER,
    before: int | None = None,
    lifted: bool = False,
    why: str = "a test",
) -> Revocation:
    """One entry; a subject and a client are revoked for what was issued until NOW unless `before` says otherwise."""
    issuer = "" if kind is RevocationKind.WORKLOAD else issuer
    if before is None:
        before = int(NOW) if kind in BOUNDED_BY_ISSUE else ALWAYS
    note = RevocationNote(issuer=issuer, value=value, by="unix:root", why=why, at=int(NOW))
    return Revocation(kind=kind, key=key_of(kind, issuer, value), until=until, before=before, lifted=lifted, note=note)


def numbered(number: int, *, until: int = LATER) -> Revocation:
    """One of many tokens."""
    return revocation(RevocationKind.TOKEN, f"token-{number}", until=until)
