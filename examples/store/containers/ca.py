"""`python -m examples.store.containers.ca`: hands out identities, configuration and secrets, and renews what expires.

Owns: everything in the volumes that isn't written while requests run. Must not: listen anywhere.
With IDENTITIES=spire the Envoys and authz get their SVIDs from SPIRE's agents instead.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import yaml

from examples.store import envoys
from examples.store.ca import SVID_LIFETIME, Authority, KeyPair
from examples.store.containers import layout, spire
from examples.store.containers.life import ready, told_to_stop
from examples.store.provider import ACCOUNTS, BATCH, SigningKeys
from examples.store.store import (
    AUTHZ_ID,
    GATEWAY,
    OTHER_WORKLOADS,
    PREFIXES,
    PUBLIC_HOST,
    SERVICES,
    TRUST_DOMAIN,
    Identities,
    Service,
    replace_file,
    write_secret,
)

_ROOT_LIFETIME = dt.timedelta(days=90)


class Issuing:
    """The two authorities and the volumes that they fill."""

    def __init__(self, *, with_spire: bool) -> None:
        self._with_spire = with_spire
        self._mesh = _authority("mesh", trust_domain=TRUST_DOMAIN)
        self._web = _authority("web")
        self._owners = Identities(layout.ROOT, self._mesh, mode=layout.KEY_MODE)
        self._callers = Identities(layout.CALLERS, self._mesh, mode=layout.KEY_MODE)

    def begin(self) -> None:
        """Everything that others wait for."""
        layout.PUBLIC.mkdir(exist_ok=True)
        replace_file(layout.WEB_CA, self._web.certificate)
        replace_file(layout.MESH_CA, self._mesh.certificate)
        self._write_secrets()
        for name, service in SERVICES.items():
            self._owners.add(name, service.spiffe_id)
            self._write_envoy(service)
        self._owners.add("authz", AUTHZ_ID)
        replace_file(layout.ROOT / "authz" / "authz.yaml", self._authz_configuration().encode())
        services = {name: service.spiffe_id for name, service in SERVICES.items()}
        for name, spiffe_id in {**services, **OTHER_WORKLOADS}.items():
            self._callers.add(name, spiffe_id)
        replace_file(layout.BUNDLE, self._mesh.bundle())
        if self._with_spire:
            spire.write_configuration(self._web, self._mesh)
        self._write_server_certificates()

    def renew(self) -> None:
        """Fresh SVIDs and server certificates, each in place at once."""
        self._owners.renew()
        self._callers.renew()
        self._write_server_certificates()

    def _write_server_certificates(self) -> None:
        names = {
            "gateway": PUBLIC_HOST,
            "redis": "redis",
            "idp": "idp.shop.example",
            "partner-idp": "idp.partner.example",
        }
        for owner, name in names.items():
            write_secret(layout.ROOT / owner / "tls.pem", self._web.server(name), mode=layout.KEY_MODE)

    def _write_secrets(self) -> None:
        """Once: who restarts the store keeps the passwords and the keys."""
        if not layout.PASSWORDS.exists():
            made = {name: secrets.token_urlsafe(24) for name in (*ACCOUNTS, BATCH.client_id, "redis")}
            replace_file(layout.PASSWORDS, json.dumps(made).encode(), mode=layout.KEY_MODE)
        passwords = json.loads(layout.PASSWORDS.read_text())
        for issuer in layout.ISSUERS:
            kept = layout.signing_keys(issuer)
            if not kept.exists():
                replace_file(kept, SigningKeys().private(), mode=layout.KEY_MODE)
        replace_file(layout.ROOT / "authz" / "redis-password", passwords["redis"].encode(), mode=layout.KEY_MODE)
        digest = hashlib.sha256(passwords["redis"].encode()).hexdigest()
        users = f"user default off\nuser authz on #{digest} ~authz:* &authz:* +@all -@admin -@dangerous +info\n"
        replace_file(layout.ROOT / "redis" / "users.acl", users.encode(), mode=layout.KEY_MODE)

    def _write_envoy(self, service: Service) -> None:
        place = layout.ROOT / service.name
        values = {
            "NODE": service.name,
            "LISTEN": "0.0.0.0",
            "PORT": layout.INBOUND,
            "LOCAL_PORT": layout.LOCAL,
            "OUTBOUND_PORT": layout.OUTBOUND,
            "CA": layout.MESH_CA,
            "EDGE_CERTIFICATE": place / "tls.pem",
            "HOST": PUBLIC_HOST,
            "IDENTITY": place / "identity.yaml",
            "AUTHZ_HOST": "authz",
            "AUTHZ_PORT": layout.AUTHZ_PORT,
            "AUTHZ_ID": AUTHZ_ID,
            "ENCODE_RAW_HEADERS": "true",
        }
        template = "gateway.yaml" if service is GATEWAY else "sidecar.yaml"
        text = envoys.render(template, values, [_upstream(SERVICES[name]) for name in service.calls])
        configuration: dict[str, Any] = yaml.safe_load(text)
        if self._with_spire:
            configuration = envoys.with_spire(
                text, spiffe_id=service.spiffe_id, bundle=f"spiffe://{TRUST_DOMAIN}", agent_socket=spire.AGENT_SOCKET
            )
        replace_file(place / "envoy.yaml", yaml.safe_dump(found_by_name(configuration)).encode())

    def _authz_configuration(self) -> str:
        may_connect = ", ".join(service.spiffe_id for service in SERVICES.values())
        template = (Path(__file__).parents[1] / "authz.yaml").read_text()
        text = envoys.fill(
            template,
            {
                "POLICY": "/policy",
                "PORT": layout.AUTHZ_PORT,
                "ADMIN_PORT": layout.AUTHZ_ADMIN_PORT,
                "SVID": layout.ROOT / "authz" / "svid.pem",
                "CA": layout.MESH_CA,
                "MAY_CONNECT": may_connect,
                "AUDIT": layout.AUDIT / "audit.jsonl",
            },
        )
        if not self._with_spire:
            return text
        settings = yaml.safe_load(text)
        for name in ("cert", "key", "client_ca"):
            del settings["tls"][name]
        settings["tls"] |= {"workload_api": f"unix:{spire.AGENT_SOCKET}", "spiffe_id": AUTHZ_ID}
        return yaml.safe_dump(settings)


def found_by_name(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose clusters look their addresses up, all of them, and again every second."""
    for cluster in configuration["static_resources"]["clusters"]:
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        if not endpoint.get("socket_address", {}).get("address", "127.0.0.1").startswith("127."):
            cluster |= {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "1s"}
    return configuration


