"""SPIRE as processes: a server and an agent for one trust domain, with entries, bundles and federation.

Owns: their configuration, the command line of `spire-server` and `spire-agent`. Must not: know Envoy or authz.
Several trust domains are several `TrustDomain`s. Every process here runs as one system account, so an entry is
for all of it (Envoy asks SDS for the one it wants by name) unless it names a program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from examples.store.processes import Process, Processes, free_ports, wait_for
from tests.mint.certificates import make_authority
from tests.mint.tls_material import Authority as WebAuthority
from tests.real import tools

PYTHON: Final = Path(sys.executable).resolve()
"""The program that authz is, as SPIRE's `unix` attestor sees it (`unix:path`)."""
START_LIMIT: Final = 60.0
"""Seconds; a server makes its authority and its database first, on a machine that others use too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """Another trust domain, where its bundle is served, and by which profile."""

    trust_domain: str
    url: str
    profile: str = "https_spiffe"

    def configuration(self) -> str:
        spiffe = f'endpoint_spiffe_id = "spiffe://{self.trust_domain}/spire/server"'
        profile = f'"{self.profile}" {{ {spiffe if self.profile == "https_spiffe" else ""} }}'
        inner = f'bundle_endpoint_url = "{self.url}"\nbundle_endpoint_profile {profile}'
        return f'federates_with "{self.trust_domain}" {{\n{inner}\n}}'


class TrustDomain:
    """One trust domain. `directory` has to be short: Unix sockets stand in it (108 bytes at most).

    `upstream`: the server's authority is an intermediate below a root of its own (UpstreamAuthority "disk"), so
    the bundle holds the root only. `web`: the bundle endpoint serves `https_web` with a certificate of this CA.
    `lifetime` of X.509-SVIDs in seconds, unless an entry says otherwise.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        processes: Processes,
        *,
        upstream: bool = False,
        web: WebAuthority | None = None,
        lifetime: int = 3600,
    ) -> None:
        self.name = name
        self.lifetime = lifetime
        self._directory = directory / name.partition(".")[0]
        self._directory.mkdir()
        self._processes = processes
        self._port, self._endpoint_port = free_ports(2)
        self._server_socket = self._directory / "server.sock"
        self.agent_socket = self._directory / "agent.sock"
        self.bundle_url = f"https://localhost:{self._endpoint_port}/"
        self.workload_api = f"unix://{self.agent_socket}"
        self._entries: set[str] = set()
        self.server: Process
        self.agent: Process
        self._upstream = self._write_root() if upstream else ""
        self._endpoint = self._write_web(web) if web else 'profile "https_spiffe" {}'

    # --- processes ---

    def start(self, *federations: Federation) -> TrustDomain:
        """Server, then agent."""
        self.start_server(*federations)
        self.start_agent()
        return self

    def start_server(self, *federations: Federation) -> None:
        file = self._directory / "server.conf"
        file.write_text(self._server_configuration(federations))
        self.restart_server(file)

    def restart_server(self, file: Path | None = None) -> None:
        """With the data that it had: the same authority, the same entries."""
        command = [str(tools.spire() / "spire-server"), "run", "-config", str(file or self._directory / "server.conf")]
        self.server = self._processes.start(f"spire-server-{self.name}", command)
        self.server.wait_ready(lambda: self._healthy("spire-server", self._server_socket), within=START_LIMIT)

    def start_agent(self) -> None:
        """Attests itself with a fresh join token."""
        (self._directory / "bootstrap.pem").write_text(self.server_says("bundle", "show"))
        token = str(json.loads(self.server_says("token", "generate", "-ttl", "600", "-output", "json"))["value"])
        self._agent_id = f"spiffe://{self.name}/spire/agent/join_token/{token}"
        (self._directory / "agent.conf").write_text(self._agent_configuration())
        self._run_agent("-joinToken", token)

    def restart_agent(self) -> None:
        """With the identity that it had."""
        self._run_agent()

    # --- the registry ---

    def add(
        self,
        path: str,
        *,
        program: Path | None = None,
        lifetime: int = 0,
        federates_with: Sequence[str] = (),
        dns: Sequence[str] = (),
    ) -> str:
        """An entry for `spiffe://DOMAIN/path`, once; waits until the agent hands it out. The SPIFFE ID."""
        spiffe_id = f"spiffe://{self.name}/{path}"
        if spiffe_id in self._entries:
            return spiffe_id
        self._entries.add(spiffe_id)
        selectors = [f"unix:uid:{os.getuid()}", *([f"unix:path:{program}"] if program else [])]
        options = [option for selector in selectors for option in ("-selector", selector)]
        options += [option for domain in federates_with for option in ("-federatesWith", f"spiffe://{domain}")]
        options += [option for name in dns for option in ("-dns", name)]
        if lifetime:
            options += ["-x509SVIDTTL", str(lifetime)]
        self.server_says("entry", "create", "-parentID", self._agent_id, "-spiffeID", spiffe_id, *options)
        if program is None:
            wait_for(f"the SVID of {spiffe_id}", lambda: spiffe_id in self._handed_out(), within=30)
        return spiffe_id

    def bundle(self) -> bytes:
        """The SPIFFE bundle of this trust domain (JWKS form)."""
        return self.server_says("bundle", "show", "-format", "spiffe").encode()

    def learn(self, other: TrustDomain) -> None:
        """Take another domain's bundle by hand, which is how `https_spiffe` federation begins."""
        file = self._directory / f"{other.name}.json"
        file.write_bytes(other.bundle())
        self.server_says("bundle", "set", "-id", f"spiffe://{other.name}", "-path", str(file), "-format", "spiffe")

    def federation(self, *, profile: str = "https_spiffe") -> Federation:
        """What another server needs to federate with this one."""
        return Federation(trust_domain=self.name, url=self.bundle_url, profile=profile)

    def prepare_authority(self) -> None:
        """A new X.509 authority stands in the bundle; the old one signs on."""
        self.server_says("localauthority", "x509", "prepare")

    def activate_authority(self) -> None:
        """The prepared authority signs from now on; the old one stays in the bundle."""
        told = json.loads(self.server_says("localauthority", "x509", "show", "-output", "json"))
        self.server_says("localauthority", "x509", "activate", "-authorityID", told["prepared"]["authority_id"])

    # --- what a workload gets ---

    def jwt_svid(self, spiffe_id: str, audience: str) -> str:
        """A JWT-SVID out of the Workload API."""
        told = self._agent_says("fetch", "jwt", "-spiffeID", spiffe_id, "-audience", audience, "-output", "json")
        documents = json.loads(told)
        return str(_svids(documents)[0]["svid"])

    def server_says(self, *command: str) -> str:
        """What `spire-server COMMAND` prints."""
        return self._say("spire-server", [*command, "-socketPath", str(self._server_socket)])

    # --- inside ---

    def _handed_out(self) -> str:
        try:
            return self._agent_says("fetch", "x509")
        except RuntimeError:
            return ""

    def _agent_says(self, *command: str) -> str:
        return self._say("spire-agent", ["api", *command, "-socketPath", str(self.agent_socket)])

    def _say(self, program: str, command: Sequence[str]) -> str:
        done = subprocess.run(
            [str(tools.spire() / program), *command], capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(command[:2])}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _run_agent(self, *options: str) -> None:
        command = [str(tools.spire() / "spire-agent"), "run", "-config", str(self._directory / "agent.conf"), *options]
        self.agent = self._processes.start(f"spire-agent-{self.name}", command)
        self.agent.wait_ready(lambda: self._healthy("spire-agent", self.agent_socket), within=START_LIMIT)

    def _healthy(self, program: str, socket: Path) -> bool:
        if not socket.exists():
            return False
        command = [str(tools.spire() / program), "healthcheck", "-socketPath", str(socket)]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def _server_configuration(self, federations: Sequence[Federation]) -> str:
        relations = "\n".join(each.configuration() for each in federations)
        return f"""
server {{
  bind_address = "127.0.0.1"
  bind_port = "{self._port}"
  socket_path = "{self._server_socket}"
  trust_domain = "{self.name}"
  data_dir = "{self._directory}"
  log_level = "WARN"
  ca_key_type = "ec-p256"
  ca_ttl = "24h"
  default_x509_svid_ttl = "{self.lifetime}s"
  federation {{
    bundle_endpoint {{
      address = "127.0.0.1"
      port = {self._endpoint_port}
      refresh_hint = "1m"
      {self._endpoint}
    }}
    {relations}
  }}
}}
plugins {{
  DataStore "sql" {{
    plugin_data {{
      database_type = "sqlite3"
      connection_string = "{self._directory}/server.sqlite3"
    }}
  }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  KeyManager "disk" {{ plugin_data {{ keys_path = "{self._directory}/server-keys.json" }} }}
  {self._upstream}
}}
"""

    def _agent_configuration(self) -> str:
        data = self._directory / "agent"
        data.mkdir(exist_ok=True)
        return f"""
agent {{
  data_dir = "{data}"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = "{self._port}"
  socket_path = "{self.agent_socket}"
  trust_bundle_path = "{self._directory}/bootstrap.pem"
  trust_domain = "{self.name}"
  experimental {{ sync_interval = "1s" }}
}}
plugins {{
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  KeyManager "disk" {{ plugin_data {{ directory = "{data}" }} }}
  WorkloadAttestor "unix" {{ plugin_data {{ discover_workload_path = true }} }}
}}
"""

    def _write_root(self) -> str:
        now = datetime.now(UTC)
        root = make_authority(
            trust_domain=self.name,
            name="upstream",
            uris=(),
            begin=now - timedelta(hours=1),
            end=now + timedelta(days=1),
        )
        certificate, key = self._directory / "root.pem", self._directory / "root-key.pem"
        certificate.write_text(root.pem)
        key.write_bytes(root.private_pem)
        plugin = f'plugin_data {{\ncert_file_path = "{certificate}"\nkey_file_path = "{key}"\n}}'
        return f'UpstreamAuthority "disk" {{\n{plugin}\n}}'

    def _write_web(self, authority: WebAuthority) -> str:
        pair = authority.leaf(name="bundles")
        certificate, key = self._directory / "web.pem", self._directory / "web-key.pem"
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        paths = f'cert_file_path = "{certificate}"\nkey_file_path = "{key}"'
        files = f'serving_cert_file {{\n{paths}\nfile_sync_interval = "1m"\n}}'
        return f'profile "https_web" {{\n{files}\n}}'


def _svids(documents: Any) -> list[dict[str, Any]]:
    """The SVIDs in what `spire-agent api fetch jwt -output json` prints: a list of answers."""
    answers = documents if isinstance(documents, list) else [documents]
    return [svid for answer in answers for svid in answer.get("svids", ())]


def federate(left: TrustDomain, right: TrustDomain) -> None:
    """Start both servers and agents, each trusting the other's bundle."""
    for one, other in ((left, right), (right, left)):
        one.start_server(other.federation())
    for one, other in ((left, right), (right, left)):
        one.learn(other)
        one.start_agent()
