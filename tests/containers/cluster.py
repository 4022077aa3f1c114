"""The edge of the store out of single containers, by testcontainers: Envoy, authz, Redis, a provider.

Owns: starting, breaking and removing them. Must not: leave anything behind; everything is removed by its block.
Certificates, passwords and configuration come from the store's own authority, run once into a folder that the
containers mount. Three networks: `door` with the published port, `checks` between Envoy and authz, `behind` for what
authz relies on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.networks import Network

from examples.store import client
from examples.store.client import Answer
from examples.store.containers import layout
from examples.store.processes import wait_for
from examples.store.store import PUBLIC_HOST
from tests.containers import daemon, images
from tests.e2e.load import Load

from testcontainers.core.container import DockerContainer  # isort: skip - after `daemon`, which configures it
from testcontainers.core.network import Network as NetworkOfTestcontainers  # isort: skip

_UID: Final = os.getuid() or 10001
"""Whom the containers run as: whoever owns the folders that they mount, never root."""
_NUMBERS: Final = itertools.count(1)
_FOLDERS: Final = (
    "ca",
    "public",
    "callers",
    "secrets",
    "audit",
    "bundles",
    "authz",
    "redis",
    "redis-data",
    "idp",
    "partner-idp",
    "gateway",
)


class Cluster:
    """Made by `running`. `authz` holds the replicas by name."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack) -> None:
        self.directory = directory
        self.policy = directory / "policy"
        self.authz: dict[str, DockerContainer] = {}
        self._prefix = f"authz-tests-{daemon.RUN}-{next(_NUMBERS)}"
        self._stack = stack
        self._client = daemon.client()
        self._networks = {name: self._network(name) for name in ("door", "checks", "behind")}

    # --- starting ---

    def start(self) -> None:
        """Everything but authz and Envoy."""
        self._make_folders()
        self._run_authority()
        self._write_policy()
        self.redis = self._start_redis()
        self._start_provider()

    def start_authz(
        self,
        name: str,
        *,
        image: str = images.AUTHZ,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
    ) -> DockerContainer:
        """One more replica; returns once its health check says that it serves."""
        container = self._container(
            name, image, **_limits(memory="512m"), tmpfs={"/run/authz": f"uid={_UID}"}, healthcheck=_OFTEN
        )
        container.with_command("serve --config /store/authz/authz.yaml")
        container.with_envs(**_SETTINGS, **(environment or {}), AUTHZ_AUDIT__FILE=f"/store/audit/{name}.jsonl")
        self._mount(container, "authz", "public")
        container.with_volume_mapping(self.directory / "audit", "/store/audit", "rw")
        for source, target in {self.policy: "/policy", **(mounts or {})}.items():
            container.with_volume_mapping(source, target)
        self._run(container, "behind", name)
        self._networks["checks"].connect(_raw(container), aliases=["authz"])
        self.authz[name] = container
        self.await_healthy(name)
        return container

    def start_envoy(self) -> None:
        """The gateway's Envoy, and the application in the same network stack."""
        application = self._container("application", images.STORE, **_limits())
        loopback: Any = {"8443/tcp": ("127.0.0.1", None)}  # Any free port; testcontainers knows no addresses.
        application.ports.update(loopback)
        application.with_command("examples.store.containers.application gateway")
        self._run(application, "door", "gateway")
        self._networks["checks"].connect(_raw(application))
        stack = f"container:{_raw(application).id}"
        limits = _limits(memory="256m")
        envoy = self._container("envoy", images.ENVOY, **limits, network_mode=stack, entrypoint=["envoy"])
        envoy.with_command("-c /store/gateway/envoy.yaml --concurrency 1 --disable-hot-restart --log-level warning")
        self._mount(envoy, "gateway", "public")
        self._begin(envoy)
        self.port = self._published(application)
        wait_for("Envoy", lambda: self._answers(200 if self.authz else 403), within=30)

    # --- breaking ---

    def kill(self, name: str) -> None:
        """SIGKILL: the replica is gone without a word."""
        _raw(self.authz.pop(name)).kill()

    def stop(self, name: str) -> int:
        """As an orchestrator does it: SIGTERM, time to drain, gone. Its exit code."""
        container = _raw(self.authz.pop(name))
        container.stop(timeout=20)
        code = int(container.wait()["StatusCode"])
        container.remove(v=True)
        return code

    @contextlib.contextmanager
    def replica(self, name: str, **options: Any) -> Iterator[None]:
        """One that `start_authz` starts, for a block; it ends without draining."""
        try:
            self.start_authz(name, **options)
            yield
        finally:
            if name in self.authz:
                _raw(self.authz.pop(name)).remove(force=True, v=True)

    @contextlib.contextmanager
    def partition(self) -> Iterator[None]:
        """No packet passes between Envoy and the replicas; what else they talk to is there."""
        for container in self.authz.values():
            self._networks["checks"].disconnect(_raw(container))
        try:
            yield
        finally:
            for container in self.authz.values():
                self._networks["checks"].connect(_raw(container), aliases=["authz"])

    @contextlib.contextmanager
    def redis_paused(self) -> Iterator[None]:
        """It keeps its connections and answers nothing."""
        _raw(self.redis).pause()
        try:
            yield
        finally:
            _raw(self.redis).unpause()

    # --- asking ---

    def token(self, name: str = "alice") -> str:
        """Logs in at the provider, from a container of its network."""
        code, output = self._say(self._provider, "python", "-m", "examples.store.containers.token", name)
        assert code == 0, output
        return output.strip()

    def ask(self, target: str = "/", *, token: str = "") -> Answer:
        """One request at the edge."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return client.send(
            self.port, "GET", target, host=PUBLIC_HOST, headers=headers, tls=self._public(), server_name=PUBLIC_HOST
        )

    def load(self, token: str) -> Load:
        """Steady traffic of somebody logged in."""
        tls = self._public()
        tls.check_hostname = False  # http.client would compare the certificate with 127.0.0.1.
        return Load(self.port, "/", {"Host": PUBLIC_HOST, "Authorization": f"Bearer {token}"}, tls=tls)

    def reason(self, answer: Answer) -> str:
        """Why, as authz wrote it down; empty when Envoy denied without a decision."""
        decision_id = answer.headers.get("x-authz-decision-id", "")
        return str(self._audit(decision_id)["reason"]) if decision_id else ""

    def say(self, name: str, *command: str) -> tuple[int, str]:
        """Exit code and output of a command in a replica."""
        return self._say(self.authz[name], *command)

    def await_healthy(self, name: str) -> None:
        """Until the image's own health check is content."""
        container = _raw(self.authz[name])

        def settled() -> bool:
            container.reload()
            state = container.attrs["State"]
            assert state["Status"] in ("created", "running"), container.logs().decode()[-3000:]
            return bool(state["Health"]["Status"] == "healthy")

        wait_for(f"{name} healthy", settled, within=40)

    # --- inside ---

    def _make_folders(self) -> None:
        for name in _FOLDERS:
            (self.directory / name).mkdir(mode=0o770)
        if os.getuid() == 0:
            for folder in (self.directory, *(self.directory / name for name in _FOLDERS)):
                os.chown(folder, _UID, _UID)

    def _run_authority(self) -> None:
        """The store's own authority, until everything is written."""
        authority = self._container(
            "authority", images.STORE, **_limits(), network_mode="none", tmpfs={"/tmp": f"uid={_UID}"}
        )
        authority.with_command("examples.store.containers.ca")
        authority.with_volume_mapping(self.directory, "/store", "rw")
        self._begin(authority)
        wait_for("the authority", lambda: b"in place" in _raw(authority).logs(), within=30)

    def _write_policy(self) -> None:
        shutil.copytree(images.ROOT / "examples" / "store" / "policy", self.policy)
        shutil.copyfile(self.directory / "public" / "bundle.json", self.policy / "platform" / "bundles" / "shop.json")

    def _start_redis(self) -> DockerContainer:
        redis = self._container("redis", images.REDIS, **_limits())
        options = {
            "aclfile": "/store/redis/users.acl",
            "port": "0",
            "tls-port": "6379",
            "tls-auth-clients": "no",
            "tls-cert-file": "/store/redis/tls.pem",
            "tls-key-file": "/store/redis/tls.pem",
            "tls-ca-cert-file": "/store/public/web-ca.pem",
            "dir": "/data",
            "appendonly": "yes",
        }
        redis.with_command("redis-server " + " ".join(f"--{name} {value}" for name, value in options.items()))
        self._mount(redis, "redis", "public")
        redis.with_volume_mapping(self.directory / "redis-data", "/data", "rw")
        self._run(redis, "behind", "redis")
        return redis

    def _start_provider(self) -> None:
        self._provider = self._container("idp", images.STORE, **_limits())
        self._provider.with_command("examples.store.containers.provider corp idp")
        self._mount(self._provider, "idp", "secrets", "public", "audit")
        self._run(self._provider, "behind", "idp.shop.example")
        wait_for("the provider", lambda: b"serves" in _raw(self._provider).logs(), within=30)

    def _container(
        self, name: str, image: str, *, tmpfs: Mapping[str, str] | None = None, **options: Any
    ) -> DockerContainer:
        made = DockerContainer(image).with_name(f"{self._prefix}-{name}")
        made.tmpfs.update(tmpfs or {})
        return made.with_kwargs(labels={daemon.LABEL: daemon.RUN}, **options)

    def _mount(self, container: DockerContainer, *owners: str) -> None:
        for owner in owners:
            container.with_volume_mapping(self.directory / owner, f"/store/{owner}")

    def _run(self, container: DockerContainer, network: str, alias: str) -> None:
        container.with_network(_Named(self._networks[network].name)).with_network_aliases(alias)
        self._begin(container)

    def _begin(self, container: DockerContainer) -> None:
        container.start()
        self._stack.callback(_end, container)

    def _network(self, name: str) -> Network:
        made = self._client.networks.create(
            f"{self._prefix}-{name}", internal=name != "door", labels={daemon.LABEL: daemon.RUN}
        )
        self._stack.callback(_remove_network, made)
        return made

    def _published(self, container: DockerContainer) -> int:
        raw = _raw(container)
        raw.reload()
        binding = raw.attrs["NetworkSettings"]["Ports"]["8443/tcp"][0]
        assert binding["HostIp"] == "127.0.0.1"
        return int(binding["HostPort"])

    def _answers(self, status: int) -> bool:
        try:
            return self.ask("/healthz").status == status
        except OSError:
            return False

    def _public(self) -> ssl.SSLContext:
        return client.public(self.directory / "public" / layout.WEB_CA.name)

    def _audit(self, decision_id: str) -> dict[str, object]:
        found: list[dict[str, object]] = []

        def look() -> bool:
            for file in (self.directory / "audit").glob("*.jsonl"):
                found.extend(json.loads(line) for line in file.read_text().splitlines() if decision_id in line)
            return bool(found)

        wait_for("the audit line", look, within=5)
        return found[0]

    def _say(self, container: DockerContainer, *command: str) -> tuple[int, str]:
        done = _raw(container).exec_run(list(command))
        return int(done.exit_code), done.output.decode()


