"""Where everything stands in the containers: one volume per folder, each mounted only where it is needed.

Owns: paths, ports and names inside the containers. Must not: write or read anything.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from examples.store import client

ROOT = Path("/store")
"""A folder per owner: its SVID, its Envoy's configuration, what it needs to know. Group-readable, others not at all."""
PUBLIC = ROOT / "public"
"""What everybody may know: the CA certificates, the bundle."""
PRIVATE = ROOT / "ca"
"""The CAs' keys; only the certificate authority mounts it."""
CALLERS = ROOT / "callers"
"""SVIDs of every workload, for the walk through the scenarios: it plays all of them."""
SECRETS = ROOT / "secrets"
"""Passwords, made at random at the first start, and the providers' signing keys."""
AUDIT = ROOT / "audit"
BUNDLES = ROOT / "bundles"
"""Mounted into the policy directory."""

WEB_CA = PUBLIC / "web-ca.pem"
MESH_CA = PUBLIC / "mesh-ca.pem"
BUNDLE = PUBLIC / "bundle.json"
PASSWORDS = SECRETS / "passwords.json"

ISSUERS = {"corp": "https://idp.shop.example", "partner": "https://idp.partner.example"}
UNKNOWN_ISSUER = "https://idp.unknown.example"

INBOUND, LOCAL, OUTBOUND = 8443, 8080, 8081
"""Ports of a service's own network: its Envoy, its application, its Envoy for the application's calls."""
AUTHZ_PORT, AUTHZ_ADMIN_PORT = 9000, 9001
KEY_MODE = 0o640
"""Of files with keys: their readers are in the store's group and run as users of their own."""


def web_tls() -> ssl.SSLContext:
    """For the providers and the public door."""
    return client.public(WEB_CA)


def signing_keys(issuer: str) -> Path:
    """Where a provider's keys are kept."""
    return SECRETS / f"keys-{issuer}.json"
