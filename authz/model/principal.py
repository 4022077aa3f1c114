"""Who acts: verified principals, and the values that stand for credentials that didn't verify.

`User` and `Workload` are made only from verified material (authz.authn); `Refusal` and `Undecided`
are what `engine.authenticate` makes of the exceptions that a verifier raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from authz.model.light import light_value
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId


class PrincipalKind(Enum):
    """The two kinds of user: somebody logged in, or a program under its own name."""

    PERSON = "person"
    CLIENT = "client"


class Binding(Enum):
    """How a token is sender-constrained: by a proof of possession (RFC 9449), or to a certificate (RFC 8705)."""

    DPOP = "dpop"
    MTLS = "mtls"


class Via(Enum):
    """How a workload's identity reached us."""

    MTLS = "mtls"
    FORWARDED = "forwarded"
    JWT_SVID = "jwt-svid"

    # A member is equal to itself only; `Enum` would hash its name, in Python, for each look-up in a set.
    __hash__ = object.__hash__


@light_value
class User:
    """A verified person or client, as one token of one issuer says it.

    `issuer` is the name that policies use, `issuer_url` the `iss` value. `scopes`, `groups`, `roles`
    and `client` are None when the claim is missing or malformed (which is not the same as empty).
    `claims` are the token's verified claims as JSON; `aliases` maps the issuer's alias names to claim
    values (an absent claim has no entry). `audiences` is the token's `aud`. Times are NumericDates in
    seconds. `subject_hash` is a short digest of issuer and subject, for logs and metadata.
    """

    issuer: str
    issuer_url: str
    subject: str
    kind: PrincipalKind
    client: str | None
    scopes: frozenset[str] | None
    groups: frozenset[str] | None
    roles: frozenset[str] | None
    acr: str | None
    amr: frozenset[str] | None
    auth_time: float | None
    expires_at: float
    audiences: frozenset[str]
    claims: Mapping[str, object]
    aliases: Mapping[str, object]
    subject_hash: str
    scope_text: str = field(default="")
    """The scopes as `x-authz-scopes` shows them: in the token's order, joined by one space."""
    bound: frozenset[Binding] = frozenset()
    """To what the token is bound; each of them was checked against this request."""


@light_value
class Workload:
    """A verified calling workload. `roles` come from the `TrustDomains` document."""

    id: SpiffeId
    via: Via
    roles: frozenset[str] = frozenset()


@light_value
class Refusal:
    """A credential that was presented and refused. `scheme` is the one that a client is challenged with, `nonce`
    what its next proof has to hold (RFC 9449 §9; empty: nothing)."""

    reason: Reason
    detail: str = ""
    scheme: str = "Bearer"
    nonce: str = ""


@light_value
class Undecided:
    """A credential about which something could not be found out; `reason` is a 503 reason."""

    reason: Reason
    detail: str = ""
    retry_after: int = 1


UserOutcome = User | Refusal | Undecided | None
"""None: no credential was presented (or the route doesn't look at any)."""
WorkloadOutcome = Workload | Refusal | Undecided | None


@light_value
class Principals:
    """Everything known about who calls: at most one user and, for each `via`, one workload."""

    user: UserOutcome = None
    mtls: WorkloadOutcome = None
    forwarded: WorkloadOutcome = None
    jwt_svid: WorkloadOutcome = None

    def workload(self, via: Via) -> WorkloadOutcome:
        if via is Via.MTLS:
            return self.mtls
        if via is Via.FORWARDED:
            return self.forwarded
        return self.jwt_svid


NOBODY = Principals()
