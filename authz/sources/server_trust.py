"""Which TLS server may answer a fetch: by name and the Web PKI, or by SPIFFE ID and the trust domain's own bundle.

Owns: the two ways in which a bundle endpoint is authenticated (SPIFFE Federation §5.2.1, §5.2.2); issuers are always
authenticated by the first. Must not: fetch anything, or fall back from one way to the other.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from authz.authn.leaf import server_id
from authz.authn.svid import TrustBundle
from authz.model.errors import AuthzError, Refused
from authz.model.spiffe import SpiffeId
from authz.sources.files import FileError, signature


class UntrustedServer(AuthzError):
    """The server isn't the one that was meant, or nothing is there to judge it by; the message is ours."""


class ServerTrust(Protocol):
    """Asked for each connection: first `context`, and after the handshake `check`. Both raise `UntrustedServer`."""

    def context(self) -> ssl.SSLContext: ...

    def check(self, certificate: bytes, /) -> None:
        """Judge the server's certificate (DER), which has chained to the context's authorities already."""
        ...


SYSTEM_SECONDS: Final = 60.0
"""How long the system's authorities, read once, are taken for what they are: reading them takes 25 ms."""


class WebTrust:
    """By the host's name, against the system's authorities or those of a file. A file that changed counts at once."""

    def __init__(self, ca_file: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ca_file = ca_file
        self._clock = clock
        self._kept: tuple[object, ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        edition, kept = self._edition(), self._kept
        if kept is None or kept[0] != edition:
            kept = self._kept = (edition, self._made())
        return kept[1]

    def _edition(self) -> object:
        """Differs whenever the authorities may differ."""
        if self._ca_file is None:
            return int(self._clock() / SYSTEM_SECONDS)
        try:
            return signature(self._ca_file)
        except FileError:
            raise UntrustedServer("the CA file can't be read") from None

    def _made(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError):
            raise UntrustedServer("the CA file can't be read") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def check(self, certificate: bytes, /) -> None:
        """The handshake has checked chain, name and dates."""


class SpiffeTrust:
    """By SPIFFE ID, against the authorities of its trust domain; the host's name doesn't count."""

    def __init__(self, expected: SpiffeId, bundle: TrustBundle | None) -> None:
        self._expected = expected
        self._bundle = bundle

    def context(self) -> ssl.SSLContext:
        if self._bundle is None or not self._bundle.authorities:
            raise UntrustedServer("there is no bundle to judge the endpoint by")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Each authority of a bundle is an anchor, self-signed or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=b"".join(each.der for each in self._bundle.authorities))
        return context

    def check(self, certificate: bytes, /) -> None:
        try:
            found = server_id(certificate)
        except Refused as error:
            raise UntrustedServer(f"the endpoint's certificate is no X.509-SVID: {error.detail}") from None
        if found != self._expected:
            raise UntrustedServer("the endpoint shows another SPIFFE ID than endpoint_spiffe_id")
