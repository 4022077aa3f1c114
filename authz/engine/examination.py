"""One request's credentials under examination: the values that every step of it needs."""

from __future__ import annotations

from collections.abc import Mapping

from authz.model.issuer import IssuerSettings, TrustSettings
from authz.model.light import light_value
from authz.model.patience import UNHURRIED, Patience
from authz.model.request import AuthzRequest
from authz.policy.compiled import Usage


@light_value
class Trusted:
    """What of the policy in force says whom to believe. `audiences` are the route's, by issuer name; `introspector`
    names the one issuer that the route's opaque tokens go to (empty: none)."""

    issuers: Mapping[str, IssuerSettings]
    issuers_by_url: Mapping[str, IssuerSettings]
    trust: TrustSettings | None
    audiences: Mapping[str, frozenset[str]]
    introspector: str = ""


@light_value
class Examination:
    """A request, what of it is asked for, whom to believe, when (seconds since the epoch), and how long to wait."""

    request: AuthzRequest
    usage: Usage
    trusted: Trusted
    now: float
    patience: Patience = UNHURRIED
    binding: bool = True
    """Whether a decision hangs on it. If not (a candidate's), nothing is spent and nobody is waited for."""
