"""`authz doctor` and `authz drift` on the dumps of running Envoys; what they print stands in tests/cases/envoy.

`UPDATE_CASES=1 pytest tests/e2e/test_doctor.py` writes it anew; read the difference before you commit it.
"""

from __future__ import annotations

import io
import os
import urllib.request
from pathlib import Path

import pytest
import yaml

from authz.cli import main
from examples.store import envoys
from examples.store.processes import Processes
from tests.e2e.test_templates import TEMPLATES, filled

CASES = Path(__file__).parents[1] / "cases" / "envoy"
POLICY = CASES.parent / "cli" / "policies" / "shop"


def dump_of(configuration: Path, directory: Path) -> Path:
    """What the admin address of an Envoy with this configuration answers at /config_dump, every port a free one."""
    tree = yaml.safe_load(configuration.read_text())
    for listener in tree["static_resources"]["listeners"]:
        listener["address"]["socket_address"]["port_value"] = 0
    tree["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    file, address, dump = (directory / name for name in ("running.yaml", "admin", "dump.json"))
    file.write_text(yaml.safe_dump(tree))
    with Processes(directory) as processes:
        envoy = processes.start("envoy", [*envoys.command(file), "--admin-address-path", str(address)])
        envoy.wait_ready(lambda: address.exists() and address.read_text())
        envoy.wait_ready(lambda: b"LIVE" in _get(address, "/ready"))
        dump.write_bytes(_get(address, "/config_dump?include_eds"))
    return dump


def _get(address: Path, target: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://{address.read_text()}{target}", timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


@pytest.mark.parametrize("template", TEMPLATES)
def test_our_own_templates_have_no_hazard(template: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What we tell people to copy is what we find nothing wrong with, as Envoy itself shows it."""
    configuration = tmp_path / template
    configuration.write_text(filled(tmp_path, template, "true"))

    code = main(["doctor", str(dump_of(configuration, tmp_path))])

    assert (code, capsys.readouterr().out) == (0, "0 hazards\n")


@pytest.mark.parametrize(
    ("name", "command", "code"),
    [
        ("sound", ["doctor"], 0),
        ("spoilt", ["doctor"], 1),
        ("sound", ["drift", str(POLICY), "--envoy"], 0),
        ("spoilt", ["drift", str(POLICY), "--envoy"], 1),
    ],
)
def test_a_running_envoys_dump_gives_the_golden_report(
    name: str, command: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text and code; the bootstrap file that it was started with gives the same."""
    golden = CASES / f"{name}-{command[0]}.txt"
    dump = dump_of(CASES / f"{name}.yaml", tmp_path)

    codes = [main([*command, str(file)]) for file in (dump, CASES / f"{name}.yaml")]
    report = capsys.readouterr().out

    assert codes == [code, code]
    half = report[: len(report) // 2]
    assert report == half * 2
    if os.environ.get("UPDATE_CASES"):
        golden.write_text(half, "utf-8")
    assert half == golden.read_text("utf-8")


def test_a_dump_may_come_by_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As `curl … | authz doctor -`."""
    data = io.BytesIO((CASES / "sound.yaml").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))

    assert main(["doctor", "-", "--output", "json"]) == 0
    assert '"hazards": []' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["doctor", "/nonexistent"], 5),
        (["doctor", str(POLICY / "orders.yaml")], 2),
        (["doctor", str(CASES / "sound.yaml"), "--policy", str(POLICY.parent / "broken")], 3),
        (["drift", str(POLICY)], 2),
        (["drift", str(POLICY), "--envoy", "/nonexistent"], 5),
        (["drift", str(POLICY), "--openapi", "/nonexistent"], 5),
        (["drift", str(POLICY.parent / "broken"), "--envoy", str(CASES / "sound.yaml")], 3),
        (["drift", str(POLICY), "--envoy", str(CASES / "sound.yaml"), "--policy", "nobody"], 2),
    ],
)
def test_what_cant_be_judged_has_a_code(command: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """And a sentence on standard error."""
    assert main(command) == code
    assert "authz: " in capsys.readouterr().err


def test_an_openapi_document_is_compared_with_the_routes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Operations without a route and routes without an operation."""
    file = tmp_path / "api.yaml"
    operation = {"responses": {"200": {"description": "ok"}}}
    paths = {"/orders/{orderId}": {"get": operation, "delete": operation}}
    file.write_text(yaml.safe_dump({"openapi": "3.1.0", "info": {}, "paths": paths}))

    code = main(["drift", str(POLICY), "--openapi", str(file), "--policy", "orders"])

    assert code == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: operation-uncovered: no route takes DELETE /orders/{{order_id}} (delete--orders-orderId)",
        f"{file}: route-undescribed: no operation is behind orders/orders.livez: GET /livez",
        "2 differences",
    ]
