"""Which images these tests run. `make compose-test` builds and names them.

Owns: their names. Must not: build or pull the ones of others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.containers import daemon

ROOT: Final = Path(__file__).resolve().parents[2]
AUTHZ: Final = os.environ.get("AUTHZ_IMAGE", "authz:local")
STORE: Final = os.environ.get("STORE_IMAGE", "authz-store:local")
AIRGAP: Final = os.environ.get("AIRGAP", "") not in ("", "0")
"""Whether the bases were made on this machine, instead of pulled."""
COMPILED: Final = os.environ.get("COMPILED", "") not in ("", "0")
"""Whether they were built with COMPILED=1."""
BASE: Final = os.environ.get("BASE") or ("authz-airgap/python" if AIRGAP else "python:3.11-slim-bookworm")
ENVOY: Final = os.environ.get("ENVOY_IMAGE") or ("authz-airgap/envoy" if AIRGAP else "envoyproxy/envoy:v1.38.3")
REDIS: Final = os.environ.get("REDIS_IMAGE") or ("authz-airgap/redis" if AIRGAP else "redis:7.4-bookworm")
COMPOSE_FILES: Final = ["docker-compose.yml", *(["docker-compose.airgap.yml"] if AIRGAP else [])]
_SKEWED: Final = "authz-skewed:tests"


def skewed() -> str:
    """Our image with libfaketime in it: its clock is what FAKETIME says."""
    folder = Path(__file__).parent / "skewed"
    daemon.client().images.build(path=str(folder), tag=_SKEWED, buildargs={"AUTHZ": AUTHZ}, rm=True)
    return _SKEWED
