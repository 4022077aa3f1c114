"""SPIRE in the store's containers: configuration of its server and two agents, and the entries of who is who.

Owns: those files. Must not: run SPIRE. Agents attest themselves by a certificate (x509pop), so that nobody passes a
join token around; they learn the bundle from the server's endpoint, whose certificate they check. Each Envoy runs as
a system user of its own, which is what its entry selects.
"""

from __future__ import annotations

import json
from pathlib import Path

from examples.store.ca import Authority
from examples.store.containers import layout
from examples.store.store import AUTHZ_ID, GATEWAY, SERVICES, TRUST_DOMAIN, replace_file, write_secret

AGENT_SOCKET = Path("/spire/agent.sock")
BUNDLE_URL = "https://spire-server:8443/"
AGENTS = {"edge": ("authz", "gateway"), "shop": tuple(name for name in SERVICES if name != GATEWAY.name)}
"""Which agent hands out whose SVID: two machines, if these weren't containers."""
USERS = {"authz": 10001} | {name: 10010 + place for place, name in enumerate(SERVICES)}
"""The system users that docker-compose.yml runs authz and the Envoys as."""

_SERVER = """
server {{
  bind_address = "0.0.0.0"
  bind_port = "8081"
  socket_path = "/spire/server.sock"
  trust_domain = "{domain}"
  data_dir = "/spire/data"
  log_level = "WARN"
  ca_key_type = "ec-p256"
  ca_ttl = "24h"
  default_x509_svid_ttl = "1h"
  federation {{
    bundle_endpoint {{
      address = "0.0.0.0"
      port = 8443
      refresh_hint = "5m"
      profile "https_web" {{
        serving_cert_file {{
          cert_file_path = "{place}/tls.pem"
          key_file_path = "{place}/tls.pem"
          file_sync_interval = "1m"
        }}
      }}
    }}
  }}
}}
plugins {{
  DataStore "sql" {{ plugin_data {{ database_type = "sqlite3", connection_string = "/spire/data/server.sqlite3" }} }}
  KeyManager "disk" {{ plugin_data {{ keys_path = "/spire/data/keys.json" }} }}
  NodeAttestor "x509pop" {{
    plugin_data {{ ca_bundle_path = "{nodes}", agent_path_template = "/x509pop/{{{{ .Subject.CommonName }}}}" }}
  }}
}}
health_checks {{ listener_enabled = true, bind_address = "127.0.0.1", bind_port = "8080" }}
"""
_AGENT = """
agent {{
  data_dir = "/tmp/data"
  log_level = "WARN"
  server_address = "spire-server"
  server_port = "8081"
  socket_path = "{socket}"
  trust_domain = "{domain}"
  trust_bundle_url = "{bundle}"
  trust_bundle_format = "spiffe"
}}
plugins {{
  NodeAttestor "x509pop" {{
    plugin_data {{ private_key_path = "{place}/node.pem", certificate_path = "{place}/node.pem" }}
  }}
  KeyManager "memory" {{ plugin_data {{}} }}
  WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
health_checks {{ listener_enabled = true, bind_address = "127.0.0.1", bind_port = "8080" }}
"""


def write_configuration(web: Authority, mesh: Authority) -> None:
    """Everything that SPIRE's containers mount."""
    place = layout.ROOT / "spire-server"
    place.mkdir(exist_ok=True)
    nodes = layout.PUBLIC / "mesh-ca.pem"
    replace_file(place / "server.conf", _SERVER.format(domain=TRUST_DOMAIN, place=place, nodes=nodes).encode())
    replace_file(place / "entries.json", json.dumps({"entries": entries()}).encode())
    write_secret(place / "tls.pem", web.server("spire-server"), mode=layout.KEY_MODE)
    for agent in AGENTS:
        place = layout.ROOT / f"spire-agent-{agent}"
        place.mkdir(exist_ok=True)
        text = _AGENT.format(domain=TRUST_DOMAIN, socket=AGENT_SOCKET, bundle=BUNDLE_URL, place=place)
        replace_file(place / "agent.conf", text.encode())
        write_secret(place / "node.pem", mesh.node(agent), mode=layout.KEY_MODE)


def entries() -> list[dict[str, object]]:
    """The registry: each workload below the agent of its machine, known by its system user."""
    ids = {"authz": AUTHZ_ID, **{name: service.spiffe_id for name, service in SERVICES.items()}}
    return [
        {
            "parent_id": f"spiffe://{TRUST_DOMAIN}/spire/agent/x509pop/{agent}",
            "spiffe_id": ids[name],
            "selectors": [{"type": "unix", "value": f"uid:{USERS[name]}"}],
        }
        for agent, names in AGENTS.items()
        for name in names
    ]
