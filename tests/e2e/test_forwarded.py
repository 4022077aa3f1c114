"""Identity that a proxy forwards (`x-forwarded-client-cert`), as real Envoys write and append it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from examples.store import envoys
from examples.store.client import Answer, mesh, send
from examples.store.processes import accepts, free_ports
from examples.store.store import GATEWAY, SERVICES, Store, running

_FRONTEND = SERVICES["frontend"].spiffe_id
_ORDERS = SERVICES["orders"]
_POLICY = {
    "  verified_by: certificate": (
        f"  forwarded: {{trusted_proxies: [{GATEWAY.spiffe_id}]}}\n  verified_by: certificate"
    ),
    "  - id: orders.read\n": (
        "  - id: orders.track\n    match: {methods: [GET], path: /track}\n"
        f"    allow: {{workload: {{spiffe: {_FRONTEND}, via: forwarded}}}}\n  - id: orders.read\n"
    ),
}
_FORGED = {"X-Forwarded-Client-Cert": f"By={GATEWAY.spiffe_id};URI={_FRONTEND}"}


class Forwarding:
    """The orders service behind an Envoy that appends to the header, and a proxy with the gateway's identity."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.orders, self.proxy, first, second = free_ports(4)
        inbound = _sidecar(store, "orders", self.orders, first)
        _manager(inbound)["forward_client_cert_details"] = "APPEND_FORWARD"
        _start(store, "appending", inbound, self.orders)
        upstream = {
            "UPSTREAM": "orders",
            "UPSTREAM_HOST": _ORDERS.host,
            "UPSTREAM_ADDRESS": "127.0.0.1",
            "UPSTREAM_PORT": self.orders,
            "UPSTREAM_ID": _ORDERS.spiffe_id,
        }
        proxy = _sidecar(store, "gateway", self.proxy, second, upstream)
        del _manager(proxy)["http_filters"][0]
        _manager(proxy)["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "orders"
        _start(store, "forwarding", proxy, self.proxy)

    def track(self, port: int, caller: str, headers: dict[str, str] | None = None) -> tuple[Answer, str]:
        """The answer to `caller`, and the reason that authz recorded."""
        tls = mesh(self.store.mesh_ca_file, self.store.identities.svid(caller))
        answer = send(port, "GET", "/track", host=_ORDERS.host, tls=tls, headers=headers)
        seen = answer.document.get("headers")
        allowed = seen.get("x-authz-decision-id", "") if isinstance(seen, dict) else ""
        line = self.store.audit.find(allowed or answer.headers["x-authz-decision-id"])
        return answer, str(line["reason"])


@pytest.fixture(scope="module")
def forwarding() -> Iterator[Forwarding]:
    with running(replacements=_POLICY) as store:
        yield Forwarding(store)


def test_a_trusted_proxy_speaks_for_its_caller(forwarding: Forwarding) -> None:
    """Of the two elements that arrive, the one that the proxy wrote about its own caller counts."""
    answer, reason = forwarding.track(forwarding.proxy, "frontend")

    headers = answer.document["headers"]
    assert isinstance(headers, dict)
    assert (answer.status, reason) == (200, "allowed")
    assert headers["x-forwarded-client-cert"].count("By=") == 2
    assert headers["x-authz-workload"] == _FRONTEND


def test_another_caller_of_the_proxy_is_not_permitted(forwarding: Forwarding) -> None:
    """The proxy's own identity opens nothing that its caller's doesn't."""
    answer, reason = forwarding.track(forwarding.proxy, "inventory")

    assert (answer.status, reason) == (403, "workload_not_permitted")


def test_a_forged_element_does_not_pass_the_proxy(forwarding: Forwarding) -> None:
    """The proxy drops what its caller sent and writes the element anew."""
    answer, reason = forwarding.track(forwarding.proxy, "inventory", _FORGED)

    assert (answer.status, reason) == (403, "workload_not_permitted")


@pytest.mark.parametrize("caller", ["frontend", "inventory"])
def test_the_header_counts_from_a_trusted_proxy_only(forwarding: Forwarding, caller: str) -> None:
    """Whoever connects directly is nobody's proxy, whatever the header says; not even with the right identity."""
    answer, reason = forwarding.track(forwarding.orders, caller, _FORGED)

    assert (answer.status, reason) == (403, "workload_missing")


def _sidecar(store: Store, service: str, port: int, outbound: int, *upstreams: dict[str, object]) -> dict[str, Any]:
    values = store.envoy_values(SERVICES[service]) | {"PORT": port, "OUTBOUND_PORT": outbound}
    configuration: dict[str, Any] = yaml.safe_load(envoys.render("sidecar.yaml", values, upstreams))
    return configuration


def _manager(configuration: dict[str, Any]) -> dict[str, Any]:
    inbound = configuration["static_resources"]["listeners"][0]
    manager: dict[str, Any] = inbound["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def _start(store: Store, name: str, configuration: dict[str, Any], port: int) -> None:
    file = store.directory / f"envoy-{name}.yaml"
    file.write_text(yaml.safe_dump(configuration))
    process = store.processes.start(file.stem, envoys.command(file))
    process.wait_ready(lambda: accepts(port))
