"""The store by `docker-compose.yml` itself, through testcontainers, with whichever Compose there is.

Owns: up, down, and looking at what runs. Must not: know what the containers do.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import docker
from docker.models.containers import Container

from examples.store.processes import free_ports
from tests.containers import daemon, images

from testcontainers.compose import DockerCompose  # isort: skip - after `daemon`, which configures it

_LIMIT: Final = 240
"""Seconds for one command of Compose."""


class Compose(DockerCompose):
    """One project. `say` runs Compose in it, `containers` are its containers by service."""

    def __init__(self, *, profiles: list[str] | None = None, environment: dict[str, str] | None = None) -> None:
        files: list[str | os.PathLike[str]] = [*images.COMPOSE_FILES]
        super().__init__(images.ROOT, compose_file_name=files, wait=False, profiles=profiles)
        self.port = free_ports(1)[0]
        self.project = f"authz-tests-{daemon.RUN}"
        chosen = {"STORE_PORT": str(self.port), "AUTHZ_IMAGE": images.AUTHZ, "STORE_IMAGE": images.STORE}
        self._environment = {**os.environ, **chosen, **(environment or {}), "COMPOSE_PROJECT_NAME": self.project}

    @property
    def compose_command_property(self) -> list[str]:  # type: ignore[override]  # there it is computed once
        files = [option for file in self.compose_file_name or [] for option in ("-f", str(file))]
        profiles = [option for profile in self.profiles or [] for option in ("--profile", profile)]
        return [*daemon.compose_command(), *files, *profiles]

    def _run_command(self, cmd: str | list[str], context: str | None = None) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            cmd,
            cwd=context or str(self.context),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()[-4000:] + self._why()
        return done

    def say(self, *command: str) -> str:
        """What a command of Compose prints."""
        return self._run_command([*self.compose_command_property, *command]).stdout.decode()

    @property
    def containers(self) -> dict[str, Container]:
        """All of them, those that ended too."""
        label = f"com.docker.compose.project={self.project}"
        found = daemon.client().containers.list(all=True, filters={"label": label})
        return {each.labels["com.docker.compose.service"]: each for each in found}

    def health(self, service: str) -> str:
        """What Docker says of a service: `healthy`, or its state where it has no health check."""
        state: dict[str, Any] = self.containers[service].attrs["State"]
        return str(state.get("Health", {}).get("Status") or state["Status"])

    def can_reach(self, source: str, address: str, port: int) -> bool:
        """Whether a process in one container can open a connection to another."""
        container = self.containers[source]
        code, _ = container.exec_run(["timeout", "2", "bash", "-c", f"</dev/tcp/{address}/{port}"])
        return bool(code == 0)

    def _why(self) -> str:
        """The last lines of those that aren't well."""
        with contextlib.suppress(docker.errors.DockerException):
            return "".join(
                f"\n--- {name}\n{each.logs(tail=15).decode()}"
                for name, each in self.containers.items()
                if self.health(name) not in ("healthy", "exited", "running")
            )
        return ""


@contextlib.contextmanager
def composed(*, profiles: list[str] | None = None, environment: dict[str, str] | None = None) -> Iterator[Compose]:
    """Everything up and healthy; everything gone afterwards, volumes too."""
    compose = Compose(profiles=profiles, environment=environment)
    with contextlib.ExitStack() as stack:
        stack.callback(compose.stop)
        compose.start()
        yield compose
