"""JSON Schema (2020-12) of every kind of document, for editors: completion, hover and first diagnostics.

Says what can be said of a document alone; names that must exist elsewhere, crossing templates and the like are the
loader's. A test holds these keys to the parser's own, so that the two can't drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from authz.model.issuer import ALGORITHMS, ClientAuthentication
from authz.model.principal import Binding, PrincipalKind, Via
from authz.model.reason import Reason

KINDS: Final = ("Issuers", "TrustDomains", "Guardrails", "Requirements", "RoutePolicy", "RoutePolicyTest")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
API_VERSION: Final = "authz/v1"

Schema = dict[str, Any]


def schema_of(kind: str) -> Schema:
    """The schema of one kind. Raises `KeyError` for a kind that there isn't."""
    properties, required, description = _DOCUMENTS[kind]
    head: Schema = {
        "apiVersion": {"const": API_VERSION, "description": "The language's version."},
        "kind": {"const": kind, "description": description},
    }
    root = _object({**head, **properties}, required=("apiVersion", "kind", *required))
    return {"$schema": DIALECT, "title": kind, "description": description, **root, "$defs": _DEFINITIONS}


def any_schema() -> Schema:
    """One schema for files that hold documents of several kinds: `kind` chooses."""
    chosen = [
        {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": _without_head(schema_of(kind))}
        for kind in KINDS
    ]
    return {
        "$schema": DIALECT,
        "title": "authz policy",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": list(KINDS)}},
        "allOf": chosen,
        "$defs": _DEFINITIONS,
    }


def _without_head(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in ("$schema", "$defs", "title")}


# --- pieces ----------------------------------------------------------------------------------------------


def _object(properties: Mapping[str, Schema], *, required: tuple[str, ...] = (), description: str = "") -> Schema:
    """A mapping with these keys and no others."""
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    if description:
        schema["description"] = description
    return schema


def _map(values: Schema, description: str) -> Schema:
    """A mapping whose keys are the author's own."""
    return {"type": "object", "minProperties": 1, "additionalProperties": values, "description": description}


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "minLength": 1, "description": description, **more}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "minItems": 1, "items": items, "description": description}


def _one_or_list(items: Schema, description: str) -> Schema:
    return {"oneOf": [items, _list(items, description)], "description": description}


def _choice(values: tuple[str, ...], description: str) -> Schema:
    return {"enum": list(values), "description": description}


def _ref(name: str, description: str = "") -> Schema:
    schema: Schema = {"$ref": f"#/$defs/{name}"}
    if description:
        schema["description"] = description
    return schema


def _sentence(description: str) -> Schema:
    return _text(description)


def _quantified(description: str, *quantifiers: str, items: Schema | None = None) -> Schema:
    """`{all: […]}` or `{any: […]}`, exactly one."""
    listed = _list(items or {"type": "string", "minLength": 1}, description)
    schema = _object(dict.fromkeys(quantifiers, listed), description=description)
    return {**schema, "minProperties": 1, "maxProperties": 1}


def _exactly_one(schema: Schema, keys: tuple[str, ...]) -> Schema:
    return {**schema, "oneOf": [{"required": [key]} for key in keys]}


_STRING: Final[Schema] = {"type": "string", "minLength": 1}
_METHOD: Final[Schema] = {"type": "string", "pattern": r"^(\*|[!#$%&'*+.^_`|~0-9A-Z-]{1,32})$"}
_METHODS: Final = _list(_METHOD, 'Methods in upper case, or `"*"`. GET doesn\'t include HEAD.')
_DURATION: Final[Schema] = {"type": "string", "pattern": "^[0-9]+(s|m|h|d)$"}
_DATE: Final[Schema] = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
_CLAIM_PATH: Final[Schema] = {"oneOf": [_STRING, _list(_STRING, "One path, key by key.")]}
_REQUIREMENT: Final = _ref("requirement")

# --- requirements (§5) -----------------------------------------------------------------------------------

_CLAIM: Final[Schema] = {
    **_object(
        {
            "equals": {**_SCALAR, "description": "The claim has this very value, typed."},
            "any": _list(_SCALAR, "The claim, or one element of it, has one of these values."),
            "contains": {**_SCALAR, "description": "The claim is an array that holds this value."},
            "exists": {"type": "boolean", "description": "Whether a verified token has the claim."},
        }
    ),
    "minProperties": 1,
    "maxProperties": 1,
}

