"""A CheckRequest's bytes to a `RawRequest`, and what of it may be shown.

Owns which fields of Envoy's message are read and how raw header octets become text. Judges nothing but that
the message can be read: grammar is `parse_request`'s duty. Raises nothing but `Refused(REQUEST_MALFORMED)`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from google.protobuf.message import DecodeError

from authz.model.errors import Refused
from authz.model.headers import Headers, Judged, field_size, fold_name, is_lookalike, is_token
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits, Peer, RawRequest, RequestView
from authz.wire.pb import check_pb2 as pb
from authz.wire.pb import parts_pb2 as parts

SERVICE_EXTENSION: Final = "authz.service"
"""The key of `context_extensions` that names a policy (policy language §4)."""
VIEW_METHOD: Final = 16
VIEW_HOST: Final = 260
VIEW_PATH: Final = 256
"""Characters that a view shows at most."""

_PSEUDO_HEADERS: Final = 8
"""More than HTTP has."""
_SANITISE: Final = "authz-sanitise"

_KNOWN_LINES: Final = 8192
_KNOWN_LINE: Final = 512
"""How many headers of how many octets at most are remembered as they were read."""
_NEVER_KNOWN: Final = frozenset({"dpop", "x-request-id", "traceparent", "tracestate", ":path"})
"""What is new each time would only push out the rest."""
_SECRET: Final = re.compile("auth|cookie|token|secret|key|passw|session|sign|assert|jwt|svid|cred")
_JOSE: Final = b"eyJ"
"""Credentials aren't kept: what has such a name, or holds what a token begins with."""
_KNOWN_PEER: Final = 4096
_PIECES: Final = 16
"""More than anybody sends: Envoy sends one."""


_read_parts: Final = parts.CheckRequestParts.FromString


def decode(message: bytes, limits: Limits) -> RawRequest:
    """Read one CheckRequest of at most `limits.message` bytes."""
    if len(message) > limits.message:
        raise _refused("the check request is larger than the limit")
    try:
        attributes = _read_parts(message).attributes
        if not attributes.request.HasField("http"):
            # A TCP filter asks so; it is not a request with an empty method.
            raise _refused("the check request describes no HTTP request")
        http = attributes.request.http
        extensions = attributes.context_extensions
        return RawRequest(
            http.method,
            http.path,
            http.host,
            http.scheme,
            _headers(http, limits),
            http.protocol,
            _peer(attributes.source),
            _peer(attributes.destination),
            extensions.get(SERVICE_EXTENSION, "") if extensions else "",
            attributes.HasField("tls_session"),
        )
    except (DecodeError, ValueError):
        raise _refused("the check request is no readable message") from None


def view(raw: RawRequest) -> RequestView:
    """What logs and audit may show of a request, whether or not it is well-formed."""
    path = raw.target.partition("?")[0].partition("#")[0]
    return RequestView(
        _printable(raw.method, VIEW_METHOD), _printable(raw.authority, VIEW_HOST), _printable(path, VIEW_PATH)
    )


def view_of_parsed(raw: RawRequest, request: AuthzRequest) -> RequestView:
    """The same for a request that is well-formed: then all three are printable, and the path is known."""
    return RequestView(raw.method[:VIEW_METHOD], raw.authority[:VIEW_HOST], request.path.text[:VIEW_PATH])


def _headers(http: parts.HttpRequestParts, limits: Limits) -> Headers:
    """The headers without pseudo headers, from the raw form when Envoy sends it, else from the joined one."""
    raw, text = http.header_map.headers, http.headers
    if not raw:
        return _collected(text, _JOINED, limits, joined=True)
    if text:
        _collected(text, _JOINED, limits, joined=True)  # Only so that what can't be read is refused wherever it stands.
    return _collected(raw, _RAW, limits, joined=False)


_Line = tuple[str, tuple[str, ...], int, bool]
"""One header as it was read: its name in lower case (empty for a pseudo header), its value, what both add to the size
(-1: outside the grammar), and whether the name may pass for one of ours."""
_PSEUDO: Final[_Line] = ("", (), 0, False)


