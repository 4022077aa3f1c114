"""Each hazard: a sound configuration, one place of it spoilt, and the one code that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from authz.envoy.configuration import ConfigurationError, read
from authz.envoy.doctor import hazards
from authz.envoy.hazard import Expected

CASES = Path(__file__).parents[2] / "cases" / "envoy"
REPOSITORY = CASES.parents[2]
TYPES = "type.googleapis.com/envoy"
TLS = {
    "@type": f"{TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "common_tls_context": {"validation_context": {"trusted_ca": {"filename": "ca.pem"}}},
}
Spoil = Callable[["Parts"], object]


class Parts:
    """The sound configuration's places that tests spoil."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = yaml.safe_load((CASES / "sound.yaml").read_text("utf-8"))
        self.static = self.tree["static_resources"]
        self.listener = self.static["listeners"][0]
        self.chain = self.listener["filter_chains"][0]
        self.manager = self.chain["filters"][0]["typed_config"]
        self.filters = self.manager["http_filters"]
        self.check = self.filters[0]["typed_config"]
        self.service = self.check["grpc_service"]
        self.host = self.manager["route_config"]["virtual_hosts"][0]
        self.route = self.host["routes"][0]
        self.authz = self.static["clusters"][1]

    def codes(self, expected: Expected | None = None) -> list[str]:
        data = yaml.safe_dump(self.tree).encode()
        return sorted({one.code for one in hazards(read(data), expected)})

    def behind_tls(self, **settings: object) -> None:
        socket = {"name": "envoy.transport_sockets.tls", "typed_config": TLS}
        self.chain["transport_socket"] = socket
        self.check.update(settings)

    def second_listener(self) -> None:
        copy = yaml.safe_load(yaml.safe_dump(self.listener))
        copy["name"] = "side"
        del copy["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]
        self.static["listeners"].append(copy)

    def per_route(self, kind: str, **settings: object) -> dict[str, object]:
        return {"envoy.filters.http.ext_authz": {"@type": f"{TYPES}.{kind}", **settings}}


PER_ROUTE = "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
LUA = {"name": "envoy.filters.http.lua", "typed_config": {"@type": f"{TYPES}.extensions.filters.http.lua.v3.Lua"}}
SPOILT: dict[str, tuple[Spoil, list[str]]] = {
    "failure mode": (lambda p: p.check.update(failure_mode_allow=True), ["fails-open"]),
    "route cache": (lambda p: p.check.update(clear_route_cache=True), ["route-chosen-again"]),
    "allowed headers": (
        lambda p: p.check.update(allowed_headers={"patterns": [{"exact": "x-request-id"}]}),
        ["headers-hidden"],
    ),
    "disallowed headers": (
        lambda p: p.check.update(disallowed_headers={"patterns": [{"prefix": "auth"}]}),
        ["headers-hidden"],
    ),
    "a fraction": (
        lambda p: p.check.update(filter_enabled={"default_value": {"numerator": 99, "denominator": "HUNDRED"}}),
        ["check-sampled"],
    ),
    "the whole fraction": (
        lambda p: p.check.update(filter_enabled={"default_value": {"numerator": 100, "denominator": "HUNDRED"}}),
        [],
    ),
    "shadow mode": (lambda p: p.check.update(shadow_mode=True), ["check-sampled"]),
    "disabled filter": (lambda p: p.filters[0].update(disabled=True), ["check-disabled"]),
    "HTTP service": (lambda p: p.check.pop("grpc_service"), ["not-grpc"]),
    "no timeout": (lambda p: p.service.pop("timeout"), ["timeout-missing"]),
    "timeout 0": (lambda p: p.service.update(timeout="0s"), ["timeout-zero"]),
    "no retries": (lambda p: p.service.pop("retry_policy"), ["retry-missing"]),
    "default back-off": (lambda p: p.service["retry_policy"].pop("retry_back_off"), ["retry-too-late"]),
    "short tries": (
        lambda p: p.service["retry_policy"]["retry_back_off"].update(max_interval="0.1s"),
        ["retry-too-soon"],
    ),
    "same host": (lambda p: p.service["retry_policy"].pop("retry_host_predicate"), ["retry-same-host"]),
    "TLS session": (lambda p: p.behind_tls(include_tls_session=False), ["tls-session-missing"]),
    "certificate": (lambda p: p.behind_tls(include_peer_certificate=False), ["certificate-missing"]),
    "forged certificate": (
        lambda p: p.manager.update(forward_client_cert_details="ALWAYS_FORWARD_ONLY"),
        ["client-certificate-forged"],
    ),
    "undecided path": (lambda p: p.manager.pop("normalize_path"), ["path-undecided"]),
    "half a normalisation": (lambda p: p.manager.update(normalize_path=True), ["path-half-normalised"]),
    "normalised slashes, escaped ones kept": (
        lambda p: p.manager.update(normalize_path=True, merge_slashes=True),
        ["path-half-normalised"],
    ),
    "the whole normalisation": (
        lambda p: p.manager.update(
            normalize_path=True, merge_slashes=True, path_with_escaped_slashes_action="REJECT_REQUEST"
        ),
        [],
    ),
    "merged slashes": (lambda p: p.manager.update(merge_slashes=True), ["path-repaired"]),
    "unescaped slashes": (
        lambda p: p.manager.update(path_with_escaped_slashes_action="UNESCAPE_AND_FORWARD"),
        ["path-repaired"],
    ),
    "a filter behind": (lambda p: p.filters.insert(1, LUA), ["filter-after-check"]),
    "a filter before": (lambda p: p.filters.insert(0, LUA), []),
    "a listener beside": (Parts.second_listener, ["check-missing"]),
    "nobody asks": (lambda p: p.filters.pop(0), ["check-missing"]),
    "disabled route": (
        lambda p: p.route.update(typed_per_filter_config=p.per_route(PER_ROUTE, disabled=True)),
        ["check-disabled"],
    ),
    "a filter that a route switches on again": (
        lambda p: (
            p.filters[0].update(disabled=True),
            p.host.update(typed_per_filter_config=p.per_route("config.route.v3.FilterConfig")),
        ),
        [],
    ),
    "a weighted cluster": (
        lambda p: p.route.update(
            route={
                "weighted_clusters": {
                    "clusters": [
                        {
                            "name": "orders",
                            "weight": 1,
                            "typed_per_filter_config": p.per_route(PER_ROUTE, disabled=True),
                        }
                    ]
                }
            }
        ),
        ["check-disabled"],
    ),
    "filters from elsewhere": (
        lambda p: p.filters.__setitem__(0, {"name": "ecds", "config_discovery": {"config_source": {"ads": {}}}}),
        [],
    ),
    "disabled host": (
        lambda p: p.host.update(typed_per_filter_config=p.per_route("config.route.v3.FilterConfig", disabled=True)),
        ["check-disabled"],
    ),
    "extensions of a route": (
        lambda p: p.route.update(
            typed_per_filter_config=p.per_route(
                PER_ROUTE, check_settings={"context_extensions": {"authz.service": "orders"}}
            )
        ),
        [],
    ),
    "endless streams": (lambda p: p.manager.pop("common_http_protocol_options"), ["stream-unbounded"]),
    "no cluster": (lambda p: p.static["clusters"].pop(1), ["cluster-missing"]),
    "no health check": (lambda p: p.authz.pop("health_checks"), ["health-check-missing"]),
    "unwritten retries at once": (lambda p: p.authz.pop("circuit_breakers"), ["retry-scarce"]),
    "few retries at once": (
        lambda p: p.authz["circuit_breakers"]["thresholds"][0].update(max_retries=8),
        ["retry-scarce"],
    ),
    "many retries for others": (
        lambda p: p.authz["circuit_breakers"]["thresholds"][0].update(priority="HIGH"),
        ["retry-scarce"],
    ),
    "a share of retries": (
        lambda p: p.authz.update(circuit_breakers={"thresholds": [{"retry_budget": {"min_retry_concurrency": 50}}]}),
        [],
    ),
    "plaintext": (
        lambda p: p.authz["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"][
            "socket_address"
        ].update(address="192.0.2.7"),
        ["plaintext-check"],
    ),
    "anybody's certificate": (
        lambda p: p.authz.update(
            transport_socket={
                "name": "envoy.transport_sockets.tls",
                "typed_config": {"@type": f"{TYPES}.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
            }
        ),
        ["authz-unverified"],
    ),
}


def test_the_sound_configuration_has_no_hazard() -> None:
    """What every other test starts from."""
    assert Parts().codes() == []


@pytest.mark.parametrize("name", list(SPOILT))
def test_each_hazard_is_found_alone(name: str) -> None:
    """One place is spoilt, and that one code is reported."""
    spoil, codes = SPOILT[name]
    parts = Parts()
    spoil(parts)

    assert parts.codes() == codes


def test_every_code_is_explained() -> None:
    """The page has a row for each code that a test has seen."""
    page = (REPOSITORY / "docs" / "drift.md").read_text("utf-8")

    assert [code for _, codes in SPOILT.values() for code in codes if f"`{code}`" not in page] == []


def test_certificates_that_envoy_checks_neednt_be_sent() -> None:
    """With `verified_by: envoy` the check works without the certificate."""
    parts = Parts()
    parts.behind_tls(include_peer_certificate=False)

    assert parts.codes(Expected(certificate_checked_by_authz=False)) == []
    assert parts.codes(Expected(certificate_checked_by_authz=True)) == ["certificate-missing"]


def test_a_vendors_extension_keeps_nobody_from_the_rest() -> None:
    """Types that nothing judges aren't read, however strange they are."""
    parts = Parts()
    vendor = {"@type": "type.googleapis.com/istio.telemetry.Stats", "anything": {"at": ["all"]}}
    parts.filters.insert(0, {"name": "istio.stats", "typed_config": vendor})

    assert parts.codes() == []


def test_an_unknown_field_is_an_error_unless_it_is_to_be_skipped() -> None:
    """A hazard could hide in what isn't understood."""
    parts = Parts()
    parts.check["brand_new"] = True
    data = yaml.safe_dump(parts.tree).encode()

    with pytest.raises(ConfigurationError, match="brand_new"):
        read(data)
    assert hazards(read(data, lenient=True)) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "neither JSON nor YAML"),
        ("[]", "no mapping"),
        ("a: b", "neither a config dump"),
        ("static_resources: {listeners: [{name: a, filter_chains: 7}]}", "Listener a"),
        ("static_resources: {listeners: [7]}", "no mapping"),
        ("configs: [7]", "no mapping"),
    ],
)
def test_what_is_no_configuration_says_so(text: str, said: str) -> None:
    """A sentence, never a traceback."""
    with pytest.raises(ConfigurationError, match=said):
        read(text.encode())
