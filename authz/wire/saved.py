"""A saved CheckRequest, as somebody recorded it: protobuf's JSON form, or the message itself.

Owns telling the two apart. Fields that this program doesn't read are left out, as they are on the wire; what can't be
read raises `Refused(REQUEST_MALFORMED)` here or in `wire.decode`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from google.protobuf import json_format

from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.wire.pb import check_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRequest:
    """`message` is what Envoy would send; `time` (seconds since the epoch) when it did, where the JSON says so."""

    message: bytes
    time: float | None = None


def read_saved(data: bytes) -> SavedRequest:
    """Read either form; raises `Refused` for JSON that is no CheckRequest. Binary messages are judged by `decode`."""
    try:
        document = json.loads(data)
    except ValueError:
        # A message begins with an octet 0x0A and a length: never JSON as a whole.
        return SavedRequest(message=data)
    if not isinstance(document, dict):
        raise _refused("the JSON is no object")
    try:
        message = json_format.ParseDict(document, pb.CheckRequest(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, RecursionError):
        raise _refused("the JSON is no CheckRequest (envoy.service.auth.v3)") from None
    return SavedRequest(message=message.SerializeToString(), time=_time(document))


def _time(document: dict[str, object]) -> float | None:
    """`attributes.request.time` (RFC 3339)."""
    node: object = document
    for name in ("attributes", "request", "time"):
        node = node.get(name) if isinstance(node, dict) else None
    try:
        read = datetime.fromisoformat(node) if isinstance(node, str) else None
    except ValueError:
        return None
    return None if read is None or read.tzinfo is None else read.timestamp()


def _refused(rule: str) -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, rule)
