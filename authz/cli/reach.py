"""Requests and callers out of the arguments of `authz can` and `authz who-can`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from authz.cli.exit_codes import USAGE
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.model.request import AuthzRequest
    from authz.policy.meaning import Side
    from authz.policy.standing import Facts


def asked_request(method: str, url: str, *, at: str = "", service: str = "") -> AuthzRequest:
    """The request that is asked about; raises `CommandFailed` when no service would judge it."""
    from authz.model.errors import Refused
    from authz.model.request import Limits, Peer, RawRequest, parse_request, split_url

    scheme, authority, target = split_url(url)
    try:
        return parse_request(
            RawRequest(
                method=method,
                target=target,
                authority=authority,
                scheme=scheme,
                destination=Peer(principal=at.removeprefix("dns:")),
                service=service,
            ),
            Limits(),
        )
    except Refused as refused:
        raise CommandFailed(USAGE, f"{url}: {refused.reason.code}: {refused.detail}") from refused


def destinations(side: Side) -> list[str]:
    """Where requests can arrive, as `--at` names it."""
    return sorted(side.policy.index.points())


def facts_of(arguments: argparse.Namespace, side: Side) -> Facts:
    """What is known of the caller; flags that aren't given leave the claim open."""
    from authz.model.principal import Via
    from authz.model.spiffe import SpiffeId, SpiffeIdError
    from authz.policy.asks import SUBJECT, claim_path
    from authz.policy.standing import Facts

    try:
        workload = None if arguments.workload is None else (Via.MTLS, SpiffeId.parse(arguments.workload))
    except SpiffeIdError as error:
        raise CommandFailed(USAGE, f"--workload: {error}") from error
    if arguments.user is None:
        return Facts(only=True, workload=workload)
    name, colon, subject = arguments.user.partition(":")
    settings = side.issuers.get(name)
    if settings is None or not (colon and subject):
        known = ", ".join(sorted(side.issuers)) or "none"
        raise CommandFailed(USAGE, f"--as: write ISSUER:SUBJECT (issuers: {known})")
    claims: dict[tuple[str, ...], object] = {SUBJECT: subject}
    for path, values in (
        (settings.scopes, arguments.scope),
        (settings.groups, arguments.group),
        (settings.roles, arguments.role),
    ):
        if values:
            claims[path] = list(values)
    for text in arguments.claim:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise CommandFailed(USAGE, "--claim: write NAME=VALUE")
        try:
            claims[claim_path(key, settings)] = json.loads(value)
        except ValueError:
            claims[claim_path(key, settings)] = value
    return Facts(only=True, issuer_url=settings.issuer, claims=claims, workload=workload)
