"""What is trusted about a token issuer and about trust domains: the platform's settings, as values.

Written by `policy.parse` from `kind: Issuers` and `kind: TrustDomains` (policy language §2, §3), read by `authn`
(rules) and `sources` (where keys and bundles come from). Durations are in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Final

from authz.model.spiffe import SpiffeId

ClaimPath = tuple[str, ...]
"""Keys from the outermost object inwards: `("realm_access", "roles")`."""

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "Ed25519")
"""What may be accepted, in the order in which a key without `alg` is bound. `EdDSA` in a token or key set is read
as `Ed25519` (RFC 9864 §2.2)."""

PROOF_ALGORITHMS: Final = ("ES256", "Ed25519", "EdDSA", "PS256", "RS256")
"""The `alg` values of proofs of possession (RFC 9449 §4.2), as a client is told them."""

DEFAULT_CLOCK_SKEW: Final = 30.0
MAX_CLOCK_SKEW: Final = 300.0
DEFAULT_MAX_LIFETIME: Final = 24 * 3600.0
DEFAULT_INTROSPECTION_TTL: Final = 30.0
MAX_INTROSPECTION_TTL: Final = 3600.0
"""A token that its issuer withdrew goes on counting for as long."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """Keys by OpenID Connect discovery (or RFC 8414 metadata) at the issuer's URL."""


@dataclass(frozen=True, slots=True)
class JwksUri:
    """The key set's own URL."""

    url: str


@dataclass(frozen=True, slots=True)
class JwksFile:
    """A file, relative to the policy directory. Nothing can be fetched: what is in it is all there is."""

    path: str


KeySource = Discovery | JwksUri | JwksFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTokens:
    """Which tokens stand for a client: the claim at `claim` equals `equals`, typed."""

    claim: ClaimPath
    equals: object


class ClientAuthentication(Enum):
    """How we show an issuer who asks about a token (RFC 6749 §2.3.1, RFC 7523 §2.2)."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionSettings:
    """Where and as whom an issuer is asked about tokens (RFC 7662). `credential_file` holds the client's secret, or
    its private key; a relative path counts from the policy directory. `cache_ttl` is in seconds."""

    endpoint: str
    client_id: str
    credential_file: str
    authentication: ClientAuthentication = ClientAuthentication.BASIC
    cache_ttl: float = DEFAULT_INTROSPECTION_TTL
    always: bool = False
    """Whether the issuer is asked about JWTs too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One trusted issuer. `name` is what policies use, `issuer` is compared octet for octet with `iss`."""

    name: str
    issuer: str
    audiences: frozenset[str]
    audience_claim: ClaimPath = ("aud",)
    algorithms: tuple[str, ...] = ALGORITHMS
    keys: KeySource = field(default_factory=Discovery)
    token_types: frozenset[str] = frozenset({"at+jwt"})
    """Lower case, without `application/`; `jwt` covers a missing `typ`."""
    clock_skew: float = DEFAULT_CLOCK_SKEW
    max_lifetime: float = DEFAULT_MAX_LIFETIME
    client_tokens: ClientTokens | None = None
    """None: a token whose `sub` equals its client claim stands for a client."""
    scopes: ClaimPath = ("scope",)
    groups: ClaimPath = ("groups",)
    roles: ClaimPath = ("roles",)
    client: ClaimPath = ("azp",)
    client_written: bool = False
    """Whether the policy says where the client is; else `client_id` (RFC 9068 §2.2) stands in for a missing `azp`."""
    aliases: Mapping[str, ClaimPath] = field(default_factory=dict)
    """All aliases that policies may use, those four included."""
    introspection: IntrospectionSettings | None = None
    strict_revocation: bool = False
    """Whether its tokens are denied while the revocation list is older than its bound."""

    revision: str = field(init=False, compare=False, default="")
    """A digest that changes with any of these settings, made once: cached verdicts are bound to it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "revision", _digest(self))


def _digest(issuer: IssuerSettings) -> str:
    """Over every field, so that none can be forgotten when one is added."""
    values = [(one.name, _stable(getattr(issuer, one.name))) for one in fields(issuer) if one.name != "revision"]
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _stable(value: object) -> object:
    """The value with an order of its own."""
    if isinstance(value, frozenset):
        return sorted(value)
    return sorted(value.items()) if isinstance(value, Mapping) else value


class PeerVerification(Enum):
    """Who checked the caller's certificate (policy language §3, `peers.verified_by`)."""

    ENVOY = "envoy"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A SPIFFE bundle (JWKS form) in a file, relative to the policy directory."""

    path: str


class EndpointProfile(Enum):
    """How a bundle endpoint proves itself (SPIFFE Federation §5.2)."""

    WEB = "https_web"
    SPIFFE = "https_spiffe"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleEndpoint:
    """A bundle endpoint. With `https_spiffe` the server shows `endpoint_id`, judged by the trust domain's own bundle,
    whose first edition is the file `bootstrap`, relative to the policy directory."""

    url: str
    profile: EndpointProfile = EndpointProfile.WEB
    endpoint_id: SpiffeId | None = None
    bootstrap: str = ""


@dataclass(frozen=True, slots=True)
class BundleWorkloadApi:
    """The SPIFFE Workload API of this machine."""


BundleOrigin = BundleFile | BundleEndpoint | BundleWorkloadApi
"""Where a trust domain's bundle comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSvidSettings:
    """Where JWT-SVIDs are presented, and for whom they must have been issued; `header` is lower case."""

    header: str
    audiences: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """The `TrustDomains` document: `bundles` by trust domain name, roles by exact SPIFFE ID."""

    bundles: Mapping[str, BundleOrigin]
    verified_by: PeerVerification
    roles: Mapping[SpiffeId, frozenset[str]] = field(default_factory=dict)
    trusted_proxies: frozenset[SpiffeId] = frozenset()
    jwt_svid: JwtSvidSettings | None = None

    domains: frozenset[str] = field(init=False, compare=False, default=frozenset())
    """The names of the trust domains."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", frozenset(self.bundles))
