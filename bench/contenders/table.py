"""Each contender: how it starts on an address, whether it decides or only allows, and why it can't run here.

A contender that decides is asked first whether it refuses what it must (`Material.wrong`): one that doesn't is no
contender and the run ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from typing import Final

from bench import cores
from bench.client import check_connection, grpc_body
from bench.contenders import build, compiled
from bench.material import Material
from bench.traffic import Ask, message
from examples.store.processes import Process, Processes, accepts, free_ports
from examples.store.store import is_ready

OURS_NATIVE: Final = "authz, native front"
OURS_GRPCIO: Final = "authz, grpcio front"
OURS_NATIVE_COMPILED: Final = "authz compiled, native front"
OURS_GRPCIO_COMPILED: Final = "authz compiled, grpcio front"
GO_NOOP: Final = "no-op, grpc-go"
_REGO: Final = build.MODULE / "opa" / "rules.rego"


class Skipped(Exception):
    """It can't run here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one run happens."""

    processes: Processes
    directory: Path
    material: Material
    policy: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One that answers. `admin` is the admin port of ours."""

    name: str
    process: Process
    address: str
    admin: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`start` gives the command for an address, or raises `Skipped`."""

    name: str
    command: Callable[[Place, str], list[str]]
    decides: bool = True
    front: str = ""
    """Ours: the front that it must say it uses."""
    compiled: bool = False
    """Ours: on the compiled modules."""


def start(contender: Contender, place: Place, **settings: str) -> Running:
    """Started, ready, and known to answer as it must."""
    if contender.front:
        running = start_ours(
            place, contender.front, name=contender.name, settings=settings, on_compiled=contender.compiled
        )
    else:
        (port,) = free_ports(1)
        address = f"127.0.0.1:{port}"
        command = cores.pinned(contender.command(place, address), cores.SERVER)
        process = place.processes.start(f"{_file_name(contender.name)}-{port}", command)
        process.wait_ready(lambda: accepts(port))
        running = Running(name=contender.name, process=process, address=address)
    _prove(contender, place, running)
    return running


def start_ours(
    place: Place,
    front: str,
    *,
    name: str = "authz",
    on: tuple[int, ...] = (),
    settings: Mapping[str, str] | None = None,
    on_compiled: bool = False,
) -> Running:
    """`authz serve` as it is run: audit to a file, metrics on, defaults but for the ports. `_` for `-` and `.`."""
    if front == "native" and find_spec("pygrpc_native") is None:
        raise Skipped("pygrpc-native is not installed (extra `fast`)")
    if on_compiled and (why := compiled.missing()):
        raise Skipped(why)
    port, admin = free_ports(2)
    given = dict(settings or {})
    address = given.pop("listen", f"127.0.0.1:{port}")
    flags = {
        "policy-dir": str(place.policy),
        "listen": address,
        "admin-listen": f"127.0.0.1:{admin}",
        "front": "auto" if front == "native" else front,
        "health-wait": "0s",
        "reload-interval": "500ms",
        "audit-file": str(place.directory / "audit.jsonl"),
        **{key.replace("_", "-"): value for key, value in given.items()},
    }
    options = [part for flag, value in flags.items() for part in (f"--{flag}", value)]
    command = cores.pinned([sys.executable, "-m", "authz", "serve", *options], *(on or (cores.SERVER,)))
    environment = compiled.environment() if on_compiled else None
    process = place.processes.start(f"{_file_name(name)}-{admin}", command, environment=environment)
    process.wait_ready(lambda: is_ready(admin) and _front_of(process.log), within=60)
    if _said(process.log, "started").get("compiled") is not on_compiled:
        raise RuntimeError(f"{name} is {'not ' if on_compiled else ''}compiled")
    said = _front_of(process.log)
    if said != front:
        process.stop()
        raise Skipped(f"this version of the service has no {front} front (`front: auto` took {said})")
    return Running(name=name, process=process, address=address, admin=admin)


def _front_of(log: Path) -> str:
    """The front that the last start in this log announced."""
    return str(_said(log, "listening").get("front", ""))


def _said(log: Path, event: str) -> dict[str, object]:
    """The last line of this event."""
    found = [json.loads(line) for line in log.read_text(errors="replace").splitlines() if f'"{event}"' in line]
    return dict(found[-1]) if found else {}


def _prove(contender: Contender, place: Place, running: Running) -> None:
    with check_connection(running.address) as connection:
        asks = {"the right one": Ask(token=place.material.token())}
        asks |= place.material.wrong() if contender.decides else {}
        for what, ask in asks.items():
            outcome = connection.closed_loop(repeat(grpc_body(message(ask))), in_flight=1, calls=1)
            if bool(outcome.permits) != (what == "the right one") or outcome.errors or outcome.empty:
                raise RuntimeError(f"{contender.name} answered {what} wrongly: {outcome}")


def _file_name(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


def _go(name: str) -> Callable[[Place, str], list[str]]:
    def command(place: Place, address: str) -> list[str]:
        path = build.binary(name)
        if path is None:
            raise Skipped("not built: `make bench-contenders` says why")
        if name == "noop":
            return [str(path), address]
        data = place.directory / "rego-data.json"
        data.write_bytes(place.material.rego_data())
        return [str(path), address, str(_REGO), str(data)]

    return command


def _python(module: str, needs: str) -> Callable[[Place, str], list[str]]:
    def command(place: Place, address: str) -> list[str]:
        if find_spec(needs) is None:
            raise Skipped(f"{needs} is not installed")
        return [sys.executable, "-m", f"bench.contenders.{module}", address]

    return command


def _ours(place: Place, address: str) -> list[str]:
    raise AssertionError("ours is started by start_ours")


NATIVE: Final = Contender(name=OURS_NATIVE, command=_ours, front="native")
GRPCIO: Final = Contender(name=OURS_GRPCIO, command=_ours, front="grpcio")
OURS: Final = (NATIVE, GRPCIO)
COMPILED: Final = (
    Contender(name=OURS_NATIVE_COMPILED, command=_ours, front="native", compiled=True),
    Contender(name=OURS_GRPCIO_COMPILED, command=_ours, front="grpcio", compiled=True),
)
FLOOR: Final = Contender(name=GO_NOOP, command=_go("noop"), decides=False)
REGO: Final = Contender(name="Rego engine, grpc-go", command=_go("opa"))
ALL: Final = (
    *OURS,
    *COMPILED,
    REGO,
    FLOOR,
    Contender(name="no-op, pygrpc-native", command=_python("noop_native", "pygrpc_native"), decides=False),
    Contender(name="no-op, grpcio", command=_python("noop_grpcio", "grpc"), decides=False),
)
