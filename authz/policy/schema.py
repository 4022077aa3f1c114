"""JSON Schema (2020-12) of every kind of document, for editors: completion, hover and first diagnostics.

Says what can be said of a document alone; names that must exist elsewhere, crossing templates and the like are the
loader's. A test holds these keys to the parser's own, so that the two can't drift.
"""

from __future__ import annotations

from typing import Final

from authz.policy import schema_platform, schema_routes
from authz.policy.schema_requirements import DEFINITIONS
from authz.policy.schema_words import Documents, Schema, mapping

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
API_VERSION: Final = "authz/v1"

_DOCUMENTS: Final[Documents] = {**schema_platform.DOCUMENTS, **schema_routes.DOCUMENTS}
KINDS: Final = tuple(_DOCUMENTS)


def schema_of(kind: str) -> Schema:
    """The schema of one kind. Raises `KeyError` for a kind that there isn't."""
    properties, required, description = _DOCUMENTS[kind]
    head: Schema = {
        "apiVersion": {"const": API_VERSION, "description": "The language's version."},
        "kind": {"const": kind, "description": description},
    }
    root = mapping({**head, **properties}, required=("apiVersion", "kind", *required))
    return {"$schema": DIALECT, "title": kind, "description": description, **root, "$defs": DEFINITIONS}


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
        "$defs": DEFINITIONS,
    }


def _without_head(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in ("$schema", "$defs", "title")}
