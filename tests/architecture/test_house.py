"""What is never committed: names of machines and registries, bare markers, words with two meanings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest
from pip._internal.models.index import PyPI

from tests.architecture import tree

UNFINISHED: Final = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError|xfail)\b")
MARKER: Final = re.compile(
    r"(?:#\s*(?:noqa(?:: [A-Z0-9, ]+\b)?|type: ignore(?:\[[a-z, -]+\])?|pragma: no cover)"
    r"|pytest\.(?:skip|mark\.skip(?:if)?))(?P<reason>.*)$"
)
HOME: Final = re.compile(r"/(?:home|Users)/[a-z]\w*/|/root/")
AMBIGUOUS_WORDS: Final = {
    "workload, for a caller that is a program": re.compile(r"\b(service|machine|workload)[ -]users?\b"),
    "authentication or authorization": re.compile(r"(?<![\w./`-])[Aa]uth(?![\w./`=-])"),
}
_CLIENTS: Final = (
    (sys.executable, "-m", "pip", "config", "list"),
    ("npm", "config", "get", "registry"),
    ("go", "env", "GOPROXY"),
)
THIS_FILE: Final = "tests/architecture/test_house.py"


def _everything() -> tuple[str, ...]:
    return tuple(name for name in tree.committed_files() if name not in {THIS_FILE, "LICENSE"})


def test_no_path_of_a_machine_is_committed() -> None:
    """Nothing names the folder of one clone, a home folder or an environment outside the clone."""
    places = [str(tree.ROOT)] if len(tree.ROOT.parts) > 2 else []

    found = [
        name
        for name in _everything()
        if HOME.search(tree.text_of(name)) or any(place in tree.text_of(name) for place in places)
    ]

    assert found == []


def test_no_package_registry_is_named() -> None:
    """Where packages come from is each machine's own setting, so no registry's host stands in the tree."""
    hosts = {PyPI.netloc, PyPI.file_storage_domain, *_hosts_of_the_system()}

    found = [f"{name}: {host}" for name in _everything() for host in hosts if host in tree.text_of(name)]

    assert found == []


def _hosts_of_the_system() -> set[str]:
    """The hosts that this machine's package clients are set to, those of the clients that are installed."""
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    told = [file.read_text(encoding="utf-8") for file in lists if file.is_file()]
    for command in _CLIENTS:
        if shutil.which(command[0]) is not None:
            told.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    found = re.findall(r"https?://([^/\s:,'\"]+)", "\n".join(told))
    return {host for host in found if "." in host}


def test_nothing_is_marked_unfinished() -> None:
    """What isn't built yet is refused with a message; the tree holds no notes to come back to."""
    found = [
        f"{name}:{number}"
        for name in tree.python_files()
        if name != THIS_FILE
        for number, line in enumerate(tree.text_of(name).splitlines(), start=1)
        if UNFINISHED.search(line)
    ]

    assert found == []


def test_each_silenced_check_says_why() -> None:
    """A check that is switched off for a line has its reason behind the marker or on the line above."""
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in tree.python_files()
        if name != THIS_FILE
        for number, (above, line) in enumerate(_pairs(tree.text_of(name)), start=1)
        if MARKER.search(line) and not _has_reason(above, line)
    ]

    assert found == []


def _pairs(text: str) -> list[tuple[str, str]]:
    lines = text.splitlines()
    return list(zip(["", *lines], lines, strict=False))


def _has_reason(above: str, line: str) -> bool:
    if above.strip().startswith("#"):
        return True
    marker = MARKER.search(line)
    return marker is not None and re.search(r"[a-z]{2}.*[ =].*[a-z]{2}|^\($", marker["reason"]) is not None


@pytest.mark.parametrize("better", sorted(AMBIGUOUS_WORDS))
def test_each_thing_has_one_name(better: str) -> None:
    """The pages use the words of docs/glossary.md as it says."""
    pattern = AMBIGUOUS_WORDS[better]
    pages = [name for name in tree.markdown_pages() if name != "docs/glossary.md"]

    found = [name for name in pages if pattern.search(tree.text_of(name))]

    assert found == [], f"write {better}"


def test_constraints_are_plain_pins_in_order() -> None:
    """The constraints file holds `name==version` only, sorted, each name once."""
    lines = tree.text_of("constraints.txt").splitlines()

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []
    assert lines == sorted(lines, key=str.lower)
    assert len({line.partition("==")[0].lower() for line in lines}) == len(lines)


def test_each_dependency_is_pinned() -> None:
    """What pyproject.toml asks for has its version in the constraints file."""
    project = tomllib.loads(tree.text_of("pyproject.toml"))
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    wanted = {_folded(re.split(r"[>\[]", one)[0]) for group in groups for one in group}
    pinned = {_folded(line.partition("==")[0]) for line in tree.text_of("constraints.txt").splitlines()}

    assert wanted - pinned == {"authz"}


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
