"""`introspection` of an issuer (policy language §2): where and as whom it is asked about tokens (RFC 7662).

Owns the rules of that block. Secrets aren't read here, only where they are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from typing import Final

from authz.model.issuer import (
    DEFAULT_INTROSPECTION_TTL,
    MAX_INTROSPECTION_TTL,
    ClientAuthentication,
    IntrospectionSettings,
)
from authz.policy.faults import FaultCode
from authz.policy.parse_values import Reading
from authz.policy.yaml_tree import Node

_KEYS: Final = ("endpoint", "client_id", "auth_method", "client_secret_file", "private_key_file", "cache_ttl", "always")
_METHODS: Final = {method.value: method for method in ClientAuthentication}
_FILE_KEYS: Final = {
    ClientAuthentication.BASIC: "client_secret_file",
    ClientAuthentication.POST: "client_secret_file",
    ClientAuthentication.PRIVATE_KEY_JWT: "private_key_file",
}
_CLIENT_ID: Final = re.compile(r"[\x20-\x7e]+")
"""RFC 6749 Appendix A.1."""


def read_introspection(reading: Reading, node: Node) -> IntrospectionSettings:
    """The block; after a fault, one that is never used."""
    what = "`introspection`"
    entries = reading.fields(node, what, _KEYS, required=("endpoint", "client_id"))
    method = ClientAuthentication.BASIC
    if "auth_method" in entries:
        method = reading.choice(entries["auth_method"], "`auth_method`", _METHODS) or method
    return IntrospectionSettings(
        endpoint=reading.url(entries["endpoint"], "`endpoint`") if "endpoint" in entries else "",
        client_id=_client_id(reading, entries["client_id"]) if "client_id" in entries else "",
        credential_file=_credential_file(reading, node, entries, method),
        authentication=method,
        cache_ttl=reading.duration(entries["cache_ttl"], "`cache_ttl`", at_most=MAX_INTROSPECTION_TTL, zero=True)
        if "cache_ttl" in entries
        else DEFAULT_INTROSPECTION_TTL,
        always=reading.boolean(entries["always"], "`always`") if "always" in entries else False,
    )


def _client_id(reading: Reading, node: Node) -> str:
    value = reading.text(node, "`client_id`")
    if value and not _CLIENT_ID.fullmatch(value):
        reading.fault(node, FaultCode.VALUE_INVALID, "`client_id` is printable ASCII (RFC 6749 Appendix A.1)")
    return value


def _credential_file(
    reading: Reading, node: Node, entries: MappingType[str, Node], method: ClientAuthentication
) -> str:
    """Exactly the file that the method needs: one that nobody reads would be thought to be in use."""
    wanted = _FILE_KEYS[method]
    strangers = sorted({*_FILE_KEYS.values()} & entries.keys() - {wanted})
    for key in strangers:
        reading.fault(entries[key], FaultCode.VALUE_INVALID, f"`{key}` isn't used with `auth_method: {method.value}`")
    if wanted in entries:
        return reading.secret_file(entries[wanted], f"`{wanted}`")
    if not strangers:
        reading.fault(node, FaultCode.KEY_MISSING, f"`introspection` needs the key `{wanted}`")
    return ""
