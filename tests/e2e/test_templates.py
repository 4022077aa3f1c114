"""The templates of envoy/: Envoy itself finds no fault with them, and none of their guards is missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from examples.store import envoys
from examples.store.ca import Authority

_UPSTREAMS = [
    {
        "UPSTREAM": name,
        "UPSTREAM_HOST": f"{name}.shop.example",
        "UPSTREAM_ADDRESS": "127.0.0.1",
        "UPSTREAM_PORT": 8443,
        "UPSTREAM_ID": f"spiffe://shop.example/ns/shop/sa/{name}",
        "PREFIX": f"/{name}/",
    }
    for name in ("orders", "payments")
]
TEMPLATES = ("edge-single.yaml", "gateway.yaml", "sidecar.yaml")


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("raw_headers", ["true", "false"])
def test_envoy_accepts_each_template(tmp_path: Path, template: str, raw_headers: str) -> None:
    """`envoy --mode validate` is content, with two upstreams and in both header modes."""
    configuration = tmp_path / template
    configuration.write_text(filled(tmp_path, template, raw_headers))

    result = subprocess.run(
        envoys.command(configuration, validate=True), capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_way_in_goes_without_asking(tmp_path: Path, template: str) -> None:
    """Every listener that others reach asks first, fails closed, and leaves the path as it was sent."""
    configuration = yaml.safe_load(filled(tmp_path, template, "true"))

    for manager in _managers(configuration):
        first = manager["http_filters"][0]
        check = first["typed_config"]

        assert first["name"] == "envoy.filters.http.ext_authz"
        assert check["failure_mode_allow"] is False
        assert check["grpc_service"]["timeout"] == "0.5s"
        retries = check["grpc_service"]["retry_policy"]
        assert retries["retry_on"] == "unavailable,reset,connect-failure,refused-stream"
        assert retries["retry_back_off"]["base_interval"] == "0.025s"
        # Envoy ends each try after this time too: below the timeout it would not wait for our own answer.
        assert retries["retry_back_off"]["max_interval"] == check["grpc_service"]["timeout"]
        assert manager["normalize_path"] is False


@pytest.mark.parametrize("template", TEMPLATES)
def test_dropped_requests_are_kept_from_costing_others_theirs(tmp_path: Path, template: str) -> None:
    """As docs/envoy.md has it: retries enough for a connection that breaks, and few requests at once."""
    configuration = yaml.safe_load(filled(tmp_path, template, "true"))
    static = configuration["static_resources"]
    (authz,) = (each for each in static["clusters"] if each["name"] == "authz")

    assert authz["circuit_breakers"] == {"thresholds": [{"max_retries": 1024}]}
    assert configuration["layered_runtime"]["layers"][0]["static_layer"] == {"http.max_requests_per_io_cycle": 1}
    assert static["listeners"][0]["max_connections_to_accept_per_socket_event"] == 1


@pytest.mark.parametrize("template", ["gateway.yaml", "sidecar.yaml"])
def test_no_tls_session_is_resumed(tmp_path: Path, template: str) -> None:
    """A resumed session would skip the check of a certificate that is no longer good."""
    configuration = yaml.safe_load(filled(tmp_path, template, "true"))

    for chain in configuration["static_resources"]["listeners"][0]["filter_chains"]:
        tls = chain["transport_socket"]["typed_config"]

        assert tls["disable_stateless_session_resumption"] is True
        assert tls["disable_stateful_session_resumption"] is True


def test_a_placeholder_without_a_value_is_an_error(tmp_path: Path) -> None:
    """Nothing is ever started with a hole in its configuration."""
    with pytest.raises(KeyError):
        envoys.render("edge-single.yaml", {"LISTEN": "127.0.0.1"})


def filled(directory: Path, template: str, raw_headers: str) -> str:
    """A template with every placeholder filled, and the files that it refers to."""
    mesh, web = Authority("mesh", trust_domain="shop.example"), Authority("web")
    (directory / "ca.pem").write_bytes(mesh.certificate)
    (directory / "edge.pem").write_bytes(web.server("www.shop.example").pem)
    (directory / "svid.pem").write_bytes(mesh.svid("spiffe://shop.example/ns/shop/sa/orders").pem)
    identity = directory / "identity.yaml"
    svid = {"SVID": directory / "svid.pem", "SVID_DIRECTORY": directory}
    identity.write_text(envoys.render("identity.yaml", svid))
    return envoys.render(
        template,
        {
            "NODE": "test",
            "HOST": "www.shop.example",
            "LISTEN": "127.0.0.1",
            "PORT": 8443,
            "OUTBOUND_PORT": 8081,
            "LOCAL_PORT": 8080,
            "CA": directory / "ca.pem",
            "EDGE_CERTIFICATE": directory / "edge.pem",
            "IDENTITY": identity,
            "AUTHZ_HOST": "127.0.0.1",
            "AUTHZ_PORT": 9000,
            "AUTHZ_ID": "spiffe://shop.example/ns/authz/sa/authz",
            "ENCODE_RAW_HEADERS": raw_headers,
        },
        _UPSTREAMS,
    )


def _managers(configuration: dict[str, dict[str, list[dict[str, object]]]]) -> list[dict[str, object]]:
    """The HTTP connection managers of all listeners but the loopback one for a service's own calls."""
    return [
        network_filter["typed_config"]
        for listener in configuration["static_resources"]["listeners"]
        if listener.get("name") != "outbound"
        for chain in listener["filter_chains"]
        for network_filter in chain["filters"]
    ]
