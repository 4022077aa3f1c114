"""What values.schema.json has to say about `settings`, made from the settings themselves."""

from __future__ import annotations

from typing import Any, Final

from authz.config.kinds import Choice, Count, Kind, Many, Switch
from authz.config.settings import groups

NOT_OF_THE_USER: Final = frozenset(
    {"policy_dir", "listen", "admin_listen", "drain_grace", "health_wait", "unsafe_plaintext", "tls", "workers"}
)
"""Written by the chart itself, or settled: checks go over mTLS, and a pod is one process."""


def settings_schema() -> dict[str, Any]:
    """Every setting that the chart leaves to its user, and no other key."""
    properties: dict[str, Any] = {}
    for group in groups():
        if group.name in NOT_OF_THE_USER:
            continue
        own = {each.name.rpartition(".")[2]: _type_of(each.kind) for each in group.settings}
        if group.name:
            properties[group.name] = _closed(own)
        else:
            properties |= {name: schema for name, schema in own.items() if name not in NOT_OF_THE_USER}
    return _closed(properties)


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _type_of(kind: Kind) -> dict[str, Any]:
    match kind:
        case Switch():
            return {"type": "boolean"}
        case Count(lowest, highest):
            return {"type": "integer", "minimum": lowest, "maximum": highest}
        case Choice(words):
            return {"enum": list(words)}
        case Many():
            return {"type": "array", "items": {"type": "string"}}
        case _:
            return {"type": "string"}