class _Lines:
    """Headers in one of Envoy's two forms, each read once while it is remembered: most come again in every request.

    Bounded, and emptied when it is full: that costs less than to know which one came last, and what comes often is
    soon back. Any thread may use it.
    """

    __slots__ = ("_known", "_value", "look_up")

    def __init__(self, value: Callable[[pb.HeaderValue], str]) -> None:
        self._value = value
        self._known: dict[bytes, _Line] = {}
        self.look_up = self._known.get

    def read(self, octets: bytes) -> _Line:
        """One that isn't remembered; raises `DecodeError`."""
        entry = _read_header(octets)
        key = entry.key
        name, room, lookalike, kept = _known_name(key) if len(key) <= _KNOWN_LINE else _judged_name(key)
        line: _Line = _PSEUDO
        if room:
            value = self._value(entry)
            size = field_size(value)
            line = (name, (value,), room + size if room > 0 and size >= 0 else -1, lookalike)
        if kept and len(octets) <= _KNOWN_LINE and _JOSE not in octets:
            if len(self._known) >= _KNOWN_LINES:
                self._known.clear()
            self._known[octets] = line
        return line


def _judged_name(key: str) -> tuple[str, int, bool, bool]:
    """A header's name in lower case, its size (0 for a pseudo header, -1 for what is no token), whether it may pass
    for one of ours, and whether headers of that name are remembered."""
    if key.startswith(":"):
        return "", 0, False, key not in _NEVER_KNOWN
    name = fold_name(key)
    return name, len(name) if is_token(name) else -1, is_lookalike(name), _is_known(name)


def _is_known(name: str) -> bool:
    return name not in _NEVER_KNOWN and _SECRET.search(name) is None


_known_name: Final = lru_cache(maxsize=1024)(_judged_name)
_read_header: Final = pb.HeaderValue.FromString


def _raw_value(entry: pb.HeaderValue) -> str:
    octets = entry.raw_value
    return octets.decode("utf-8", _SANITISE) if octets else entry.value


_RAW: Final = _Lines(_raw_value)
_JOINED: Final = _Lines(attrgetter("value"))


def _collected(entries: Sequence[bytes], lines: _Lines, limits: Limits, *, joined: bool) -> Headers:
    """The headers of a request; one that breaks the grammar leaves the judgement to `parse_request`, which names it."""
    if len(entries) > limits.header_count + _PSEUDO_HEADERS:
        # The exact limit is `parse_request`'s; to sort a hundred thousand of one name first would take seconds.
        raise _refused("more headers than the limit")
    look_up, read = lines.look_up, lines.read
    found = [look_up(each) or read(each) for each in entries[:]]
    if not found:
        return Headers(joined=joined)
    names, values, sizes, lookalike = zip(*found, strict=True)
    pseudo = names.count("")
    table = dict(zip(names, values, strict=True))
    if pseudo:
        del table[""]
    number = len(found) - pseudo
    if min(sizes) < 0 or len(table) < number:
        return _careful(found, joined=joined)
    shown = tuple(filter(is_lookalike, table)) if True in lookalike else ()
    return Headers(joined=joined, table=table, judged=Judged(number, sum(sizes)), lookalikes=shown)


def _careful(found: list[_Line], *, joined: bool) -> Headers:
    """Where a name comes twice, or something is outside the grammar."""
    return Headers([(name, value[0]) for name, value, _, _ in found if value], joined=joined)


def _exclaim(error: UnicodeError) -> tuple[str, int]:
    """Each octet that is not UTF-8 becomes `!`, as Envoy itself does in its joined form."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "!" * (error.end - error.start), error.end


codecs.register_error(_SANITISE, _exclaim)


def _peer(pieces: Sequence[bytes]) -> Peer:
    # The same for every request of a connection, and one end is this proxy's own.
    if len(pieces) == 1 and len(pieces[0]) <= _KNOWN_PEER:
        return _known_peer(pieces[0])
    if len(pieces) > _PIECES:
        raise _refused("one end of the connection in more pieces than the limit")
    # A message in pieces is its pieces one after the other.
    return _read_peer(b"".join(pieces))


def _read_peer(octets: bytes) -> Peer:
    peer = pb.Peer.FromString(octets)
    return Peer(peer.address.socket_address.address, peer.principal, peer.certificate)


_known_peer: Final = lru_cache(maxsize=1024)(_read_peer)


def _printable(text: str, limit: int) -> str:
    short = text[:limit]
    if short.isprintable():
        return short
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short)


def _refused(rule: str) -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, rule)
