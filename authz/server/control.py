"""`/revocations`: what operators ask of a running service, as JSON over HTTP behind a door that knows its callers.

Owns: the form of what is asked and answered. Must not: decide who may come in (`server.callers`) or what an act means
(`server.revoking`).

    POST /revocations   {kind, value, why, issuer?, issued_before?, lasting?, lift?} → {result, until, …}
    GET  /revocations?limit=&kind=&value=   → {count, entries: [newest first]}
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

from authz.engine.revocations import Filed
from authz.model.revocation import ALWAYS, BY_NAME, Revocation, RevocationKind
from authz.server.http_door import HttpRequest, Page
from authz.server.revoking import EVERYWHERE, Act, ActRefused, Revoker
from authz.sources.revocations import JournalError

PATH: Final = "/revocations"
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 10_000
_JSON: Final = "application/json"
_MEMBERS: Final = frozenset({"kind", "value", "why", "issuer", "issued_before", "lasting", "lift"})
_QUERY: Final = frozenset({"limit", "kind", "value"})


class History(Protocol):
    """`sources.revocations.RevocationList`, as far as a listing needs it."""

    def history(self) -> Iterator[Revocation]: ...

    def find(self, kind: RevocationKind, key: bytes) -> Filed | None: ...

    def size(self) -> int: ...


class Control:
    """See the module."""

    def __init__(self, revoker: Revoker, entries: History, *, wall: Callable[[], float] = time.time) -> None:
        self._revoker = revoker
        self._entries = entries
        self._wall = wall

    def answer(self, request: HttpRequest) -> Page:
        """200 done everywhere, 202 done here only, 400 not as asked, 503 the store can't be read."""
        parts = urlsplit(request.target)
        if parts.path != PATH:
            return _page(404, {"error": "not found: /revocations"})
        try:
            if request.method == "POST":
                return self._act(request)
            return self._list(dict(parse_qsl(parts.query, keep_blank_values=True)))
        except (ActRefused, ValueError) as error:
            return _page(400, {"error": str(error)})
        except JournalError as error:
            return _page(503, {"error": f"the store can't be read: {error}"})

    def _act(self, request: HttpRequest) -> Page:
        done = self._revoker.do(_act_of(_object(request.body), request.caller))
        fields = {"result": done.result, **_shown(done.entry), "error": done.error}
        return _page(200 if done.result == EVERYWHERE else 202, {k: v for k, v in fields.items() if v != ""})

    def _list(self, query: Mapping[str, str]) -> Page:
        if not query.keys() <= _QUERY:
            raise ValueError("a listing takes limit, kind and value")
        limit = query.get("limit", str(DEFAULT_LIMIT))
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit) <= MAX_LIMIT):
            raise ValueError(f"limit is 1 to {MAX_LIMIT}")
        newest = self._newest(int(limit), query.get("kind", ""), query.get("value", ""))
        return _page(200, {"count": self._entries.size(), "entries": [_shown(one) for one in reversed(newest)]})

    def _newest(self, limit: int, kind: str, value: str) -> list[Revocation]:
        """The last `limit` entries in force, each once; memory holds no more of them at a time."""
        now = self._wall()
        found: OrderedDict[tuple[RevocationKind, bytes], Revocation] = OrderedDict()
        for one in self._entries.history():
            if (
                one.lifted
                or one.until <= now
                or (kind and one.kind.value != kind)
                or (value and one.note.value != value)
            ):
                continue
            if self._entries.find(one.kind, one.key) is None:
                continue
            found[one.kind, one.key] = one
            found.move_to_end((one.kind, one.key))
            if len(found) > limit:
                found.popitem(last=False)
        return list(found.values())


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("an act is a JSON object") from None
    if type(value) is not dict or not value.keys() <= _MEMBERS:
        raise ValueError(f"an act is a JSON object with some of {', '.join(sorted(_MEMBERS))}")
    return value


def _act_of(fields: Mapping[str, Any], caller: str) -> Act:
    texts = {name: fields.get(name, "") for name in ("kind", "value", "why", "issuer")}
    numbers = {name: fields.get(name) for name in ("issued_before", "lasting")}
    lift = fields.get("lift", False)
    if not all(type(text) is str for text in texts.values()) or type(lift) is not bool:
        raise ValueError("kind, value, why and issuer are texts, lift is true or false")
    if not all(number is None or type(number) is int for number in numbers.values()):
        raise ValueError("issued_before and lasting are whole seconds")
    kind = BY_NAME.get(texts["kind"])
    if kind is None:
        raise ValueError(f"kind is one of {', '.join(BY_NAME)}")
    return Act(
        kind=kind,
        value=texts["value"],
        by=caller,
        why=texts["why"],
        issuer=texts["issuer"],
        before=numbers["issued_before"],
        lasting=numbers["lasting"],
        lift=lift,
    )


def _shown(one: Revocation) -> dict[str, object]:
    """An entry for people; one that was restored from memory has lost its note and shows its key."""
    note = one.note
    fields: dict[str, object] = {
        "kind": one.kind.value,
        "value": note.value or f"#{one.key.hex()}",
        "issuer": note.issuer,
        "by": note.by,
        "why": note.why,
        "at": note.at or "",
        "issued_before": "" if one.before == ALWAYS else one.before,
        "until": one.until,
    }
    return {name: value for name, value in fields.items() if value != ""}


def _page(status: int, document: Mapping[str, object]) -> Page:
    return Page(status, _JSON, json.dumps(document).encode() + b"\n")
