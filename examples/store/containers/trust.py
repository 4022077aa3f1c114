"""`python -m examples.store.containers.trust`: keeps the bundle that authz trusts: the authority's own, or SPIRE's.

Owns: that one file of the policy directory. Must not: trust whoever merely answers: SPIRE's server shows a
certificate for its name. With SPIRE, what comes after waits here until the agents are there too.
"""

from __future__ import annotations

import os
import sys
import urllib.request

from examples.store.containers import layout, spire
from examples.store.containers.life import ready, told_to_stop
from examples.store.store import replace_file

_TARGET = layout.BUNDLES / "shop.json"
_INTERVAL = 2.0
"""Seconds between two looks."""


def main() -> int:
    """Copy it whenever it changes, until told to stop."""
    ended = told_to_stop()
    with_spire = os.environ.get("IDENTITIES", "files") == "spire"
    sockets = [layout.ROOT / f"spire-{agent}" / spire.AGENT_SOCKET.name for agent in spire.AGENTS] if with_spire else []
    while True:
        copied = _copy(with_spire=with_spire)
        if copied and all(socket.exists() for socket in sockets):
            ready()
        if ended.wait(_INTERVAL):
            return 0


def _copy(*, with_spire: bool) -> bool:
    """Whether the bundle is there."""
    try:
        bundle = _from_spire() if with_spire else layout.BUNDLE.read_bytes()
    except OSError as error:
        print(f"no bundle yet: {error}", flush=True)
        return _TARGET.exists()
    if not _TARGET.exists() or _TARGET.read_bytes() != bundle:
        replace_file(_TARGET, bundle)
    return True


def _from_spire() -> bytes:
    with urllib.request.urlopen(spire.BUNDLE_URL, context=layout.web_tls(), timeout=5) as answer:
        bundle: bytes = answer.read()
    return bundle


if __name__ == "__main__":
    sys.exit(main())
