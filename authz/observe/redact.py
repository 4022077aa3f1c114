"""Takes out of any text what looks like a credential: the last net under logs and the audit trail.

Owns: the patterns. Other rooms must not rely on it: they don't put credentials into texts in the first place (errors
never hold what was presented). An opaque token without any mark around it can't be told from other text.
"""

from __future__ import annotations

import re
from typing import Final

MARK: Final = "[redacted]"

_PATTERNS: Final = (
    # A JWS or JWE in compact form, also cut short: its first part is the base64url of `{"`.
    (re.compile(r"\bey[IJ][A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"), MARK),
    # What follows an authentication scheme, wherever it stands.
    (re.compile(r"\b(bearer|dpop|basic|negotiate)(\s+|%20|\+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {MARK}"),
    # The values of members and parameters whose names say what they are.
    (
        re.compile(
            # Without what may stand before the word: it stays as it is, and looking for it takes quadratic time.
            r"(?P<name>(?:authorization|cookie|password|passwd|secret|token|api[_-]?key|assertion)"
            r"[\"']?\s*[=:]\s*[\"']?)(?!\[redacted\])[^\s\"'&,;}]{3,}",
            re.IGNORECASE,
        ),
        rf"\g<name>{MARK}",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MARK),
)
_WORDS: Final = r"ey[ij]|b(?:earer|asic)|dpop|negotiate|a(?:uthorization|ssertion)|cookie|passw|secret|token|key"
_LOWER_HINT: Final = re.compile(_WORDS)
_HINT: Final = re.compile(_WORDS, re.IGNORECASE)
"""One quick look that clears almost every text; at lower-case letters it takes a fifth of the time. That is for ASCII:
elsewhere there are letters that only an expression takes for one of these."""


def redact(text: str) -> str:
    """The text with credentials replaced by a mark."""
    if (_LOWER_HINT.search(text.lower()) if text.isascii() else _HINT.search(text)) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_value(value: object) -> object:
    """As `redact`, through the lists and mappings of a JSON value; other objects become their redacted text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact_value(item) for item in value]
    if isinstance(value, dict):
        return {redact(str(key)): redact_value(item) for key, item in value.items()}
    return redact(str(value))
