"""One revocation as it stands in the store: a JSON object in one line, the same in a file and in a stream.

Owns: the form and its reading. Must not: write anywhere. The form only grows: a reader leaves members that it doesn't
know alone, and a record that it can't read is an error that is counted, never a guess.
"""

from __future__ import annotations

import json
from typing import Any, Final

from authz.model.errors import AuthzError
from authz.model.revocation import ALWAYS, BY_NAME, KEY_BYTES, Revocation, RevocationNote

MAX_RECORD_BYTES: Final = 16 * 1024
"""Issuer, value and sentence at their longest, escaped, and room to grow."""


class RecordError(AuthzError):
    """What stands there is no record that this version can read."""


def encode(one: Revocation) -> bytes:
    """The record without a line end; ASCII, empty members left out."""
    note = one.note
    fields: dict[str, object] = {
        "kind": one.kind.value,
        "key": one.key.hex(),
        "until": one.until,
        "before": None if one.before == ALWAYS else one.before,
        "lifted": one.lifted or None,
        "issuer": note.issuer,
        "value": note.value,
        "by": note.by,
        "why": note.why,
        "at": note.at or None,
    }
    kept = {name: value for name, value in fields.items() if value not in ("", None)}
    return json.dumps(kept, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def decode(record: bytes) -> Revocation:
    """Read one record; raises `RecordError`."""
    if len(record) > MAX_RECORD_BYTES:
        raise RecordError("a record has at most 16 KiB")
    try:
        fields = json.loads(record)
        return _read(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise RecordError("no record of a revocation") from None


def _read(fields: Any) -> Revocation:
    key = bytes.fromhex(fields["key"])
    until, before = fields["until"], fields.get("before", ALWAYS)
    lifted = fields.get("lifted", False)
    if len(key) != KEY_BYTES or type(until) is not int or type(before) is not int or type(lifted) is not bool:
        raise ValueError
    if not 0 <= before <= ALWAYS or not 0 <= until <= ALWAYS:
        raise ValueError
    note = RevocationNote(
        issuer=str(fields.get("issuer", "")),
        value=str(fields.get("value", "")),
        by=str(fields.get("by", "")),
        why=str(fields.get("why", "")),
        at=int(fields.get("at", 0)),
    )
    return Revocation(kind=BY_NAME[fields["kind"]], key=key, until=until, before=before, lifted=lifted, note=note)
