"""One bounded HTTP exchange: a GET for key documents, or a form, with servers that the operator's configuration names.

Owns: which URLs and addresses may be fetched (SSRF), TLS verification, time and size limits. Must not: follow
redirects, read proxy settings, keep connections or cookies, decode content, look at what it fetched. Requests
never cause a fetch of a URL that they chose (RFC 8725 §3.10).

The address that is checked is the address that is connected to: the name is resolved once, every result is
checked, and the socket is opened to that literal. A second DNS answer has nothing to change. The transport is
httpcore, beneath httpx: it takes a network backend, which is where address and deadline have to be enforced.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpcore

from authz.model.errors import AuthzError
from authz.sources.resolve import BoundedResolver, Resolve, system_resolve
from authz.sources.server_trust import ServerTrust, UntrustedServer, WebTrust
from authz.sources.state import Cause

DEFAULT_TIMEOUT: Final = 5.0
"""Seconds for the whole exchange, name resolution included."""
DEFAULT_MAX_BYTES: Final = 512 * 1024
"""Key sets are a few KiB; this leaves room for x5c chains and keeps a bad provider from filling memory."""
MAX_ADDRESSES: Final = 4
"""How many resolved addresses are tried in turn."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
_MAX_AGE: Final = re.compile(r"max-age=([0-9]{1,9})")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_REQUEST_HEADERS: Final = (
    ("accept", "application/json, application/jwk-set+json"),
    ("accept-encoding", "identity"),
    ("connection", "close"),
)


