"""`python -m authz` is the command `authz`."""

from __future__ import annotations

import sys

from authz.cli import main

if __name__ == "__main__":
    sys.exit(main())
