"""The worked example's table, one test a line, and what holds for the whole of it."""

from __future__ import annotations

import ssl

import pytest

from examples.store import envoys
from examples.store.client import mesh, send
from examples.store.processes import accepts, free_ports, wait_for
from examples.store.scenarios import SCENARIOS, TOKENS, Scenario, Walk
from examples.store.store import SERVICES, Store


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_each_line_of_the_table_is_as_it_says(walk: Walk, scenario: Scenario) -> None:
    """Verdict, reason, deciding policy and the upstream's sight are the expected ones."""
    outcome = walk.run(scenario)

    assert outcome.differences == ()


def test_the_table_shows_every_kind_of_refusal() -> None:
    """None of the promised kinds is missing from the walk."""
    reasons = {scenario.reason for scenario in SCENARIOS}

    assert reasons >= {
        "credential_missing",
        "token_expired",
        "audience_mismatch",
        "issuer_unknown",
        "claim_mismatch",
        "workload_not_permitted",
        "workload_missing",
        "destination_unmatched",
        "path_not_canonical",
        "method_unmatched",
        "route_unmatched",
        "allowed",
    }


def test_no_token_is_in_any_log(store: Store, walk: Walk) -> None:
    """Neither authz nor Envoy writes down what somebody presented."""
    for scenario in SCENARIOS:
        walk.send(scenario)

    signatures = [walk.token(name).rpartition(".")[2] for name in TOKENS]
    logs = {file.name: file.read_text() for file in (store.directory / "logs").iterdir()}
    assert len(logs) > 6
    assert [name for name, text in logs.items() if any(signature in text for signature in signatures)] == []


def test_an_envoy_that_may_not_connect_gets_nothing_allowed(store: Store) -> None:
    """The list of Envoys that may ask authz counts: under another SVID even a public route stays shut."""
    inventory = SERVICES["inventory"]
    stranger = _beside(store, "inventory", identity="old-reports")
    tls = mesh(store.mesh_ca_file, store.identities.svid("orders"))

    known = send(store.ports["inventory"].inbound, "GET", "/healthz", host=inventory.host, tls=tls)
    answer = send(stranger, "GET", "/healthz", host=inventory.host, tls=tls)

    assert known.status == 200
    assert answer.status in (403, 503)


def test_envoys_take_up_renewed_identities(store: Store, walk: Walk) -> None:
    """New SVIDs in the files reach the connections without a restart, and chains go on working."""
    inbound = store.ports["orders"].inbound
    before = _served_certificate(inbound)

    store.identities.renew()

    wait_for("the renewed certificate", lambda: _served_certificate(inbound) != before)
    assert walk.run(SCENARIOS[2]).differences == ()


def _beside(store: Store, service: str, *, identity: str) -> int:
    """One more Envoy for a service, under another identity; the port that it listens on."""
    port, outbound = free_ports(2)
    configuration = store.directory / f"envoy-{service}-as-{identity}.yaml"
    values = store.envoy_values(SERVICES[service]) | {
        "PORT": port,
        "OUTBOUND_PORT": outbound,
        "IDENTITY": store.identities.directory / identity / "identity.yaml",
    }
    configuration.write_text(envoys.render("sidecar.yaml", values))
    process = store.processes.start(configuration.stem, envoys.command(configuration))
    process.wait_ready(lambda: accepts(port))
    return port


def _served_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))
