"""Dynamic metadata on allow and deny, for Envoy's access log, rate limits and RBAC (policy language §7).

Owns the names and which value each has. What is absent is left out. Envoy files it under the filter's name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from authz.model.decision import Decision, Permit
from authz.model.reason import ALLOWED
from authz.model.request import Transport
from authz.wire.fields import field, tag

NAMES: Final = ("decision_id", "route", "policy", "policy_revision", "reason", "subject_hash", "workload", "transport")

# google.protobuf.Struct: fields=1 is a map (key=1, value=2) of Value, whose string_value is 3.
_ENTRY: Final = tag(1)
_VALUE: Final = tag(2)
_STRING: Final = tag(3)
_KEYS: Final = {name: field(tag(1), name.encode()) for name in NAMES}


def metadata(decision: Decision, *, decision_id: str, revision: str, transport: Transport) -> bytes:
    """The serialised `google.protobuf.Struct`."""
    user, workload = decision.user, decision.workload
    reason = ALLOWED if isinstance(decision, Permit) else decision.reason.code
    return b"".join(
        (
            _entry("decision_id", decision_id),
            _known_entry("route", decision.route),
            _known_entry("policy", decision.policy),
            _known_entry("policy_revision", revision),
            _known_entry("reason", reason),
            _entry("subject_hash", "" if user is None else user.subject_hash),
            _known_entry("workload", "" if workload is None else str(workload.id)),
            _known_entry("transport", transport.value),
        )
    )


def _entry(name: str, value: str) -> bytes:
    if not value:
        return b""
    text = field(_STRING, value.encode())
    return field(_ENTRY, _KEYS[name] + field(_VALUE, text))


_known_entry: Final = lru_cache(maxsize=1024)(_entry)
"""For values that come from policies and the mesh: there are few, and the bytes are always the same."""