_USER: Final = _object(
    {
        "issuer": _one_or_list(_STRING, "Names of the Issuers document."),
        "kind": _choice(tuple(kind.value for kind in PrincipalKind), "A person's token, or a client's own."),
        "subjects": _quantified("Subjects; they mean something for one issuer only.", "any"),
        "scopes": _quantified("OAuth scopes of the token.", "all", "any"),
        "groups": _quantified("Groups of the user.", "all", "any"),
        "roles": _quantified("Roles of the user.", "all", "any"),
        "clients": _quantified("Clients that the token was issued to.", "any"),
        "claims": _map(_CLAIM, "Claims by alias or dotted path."),
        "acr": _quantified("Authentication context classes that are enough.", "any"),
        "amr": _quantified("Authentication methods.", "all", "any"),
        "auth_age": _object({"max": _DURATION}, required=("max",), description="How long ago the login may be."),
        "bound": _choice(tuple(binding.value for binding in Binding), "The token is bound to its sender."),
    },
    description="A verified person's or client's token meets each field.",
)

_WORKLOAD: Final = _object(
    {
        "spiffe": _one_or_list(_STRING, "SPIFFE IDs; `*` is one segment, a trailing `/**` one or more."),
        "trust_domain": _one_or_list(_STRING, "Trust domains."),
        "roles": _quantified("Roles of workloads, from the TrustDomains document.", "any"),
        "via": _choice(tuple(via.value for via in Via), "How the identity reached us; default mtls."),
    },
    description="The verified calling workload meets each field.",
)

_SHAPES: Final[Mapping[str, Schema]] = {
    "any": _list(_REQUIREMENT, "One of the list holds."),
    "all": _list(_REQUIREMENT, "Each of the list holds."),
    "not": _ref("requirement", "The inner requirement is known not to hold."),
    "user": _USER,
    "workload": _WORKLOAD,
    "source": _object(
        {"cidrs": _list(_STRING, "Networks of the direct peer.")}, required=("cidrs",), description="Narrows by place."
    ),
    "public": _sentence("Why everybody may."),
    "nobody": _sentence("Why nobody may."),
    "when": _text("A CEL expression; only inside `all`."),
}

_DEFINITIONS: Final[Schema] = {
    "requirement": {
        "description": "A name, or a mapping with exactly one key.",
        "oneOf": [
            {"type": "string", "minLength": 1, "description": "The name of a requirement."},
            {**_object(_SHAPES), "minProperties": 1, "maxProperties": 1},
        ],
    }
}

# --- kinds -----------------------------------------------------------------------------------------------

_KEYS_OF_ISSUER: Final[Schema] = {
    "description": "Where the issuer's keys are.",
    "oneOf": [
        {"const": "discovery"},
        _object({"jwks_uri": _text("An https URL.")}, required=("jwks_uri",)),
        _object({"jwks_file": _text("Relative to the policy directory.")}, required=("jwks_file",)),
    ],
}

_INTROSPECTION: Final = _object(
    {
        "endpoint": _text("An https URL (RFC 7662)."),
        "client_id": _text("As whom we ask."),
        "auth_method": _choice(tuple(one.value for one in ClientAuthentication), "How we authenticate."),
        "client_secret_file": _text("Read again when it changes."),
        "private_key_file": _text("For private_key_jwt."),
        "cache_ttl": _DURATION,
        "always": {"type": "boolean", "description": "Ask about JWTs too."},
    },
    required=("endpoint", "client_id"),
    description="Asks the issuer about opaque tokens.",
)

_ISSUER: Final = _object(
    {
        "issuer": _text("Compared octet for octet with `iss`."),
        "audiences": _list(_STRING, "At least one must be in the token's audience."),
        "audience_claim": {**_CLAIM_PATH, "description": "Where the audience stands; default `aud`."},
        "algorithms": _list({"enum": [*ALGORITHMS, "EdDSA"]}, "Signature algorithms that are accepted."),
        "keys": _KEYS_OF_ISSUER,
        "token_types": _list(_STRING, "Accepted `typ`; default at+jwt."),
        "clock_skew": _DURATION,
        "max_lifetime": _DURATION,
        "client_tokens": _object(
            {"claim": _CLAIM_PATH, "equals": _SCALAR},
            required=("claim", "equals"),
            description="Which tokens stand for a client.",
        ),
        "revocation": _choice(("normal", "strict"), "strict: deny while the revocation list is too old."),
        "claims": _map(_CLAIM_PATH, "Where this issuer keeps things, and aliases."),
        "introspection": _INTROSPECTION,
    },
    required=("issuer", "audiences"),
)

