"""`python -m examples.store.containers.provider NAME`: one of the store's OpenID providers, over HTTPS.

Owns: putting the kept keys and passwords together with the provider. Must not: know another provider's keys.
"""

from __future__ import annotations

import json
import ssl
import sys

from examples.store.containers import layout
from examples.store.containers.life import told_to_stop
from examples.store.provider import Provider, SigningKeys
from examples.store.provider_web import ProviderServer

_PORT = 443
"""The issuers' URLs name none."""


def kept_provider(name: str) -> Provider:
    """The issuer of that name, with the keys and passwords of this installation."""
    keys = SigningKeys(layout.signing_keys(name).read_bytes())
    passwords = json.loads(layout.PASSWORDS.read_text())
    return Provider(layout.ISSUERS[name], keys=keys, secrets_of=passwords)


def main(name: str, place: str) -> int:
    """Serve until told to stop."""
    ended = told_to_stop()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(layout.ROOT / place / "tls.pem")
    with ProviderServer(_PORT, provider=kept_provider(name), address="0.0.0.0", tls=tls):
        print(f"{layout.ISSUERS[name]} serves", flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
