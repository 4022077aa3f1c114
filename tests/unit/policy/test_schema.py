"""`authz schema`: what the loader takes is valid, what it refuses by shape isn't, and the keys are the parser's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from authz.policy import (
    parse_bundles,
    parse_guardrails,
    parse_introspection,
    parse_issuers,
    parse_people,
    parse_requirements,
    parse_routes,
    parse_tests,
    parse_trust,
)
from authz.policy.schema import KINDS, any_schema, schema_of

ROOT = Path(__file__).parents[3]
STORE = sorted((ROOT / "examples" / "store" / "policy").rglob("*.yaml"))
LANGUAGE = (ROOT / "docs" / "policy-language.md").read_text("utf-8")


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2 core types: dates stay text, `yes` is no boolean."""


CoreLoader.yaml_implicit_resolvers = {
    key: [one for one in found if one[0] not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
    for key, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def documents(text: str) -> list[Any]:
    return list(yaml.load_all(text, CoreLoader))


def problems(document: Any) -> list[str]:
    """What the schema of its kind, and that of all kinds together, say against a document."""
    own = Draft202012Validator(schema_of(document["kind"])).iter_errors(document)
    return [error.message for error in (*own, *Draft202012Validator(any_schema()).iter_errors(document))]


@pytest.mark.parametrize("kind", KINDS)
def test_each_schema_is_a_schema(kind: str) -> None:
    """Of JSON Schema 2020-12."""
    Draft202012Validator.check_schema(schema_of(kind))
    Draft202012Validator.check_schema(any_schema())


@pytest.mark.parametrize("file", STORE, ids=lambda file: file.name)
def test_the_store_is_valid(file: Path) -> None:
    """Policies as real teams write them, tests included."""
    for document in documents(file.read_text("utf-8")):
        assert problems(document) == []


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(apiVersion.*?)^```$", LANGUAGE, re.MULTILINE | re.DOTALL))
def test_the_examples_of_the_language_are_valid(block: str) -> None:
    """What people copy first."""
    for document in documents(block):
        assert problems(document) == []


@pytest.mark.parametrize(
    ("change", "into"),
    [
        ("routes:", "rotes:"),
        ("methods: [GET]", "methods: [get]"),
        ("user: {}", "user: {scpes: {all: [a]}}"),
        ("user: {}", "user: {scopes: {all: []}}"),
        ("user: {}", "user: {}, public: why"),
        ("user: {}", "user: {kind: robot}"),
        ("path: /orders", "grpc: a.B/C, path: /orders"),
    ],
)
def test_what_is_refused_by_its_shape_is_invalid(change: str, into: str) -> None:
    """The first line of help, in the editor."""
    policy = (
        "apiVersion: authz/v1\nkind: RoutePolicy\nmetadata: {name: orders}\nservice: {hosts: [orders.shop.example]}\n"
        "routes:\n  - id: a\n    match: {methods: [GET], path: /orders}\n    allow: {user: {}}\n"
    )
    assert problems(documents(policy)[0]) == []
    assert change in policy

    assert problems(documents(policy.replace(change, into))[0]) != []


def keys(kind: str, *path: str) -> set[str]:
    """The keys that a schema knows at a place."""
    node = schema_of(kind)
    for step in path:
        node = node["properties"][step] if step in node.get("properties", {}) else node[step]
    return set(node["properties"])


def test_the_keys_are_the_parsers_own() -> None:
    """Neither can gain a key that the other lacks."""
    shapes = schema_of("RoutePolicy")["$defs"]["requirement"]["oneOf"][1]["properties"]
    person = ("people", "additionalProperties")

    assert keys("Issuers", "issuers", "additionalProperties") == set(parse_issuers._KEYS)
    assert keys("Issuers", "issuers", "additionalProperties", "introspection") == set(parse_introspection._KEYS)
    assert keys("TrustDomains") == set(parse_trust._KEYS)
    assert keys("TrustDomains", "trustDomains", "additionalProperties", "bundle") == {
        *parse_bundles._ORIGINS,
        *parse_bundles._OF_ENDPOINTS,
    }
    assert keys("Guardrails") == set(parse_guardrails._KEYS)
    assert keys("Guardrails", "guardrails", "items") == set(parse_guardrails._GUARDRAIL_KEYS)
    assert keys("RoutePolicy") == set(parse_routes._KEYS)
    assert keys("RoutePolicy", "service") == set(parse_routes._SERVICE_KEYS)
    assert keys("RoutePolicy", "routes", "items") == set(parse_routes._ROUTE_KEYS)
    assert keys("RoutePolicy", "routes", "items", "match") == set(parse_routes._MATCH_KEYS)
    assert set(shapes) == set(parse_requirements._SHAPES)
    assert set(shapes["user"]["properties"]) == set(parse_requirements._USER_KEYS)
    assert set(shapes["workload"]["properties"]) == set(parse_requirements._WORKLOAD_KEYS)
    assert keys("RoutePolicyTest") == set(parse_tests._KEYS)
    assert keys("RoutePolicyTest", "tests", "items") == set(parse_tests._TEST_KEYS)
    assert keys("RoutePolicyTest", *person, "user") == set(parse_people._USER_KEYS)
    assert keys("RoutePolicyTest", *person, "workload") == set(parse_people._WORKLOAD_KEYS)
