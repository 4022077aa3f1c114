"""Identities that a trusted proxy forwards: `x-forwarded-client-cert` by Envoy's grammar (policy language
§3).

Owns: reading the header and choosing its element. Must not: decide that the proxy is trusted (the engine
does, from the connection's own peer), or repair: a value that breaks the grammar anywhere counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final

from authz.authn.svid import known_id
from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId

Element = tuple[tuple[str, str], ...]
"""The pairs of one proxy in order, keys in lower case, values without their quotes."""

_PAIR: Final = re.compile(
    r"""(?P<key>[A-Za-z][A-Za-z0-9_-]*)=
        (?: "(?P<quoted>(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*)"
          | (?P<plain>[\x21\x23-\x2b\x2d-\x3a\x3c\x3e-\x5b\x5d-\x7e]*) )
        (?P<end>[,;]|\Z)""",
    re.VERBOSE,
)
"""One `key=value` and what ends it. A plain value holds no blank and none of `" , ; = \\`."""


def parse_elements(text: str) -> tuple[Element, ...] | None:
    """The elements of a header value, None when it breaks the grammar (also when it is empty)."""
    elements: list[Element] = []
    pairs: list[tuple[str, str]] = []
    position, end = 0, ","
    while end:
        match = _PAIR.match(text, position)
        if match is None:
            return None
        pairs.append((match["key"].lower(), _value(match)))
        position, end = match.end(), match["end"]
        if end != ";":
            elements.append(tuple(pairs))
            pairs = []
    return tuple(elements)


def forwarded_id(value: str, proxy: SpiffeId, domains: Set[str]) -> SpiffeId | None:
    """Whom the trusted proxy says it acts for; None when there is no usable element.

    The last element whose `By` is the proxy counts, with exactly one `URI`. Raises `Refused`:
    WORKLOAD_INVALID when that element can't be read or its URI is no SPIFFE ID, TRUST_DOMAIN_UNKNOWN for
    one of an unknown trust domain.
    """
    by = str(proxy)
    for element in reversed(parse_elements(value) or ()):
        signers = [text for key, text in element if key == "by"]
        if by in signers:
            return _id_of(element, len(signers), domains)
    return None


def _id_of(element: Element, signers: int, domains: Set[str]) -> SpiffeId | None:
    if signers != 1:
        raise Refused(Reason.WORKLOAD_INVALID, "the proxy's element names more than one By")
    # Envoy writes `URI=` for a client whose certificate bears no URI.
    uris = [text for key, text in element if key == "uri"]
    return known_id(uris[0], domains) if len(uris) == 1 and uris[0] else None


def _value(match: re.Match[str]) -> str:
    quoted: str | None = match["quoted"]
    return match["plain"] if quoted is None else quoted.replace('\\"', '"')
