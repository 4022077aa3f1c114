"""The cluster that Envoy needs for checks, written out: one endpoint for each address that the service listens on.

Owns: the text, health checks, HTTP/2, mTLS where the service has it, and the retry policy that belongs to it, as a
comment, since it stands in the filter. Must not: know settings, or need Envoy's messages.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RETRY_POLICY: Final = """\
timeout: 0.5s
retry_policy:
  retry_on: "unavailable,reset,connect-failure,refused-stream"
  num_retries: 3
  retry_back_off: {base_interval: 0.025s, max_interval: 0.5s}
  host_selection_retry_max_attempts: 3
  retry_host_predicate:
  - name: envoy.retry_host_predicates.previous_hosts
    typed_config: {"@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}
"""
"""What makes the loss of an instance invisible; beside `envoy_grpc` in the filter's `grpc_service`."""

_HEAD: Final = """\
type: STATIC
connect_timeout: 0.25s
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config:
      http2_protocol_options:
        connection_keepalive: {interval: 15s, timeout: 2s}
circuit_breakers: {thresholds: [{max_retries: 1024}]}
health_checks:
- timeout: 1s
  interval: 2s
  no_traffic_interval: 2s
  unhealthy_interval: 0.25s
  unhealthy_threshold: 1
  healthy_threshold: 1
  grpc_health_check: {}
"""
_TLS: Final = """\
# Checks travel over mTLS. Put in: Envoy's own certificate and key, the CA of authz, and authz's SPIFFE ID.
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    common_tls_context:
      tls_params: {tls_minimum_protocol_version: TLSv1_2}
      alpn_protocols: [h2]
      tls_certificates:
      - certificate_chain: {filename: /etc/envoy/tls.crt}
        private_key: {filename: /etc/envoy/tls.key}
      validation_context:
        trusted_ca: {filename: /etc/envoy/authz-ca.crt}
        match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "spiffe://shop.example/ns/authz/sa/authz"}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A Unix socket's `path`, or `host` and `port`."""

    host: str = ""
    port: int = 0
    path: str = ""

    def text(self) -> str:
        """As an Envoy address in flow style."""
        if self.path:
            return f"{{pipe: {{path: {json.dumps(self.path)}}}}}"
        return f"{{socket_address: {{address: {json.dumps(self.host)}, port_value: {self.port}}}}}"

    @property
    def anywhere(self) -> bool:
        """Whether it is every address of the machine: nothing that anybody could connect to by that name."""
        return not self.path and ipaddress.ip_address(self.host).is_unspecified


def cluster_text(endpoints: Sequence[Endpoint], *, name: str, tls: bool) -> str:
    """The cluster as YAML, an item for `static_resources.clusters`."""
    lines = [f"name: {json.dumps(name)}", *_HEAD.splitlines(), *(_TLS.splitlines() if tls else ())]
    lines += [
        "load_assignment:",
        f"  cluster_name: {json.dumps(name)}",
        "  endpoints:",
        "  - lb_endpoints:",
        *(f"    - endpoint: {{address: {each.text()}}}" for each in endpoints),
    ]
    indented = [f"  {line}" for line in lines]
    indented[0] = f"- {lines[0]}"
    note = ["# In the ext_authz filter, beside `grpc_service: {envoy_grpc: {cluster_name: …}}`:"]
    note += [f"#   {line}" for line in RETRY_POLICY.splitlines()]
    return "\n".join([*note, *indented]) + "\n"
