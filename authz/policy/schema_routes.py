"""The schemas of what service teams own: routes (policy language §4) and their tests (§9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from authz.model.principal import Via
from authz.model.reason import Reason
from authz.policy.schema_requirements import REQUIREMENT
from authz.policy.schema_words import (
    METHOD,
    METHODS,
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
    ref,
    strings,
    text,
)

_METADATA: Final = mapping(
    {
        "name": text("The policy's name."),
        "owner": text("The team that answers for it."),
        "runbook": text("Where people look first."),
    },
    required=("name",),
    description="What the policy is called, and whose it is.",
)

_SERVICE: Final = mapping(
    {
        "hosts": listed(STRING, "Hosts, `*.suffix`, `{name}.suffix`, each with an optional port."),
        "at": listed(STRING, "The protected workloads: SPIFFE IDs or dns:NAME."),
        "by_name": {"type": "boolean", "description": "Reached only by Envoy's `authz.service`."},
        "audiences": listed(STRING, "Narrows the issuers' audiences."),
        "preflight": mapping(
            {"public": text("Why preflights are public.")},
            required=("public",),
            description="Lets CORS preflights of the policy's routes pass.",
        ),
    },
    required=("hosts",),
    description="Where requests come in that the policy decides.",
)

_MATCH: Final[Schema] = {
    **mapping(
        {
            "methods": METHODS,
            "path": text(
                "A template: literals, `{name}`, `{name:int}`, `{name:uuid}`, `{name:slug}`, a trailing `/**`."
            ),
            "upgrade": {"const": "websocket", "description": "Only WebSocket handshakes."},
            "grpc": text("SERVICE/METHOD of a gRPC call."),
        }
    ),
    "description": "Which requests the route decides.",
    "oneOf": [{"required": ["methods", "path"]}, {"required": ["grpc"]}],
}

_ROUTE: Final = mapping(
    {
        "id": text("The route's name within the policy."),
        "match": _MATCH,
        "allow": ref("requirement", "Who may call."),
        "identity": mapping(
            {
                "headers": named(STRING, "Further headers that the upstream is told."),
                "credential": choice(("remove", "untouched"), "What becomes of the credential."),
            },
            description="What the upstream learns of the caller.",
        ),
        "candidate": mapping(
            {"allow": ref("requirement", "Who might call."), "until": date("When it stops being evaluated.")},
            required=("allow", "until"),
            description="Evaluated and reported, never enforced.",
        ),
        "objects": named(STRING, "Path variables that the service itself checks, and why."),
    },
    required=("id", "match", "allow"),
)

_REJECTED: Final[Mapping[str, Schema]] = {
    "refused": choice(tuple(reason.code for reason in Reason if not reason.is_undecided), "Why it was refused."),
    "undecided": choice(tuple(reason.code for reason in Reason if reason.is_undecided), "What wasn't found out."),
}

_PERSON: Final = exactly_one(
    mapping(
        {
            "user": mapping(
                {
                    "issuer": text("By the name of the Issuers document."),
                    "sub": text("The subject."),
                    "kind": choice(("person", "client"), "As the issuer's settings say when left out."),
                    "client": text("The client that the token was issued to."),
                    "scopes": strings("Scopes of the token."),
                    "groups": strings("Groups of the user."),
                    "roles": strings("Roles of the user."),
                    "acr": text("How strong the login was."),
                    "amr": strings("How the user logged in."),
                    "auth_time": text("When the user logged in: a moment like 2026-11-21T10:00:00Z."),
                    "auth_age": duration("How long before the test's `now` that was."),
                    "claims": {"type": "object", "description": "Further claims of the token."},
                    "bound": {"description": "How the token is bound to its sender: `dpop`, `mtls`, or both."},
                    **_REJECTED,
                },
                description="A token and what is in it, or why it is none.",
            ),
            "workload": mapping(
                {
                    "spiffe": text("The SPIFFE ID."),
                    "via": choice(tuple(via.value for via in Via), "How it reaches us; default mtls."),
                    **_REJECTED,
                },
                description="A calling workload, or why it is none.",
            ),
        }
    ),
    ("user", "workload"),
)

_TEST: Final = mapping(
    {
        "name": text("A sentence."),
        "as": {"type": "array", "items": STRING, "description": "Who act together."},
        "request": {
            "oneOf": [
                text("METHOD HOST/PATH"),
                mapping(
                    {
                        "method": {**METHOD, "description": "In upper case."},
                        "host": text("With a port where one is meant."),
                        "path": text("As it is sent, with the query."),
                        "scheme": text("http or https."),
                        "at": {"type": ["string", "null"], "description": "The protected workload; null: not told."},
                        "service": text("Envoy's `authz.service` of the route."),
                        "headers": {"type": "object", "description": "Headers by name."},
                        "from": text("The direct peer's address."),
                        "tls": {"type": "boolean", "description": "Whether the peer came by TLS."},
                    },
                    required=("method", "host", "path"),
                ),
            ],
            "description": "What is asked.",
        },
        "expect": {
            "oneOf": [
                {"const": "allow"},
                mapping({"deny": choice(tuple(reason.code for reason in Reason), "The reason.")}, required=("deny",)),
            ],
            "description": "`allow`, or a denial with its reason.",
        },
        "route": text("The route that must decide."),
        "headers": {"type": "object", "description": "What the upstream sees; null: not there."},
        "challenge": {"type": "object", "description": "Parameters of WWW-Authenticate."},
        "now": text("A moment for this test alone."),
    },
    required=("name", "request", "expect"),
)

_LOOSE_METADATA: Final = mapping(
    {"name": text("What it is called."), "owner": text("The team."), "runbook": text("Where people look first.")},
    description="Whose it is; nothing depends on it.",
)

DOCUMENTS: Final[Documents] = {
    "Requirements": (
        {"metadata": _LOOSE_METADATA, "requirements": named(REQUIREMENT, "By name.")},
        ("requirements",),
        "Named requirements that any policy may use.",
    ),
    "RoutePolicy": (
        {
            "metadata": _METADATA,
            "service": _SERVICE,
            "requirements": named(REQUIREMENT, "Names for this policy."),
            "routes": listed(_ROUTE, "The routes of one service and who may call each."),
        },
        ("metadata", "service", "routes"),
        "The routes of one service and who may call each.",
    ),
    "RoutePolicyTest": (
        {
            "metadata": _LOOSE_METADATA,
            "policy": text("The policy that is tested."),
            "now": text("A moment like 2026-11-21T10:00:00Z."),
            "people": named(_PERSON, "Who asks, by the names that tests use."),
            "tests": listed(_TEST, "What must be allowed and denied, with the reason."),
        },
        ("policy", "tests"),
        "What must be allowed and denied, with the reason.",
    ),
}
