"""Installs what the tests of this folder hold manifests against; see `tests.deploy.tools`.

`python -m tests.deploy.install`; exit code 5 (environment) when something can't be had.
"""

from __future__ import annotations

from tests.deploy import tools
from tests.real.install import main

if __name__ == "__main__":
    raise SystemExit(main({"Helm": tools.helm, "the checker of manifests": tools.checker, "schemas": tools.schemas}))
