"""The request target: split, decoded once, refused when two parsers could read it differently.

Owns every rule of policy language §4 "Paths" that needs no policy (sibling literals are matching's). A target
is refused, never repaired. The order matters: the query is cut off, the path is split, and only then is each
segment percent-decoded, once. No URL parser takes part: it would drop an authority or fragment.
Standards: RFC 3986 §3.3, UAX #15 (NFC, NFKC), RFC 9112 §3.2.1 (origin-form only).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from authz.model.errors import Refused
from authz.model.light import light_value
from authz.model.reason import Reason

# RFC 3986 §3.3 pchar without `;` (path parameters) and without percent-encoding.
_PCHAR: Final = r"A-Za-z0-9\-._~!$&'()*+,=:@"
# What a query may hold: visible ASCII but `#` and backslash.
_QUERY: Final = r'!"$-\[\]-~'
_PLAIN: Final = re.compile(rf"(/[{_PCHAR}/]*+)(?:\?[{_QUERY}]*+)?")
_ENCODED: Final = re.compile(rf"(?:[{_PCHAR}]|%[0-9A-Fa-f]{{2}})*")
_TARGET_OCTETS: Final = re.compile(rf"[{_QUERY}]*")
_PATH_OCTETS: Final = re.compile(rf"[{_PCHAR}%/]*")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_DOT_SEGMENTS: Final = (".", "..")

_FORBIDDEN_OCTETS: Final = frozenset(b"/\\.%#?;") | frozenset(range(0x20)) | {0x7F}
"""What must not be hidden by percent-encoding: delimiters, the dot, controls."""
_FORBIDDEN_IN_FORM: Final = frozenset("/\\%#?;")
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


@light_value
class RequestPath:
    """A canonical path: `segments` decoded once, `text` as it was sent, without the query.

    A trailing slash is a final empty segment, so `/` is `("",)`. No other segment is empty.
    """

    segments: tuple[str, ...]
    text: str


def parse_path(target: str, limit: int) -> RequestPath:
    """Read a request target of at most `limit` bytes; raises `Refused(PATH_NOT_CANONICAL)`."""
    if len(target) > limit:
        raise _refused("the target is longer than the limit")
    match = _PLAIN.fullmatch(target)
    if match is None:
        return _parse_encoded(target)
    path = match[1]
    segments = path[1:].split("/")
    if "/." in path:
        _refuse_dot_segments(segments)
    if "//" in path:
        raise _refused("the path has an empty segment")
    return RequestPath(tuple(segments), path)


def fold(segment: str) -> str:
    """The form in which lenient readers may compare segments: NFKC, case-folded, trimmed; idempotent.

    Follows Unicode's compatibility caseless matching (D146), which folds twice because folding can undo
    normalisation.
    """
    if segment.isascii():
        return segment.lower().strip()
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", segment).casefold())
    return unicodedata.normalize("NFKC", once.casefold()).strip()


def _parse_encoded(target: str) -> RequestPath:
    """The slow path: every rule in turn, so that the refusal names the broken one."""
    if not target.startswith("/"):
        raise _refused("the target has no leading slash")
    if not _TARGET_OCTETS.fullmatch(target):
        raise _refused("the target holds a raw '#', backslash, blank, control or non-ASCII octet")
    path = target.partition("?")[0]
    if ";" in path:
        raise _refused("the path holds ';'")
    if not _PATH_OCTETS.fullmatch(path):
        raise _refused("the path holds a raw octet outside RFC 3986 pchar")
    if "//" in path:
        raise _refused("the path has an empty segment")
    raw = path[1:].split("/")
    _refuse_dot_segments(raw)
    return RequestPath(tuple(_decode(segment) if "%" in segment else segment for segment in raw), path)


def _refuse_dot_segments(segments: list[str]) -> None:
    if any(dots in segments for dots in _DOT_SEGMENTS):
        raise _refused("the path has a dot segment")


def _decode(segment: str) -> str:
    if not _ENCODED.fullmatch(segment):
        raise _refused("the path has invalid percent-encoding (RFC 3986 §2.1)")
    octets = segment.encode("ascii")
    if any(int(digits, 16) in _FORBIDDEN_OCTETS for digits in _ESCAPE.findall(octets)):
        raise _refused("the path encodes a delimiter, a dot or a control character")
    try:
        text = _ESCAPE.sub(_octet, octets).decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("the decoded path is not UTF-8") from None
    if not text.isascii():
        _check_form(text)
    return text


def _octet(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode("ascii"))


def _check_form(text: str) -> None:
    """Nothing that a normalising reader could take for a delimiter, a dot segment or nothing at all."""
    if not unicodedata.is_normalized("NFC", text):
        raise _refused("the decoded path is not in NFC (UAX #15)")
    form = unicodedata.normalize("NFKC", text)
    if form in _DOT_SEGMENTS:
        raise _refused("a segment's NFKC form is a dot segment")
    if not _FORBIDDEN_IN_FORM.isdisjoint(form):
        raise _refused("a segment's NFKC form holds a delimiter")
    if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in form):
        raise _refused("a segment holds a control, format, private-use or unassigned character")


def _refused(rule: str) -> Refused:
    return Refused(Reason.PATH_NOT_CANONICAL, rule)
