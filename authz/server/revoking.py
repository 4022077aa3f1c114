"""Acts of revocation: from what somebody asks to entries in force, a line in the audit trail and a number to count.

Owns: which entry an act makes and how long it lasts (until all that it concerns has expired), and that each act is
recorded whatever became of it. Must not: know how somebody asked, or who may ask.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from authz.engine.revocations import Filed
from authz.model.errors import AuthzError
from authz.model.issuer import IssuerSettings
from authz.model.record import RevocationRecord
from authz.model.revocation import (
    ALWAYS,
    BOUNDED_BY_ISSUE,
    MAX_VALUE,
    Revocation,
    RevocationKind,
    RevocationNote,
    key_of,
)
from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.sources.revocations import NotEverywhere, RevocationRefused

_LOG: Final = logging.getLogger("authz.server")
MAX_WHY: Final = 500
"""Characters of the sentence that says why."""
WORKLOAD_SECONDS: Final = 24 * 3600
"""How long a workload stays revoked when nobody says: its certificate is renewed by itself, so nothing ends it."""
LONGEST: Final = 366 * 24 * 3600
"""Seconds; nothing is revoked for longer, or for what is issued later than that."""

EVERYWHERE: Final = "everywhere"
HERE: Final = "here"
REFUSED: Final = "refused"


class ActRefused(AuthzError):
    """An act that can't be done as it was asked for; `str` says why, without what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What somebody asks for. `issuer` is the name in the policies, empty for a workload. `before` and `lasting` are
    in seconds (since the epoch, and from now); None: what the kind's rule says."""

    kind: RevocationKind
    value: str
    by: str
    why: str
    issuer: str = ""
    before: int | None = None
    lasting: int | None = None
    lift: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of an act: `result` is EVERYWHERE or HERE; `error` says what keeps it from the others."""

    entry: Revocation
    result: str
    error: str = ""


class Entries(Protocol):
    """`sources.revocations.RevocationList`, as far as acts need it."""

    def enact(self, one: Revocation, *, reserved: bool = True) -> None: ...

    def covers(self, one: Revocation) -> bool: ...

    def find(self, kind: RevocationKind, key: bytes) -> Filed | None: ...


class Revoker:
    """See the module. `issuers` gives those of the policy in force, by name; any thread may use it."""

    def __init__(
        self,
        entries: Entries,
        issuers: Callable[[], Mapping[str, IssuerSettings]],
        record: Callable[[RevocationRecord], None],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._entries = entries
        self._issuers = issuers
        self._recorded = record
        self._wall = wall
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}

    def do(self, act: Act, *, name: str = "") -> Done:
        """Do one act, recorded as `name` (or what it is). Raises `ActRefused`."""
        name = name or ("lift" if act.lift else "revoke")
        try:
            entry = self._entry(act)
            done = self._enact(entry, reserved=name != "logout")
        except (ActRefused, RevocationRefused) as error:
            self._record(name, act, None, REFUSED, str(error))
            raise ActRefused(str(error)) from None
        self._record(name, act, done.entry, done.result, done.error)
        return done

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How often each act had each result."""
        with self._lock:
            return dict(self._counts)

    def _enact(self, entry: Revocation, *, reserved: bool) -> Done:
        if not entry.lifted and self._entries.covers(entry):
            return Done(entry=entry, result=EVERYWHERE)
        try:
            self._entries.enact(entry, reserved=reserved)
        except NotEverywhere as error:
            return Done(entry=entry, result=HERE, error=str(error))
        return Done(entry=entry, result=EVERYWHERE)

    def _entry(self, act: Act) -> Revocation:
        now = int(self._wall())
        _check_text(act.why, MAX_WHY, "why")
        _check_text(act.value, MAX_VALUE, "the value")
        url = "" if act.kind is RevocationKind.WORKLOAD else self._issuer(act).issuer
        before, until = self._workload(act, now) if not url else self._token(act, now)
        key = key_of(act.kind, url, act.value)
        if act.lift:
            found = self._entries.find(act.kind, key)
            if found is None:
                raise ActRefused("there is no such entry to take back")
            until = found.until
        note = RevocationNote(issuer=url, value=act.value, by=act.by, why=act.why, at=now)
        return Revocation(kind=act.kind, key=key, until=until, before=before, lifted=act.lift, note=note)

    def _workload(self, act: Act, now: int) -> tuple[int, int]:
        try:
            SpiffeId.parse(act.value)
        except SpiffeIdError as error:
            raise ActRefused(str(error)) from None
        if act.before is not None:
            raise ActRefused("a workload is revoked for a time, not by when its certificate was issued")
        lasting = WORKLOAD_SECONDS if act.lasting is None else act.lasting
        if not 0 < lasting <= LONGEST:
            raise ActRefused("a workload is revoked for at most a year")
        return ALWAYS, now + lasting

    def _token(self, act: Act, now: int) -> tuple[int, int]:
        """Until when tokens of the issuer that the entry concerns can be valid."""
        issuer = self._issuer(act)
        if act.lasting is not None:
            raise ActRefused("how long it lasts follows from the issuer's max_lifetime")
        lifetime = int(issuer.max_lifetime + issuer.clock_skew) + 1
        if act.kind not in BOUNDED_BY_ISSUE:
            if act.before is not None:
                raise ActRefused("only a subject and a client are revoked by when a token was issued")
            return ALWAYS, now + lifetime
        before = now if act.before is None else act.before
        if not 0 < before <= now + LONGEST:
            raise ActRefused("issued-before is at most a year ahead")
        # An issuer whose clock is ahead dates its tokens later than they were made; `exp` is bound by the same clock.
        return before, max(now, before) + lifetime

    def _issuer(self, act: Act) -> IssuerSettings:
        found = self._issuers().get(act.issuer)
        if found is None:
            raise ActRefused("no issuer of the policies has this name")
        return found

    def _record(self, name: str, act: Act, entry: Revocation | None, result: str, error: str) -> None:
        with self._lock:
            self._counts[name, result] = self._counts.get((name, result), 0) + 1
        record = RevocationRecord(
            time=self._wall(),
            act=name,
            by=act.by,
            result=result,
            kind=act.kind.value,
            issuer=act.issuer,
            value=act.value[:MAX_VALUE],
            why=act.why[:MAX_WHY],
            error=error,
        )
        if entry is not None:
            before = 0 if entry.before == ALWAYS else entry.before
            record = replace(record, before=before, until=entry.until)
        self._recorded(record)
        _LOG.info(
            "an act of revocation",
            extra={
                "event": "revocation",
                "act": name,
                "result": result,
                "kind": act.kind.value,
                "by": act.by,
                "error": error,
            },
        )


def _check_text(text: str, limit: int, what: str) -> None:
    if not text or len(text) > limit or not text.isprintable():
        raise ActRefused(f"{what} is a text of 1 to {limit} printable characters")
