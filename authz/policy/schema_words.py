"""The words that schemas are made of: mappings with known keys, lists, choices, text with a meaning.

Knows JSON Schema, nothing of policies; `description` is what an editor shows and docs/kinds.md prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]
Documents = Mapping[str, tuple[Mapping[str, Schema], tuple[str, ...], str]]
"""Kinds of documents: their keys, the required ones, what the kind is for."""


def mapping(properties: Mapping[str, Schema], *, required: tuple[str, ...] = (), description: str = "") -> Schema:
    """A mapping with these keys and no others."""
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    if description:
        schema["description"] = description
    return schema


def named(values: Schema, description: str) -> Schema:
    """A mapping whose keys are the author's own."""
    return {"type": "object", "minProperties": 1, "additionalProperties": values, "description": description}


def text(description: str, **more: Any) -> Schema:
    """Text that isn't empty."""
    return {"type": "string", "minLength": 1, "description": description, **more}


def listed(items: Schema, description: str) -> Schema:
    """A list that isn't empty."""
    return {"type": "array", "minItems": 1, "items": items, "description": description}


def one_or_list(items: Schema, description: str) -> Schema:
    """One, or a list that isn't empty."""
    return {"oneOf": [items, listed(items, description)], "description": description}


def duration(description: str) -> Schema:
    """A number with its unit: s, m, h or d."""
    return {"type": "string", "pattern": "^[0-9]+(s|m|h|d)$", "description": description}


def date(description: str) -> Schema:
    """A calendar day."""
    return {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": description}


def choice(values: tuple[str, ...], description: str) -> Schema:
    """One of a closed list."""
    return {"enum": list(values), "description": description}


def ref(name: str, description: str = "") -> Schema:
    """What `$defs` holds under the name."""
    schema: Schema = {"$ref": f"#/$defs/{name}"}
    if description:
        schema["description"] = description
    return schema


def quantified(description: str, *quantifiers: str, items: Schema | None = None) -> Schema:
    """`{all: […]}` or `{any: […]}`, exactly one."""
    some = listed(items or {"type": "string", "minLength": 1}, description)
    schema = mapping(dict.fromkeys(quantifiers, some), description=description)
    return {**schema, "minProperties": 1, "maxProperties": 1}


def exactly_one(schema: Schema, keys: tuple[str, ...]) -> Schema:
    """The mapping with one of the keys and none of the others."""
    return {**schema, "oneOf": [{"required": [key]} for key in keys]}


def strings(description: str) -> Schema:
    """A list of text, which may be empty."""
    return {"type": "array", "items": STRING, "description": description}


STRING: Final[Schema] = {"type": "string", "minLength": 1}
METHOD: Final[Schema] = {"type": "string", "pattern": r"^(\*|[!#$%&'*+.^_`|~0-9A-Z-]{1,32})$"}
METHODS: Final = listed(METHOD, 'Methods in upper case, or `"*"`. GET doesn\'t include HEAD.')
SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
CLAIM_PATH: Final[Schema] = {"oneOf": [STRING, listed(STRING, "One path, key by key.")]}