_BUNDLE: Final = _object(
    {
        "file": _text("A SPIFFE bundle, relative to the policy directory."),
        "endpoint": _text("An https URL of a bundle endpoint."),
        "profile": _choice(("https_web", "https_spiffe"), "How the endpoint is authenticated."),
        "endpoint_spiffe_id": _text("The endpoint's own SPIFFE ID (https_spiffe)."),
        "bootstrap": _text("The first bundle for https_spiffe, relative to the policy directory."),
        "workload_api": {"const": True, "description": "From the SPIFFE Workload API."},
    },
    description="Where the domain's authorities come from.",
)

_PEERS: Final = _object(
    {
        "verified_by": _choice(("envoy", "certificate"), "Who checked the caller's certificate."),
        "envoy_validates_per_domain": {"type": "boolean", "description": "Each domain against its own bundle."},
        "forwarded": _object({"trusted_proxies": _list(_STRING, "SPIFFE IDs.")}, required=("trusted_proxies",)),
        "jwt_svid": _object(
            {"header": _text("The header that carries a JWT-SVID."), "audiences": _list(_STRING, "Ours.")},
            required=("header", "audiences"),
        ),
    },
    required=("verified_by",),
)

_SCOPE: Final = _object(
    {
        "hosts": _one_or_list(_STRING, "Hosts, also `*.suffix`."),
        "path": _one_or_list(_STRING, "Paths, also with a trailing `/**`."),
        "methods": _METHODS,
        "policies": _one_or_list(_STRING, "Names of policies."),
    },
    description="What the guardrail covers; it covers generously.",
)

_EXEMPTION: Final = _object(
    {"route": _text("POLICY/ROUTE."), "why": _sentence("Why."), "until": _DATE}, required=("route", "why")
)

_GUARDRAIL: Final = _exactly_one(
    _object(
        {
            "id": _text("Shows in reasons."),
            "for": _SCOPE,
            "forbid": _object({"public": {"const": True}, "methods": _METHODS}, required=("public",)),
            "require": _ref("requirement", "Added to each covered request with AND."),
            "deny": _ref("requirement", "Wins over every allow."),
            "except": _list(_EXEMPTION, "Routes that it doesn't hold for."),
            "absent": _choice(("ignores", "denies"), "What an absent credential means for `deny`."),
        },
        required=("id",),
    ),
    ("forbid", "require", "deny"),
)

_METADATA: Final = _object(
    {
        "name": _text("The policy's name."),
        "owner": _text("The team that answers for it."),
        "runbook": _text("Where people look first."),
    },
    required=("name",),
)

_SERVICE: Final = _object(
    {
        "hosts": _list(_STRING, "Hosts, `*.suffix`, `{name}.suffix`, each with an optional port."),
        "at": _list(_STRING, "The protected workloads: SPIFFE IDs or dns:NAME."),
        "by_name": {"type": "boolean", "description": "Reached only by Envoy's `authz.service`."},
        "audiences": _list(_STRING, "Narrows the issuers' audiences."),
        "preflight": _object({"public": _sentence("Why preflights are public.")}, required=("public",)),
    },
    required=("hosts",),
)

_MATCH: Final[Schema] = {
    **_object(
        {
            "methods": _METHODS,
            "path": _text(
                "A template: literals, `{name}`, `{name:int}`, `{name:uuid}`, `{name:slug}`, a trailing `/**`."
            ),
            "upgrade": {"const": "websocket", "description": "Only WebSocket handshakes."},
            "grpc": _text("SERVICE/METHOD of a gRPC call."),
        }
    ),
    "oneOf": [{"required": ["methods", "path"]}, {"required": ["grpc"]}],
}

_ROUTE: Final = _object(
    {
        "id": _text("The route's name within the policy."),
        "match": _MATCH,
        "allow": _ref("requirement", "Who may call."),
        "identity": _object(
            {
                "headers": _map(_STRING, "Further headers that the upstream is told."),
                "credential": _choice(("remove", "untouched"), "What becomes of the credential."),
            }
        ),
        "candidate": _object(
            {"allow": _REQUIREMENT, "until": _DATE},
            required=("allow", "until"),
            description="Evaluated and reported, never enforced.",
        ),
        "objects": _map(_STRING, "Path variables that the service itself checks, and why."),
    },
    required=("id", "match", "allow"),
)

