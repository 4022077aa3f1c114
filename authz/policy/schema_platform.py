"""The schemas of what the platform owns: issuers, trust domains, guardrails (policy language §3, §6)."""

from __future__ import annotations

from typing import Final

from authz.model.issuer import ALGORITHMS, ClientAuthentication
from authz.policy.schema_words import (
    CLAIM_PATH,
    METHODS,
    SCALAR,
    STRING,
    Documents,
    Schema,
    choice,
    date,
    duration,
    exactly_one,
    listed,
    mapping,
    named,
    one_or_list,
    ref,
    text,
)

_KEYS_OF_ISSUER: Final[Schema] = {
    "description": "Where the issuer's keys are.",
    "oneOf": [
        {"const": "discovery"},
        mapping({"jwks_uri": text("An https URL.")}, required=("jwks_uri",)),
        mapping({"jwks_file": text("Relative to the policy directory.")}, required=("jwks_file",)),
    ],
}

_INTROSPECTION: Final = mapping(
    {
        "endpoint": text("An https URL (RFC 7662)."),
        "client_id": text("As whom we ask."),
        "auth_method": choice(tuple(one.value for one in ClientAuthentication), "How we authenticate."),
        "client_secret_file": text("Read again when it changes."),
        "private_key_file": text("For private_key_jwt."),
        "cache_ttl": duration("How long an answer counts; default 30s."),
        "always": {"type": "boolean", "description": "Ask about JWTs too."},
    },
    required=("endpoint", "client_id"),
    description="Asks the issuer about opaque tokens.",
)

_ISSUER: Final = mapping(
    {
        "issuer": text("Compared octet for octet with `iss`."),
        "audiences": listed(STRING, "At least one must be in the token's audience."),
        "audience_claim": {**CLAIM_PATH, "description": "Where the audience stands; default `aud`."},
        "algorithms": listed({"enum": [*ALGORITHMS, "EdDSA"]}, "Signature algorithms that are accepted."),
        "keys": _KEYS_OF_ISSUER,
        "token_types": listed(STRING, "Accepted `typ`; default at+jwt."),
        "clock_skew": duration("Tolerance for times; default 30s."),
        "max_lifetime": duration("Tokens that live longer are refused; default 24h."),
        "client_tokens": mapping(
            {
                "claim": {**CLAIM_PATH, "description": "The claim that tells them apart."},
                "equals": {**SCALAR, "description": "Its value in a client's own token."},
            },
            required=("claim", "equals"),
            description="Which tokens stand for a client.",
        ),
        "revocation": choice(("normal", "strict"), "strict: deny while the revocation list is too old."),
        "claims": named(CLAIM_PATH, "Where this issuer keeps things, and aliases."),
        "introspection": _INTROSPECTION,
    },
    required=("issuer", "audiences"),
)

_BUNDLE: Final = mapping(
    {
        "file": text("A SPIFFE bundle, relative to the policy directory."),
        "endpoint": text("An https URL of a bundle endpoint."),
        "profile": choice(("https_web", "https_spiffe"), "How the endpoint is authenticated."),
        "endpoint_spiffe_id": text("The endpoint's own SPIFFE ID (https_spiffe)."),
        "bootstrap": text("The first bundle for https_spiffe, relative to the policy directory."),
        "workload_api": {"const": True, "description": "From the SPIFFE Workload API."},
    },
    description="Where the domain's authorities come from.",
)

_PEERS: Final = mapping(
    {
        "verified_by": choice(("envoy", "certificate"), "Who checked the caller's certificate."),
        "envoy_validates_per_domain": {"type": "boolean", "description": "Each domain against its own bundle."},
        "forwarded": mapping(
            {"trusted_proxies": listed(STRING, "SPIFFE IDs.")},
            required=("trusted_proxies",),
            description="Proxies whose word on their own caller counts.",
        ),
        "jwt_svid": mapping(
            {"header": text("The header that carries a JWT-SVID."), "audiences": listed(STRING, "Ours.")},
            required=("header", "audiences"),
            description="Workloads that present a JWT-SVID.",
        ),
    },
    required=("verified_by",),
    description="How callers' identities reach us.",
)

_SCOPE: Final = mapping(
    {
        "hosts": one_or_list(STRING, "Hosts, also `*.suffix`."),
        "path": one_or_list(STRING, "Paths, also with a trailing `/**`."),
        "methods": METHODS,
        "policies": one_or_list(STRING, "Names of policies."),
    },
    description="What the guardrail covers; it covers generously.",
)

_EXEMPTION: Final = mapping(
    {"route": text("POLICY/ROUTE."), "why": text("Why."), "until": date("The last day of the exception.")},
    required=("route", "why"),
)

_GUARDRAIL: Final = exactly_one(
    mapping(
        {
            "id": text("Shows in reasons."),
            "for": _SCOPE,
            "forbid": mapping(
                {
                    "public": {"const": True, "description": "No route that it covers may be public."},
                    "methods": METHODS,
                },
                required=("public",),
                description="Refuses policies, when they are loaded.",
            ),
            "require": ref("requirement", "Added to each covered request with AND."),
            "deny": ref("requirement", "Wins over every allow."),
            "except": listed(_EXEMPTION, "Routes that it doesn't hold for."),
            "absent": choice(("ignores", "denies"), "What an absent credential means for `deny`."),
        },
        required=("id",),
    ),
    ("forbid", "require", "deny"),
)

DOCUMENTS: Final[Documents] = {
    "Issuers": (
        {"issuers": named(_ISSUER, "By the name that policies use.")},
        ("issuers",),
        "Which token issuers are trusted, and for what.",
    ),
    "TrustDomains": (
        {
            "trustDomains": named(mapping({"bundle": _BUNDLE}, required=("bundle",)), "By name."),
            "roles": named(listed(STRING, "Exact SPIFFE IDs."), "Roles of workloads."),
            "peers": _PEERS,
        },
        ("trustDomains", "peers"),
        "Which SPIFFE trust domains are trusted, and who verified the peer.",
    ),
    "Guardrails": (
        {
            "bind": choice(("destination", "host"), "What binds a policy to the enforcement point."),
            "destinations": named(listed(STRING, "Policies."), "Who may protect what."),
            "hosts": named(named(STRING, "A policy's share of the host."), "Shared hosts."),
            "guardrails": listed(_GUARDRAIL, "Limits that every route must also meet."),
        },
        (),
        "Limits that every route must also meet.",
    ),
}