class _Named(NetworkOfTestcontainers):
    """What testcontainers asks of a network: its name."""

    def __init__(self, name: str | None) -> None:
        self.name = name or ""  # Ours bears a label and is removed by us.


_SETTINGS: Final = {
    "AUTHZ_CONFIG": "/store/authz/authz.yaml",
    "AUTHZ_LISTEN": "0.0.0.0:9000,unix:/run/authz/authz.sock",
    "AUTHZ_HEALTH_WAIT": "3s",
    "AUTHZ_KEYS__ALLOW_PRIVATE": "true",
    "AUTHZ_KEYS__CA_FILE": "/store/public/web-ca.pem",
    "AUTHZ_STORE__URL": "rediss://redis:6379/0",
    "AUTHZ_STORE__USER": "authz",
    "AUTHZ_STORE__PASSWORD_FILE": "/store/authz/redis-password",
    "AUTHZ_STORE__CA_FILE": "/store/public/web-ca.pem",
    "AUTHZ_REVOCATION__SOCKET": "unix:/run/authz/revoke.sock",
}
"""As in docker-compose.yml."""


_OFTEN: Final = {"test": ["CMD", "authz", "health"], "interval": 10**9, "timeout": 3 * 10**9, "retries": 60}
"""The image's own health check, each second (in nanoseconds): tests wait for it."""


def _limits(*, memory: str = "128m") -> dict[str, Any]:
    """As in docker-compose.yml."""
    return {
        "user": f"{_UID}:{_UID}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": memory,
        "pids_limit": 128,
    }


def _raw(container: DockerContainer) -> Container:
    found: Container | None = container.get_wrapped_container()
    assert found is not None
    return found


def _end(container: DockerContainer) -> None:
    with contextlib.suppress(NotFound):
        container.stop()


def _remove_network(network: Network) -> None:
    network.reload()
    for container in network.containers:
        network.disconnect(container, force=True)
    network.remove()


@contextlib.contextmanager
def running(*, replicas: tuple[str, ...] = ("authz-1", "authz-2")) -> Iterator[Cluster]:
    """Healthy replicas, and an Envoy that asks them."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-containers-")))
        directory.chmod(0o755)
        cluster = Cluster(directory, stack)
        cluster.start()
        for name in replicas:
            cluster.start_authz(name)
        cluster.start_envoy()
        yield cluster
