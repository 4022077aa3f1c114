"""A `Permit` to an OK CheckResponse.

Owns what an allow holds: headers that overwrite, headers to remove, metadata; no query mutation, no response
header. Envoy versions and gRPC's own client read different fields of a header option, so each one says three
times that it replaces: `append` false, `append_action` overwrite-or-add, `keep_empty_value` true.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Final

from authz.model.decision import Permit
from authz.wire.fields import field, framed, tag
from authz.wire.grammar import NotSendable, check_name, check_value, is_decision_id
from authz.wire.pb import check_pb2 as pb

DECISION_ID_HEADER: Final = "x-authz-decision-id"

# Field numbers of protos/authz/wire/pb/check.proto; a test reads them back from the descriptors.
_OK_RESPONSE: Final = tag(3)
_DYNAMIC_METADATA: Final = tag(4)
_HEADERS: Final = tag(2)
_HEADERS_TO_REMOVE: Final = tag(5)
_HEADER: Final = tag(1)
_KEY: Final = tag(1)
_VALUE: Final = tag(2)

_NAME_OF: Final = itemgetter(0)
_VALUE_OF: Final = itemgetter(1)

_KEPT_VALUES: Final = 1024
_KEPT_REMOVALS: Final = 16 * 1024
"""Characters: what is longer is a client's own writing, and to keep it would fill the memory."""

# `status` with code 0, written out: an allow should say so.
_STATUS_OK: Final = field(tag(1), b"")


def _replace_options() -> bytes:
    option = pb.HeaderValueOption(
        append_action=pb.HeaderValueOption.APPEND_ACTION_OVERWRITE_OR_ADD, keep_empty_value=True
    )
    option.append.value = False
    option.append.SetInParent()
    return option.SerializeToString()


_REPLACE: Final = _replace_options()


def allow(permit: Permit, metadata: bytes, decision_id: str) -> bytes:
    """The serialised answer; raises `NotSendable`."""
    if not is_decision_id(decision_id):
        raise NotSendable("the decision id is no short token")
    headers, removed = permit.set_headers, permit.remove_headers
    kept = len("".join(map(_VALUE_OF, headers))) <= _KEPT_VALUES
    short = len("".join(removed)) <= _KEPT_REMOVALS
    body = b"".join(
        (
            *map(_set if kept else _written, headers),
            _decision_id(decision_id),
            (_removals if short else _removals.__wrapped__)(removed, tuple(map(_NAME_OF, headers))),
        )
    )
    return _STATUS_OK + field(_OK_RESPONSE, body) + field(_DYNAMIC_METADATA, metadata)


def _written(header: tuple[str, str]) -> bytes:
    """One header that replaces; nothing for the decision's id, which is ours to set."""
    name, value = header
    return b"" if name == DECISION_ID_HEADER else _replaced(name, value)


_set: Final = lru_cache(maxsize=4096)(_written)
"""Routes, issuers, workloads and the subjects of the moment come again and again."""


def _replaced(name: str, value: str) -> bytes:
    check_value(value)
    header = _key(name) + field(_VALUE, value.encode())
    return field(_HEADERS, field(_HEADER, header) + _REPLACE)


@lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    """A set header's name, checked; policies write these names, so there are few."""
    check_name(name)
    return field(_KEY, name.encode())


_decision_id: Final = framed(lambda decision_id: _replaced(DECISION_ID_HEADER, decision_id))


@lru_cache(maxsize=1024)
def _removals(removed: tuple[str, ...], names: tuple[str, ...]) -> bytes:
    """Everything that is taken away; the same for each answer of a route unless the client spells headers oddly.

    Envoy removes what is both set and removed: what is set wins, since it overwrites anyway.
    """
    if len(set(names)) != len(names):
        raise NotSendable("a header is set twice")
    return b"".join(_remove(name) for name in removed if name not in names and name != DECISION_ID_HEADER)


def _remove(name: str) -> bytes:
    check_name(name)
    return field(_HEADERS_TO_REMOVE, name.encode())
