"""What may go into an answer: Envoy checks no mutation, so every name and value is checked here.

A CR or LF in a value splits a response, an empty name goes out as `: v`, framing headers hang the request.
Raises `NotSendable`, which never leaves `wire`. Standards: RFC 9110 §5.1 and §5.5, narrowed to visible ASCII.
"""

from __future__ import annotations

import re
from typing import Final

REFUSED_NAMES: Final = frozenset({"content-length", "transfer-encoding", "connection", "host"})
"""Framing and routing are Envoy's; pseudo headers are no tokens and so are refused too."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_DECISION_ID_LENGTH: Final = 64
_DECISION_ID: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{_DECISION_ID_LENGTH}}}")


class NotSendable(Exception):
    """A decision can't be put into an answer; the message names the broken rule."""


def check_name(name: str) -> None:
    """A lower-case token that is none of `REFUSED_NAMES`."""
    if not _NAME.fullmatch(name) or name in REFUSED_NAMES:
        raise NotSendable("a header name is no lower-case token, or is Envoy's own")


def check_value(value: str) -> None:
    """Visible ASCII and inner blanks; empty is allowed."""
    if not (value.isascii() and value.isprintable()) or value[:1] == " " or value[-1:] == " ":
        raise NotSendable("a header value holds more than visible ASCII and inner blanks")


def is_decision_id(text: str) -> bool:
    """Whether the text can stand in a header and in JSON as it is."""
    if text.isalnum() and text.isascii() and len(text) <= _DECISION_ID_LENGTH:
        return True  # Ours are; that is three times as fast.
    return _DECISION_ID.fullmatch(text) is not None