def _upstream(service: Service) -> dict[str, object]:
    return {
        "UPSTREAM": service.name,
        "UPSTREAM_HOST": service.host,
        "UPSTREAM_ADDRESS": service.name,
        "UPSTREAM_PORT": layout.INBOUND,
        "UPSTREAM_ID": service.spiffe_id,
        "PREFIX": PREFIXES.get(service.name, "/"),
    }


def _authority(name: str, *, trust_domain: str = "") -> Authority:
    """The one of the last start, or a new one."""
    kept = layout.PRIVATE / f"{name}.pem"
    if kept.exists():
        return Authority("", kept=kept.read_bytes())
    made = Authority(f"the store's {name}", trust_domain=trust_domain, lifetime=_ROOT_LIFETIME)
    pair: KeyPair = made.pair
    write_secret(kept, pair)
    return made


def main() -> int:
    """Write, say so, renew until told to stop."""
    ended = told_to_stop()
    with_spire = os.environ.get("IDENTITIES", "files") == "spire"
    issuing = Issuing(with_spire=with_spire)
    issuing.begin()
    ready()
    print(f"identities from {'SPIRE' if with_spire else 'files'}, secrets and configuration are in place", flush=True)
    while not ended.wait(SVID_LIFETIME.total_seconds() / 2):
        issuing.renew()
    return 0


if __name__ == "__main__":
    sys.exit(main())