_REJECTED: Final[Mapping[str, Schema]] = {
    "refused": _choice(tuple(reason.code for reason in Reason if not reason.is_undecided), "Why it was refused."),
    "undecided": _choice(tuple(reason.code for reason in Reason if reason.is_undecided), "What wasn't found out."),
}

_PERSON: Final = _exactly_one(
    _object(
        {
            "user": _object(
                {
                    "issuer": _STRING,
                    "sub": _STRING,
                    "kind": _choice(("person", "client"), ""),
                    "client": _STRING,
                    "scopes": {"type": "array", "items": _STRING},
                    "groups": {"type": "array", "items": _STRING},
                    "roles": {"type": "array", "items": _STRING},
                    "acr": _STRING,
                    "amr": {"type": "array", "items": _STRING},
                    "auth_time": _STRING,
                    "auth_age": _DURATION,
                    "claims": {"type": "object"},
                    "bound": {},
                    **_REJECTED,
                }
            ),
            "workload": _object({"spiffe": _STRING, "via": _choice(tuple(via.value for via in Via), ""), **_REJECTED}),
        }
    ),
    ("user", "workload"),
)

_TEST: Final = _object(
    {
        "name": _text("A sentence."),
        "as": {"type": "array", "items": _STRING, "description": "Who act together."},
        "request": {
            "oneOf": [
                _text("METHOD HOST/PATH"),
                _object(
                    {
                        "method": _METHOD,
                        "host": _STRING,
                        "path": _STRING,
                        "scheme": _STRING,
                        "at": {"type": ["string", "null"]},
                        "service": _STRING,
                        "headers": {"type": "object"},
                        "from": _STRING,
                        "tls": {"type": "boolean"},
                    },
                    required=("method", "host", "path"),
                ),
            ]
        },
        "expect": {
            "oneOf": [
                {"const": "allow"},
                _object({"deny": {"enum": [reason.code for reason in Reason]}}, required=("deny",)),
            ]
        },
        "route": _STRING,
        "headers": {"type": "object", "description": "What the upstream sees; null: not there."},
        "challenge": {"type": "object", "description": "Parameters of WWW-Authenticate."},
        "now": _STRING,
    },
    required=("name", "request", "expect"),
)

_DOCUMENTS: Final[Mapping[str, tuple[Mapping[str, Schema], tuple[str, ...], str]]] = {
    "Issuers": (
        {"issuers": _map(_ISSUER, "By the name that policies use.")},
        ("issuers",),
        "Which token issuers are trusted, and for what.",
    ),
    "TrustDomains": (
        {
            "trustDomains": _map(_object({"bundle": _BUNDLE}, required=("bundle",)), "By name."),
            "roles": _map(_list(_STRING, "Exact SPIFFE IDs."), "Roles of workloads."),
            "peers": _PEERS,
        },
        ("trustDomains", "peers"),
        "Which SPIFFE trust domains are trusted, and who verified the peer.",
    ),
    "Guardrails": (
        {
            "bind": _choice(("destination", "host"), "What binds a policy to the enforcement point."),
            "destinations": _map(_list(_STRING, "Policies."), "Who may protect what."),
            "hosts": _map(_map(_STRING, "A policy's share of the host."), "Shared hosts."),
            "guardrails": _list(_GUARDRAIL, "Limits that every route must also meet."),
        },
        (),
        "Limits that every route must also meet.",
    ),
    "Requirements": (
        {
            "metadata": _object({"name": _STRING, "owner": _STRING, "runbook": _STRING}),
            "requirements": _map(_REQUIREMENT, "By name."),
        },
        ("requirements",),
        "Named requirements that any policy may use.",
    ),
    "RoutePolicy": (
        {
            "metadata": _METADATA,
            "service": _SERVICE,
            "requirements": _map(_REQUIREMENT, "Names for this policy."),
            "routes": _list(_ROUTE, "The routes of one service and who may call each."),
        },
        ("metadata", "service", "routes"),
        "The routes of one service and who may call each.",
    ),
    "RoutePolicyTest": (
        {
            "metadata": _object({"name": _STRING, "owner": _STRING, "runbook": _STRING}),
            "policy": _text("The policy that is tested."),
            "now": _text("A moment like 2026-11-21T10:00:00Z."),
            "people": _map(_PERSON, "Who asks, by the names that tests use."),
            "tests": _list(_TEST, "What must be allowed and denied, with the reason."),
        },
        ("policy", "tests"),
        "What must be allowed and denied, with the reason.",
    ),
}
