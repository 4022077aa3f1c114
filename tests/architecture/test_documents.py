"""The pages can't drift from what they describe: links, targets, commands, fault pages, policies."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import yaml

from authz.policy.load import load
from examples.store.scenarios import SCENARIOS
from tests.architecture import console, tree

_LINK: Final = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
_DEMO_ROW: Final = re.compile(r"^\| `[A-Z]+ [^|]+` \| ([^|]+) \| (?:allow|deny) (\d+) \| `(\w+)` \|$", re.MULTILINE)
_COMMAND: Final = re.compile(r"^(?:\$ )?(?:sudo )?authz ([a-z][a-z-]*(?: [a-z]+)?)(.*)$", re.MULTILINE)
_FLAG: Final = re.compile(r"(?<!\S)--[a-z][a-z-]+")
_MAKE: Final = re.compile(r"(?:`|^(?:\$ )?)make ([a-z0-9-]+)", re.MULTILINE)
_TARGET: Final = re.compile(r"^([a-z0-9-]+):(?!=)(.*)$", re.MULTILINE)


def test_each_link_leads_somewhere() -> None:
    """A relative link of a page names a file of the repository."""
    broken = [
        f"{page}: {target}"
        for page in tree.markdown_pages()
        for target in _LINK.findall(tree.text_of(page))
        if not (tree.ROOT / page).parent.joinpath(target).exists()
    ]

    assert broken == []


def test_make_help_lists_every_target() -> None:
    """Whoever reads `make help` knows all that there is; the parts of `make check` are left out."""
    targets = dict(_TARGET.findall(tree.text_of("Makefile")))

    silent = {name for name, rest in targets.items() if "## " not in rest and not name.startswith("check-")}

    assert silent == set()


def test_each_target_that_a_page_names_exists() -> None:
    """A `make` command in a page is a target of the Makefile."""
    targets = {name for name, _ in _TARGET.findall(tree.text_of("Makefile"))}

    named = {
        f"{page}: {target}"
        for page in tree.markdown_pages()
        for target in _MAKE.findall(tree.text_of(page))
        if target not in targets
    }

    assert named == set()


@cache
def _help(*command: str) -> str | None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("authz")), *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "100", "PATH": "/usr/bin:/bin"},
    )
    return done.stdout if done.returncode == 0 else None


def _documented_commands() -> list[tuple[str, str, str]]:
    """Page, command and arguments of each `authz …` line in a shell block."""
    return [
        (block.page, match[1], match[2])
        for block in tree.blocks(*tree.markdown_pages())
        if block.language in {"sh", "bash", "console"}
        for match in _COMMAND.finditer(block.text.replace("\\\n", " "))
    ]


def test_each_command_that_a_page_shows_exists_with_its_flags() -> None:
    """An `authz` command line in a page is one that `--help` knows, flags included."""
    wrong = []
    for page, command, arguments in _documented_commands():
        words = command.split()
        text = _help(*words) or _help(words[0])
        unknown = [flag for flag in _FLAG.findall(arguments) if text is None or flag not in text]
        if text is None or unknown:
            wrong.append(f"{page}: authz {command} {unknown}")

    assert wrong == []


@pytest.mark.parametrize("block", [block for block in tree.blocks("README.md") if block.language == "console"])
def test_what_the_readme_shows_is_what_is_printed(block: tree.Block) -> None:
    """Each command of a console block prints the lines below it; `…` stands for lines left out."""
    for command, expected in console.commands(block.text):
        done = console.run(command, tree.ROOT)

        assert console.fits(expected, done.stdout), done.stdout


def test_the_rows_of_the_demo_that_the_readme_shows_are_the_demos() -> None:
    """Verdict and reason of each row are those that the demo holds its own requests to."""
    expected = {one.title: (one.status, one.reason) for one in SCENARIOS}

    shown = {title: (int(status), reason) for title, status, reason in _DEMO_ROW.findall(tree.text_of("README.md"))}

    assert len(shown) >= 5
    assert {title: expected.get(title) for title in shown} == shown


def test_the_pages_show_commands() -> None:
    """The check above isn't vacuous: lint, explain and serve are shown somewhere."""
    shown = {command.split()[0] for _, command, _ in _documented_commands()}

    assert {"lint", "explain", "serve"} <= shown


def _yaml_blocks() -> list[tree.Block]:
    return [block for block in tree.blocks(*tree.markdown_pages()) if block.language == "yaml"]


@pytest.mark.parametrize("number", range(len(_yaml_blocks())))
def test_each_yaml_block_is_yaml(number: int) -> None:
    """What a page shows as YAML can be read as such."""
    block = _yaml_blocks()[number]

    assert list(yaml.safe_load_all(block.text)), block.page


def test_the_policy_of_the_readme_is_fifteen_lines_and_clean() -> None:
    """The README's policy loads as it stands, without a fault or a warning, beside a minimal platform."""
    (policy,) = [block.text for block in tree.blocks("README.md") if "kind: RoutePolicy" in block.text]

    loaded = load({"platform.yaml": _PLATFORM, "orders.yaml": policy.encode()})

    assert [str(fault) for fault in loaded.faults] == []
    assert loaded.policy is not None
    assert len(policy.splitlines()) <= 15


_PLATFORM: Final = b"""\
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    keys: discovery
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example:
    bundle: {file: bundles/shop.json}
peers:
  verified_by: envoy
"""
