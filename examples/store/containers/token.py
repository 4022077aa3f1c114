"""`docker compose run --rm token alice`: logs somebody in and prints the access token, alone on a line.

Owns: nothing but that. Must not: print a password.
"""

from __future__ import annotations

import sys

from examples.store.containers.visitor import Visitor


def main(name: str = "alice") -> int:
    """Log in by authorization code with PKCE, as the storefront's web client does it."""
    print(Visitor().log_in(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
