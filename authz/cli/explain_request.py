"""What `authz explain` is asked about: a request and its principals, out of command-line arguments.

The URL is split by hand and nothing in it is decoded or repaired: whether a target is canonical is for the same
parser to say that judges Envoy's requests.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from authz.authn.claims import user_of
from authz.authn.token import VerifiedToken
from authz.cli.exit_codes import ENVIRONMENT, USAGE
from authz.cli.failure import CommandFailed
from authz.cli.moment import moment
from authz.model.headers import Headers
from authz.model.issuer import IssuerSettings
from authz.model.principal import PrincipalKind, User
from authz.model.request import Peer, RawRequest

_DNS: Final = "dns:"
_TOKEN_LIFETIME: Final = 300.0
"""Seconds that an asserted token is still valid."""


def raw_request(arguments: argparse.Namespace) -> RawRequest:
    """The request as Envoy would describe it."""
    scheme, authority, target = split_url(arguments.url)
    return RawRequest(
        method=arguments.method, target=target, authority=authority, scheme=scheme,
        headers=Headers(_headers(arguments)), protocol="HTTP/1.1",
        source=Peer(address=arguments.source, principal=arguments.workload),
        destination=Peer(principal=arguments.at.removeprefix(_DNS)), service=arguments.service,
        tls=scheme == "https",
    )


def split_url(url: str) -> tuple[str, str, str]:
    """`(scheme, authority, target)`; a URL without scheme begins with the authority."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    end = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    return scheme, authority, target if target.startswith("/") else f"/{target}"


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
        token = VerifiedToken(
            issuer=settings.name, claims=self._claims(settings, now), audiences=settings.audiences,
            expires_at=now + _TOKEN_LIFETIME, issued_at=now, not_before=None,
        )
        user = user_of(token, settings)
        kind = self.arguments.kind
        return user if kind is None else replace(user, kind=PrincipalKind(kind))

    def _claims(self, settings: IssuerSettings, now: float) -> dict[str, Any]:
        given = self.arguments
        claims: dict[str, Any] = {
            "iss": settings.issuer, "sub": self.subject, "aud": sorted(settings.audiences), "iat": int(now),
            "exp": int(now + _TOKEN_LIFETIME),
        }
        lists = ((settings.scopes, given.scope), (settings.groups, given.group), (settings.roles, given.role))
        for path, values in lists:
            if values:
                _place(claims, path, list(values))
        if given.client is not None:
            _place(claims, settings.client, given.client)
        if given.acr is not None:
            claims["acr"] = given.acr
        if given.amr:
            claims["amr"] = list(given.amr)
        if given.auth_time is not None:
            claims["auth_time"] = moment(given.auth_time)
        for text in given.claim:
            name, value = _claim(text)
            _place(claims, settings.aliases.get(name, tuple(name.split("."))), value)
        return claims


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


def _place(claims: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        inner = claims.setdefault(key, {})
        if not isinstance(inner, dict):
            raise CommandFailed(USAGE, f"the claim {'.'.join(path)} stands inside something that is no object")
        claims = inner
    claims[path[-1]] = value