class FetchError(AuthzError):
    """A document could not be fetched, or isn't usable. `reason` is short and ours; `status` the HTTP status, if
    there was one."""

    def __init__(self, reason: str, *, status: int | None = None, cause: Cause = Cause.CONTENT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """`timeout` in seconds for the whole exchange, `max_bytes` for the body.

    `allow_private` admits https hosts at private and loopback addresses (an issuer inside the cluster);
    link-local, multicast and unspecified addresses stay refused. `ca_file` replaces the system's trust store.
    """

    timeout: float = DEFAULT_TIMEOUT
    max_bytes: int = DEFAULT_MAX_BYTES
    allow_private: bool = False
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """`max_age` is `Cache-Control: max-age` in seconds: 0 for no-store and no-cache, None without."""

    body: bytes
    max_age: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchUrl:
    """A URL that passed `parse_url`. `host` is lower case; an IPv6 literal has no brackets here."""

    text: str
    scheme: str
    host: str
    port: int
    target: str


def parse_url(text: str) -> FetchUrl:
    """Read an absolute URL without user-info or fragment; raises `FetchError`.

    https only. http passes for `localhost` and loopback literals (a provider beside us, as in the worked
    example): nobody else can answer there.
    """
    match = _URL.fullmatch(text) if len(text) <= 2048 else None
    if match is None:
        raise FetchError("not an absolute https URL without user-info and fragment")
    scheme, host = match["scheme"], match["host"].strip("[]").lower()
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if port > 65535:
        raise FetchError("the port is over 65535")
    if scheme == "http" and not _is_loopback_name(host):
        raise FetchError("http is for loopback addresses only; use https")
    target = (match["path"] or "/") + (match["query"] or "")
    return FetchUrl(text=text, scheme=scheme, host=host, port=port, target=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form to post: its encoded body, and what else the request's head says (a client's own credential)."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Fetcher:
    """Fetches documents under one set of rules. Threads may share it: nothing is kept between calls."""

    def __init__(
        self, rules: FetchRules, *, resolve: Resolve | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rules = rules
        self._resolver = BoundedResolver(resolve or system_resolve)
        self._clock = clock
        self._web = WebTrust(rules.ca_file)

    def get(self, url: str, trust: ServerTrust | None = None) -> Fetched:
        """The body of a 200 answer. Raises `FetchError`, and nothing else, for whatever goes wrong.

        `trust` says which servers count; without it, those that the Web PKI or the CA file vouches for.
        """
        return self._fetch(url, trust or self._web, None)

    def post(self, url: str, form: Form) -> Fetched:
        """As `get`, for the answer to a form."""
        return self._fetch(url, self._web, form)

    def _fetch(self, url: str, trust: ServerTrust, form: Form | None) -> Fetched:
        target = parse_url(url)
        deadline = self._clock() + self._rules.timeout
        addresses = self._addresses(target)
        backend = _PinnedBackend(addresses, deadline=deadline, clock=self._clock, check=trust.check)
        try:
            return self._exchange(target, backend, trust, form)
        except UntrustedServer as error:
            raise FetchError(str(error), cause=Cause.TLS) from None
        except httpcore.TimeoutException:
            raise FetchError(f"no complete answer within {self._rules.timeout:g} s", cause=Cause.TIMEOUT) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
            reason, cause = _describe(error)
            raise FetchError(reason, cause=cause) from None

    def _addresses(self, url: FetchUrl) -> tuple[str, ...]:
        try:
            found = self._resolver.addresses(url.host, url.port, within=self._rules.timeout)
        except TimeoutError:
            reason = f"the host name wasn't resolved within {self._rules.timeout:g} s"
            raise FetchError(reason, cause=Cause.NAME) from None
        except (OSError, UnicodeError):
            raise FetchError("the host name doesn't resolve", cause=Cause.NAME) from None
        if not found:
            raise FetchError("the host name doesn't resolve", cause=Cause.NAME)
        for text in found:
            # One bad result refuses the host: a name with public and private answers is trusted to be
            # neither.
            _check_address(text, loopback_only=url.scheme == "http", allow_private=self._rules.allow_private)
        return found[:MAX_ADDRESSES]

    def _exchange(
        self, url: FetchUrl, backend: httpcore.NetworkBackend, trust: ServerTrust, form: Form | None
    ) -> Fetched:
        # Asked for each fetch, so that a rotated CA file or bundle counts at once.
        context = trust.context() if url.scheme == "https" else None
        with (
            httpcore.ConnectionPool(ssl_context=context, max_connections=1, network_backend=backend) as pool,
            pool.stream(
                "GET" if form is None else "POST",
                _wire_url(url),
                headers=_request_headers(url, form),
                content=None if form is None else form.body,
            ) as response,
        ):
            headers = {name.lower(): value for name, value in response.headers}
            self._check_head(response.status, headers)
            return Fetched(body=self._body(response.iter_stream()), max_age=_max_age(headers))

    def _check_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        if status != 200:
            redirect = 300 <= status < 400
            what = "a redirect, which is never followed" if redirect else f"status {status}"
            cause = Cause.REDIRECT if redirect else Cause.STATUS
            raise FetchError(f"the server answered {what}", status=status, cause=cause)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise FetchError("the server compressed the answer unasked")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._rules.max_bytes:
            raise self._too_large()

    def _body(self, chunks: Iterable[bytes]) -> bytes:
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > self._rules.max_bytes:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> FetchError:
        return FetchError(f"the answer is over {self._rules.max_bytes} bytes", cause=Cause.SIZE)


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects only to addresses that were checked, and gives the whole exchange one deadline."""

    def __init__(
        self, addresses: tuple[str, ...], *, deadline: float, clock: Callable[[], float], check: Callable[[bytes], None]
    ) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._clock = clock
        self._check = check
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """The `host` is deliberately not used: the addresses were made from it, and checked."""
        del host, timeout, local_address
        last: Exception = httpcore.ConnectError("no address")
        for position, address in enumerate(self._addresses):
            share = self._remaining() / (len(self._addresses) - position)
            try:
                stream = self._inner.connect_tcp(address, port, timeout=share, socket_options=socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
                continue
            return _DeadlineStream(stream, self._remaining, self._check)
        raise last

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        del path, timeout, socket_options
        raise httpcore.ConnectError("Unix sockets aren't fetched from")

    def sleep(self, seconds: float) -> None:
        del seconds
        raise httpcore.ConnectError("a fetch is never retried here")

    def _remaining(self) -> float:
        """Seconds left; a server that sends one octet at a time can't stretch them."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every operation gets what is left of the deadline as its timeout."""

    def __init__(
        self, inner: httpcore.NetworkStream, remaining: Callable[[], float], check: Callable[[bytes], None]
    ) -> None:
        self._inner = inner
        self._remaining = remaining
        self._check = check

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._inner.read(max_bytes, timeout=self._remaining())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._inner.write(buffer, timeout=self._remaining())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        del timeout
        inner = self._inner.start_tls(ssl_context, server_hostname=server_hostname, timeout=self._remaining())
        try:
            # Before a request is sent: who answers may not even learn what is asked for.
            self._check(inner.get_extra_info("ssl_object").getpeercert(True) or b"")
        except BaseException:
            inner.close()
            raise
        return _DeadlineStream(inner, self._remaining, self._check)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _check_address(text: str, *, loopback_only: bool, allow_private: bool) -> None:
    try:
        address = _embedded(ipaddress.ip_address(text))
    except ValueError:
        raise FetchError("the host name resolves to something that is no address", cause=Cause.NAME) from None
    if loopback_only:
        allowed = address.is_loopback
    elif address.is_link_local or address.is_multicast or address.is_unspecified:
        allowed = False  # link-local is where clouds keep their metadata service: never a key server
    else:
        allowed = address.is_global or allow_private
    if not allowed:
        reason = "the host is at an address that isn't fetched from (see `keys.allow_private`)"
        raise FetchError(reason, cause=Cause.ADDRESS)


def _embedded(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, when there is one: it is what would be reached."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_loopback_name(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wire_url(url: FetchUrl) -> httpcore.URL:
    return httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)


def _request_headers(url: FetchUrl, form: Form | None) -> list[tuple[str, str]]:
    host = f"[{url.host}]" if ":" in url.host else url.host
    default = url.port == _DEFAULT_PORTS[url.scheme]
    head = [("host", host if default else f"{host}:{url.port}"), *_REQUEST_HEADERS]
    if form is not None:
        head += [
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-length", str(len(form.body))),
            *form.headers,
        ]
    return head


def _max_age(headers: dict[bytes, bytes]) -> float | None:
    """RFC 9111 §5.2.2.1; anything unreadable counts as absent."""
    directives = headers.get(b"cache-control", b"").decode("latin-1").lower().replace(" ", "").split(",")
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    ages = [match[1] for match in map(_MAX_AGE.fullmatch, directives) if match]
    return float(ages[0]) if ages else None


def _describe(error: Exception) -> tuple[str, Cause]:
    """A reason without the peer's words: exception texts can hold what the other side sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the server's certificate doesn't verify", Cause.TLS
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused", Cause.CONNECTION
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore.ProtocolError):
        return "the server doesn't speak HTTP/1.1", Cause.CONTENT
    return "the connection failed", Cause.CONNECTION
