"""The `authz` lines that pages show in shell blocks: each is run, with the places that it names put elsewhere."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from examples.store import envoys
from tests.architecture import console, tree
from tests.fakes.processes import RunningService

STORE: Final = tree.ROOT / "examples" / "store" / "policy"
CHANGED: Final = tree.ROOT / "tests" / "cases" / "diff"
_PAGES: Final = ("README.md", *sorted(page for page in tree.markdown_pages() if page.startswith("docs/")))
_EXIT_CODES: Final = {
    "authz lint": 0,
    "authz test": 0,
    "authz health": 0,
    "authz bundle show": 0,
    "authz issuer check": 5,  # there is no provider at the example's addresses
    "authz explain": 1,  # nor is what stands in the file a token
    "authz diff": 1,
    "authz doctor": 0,
    "authz drift": 0,
    "authz envoy cluster": 0,
    "authz revoke list": 0,
    "authz revoke lift": 1,  # nobody was revoked
    "authz revoke subject": 0,
}
"""How each ends here; `authz serve` serves until it is told to stop."""

_EDGE: Final = {
    "LISTEN": "127.0.0.1",
    "PORT": 10000,
    "LOCAL_PORT": 8080,
    "AUTHZ_PORT": 9000,
    "ENCODE_RAW_HEADERS": "true",
}
"""What stands in for the dump of a running Envoy: its bootstrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory with what the pages name, and a service that answers at `port`."""

    directory: Path
    port: str

    @property
    def environment(self) -> Mapping[str, str]:
        return {"AUTHZ_REVOCATION__SOCKET": f"unix:{self.directory}/revoke.sock"}

    def put_here(self, command: str) -> str:
        """The command with the places of this directory."""
        for shown, real in (
            ("/etc/authz/policy", str(self.directory / "policy")),
            ("/etc/authz/authz.yaml", str(self.directory / "authz.yaml")),
            ("unix:/run/authz/", f"unix:{self.directory}/"),
            ("127.0.0.1:9000", f"127.0.0.1:{self.port}"),
        ):
            command = command.replace(shown, real)
        return command


def _lines() -> list[tuple[str, str]]:
    """Page and command of each `authz` line in a shell block; what runs in a container is tested there."""
    return [
        (block.page, line)
        for block in tree.blocks(*_PAGES)
        if block.language == "sh" and block.page != "docs/tutorial.md"
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.startswith("authz ")
    ]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="authz-") as name:
        directory = Path(name)
        shutil.copytree(STORE, directory / "policy")
        (directory / "token.txt").write_text("a.b.c")
        (directory / "authz.yaml").write_text(f"policy_dir: {directory}/policy\nlisten: ['127.0.0.1:9000']\n")
        (directory / "edge.json").write_text(json.dumps(yaml.safe_load(envoys.render("edge-single.yaml", _EDGE))))
        service = RunningService(
            *("--policy", str(directory / "policy"), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"),
            *("--health-wait", "0ms", "--audit-file", str(directory / "audit.jsonl")),
            *("--revocation-socket", f"unix:{directory}/revoke.sock"),
            *("--revocation-file", str(directory / "revocations.jsonl")),
        )
        try:
            port = str(service.event("listening")["port"])
            service.event("started")
            yield Place(directory=directory, port=port)
        finally:
            service.end()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work tree in which `policy` is no longer what it is on `origin/main`."""
    directory = tmp_path_factory.mktemp("clone")
    shutil.copytree(CHANGED / "before", directory / "policy")
    git = "git -c user.name=a -c user.email=a@b.example"
    done = console.run(
        f"git init -q && git add . && {git} commit -qm before && git update-ref refs/remotes/origin/main HEAD",
        directory,
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(directory / "policy")
    shutil.copytree(CHANGED / "after", directory / "policy")
    return directory


@pytest.mark.parametrize(("page", "line"), [one for one in _lines() if not one[1].startswith("authz serve")])
def test_each_line_ends_as_it_should(page: str, line: str, place: Place, clone: Path) -> None:
    """It isn't a usage error, and its exit code is the documented one for what it meets here."""
    (known,) = [code for start, code in _EXIT_CODES.items() if line.startswith(start)]
    folder = clone if line.startswith("authz diff") else tree.ROOT if "examples/" in line else place.directory

    environment = place.environment if line.startswith("authz revoke") else {}
    done = console.run(place.put_here(line), folder, **environment)

    assert done.returncode == known, f"{page}: {line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("line", [line for _, line in _lines() if line.startswith("authz serve")])
def test_each_service_that_a_page_starts_comes_up(line: str, place: Place) -> None:
    """With the flags that are shown, at addresses of its own."""
    command = place.put_here(line.replace("127.0.0.1:9000", "127.0.0.1:0")).replace("examples/store", str(STORE.parent))
    service = RunningService(*command.split()[2:], "--admin-listen", "127.0.0.1:0", "--health-wait", "0ms")

    try:
        service.event("started")
    finally:
        service.process.terminate()
    assert service.wait() == 0
