"""`authz import`: what a description says, closed until somebody opens it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from authz.cli import main
from authz.policy.load import load

PLATFORM = b"""
apiVersion: authz/v1
kind: Issuers
issuers: {corp: {issuer: "https://idp.shop.example", audiences: [shop-api]}}
"""
OPENAPI = {
    "openapi": "3.1.0",
    "security": [{"oauth": ["orders:read"]}],
    "paths": {
        "/orders": {"get": {"operationId": "listOrders", "summary": "All orders"}, "post": {"security": []}},
        "/orders/{orderId}": {
            "parameters": [{"name": "orderId", "in": "path", "schema": {"type": "integer", "format": "int64"}}],
            "get": {"operationId": "getOrder"},
            "delete": {"security": [{"oauth": ["orders:write", "orders:admin"]}]},
        },
        "/orders/{id}/lines/{lineId}": {"get": {}},
        "/files/{name}.pdf": {"get": {}},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy directory with what the platform writes."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "platform.yaml").write_bytes(PLATFORM)
    return tmp_path


def imported(folder: Path, kind: str, file: Path) -> int:
    return main(
        [
            "import",
            kind,
            str(file),
            "--name",
            "orders",
            "--host",
            "orders.shop.example",
            "--into",
            str(folder / "policy"),
        ]
    )


def test_an_openapi_document_becomes_a_sound_policy_and_its_tests(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scopes from the security section, one variable per position, everything closed; what can't be said is told."""
    (folder / "api.json").write_text(json.dumps(OPENAPI))

    assert imported(folder, "openapi", folder / "api.json") == 1
    assert "left out: GET /files/{name}.pdf" in capsys.readouterr().err
    files = {path.name: path.read_bytes() for path in (folder / "policy").iterdir()}
    assert not load(files).faults
    text = files["orders.yaml"].decode()
    assert 'path: "/orders/{order_id:int}/lines/{line_id}"' in text
    assert 'scopes: {all: ["orders:write", "orders:admin"]}' in text
    assert main(["test", str(folder / "policy")]) == 0


def test_services_become_grpc_routes(folder: Path) -> None:
    """From what `protoc --descriptor_set_out` writes."""
    descriptors = FileDescriptorSet()
    file = descriptors.file.add(name="shop.proto", package="shop.v1")
    service = file.service.add(name="Orders")
    for method in ("Get", "List"):
        service.method.add(name=method)
    (folder / "shop.pb").write_bytes(descriptors.SerializeToString())

    assert imported(folder, "proto", folder / "shop.pb") == 0
    assert "grpc: shop.v1.Orders/Get" in (folder / "policy" / "orders.yaml").read_text()
    assert main(["test", str(folder / "policy")]) == 0


def test_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second import is a usage error."""
    (folder / "api.json").write_text(json.dumps(OPENAPI))
    imported(folder, "openapi", folder / "api.json")

    assert imported(folder, "openapi", folder / "api.json") == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "text"), [("openapi", "a: ["), ("openapi", "swagger: '2.0'"), ("proto", "text")])
def test_what_is_no_description_is_said(folder: Path, kind: str, text: str) -> None:
    """Exit code 2, no traceback, nothing written."""
    (folder / "x").write_text(text)

    assert imported(folder, kind, folder / "x") == 2
    assert not (folder / "policy" / "orders.yaml").exists()
