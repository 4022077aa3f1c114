"""The two Envoys of a mesh: the caller's, which puts a SPIFFE ID on the connection, and the service's, which decides.

The service's has one of: nothing (the floor), ext_authz with any of our contenders, or Envoy's own jwt_authn and RBAC
with the same rules. RBAC can't compare a path variable with a claim, so there the claim must hold one fixed value:
less work than the others have. Both Envoys run one worker; the service's answers itself (no application to measure).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import cores
from bench.contenders.table import Place, Skipped
from bench.material import issuer_url
from bench.traffic import FRONTEND, ITEM, SERVICE
from examples.store import envoys
from examples.store.processes import Process, accepts, free_ports
from tests.mint import tokens

_TYPE: Final = "type.googleapis.com/envoy"
_TOKENS: Final = 10_000
"""Entries of Envoy's token cache, as many as ours has."""

Part = dict[str, Any]


def ext_authz(addresses: Sequence[str]) -> tuple[list[Part], list[Part]]:
    """The filter as the README has it, and the cluster; with several addresses, health-checked."""
    filter_ = _filter(
        "ext_authz",
        "ext_authz",
        "ExtAuthz",
        {
            "transport_api_version": "V3",
            "failure_mode_allow": False,
            "encode_raw_headers": True,
            "include_tls_session": True,
            "grpc_service": {
                "envoy_grpc": {"cluster_name": "authz"},
                "timeout": "0.5s",
                "retry_policy": {
                    "retry_on": "unavailable,reset,connect-failure,refused-stream",
                    "num_retries": 3,
                    "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.5s"},
                },
            },
        },
    )
    cluster = _cluster("authz", addresses) | _http2() | {"circuit_breakers": {"thresholds": [{"max_retries": 1024}]}}
    if len(addresses) > 1:
        cluster |= {
            "health_checks": [
                {
                    "timeout": "0.5s",
                    "interval": "1s",
                    "no_traffic_interval": "1s",
                    "unhealthy_interval": "0.25s",
                    "unhealthy_threshold": 1,
                    "healthy_threshold": 1,
                    "grpc_health_check": {},
                }
            ],
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        }
    return [filter_], [cluster]


def own_filters(place: Place, *, cached: bool) -> tuple[list[Part], list[Part]]:
    """jwt_authn and RBAC, a policy for each route."""
    provider: Part = {
        "issuer": issuer_url(0),
        "audiences": [tokens.AUDIENCE],
        "forward": True,
        "payload_in_metadata": "jwt",
        "local_jwks": {"inline_string": place.material.jwks()},
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": _TOKENS}
    authn = _filter(
        "jwt_authn",
        "jwt_authn",
        "JwtAuthentication",
        {"providers": {"corp": provider}, "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "corp"}}]},
    )
    policies = {f"res{number}": _rbac_policy(number) for number in range(place.material.routes)}
    rbac = _filter("rbac", "rbac", "RBAC", {"rules": {"action": "ALLOW", "policies": policies}})
    return [authn, rbac], []


def start_service(place: Place, name: str, parts: tuple[list[Part], list[Part]]) -> tuple[Process, int]:
    """The service's Envoy on the server's core."""
    filters, clusters = parts
    (port,) = free_ports(1)
    listener = _listener(port, [*filters, _router()], {"direct_response": {"status": 200}})
    svid, authority = _identity(place, SERVICE)
    listener["filter_chains"][0]["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": {"alpn_protocols": ["h2"], **_tls(svid, authority)},
        },
    }
    return _start(place, name, port, listener, clusters, cores.SERVER)


def start_caller(place: Place, name: str, service_port: int) -> tuple[Process, int]:
    """The caller's Envoy on the client's core: plain HTTP in, mTLS with the caller's SVID out."""
    (port,) = free_ports(1)
    svid, authority = _identity(place, FRONTEND)
    cluster = (
        _cluster("service", [f"127.0.0.1:{service_port}"])
        | _http2()
        | {
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                    "common_tls_context": {"alpn_protocols": ["h2"], **_tls(svid, authority)},
                },
            }
        }
    )
    listener = _listener(port, [_router()], {"route": {"cluster": "service", "timeout": "15s"}})
    return _start(place, name, port, listener, [cluster], cores.CLIENT)


def _start(place: Place, name: str, port: int, listener: Part, clusters: list[Part], core: int) -> tuple[Process, int]:
    configuration = place.directory / f"{name}.json"
    configuration.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}}))
    try:
        command = envoys.command(configuration)
    except envoys.MissingEnvoy as why:
        raise Skipped(str(why)) from why
    process = place.processes.start(name, cores.pinned(command, core))
    process.wait_ready(lambda: accepts(port))
    return process, port


def _rbac_policy(number: int) -> Part:
    def claim(name: str, value: Part) -> Part:
        path = [{"key": "jwt"}, {"key": name}]
        return {"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": path, "value": value}}

    method = {"header": {"name": ":method", "string_match": {"exact": "GET"}}}
    path = {"url_path": {"path": {"prefix": f"/v1/res{number}/"}}}
    return {
        "permissions": [{"and_rules": {"rules": [method, path]}}],
        "principals": [
            {
                "and_ids": {
                    "ids": [
                        {"authenticated": {"principal_name": {"exact": FRONTEND}}},
                        claim("scope", {"string_match": {"contains": "items:read"}}),
                        claim("item_ids", {"list_match": {"one_of": {"string_match": {"exact": ITEM}}}}),
                    ]
                }
            }
        ],
    }


def _identity(place: Place, spiffe_id: str) -> tuple[Path, Path]:
    name = spiffe_id.rpartition("/")[2]
    svid, authority = place.directory / f"{name}.pem", place.directory / "mesh.pem"
    svid.write_bytes(place.material.authority.svid(spiffe_id).pem)
    authority.write_bytes(place.material.authority.certificate)
    return svid, authority


def _tls(svid: Path, authority: Path) -> Part:
    return {
        "tls_certificates": [{"certificate_chain": {"filename": str(svid)}, "private_key": {"filename": str(svid)}}],
        "validation_context": {"trusted_ca": {"filename": str(authority)}},
    }


def _listener(port: int, filters: list[Part], action: Part) -> Part:
    manager = _network_filter(
        {
            "stat_prefix": "bench",
            "normalize_path": False,
            "http_filters": filters,
            "use_remote_address": True,
            "forward_client_cert_details": "SANITIZE",
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]
            },
        }
    )
    return {"address": _address(f"127.0.0.1:{port}"), "filter_chains": [{"filters": [manager]}]}


def _network_filter(settings: Part) -> Part:
    kind = f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": {"@type": kind, **settings}}


def _filter(name: str, package: str, kind: str, settings: Part) -> Part:
    full = f"{_TYPE}.extensions.filters.http.{package}.v3.{kind}"
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": full, **settings}}


def _router() -> Part:
    return _filter("router", "router", "Router", {})


def _cluster(name: str, addresses: Sequence[str]) -> Part:
    endpoints = [{"endpoint": {"address": _address(each)}} for each in addresses]
    return {
        "name": name,
        "connect_timeout": "0.25s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _http2() -> Part:
    options = {
        "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}}


def _address(address: str) -> Part:
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
