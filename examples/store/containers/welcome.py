"""The last container that starts: says that the store is open and what to try.

Owns: the sentence. Must not: run before everything else is healthy (docker-compose.yml sees to that).
"""

from __future__ import annotations

import os
import sys

from examples.store.store import PUBLIC_HOST


def main() -> int:
    """Print lines to copy."""
    port, compose = os.environ.get("STORE_PORT", "8443"), os.environ.get("COMPOSE", "docker compose")
    curl = f"curl -sik --connect-to {PUBLIC_HOST}:443:127.0.0.1:{port}"
    print(
        "The store is open. Try, in another terminal:\n\n"
        f"  {compose} run --rm walk                             # the whole table: who may do what, and why not\n"
        f"  ALICE=$({compose} run --rm token alice)             # logs alice in\n"
        f'  {curl} -H "Authorization: Bearer $ALICE" https://{PUBLIC_HOST}/orders/42   # hers: 200\n'
        f'  {curl} -H "Authorization: Bearer $ALICE" https://{PUBLIC_HOST}/orders/7    # bob\'s: 403\n'
        f"  {compose} exec authz-1 authz revoke subject alice --issuer corp --why 'lost laptop'   # then: 401\n\n"
        "Change a file below examples/store/policy and ask again: no restart.",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
