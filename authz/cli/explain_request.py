"""What `authz explain` is asked about: a request and its principals, out of command-line arguments.

Nothing in the URL is decoded or repaired: whether a target is canonical is for the same parser to say that judges
Envoy's requests.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from authz.cli.exit_codes import ENVIRONMENT, USAGE
from authz.cli.failure import CommandFailed
from authz.cli.moment import moment
from authz.cli.verified import verified_user
from authz.model.headers import Headers
from authz.model.issuer import IssuerSettings
from authz.model.principal import Binding, PrincipalKind, User
from authz.model.request import Limits, Peer, RawRequest, split_url
from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.policy.casting import Misplaced
from authz.policy.faults import Place
from authz.policy.suite import UserFixture
from authz.sources.files import FileError, read_bounded

_DNS: Final = "dns:"
_REQUEST_FLAGS: Final = ("header", "workload", "forwarded", "at", "service", "source", "token")
"""What a saved request says itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request, and the time (seconds since the epoch) that a saved one bears."""

    raw: RawRequest
    time: float | None = None


def asked(arguments: argparse.Namespace) -> Asked:
    """What to explain; raises `Refused` for a saved request that can't be read."""
    file = arguments.check_request
    line = (arguments.method, arguments.url)
    if (None in line) if file is None else any(line):
        raise CommandFailed(USAGE, "write METHOD and URL, or --check-request FILE")
    if file is None:
        return Asked(raw=_raw_request(arguments))
    given = [flag for flag in _REQUEST_FLAGS if getattr(arguments, flag)]
    if given:
        flags = ", ".join(f"--{'from' if flag == 'source' else flag}" for flag in given)
        raise CommandFailed(USAGE, f"the saved request says {flags} itself")
    from authz.wire.decode import decode
    from authz.wire.saved import read_saved

    saved = read_saved(_read(file))
    return Asked(raw=decode(saved.message, Limits()), time=saved.time)


def asserts_all(arguments: argparse.Namespace) -> bool:
    """Whether nothing is there to be verified: the user and the workloads are told by flags, as SPIFFE IDs can be."""
    if arguments.check_request is not None or arguments.forwarded is not None:
        return False
    if arguments.header or arguments.token or arguments.keys:
        return False
    try:
        return not arguments.workload or bool(SpiffeId.parse(arguments.workload))
    except SpiffeIdError:
        return False


def jwt_svid(arguments: argparse.Namespace) -> SpiffeId | None:
    """Whom `--jwt-svid` names."""
    if arguments.jwt_svid is None:
        return None
    try:
        return SpiffeId.parse(arguments.jwt_svid)
    except SpiffeIdError as error:
        raise CommandFailed(USAGE, f"--jwt-svid: {error}") from error


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return read_bounded(Path(file))
    except FileError as error:
        raise CommandFailed(ENVIRONMENT, f"--check-request {file}: {error.reason}") from error


def _raw_request(arguments: argparse.Namespace) -> RawRequest:
    """The request as Envoy would describe it."""
    scheme, authority, target = split_url(arguments.url)
    return RawRequest(
        method=arguments.method,
        target=target,
        authority=authority,
        scheme=scheme,
        headers=Headers(_headers(arguments)),
        protocol="HTTP/1.1",
        source=Peer(address=arguments.source, principal=arguments.workload),
        destination=Peer(principal=arguments.at.removeprefix(_DNS)),
        service=arguments.service,
        tls=scheme == "https",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """`--as ISSUER:SUBJECT` and what goes with it."""

    issuer: str
    subject: str
    arguments: argparse.Namespace

    def user(self, issuers: Mapping[str, IssuerSettings], now: float) -> User:
        """The user that a token of the issuer with such claims would make."""
        settings = issuers.get(self.issuer)
        if settings is None:
            known = ", ".join(sorted(issuers)) or "none"
            raise CommandFailed(USAGE, f"--as: no issuer {self.issuer} in the policy directory (known: {known})")
        try:
            return verified_user(self._fixture(), settings, now)
        except Misplaced as error:
            raise CommandFailed(USAGE, str(error)) from error

    def _fixture(self) -> UserFixture:
        given = self.arguments
        return UserFixture(
            place=Place("--as"),
            issuer=self.issuer,
            subject=self.subject,
            scopes=tuple(given.scope) or None,
            groups=tuple(given.group) or None,
            roles=tuple(given.role) or None,
            client=given.client,
            kind=None if given.kind is None else PrincipalKind(given.kind),
            acr=given.acr,
            amr=tuple(given.amr) or None,
            auth_time=None if given.auth_time is None else moment(given.auth_time),
            bound=frozenset(Binding(one) for one in given.bound),
            claims=dict(_claim(text) for text in given.claim),
        )


def assertion(arguments: argparse.Namespace) -> Assertion | None:
    """What `--as` says; None without it."""
    if arguments.user is None:
        return None
    issuer, colon, subject = arguments.user.partition(":")
    if not (issuer and colon and subject):
        raise CommandFailed(USAGE, "--as: write ISSUER:SUBJECT")
    return Assertion(issuer=issuer, subject=subject, arguments=arguments)


def _headers(arguments: argparse.Namespace) -> Iterable[tuple[str, str]]:
    for text in arguments.header:
        name, colon, value = text.partition(":")
        if not colon:
            raise CommandFailed(USAGE, "--header: write 'name: value'")
        yield name.strip(), value.strip()
    if arguments.token is not None:
        yield "authorization", f"Bearer {_token(arguments.token)}"
    if arguments.forwarded is not None:
        # As a trusted proxy writes it about its own client: `By` is the proxy, the connection's peer.
        yield "x-forwarded-client-cert", f"By={arguments.workload};URI={arguments.forwarded}"


def _token(text: str) -> str:
    """The token itself, `@FILE`, or `-` for standard input."""
    if text == "-":
        return sys.stdin.read().strip()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8").strip()
    except OSError as error:
        raise CommandFailed(ENVIRONMENT, f"--token {text}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(ENVIRONMENT, f"--token {text}: the file is no text") from error


def _claim(text: str) -> tuple[str, Any]:
    """`k=v`: v is JSON if it can be read as such, else text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandFailed(USAGE, "--claim: write NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
