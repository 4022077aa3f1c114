"""Renews what deploy/ holds of made things: `settings` in values.schema.json, and the plain manifests.

`python -m tests.deploy.generate`; tests say when it is due.
"""

from __future__ import annotations

import json
from typing import Final

from tests.deploy import tools
from tests.deploy.conftest import render
from tests.unit.deploy.settings_schema import settings_schema

_SCHEMA: Final = tools.DEPLOY / "helm/authz/values.schema.json"
_PLAIN: Final = tools.DEPLOY / "kubernetes/authz.yaml"
_HEAD: Final = "# Made from deploy/helm/authz with values.yaml and the example's policy; `make manifests` renews it.\n"


def main() -> None:
    """Write both."""
    schema = json.loads(_SCHEMA.read_text())
    schema["properties"]["settings"] = settings_schema()
    _SCHEMA.write_text(json.dumps(schema, indent=2) + "\n")
    _PLAIN.write_text(plain())


def plain() -> str:
    """The plain manifests, without helm's notes about its own files."""
    rendered = render("--values", "deploy/kubernetes/values.yaml")
    rendered.check_returncode()
    return _HEAD + "".join(line for line in rendered.stdout.splitlines(True) if not line.startswith("# Source: "))


if __name__ == "__main__":
    main()
