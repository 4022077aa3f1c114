"""`kind: Issuers` (policy language §2): which token issuers are trusted, and for what.

Owns the rules of one issuer's settings and that no two entries name one issuer. Keys aren't read here, only where
they come from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from typing import Final

from authz.model.issuer import (
    ALGORITHMS,
    DEFAULT_CLOCK_SKEW,
    DEFAULT_MAX_LIFETIME,
    MAX_CLOCK_SKEW,
    ClaimPath,
    ClientTokens,
    Discovery,
    IssuerSettings,
    JwksFile,
    JwksUri,
    KeySource,
)
from authz.policy.document import IssuersDocument
from authz.policy.faults import FaultCode, Place
from authz.policy.parse_introspection import read_introspection
from authz.policy.parse_values import MAX_NAME, Reading
from authz.policy.yaml_tree import Node, Scalar, Sequence, show

_KEYS: Final = (
    "issuer",
    "audiences",
    "audience_claim",
    "algorithms",
    "keys",
    "token_types",
    "clock_skew",
    "max_lifetime",
    "client_tokens",
    "revocation",
    "claims",
    "introspection",
)
_ALGORITHM_NAMES: Final = {**{name: name for name in ALGORITHMS}, "EdDSA": "Ed25519"}
"""`EdDSA` is read as `Ed25519` (RFC 9864 §2.2)."""
_REVOCATION: Final = {"normal": False, "strict": True}
_NEVER: Final = re.compile(r"none|HS[0-9]+", re.IGNORECASE)
"""No signature, or a key that verifier and issuer share: anybody who can verify could sign."""
_TOKEN_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}(?:/[a-z0-9!#$&^_.+-]{1,127})?")
"""A media type (RFC 6838 §4.2), or one without its first part (RFC 7515 §4.1.9)."""
_ALIAS: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")

DEFAULT_CLAIMS: Final[MappingType[str, ClaimPath]] = {
    "scopes": ("scope",),
    "groups": ("groups",),
    "roles": ("roles",),
    "client": ("azp",),
}
"""Where the claims that the language knows by name are kept when nothing is written."""


def read_issuers(reading: Reading, node: Node) -> IssuersDocument:
    """The whole document; `node` is its root."""
    entries = reading.fields(node, "an Issuers document", ("apiVersion", "kind", "issuers"), required=("issuers",))
    issuers: dict[str, IssuerSettings] = {}
    places: dict[str, Place] = {}
    by_url: dict[str, Place] = {}
    for name, key, value in reading.pairs(entries["issuers"], "`issuers`") if "issuers" in entries else ():
        reading.name(key, "the name of an issuer")
        settings = _issuer(reading, name, value)
        issuers[name], places[name] = settings, reading.place(key)
        first = by_url.setdefault(settings.issuer, places[name]) if settings.issuer else places[name]
        if first is not places[name]:
            reading.fault(key, FaultCode.ISSUER_DUPLICATE, f"{first} trusts this issuer already")
    return IssuersDocument(place=reading.place(node), issuers=issuers, places=places)


def _issuer(reading: Reading, name: str, node: Node) -> IssuerSettings:
    entries = reading.fields(node, f"the issuer {show(name)}", _KEYS, required=("issuer", "audiences"))
    written = _claims(reading, entries["claims"]) if "claims" in entries else {}
    aliases = {**DEFAULT_CLAIMS, **written}
    return IssuerSettings(
        name=name,
        issuer=reading.url(entries["issuer"], "`issuer`") if "issuer" in entries else "",
        audiences=_audiences(reading, entries["audiences"]) if "audiences" in entries else frozenset(),
        audience_claim=_claim_path(reading, entries["audience_claim"], "`audience_claim`")
        if "audience_claim" in entries
        else ("aud",),
        algorithms=_algorithms(reading, entries["algorithms"]) if "algorithms" in entries else ALGORITHMS,
        keys=_keys(reading, entries["keys"]) if "keys" in entries else Discovery(),
        token_types=_token_types(reading, entries["token_types"])
        if "token_types" in entries
        else frozenset({"at+jwt"}),
        clock_skew=reading.duration(entries["clock_skew"], "`clock_skew`", at_most=MAX_CLOCK_SKEW, zero=True)
        if "clock_skew" in entries
        else DEFAULT_CLOCK_SKEW,
        max_lifetime=reading.duration(entries["max_lifetime"], "`max_lifetime`")
        if "max_lifetime" in entries
        else DEFAULT_MAX_LIFETIME,
        client_tokens=_client_tokens(reading, entries["client_tokens"], aliases)
        if "client_tokens" in entries
        else None,
        scopes=aliases["scopes"],
        groups=aliases["groups"],
        roles=aliases["roles"],
        client=aliases["client"],
        client_written="client" in written,
        aliases=aliases,
        strict_revocation=reading.choice(entries["revocation"], "`revocation`", _REVOCATION) or False
        if "revocation" in entries
        else False,
        introspection=read_introspection(reading, entries["introspection"]) if "introspection" in entries else None,
    )


def _audiences(reading: Reading, node: Node) -> frozenset[str]:
    return frozenset(text.value for text in reading.texts(node, "`audiences`"))


def _algorithms(reading: Reading, node: Node) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item in reading.items(node, "`algorithms`"):
        name = reading.text(item, "each item of `algorithms`")
        if name in _ALGORITHM_NAMES:
            found[_ALGORITHM_NAMES[name]] = None
        elif name and _NEVER.fullmatch(name):
            reading.fault(
                item,
                FaultCode.VALUE_INVALID,
                f"{show(name)} can't be written: a token must be signed with a key that only its issuer has",
            )
        elif name:
            known = ", ".join(f"`{known}`" for known in _ALGORITHM_NAMES)
            reading.fault(
                item,
                FaultCode.VALUE_INVALID,
                f"no algorithm {show(name)}; there are {known}{reading.suggestion(name, _ALGORITHM_NAMES)}",
            )
    return tuple(found)


def _keys(reading: Reading, node: Node) -> KeySource:
    if type(node) is Scalar and node.value == "discovery":
        return Discovery()
    if type(node) is Scalar:
        reading.fault(
            node,
            FaultCode.VALUE_INVALID,
            "`keys` is `discovery`, `{jwks_uri: https://…}` or `{jwks_file: keys/corp.json}`",
        )
        return Discovery()
    found = reading.exactly_one(node, "`keys`", {"jwks_uri": True, "jwks_file": False})
    if found is None:
        return Discovery()
    by_url, _, value = found
    if by_url:
        return JwksUri(reading.url(value, "`jwks_uri`"))
    return JwksFile(reading.relative_file(value, "`jwks_file`"))


def _token_types(reading: Reading, node: Node) -> frozenset[str]:
    found: set[str] = set()
    for text in reading.texts(node, "`token_types`"):
        name = text.value.lower().removeprefix("application/") if text.value.isascii() else ""
        if not _TOKEN_TYPE.fullmatch(name):
            reading.fault(node, FaultCode.VALUE_INVALID, f"{show(text.value)} is no media type like at+jwt")
        found.add(name)
    return frozenset(found)


def _client_tokens(reading: Reading, node: Node, aliases: MappingType[str, ClaimPath]) -> ClientTokens | None:
    entries = reading.fields(node, "`client_tokens`", ("claim", "equals"), required=("claim", "equals"))
    if len(entries) < 2:
        return None
    path = _claim_path(reading, entries["claim"], "`claim`")
    literal = entries["equals"]
    value = literal.value if type(literal) is Scalar else None
    if type(value) not in (str, bool, int, float):
        reading.wrong_type(literal, "`equals`", "text, a number, true or false")
    return ClientTokens(claim=aliases.get(path[0], path) if len(path) == 1 else path, equals=value)


def _claims(reading: Reading, node: Node) -> dict[str, ClaimPath]:
    """The claims that are written, by alias."""
    aliases: dict[str, ClaimPath] = {}
    for name, key, value in reading.pairs(node, "`claims`"):
        if not _ALIAS.fullmatch(name) or len(name) > MAX_NAME:
            reading.fault(key, FaultCode.NAME_INVALID, f"{show(name)} can't be the name of a claim")
        aliases[name] = _claim_path(reading, value, f"the claim {show(name)}")
    return aliases


def _claim_path(reading: Reading, node: Node, what: str) -> ClaimPath:
    """A dotted path, or a list of keys (one path, for keys that hold dots)."""
    if type(node) is Sequence:
        return tuple(reading.text(item, f"each key of {what}") for item in reading.items(node, what)) or ("",)
    text = reading.text(node, what)
    path = tuple(text.split("."))
    if text and ("/" in text or ":" in text):
        reading.fault(
            node,
            FaultCode.CLAIM_PATH,
            f"{what}: a dot divides {show(text)} into {len(path)} keys",
            advice='Write a list of keys: ["https://shop.example/roles"].',
        )
    elif text and not all(path):
        reading.fault(
            node,
            FaultCode.CLAIM_PATH,
            f"{what}: the path {show(text)} has an empty part",
            advice="Write the keys from the outermost object inwards, with a dot between two.",
        )
    return path
