"""The Docker daemon of these tests, and tidying up in it without a helper container.

Owns: finding the daemon, the label that all our containers and networks bear, removing what dead runs left. Must not:
touch anything without that label.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import Final

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # Its image can't be pulled everywhere; we tidy up ourselves.

import docker
from docker.errors import APIError, DockerException, NotFound

LABEL: Final = "authz.tests.run"
RUN: Final = str(os.getpid())
"""Stands in every label and every name of this run."""
NO_DAEMON: Final = (
    "no Docker daemon answers. On Debian: apt-get install docker.io debootstrap docker-compose; "
    'where no init system starts it: eval "$(deploy/airgap/dockerd.sh start)"'
)


class MissingDaemon(Exception):
    """There is no Docker daemon to test with. The text says what to do."""


def client() -> docker.DockerClient:
    """A client of the daemon that DOCKER_HOST names."""
    try:
        found = docker.from_env()
        found.ping()
    except DockerException as error:
        raise MissingDaemon(NO_DAEMON) from error
    return found


def compose_command() -> list[str]:
    """Compose v2 if there is one, else docker-compose 1.29."""
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if v2.returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise MissingDaemon("docker-compose is missing. On Debian: apt-get install docker-compose")


def sweep(*, own: bool) -> None:
    """Remove what runs left whose process is gone; with `own`, what this one left too."""
    found = client()
    for container in found.containers.list(all=True, filters={"label": LABEL}):
        if _is_left(container.labels.get(LABEL, ""), own=own):
            with contextlib.suppress(APIError, NotFound):
                container.remove(force=True, v=True)
    for network in found.networks.list(filters={"label": LABEL}):
        if _is_left(network.attrs.get("Labels", {}).get(LABEL, ""), own=own):
            with contextlib.suppress(APIError, NotFound):
                network.remove()


def _is_left(run: str, *, own: bool) -> bool:
    if run == RUN:
        return own
    try:
        os.kill(int(run), 0)
    except ProcessLookupError:
        return True
    except (ValueError, PermissionError):
        return False
    return False
