"""`authz schema` in a real editor's language server: what it completes, and what it marks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from authz.policy.schema import any_schema
from tests.real import tools
from tests.real.language_server import LanguageServer

GOOD = """\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders, owner: team-orders}
service: {hosts: [orders.shop.example]}
routes:
  - id: orders.read
    match: {methods: [GET], path: "/orders/{order_id}"}
    allow:
      user:
        scopes: {all: ["orders:read"]}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LanguageServer]:
    """The language server with our schema for every YAML file of a folder."""
    schema = tmp_path / "authz.schema.json"
    schema.write_text(json.dumps(any_schema()))
    yaml = {
        "schemas": {schema.as_uri(): "*.yaml"},
        "validate": True,
        "completion": True,
        "schemaStore": {"enable": False},
    }
    command = [str(tools.node()), str(tools.yaml_language_server()), "--stdio"]
    with LanguageServer(command, tmp_path, {"yaml": yaml}) as started:
        yield started


def shown(server: LanguageServer, folder: Path, text: str) -> Path:
    file = folder / "orders.yaml"
    file.write_text(text)
    server.open(file)
    return file


def test_a_sound_policy_has_no_marks(server: LanguageServer, tmp_path: Path) -> None:
    """The schema says nothing against what the loader takes."""
    file = shown(server, tmp_path, GOOD)

    assert server.diagnostics(file) == []


def test_a_misspelt_key_and_a_wrong_value_are_marked(server: LanguageServer, tmp_path: Path) -> None:
    """Before anybody runs `authz lint`."""
    file = shown(server, tmp_path, GOOD.replace("scopes:", "scpes:").replace("[GET]", "[get]"))

    marks = server.diagnostics(file)
    assert any("scpes" in mark for mark in marks)
    assert any("pattern" in mark for mark in marks)


def test_the_fields_of_user_are_offered(server: LanguageServer, tmp_path: Path) -> None:
    """Completion inside a requirement, where people need it most."""
    file = shown(server, tmp_path, GOOD + "        \n")
    server.diagnostics(file)

    offered = server.completions(file, len(GOOD.splitlines()), 8)
    assert {"issuer", "groups", "claims", "auth_age"} <= set(offered)


def test_the_kinds_are_offered(server: LanguageServer, tmp_path: Path) -> None:
    """At the head of a new file."""
    file = shown(server, tmp_path, "apiVersion: authz/v1\nkind: \n")
    server.diagnostics(file)

    assert {"Issuers", "RoutePolicy", "Guardrails"} <= set(server.completions(file, 1, 6))
