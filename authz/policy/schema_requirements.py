"""The schema of a requirement (policy language §5): who may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from authz.model.principal import Binding, PrincipalKind, Via
from authz.policy.schema_words import (
    SCALAR,
    STRING,
    Schema,
    choice,
    duration,
    listed,
    mapping,
    named,
    one_or_list,
    quantified,
    ref,
    text,
)

REQUIREMENT: Final = ref("requirement")

_CLAIM: Final[Schema] = {
    **mapping(
        {
            "equals": {**SCALAR, "description": "The claim has this very value, typed."},
            "any": listed(SCALAR, "The claim, or one element of it, has one of these values."),
            "contains": {**SCALAR, "description": "The claim is an array that holds this value."},
            "exists": {"type": "boolean", "description": "Whether a verified token has the claim."},
        }
    ),
    "minProperties": 1,
    "maxProperties": 1,
}

_USER: Final = mapping(
    {
        "issuer": one_or_list(STRING, "Names of the Issuers document."),
        "kind": choice(tuple(kind.value for kind in PrincipalKind), "A person's token, or a client's own."),
        "subjects": quantified("Subjects; they mean something for one issuer only.", "any"),
        "scopes": quantified("OAuth scopes of the token.", "all", "any"),
        "groups": quantified("Groups of the user.", "all", "any"),
        "roles": quantified("Roles of the user.", "all", "any"),
        "clients": quantified("Clients that the token was issued to.", "any"),
        "claims": named(_CLAIM, "Claims by alias or dotted path."),
        "acr": quantified("Authentication context classes that are enough.", "any"),
        "amr": quantified("Authentication methods.", "all", "any"),
        "auth_age": mapping(
            {"max": duration("No longer ago than this.")},
            required=("max",),
            description="How long ago the login may be.",
        ),
        "bound": choice(tuple(binding.value for binding in Binding), "The token is bound to its sender."),
    },
    description="A verified person's or client's token meets each field.",
)

_WORKLOAD: Final = mapping(
    {
        "spiffe": one_or_list(STRING, "SPIFFE IDs; `*` is one segment, a trailing `/**` one or more."),
        "trust_domain": one_or_list(STRING, "Trust domains."),
        "roles": quantified("Roles of workloads, from the TrustDomains document.", "any"),
        "via": choice(tuple(via.value for via in Via), "How the identity reached us; default mtls."),
    },
    description="The verified calling workload meets each field.",
)

_SHAPES: Final[Mapping[str, Schema]] = {
    "any": listed(REQUIREMENT, "One of the list holds."),
    "all": listed(REQUIREMENT, "Each of the list holds."),
    "not": ref("requirement", "The inner requirement is known not to hold."),
    "user": _USER,
    "workload": _WORKLOAD,
    "source": mapping(
        {"cidrs": listed(STRING, "Networks of the direct peer.")}, required=("cidrs",), description="Narrows by place."
    ),
    "public": text("Why everybody may."),
    "nobody": text("Why nobody may."),
    "when": text("A CEL expression; only inside `all`."),
}

DEFINITIONS: Final[Schema] = {
    "requirement": {
        "description": "A name, or a mapping with exactly one key.",
        "oneOf": [
            {"type": "string", "minLength": 1, "description": "The name of a requirement."},
            {**mapping(_SHAPES), "minProperties": 1, "maxProperties": 1},
        ],
    }
}
