"""No block of a page is only read: each kind of block on each page has a test that runs or loads it."""

from __future__ import annotations

import json
import re
from typing import Final

import pytest
import yaml

from authz.config.load import load_settings
from authz.policy.load import load
from tests.architecture import tree

_PAGES: Final = ("README.md", *sorted(page for page in tree.markdown_pages() if re.fullmatch(r"docs/[\w-]+\.md", page)))
_EVERYWHERE: Final = {
    "sh": ("tests/integration/test_pages.py", "tests/architecture/test_documents.py"),
    "yaml": ("tests/architecture/test_documents.py", "tests/architecture/test_blocks.py"),
    "json": ("tests/architecture/test_blocks.py",),
}
"""Tests that take every block of the language, whatever the page."""
_BY_PAGE: Final = {
    ("README.md", "console"): "tests/architecture/test_documents.py",
    ("docs/diff.md", "console"): "tests/architecture/test_diff_page.py",
    ("docs/testing-policies.md", "console"): "tests/architecture/test_testing_page.py",
    ("docs/tutorial.md", "console"): "tests/e2e/test_tutorial.py",
    ("docs/tutorial.md", "python"): "tests/e2e/test_tutorial.py",
    ("docs/cli.md", "text"): "docs/generate.py",
}
"""Tests that run a page from top to bottom, or make it."""
_DRAWINGS: Final = frozenset({"docs/architecture.md", "docs/threat-model.md"})
"""Pages whose blocks without a language are drawings; nothing else may be without one."""
_BEYOND: Final = re.compile(r"(?:make|docker|[A-Z_]+=|curl|kubectl|helm|istioctl|\[|\")")
"""What shell blocks hold beside `authz`: targets (test_documents), containers and clusters (suites of their own)."""


def test_each_kind_of_block_has_its_test() -> None:
    """A page with a new kind of block says here who runs it."""
    unknown = {
        f"{block.page}: ```{block.language}"
        for block in tree.blocks(*_PAGES)
        if block.language not in _EVERYWHERE
        and (block.page, block.language) not in _BY_PAGE
        and not (block.language == "" and block.page in _DRAWINGS)
    }

    assert unknown == set()


def test_each_page_that_is_run_names_a_test_that_opens_it() -> None:
    """The table can't go stale: the test reads the page, and the page has such blocks."""
    for (page, language), test in _BY_PAGE.items():
        assert any(block.language == language for block in tree.blocks(page)), page
        assert page.rpartition("/")[2] in tree.text_of(test), test


def test_shell_blocks_hold_what_is_run_somewhere() -> None:
    """Each line begins with `authz`, or with one of the words whose lines another suite runs."""
    odd = [
        f"{block.page}: {line}"
        for block in tree.blocks(*_PAGES)
        if block.language == "sh" and block.page != "docs/tutorial.md"
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("authz ") and not _BEYOND.match(line)
    ]

    assert odd == []


_POLICIES: Final = [
    block
    for block in tree.blocks(*_PAGES)
    if block.language == "yaml" and re.search(r"^apiVersion: authz/v1$", block.text, re.MULTILINE)
]


@pytest.mark.parametrize("number", range(len(_POLICIES)), ids=lambda number: f"{_POLICIES[number].page}-{number}")
def test_each_document_of_a_page_is_read_by_the_loader(number: int) -> None:
    """Alone it may lack what other blocks hold; its own shape is right: no key, type or template is wrong."""
    faults = load({"page.yaml": _POLICIES[number].text.encode()}).faults

    assert [
        str(fault) for fault in faults if re.match(r"(?:yaml|value|list|path|requirement-shape)-", fault.code)
    ] == []


@pytest.mark.parametrize("page", ["docs/settings.md", "docs/operations.md"])
def test_settings_of_a_page_are_settings(page: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A block of settings is a whole file, or the part of one beside a policy directory."""
    folder = tmp_path_factory.mktemp("settings")
    blocks = [block.text for block in tree.blocks(page) if block.language == "yaml"]

    for text in blocks:
        file = folder / "authz.yaml"
        file.write_text(text if "policy_dir" in text else f"policy_dir: policies\n{text}", encoding="utf-8")
        assert load_settings(file=file, environ={}, flags={}).settings

    assert blocks


@pytest.mark.parametrize("number", range(len([one for one in tree.blocks(*_PAGES) if one.language == "json"])))
def test_each_json_block_is_json(number: int) -> None:
    """Below the line that names its file, where there is one."""
    block = [one for one in tree.blocks(*_PAGES) if one.language == "json"][number]

    assert json.loads(re.sub(r"^# .*\n", "", block.text))


def test_other_yaml_is_marked_by_what_it_is() -> None:
    """YAML that is no policy and no settings belongs to Envoy, Istio, Kubernetes or compose: its own keys say so."""
    ours = {block.text for block in _POLICIES}
    odd = [
        f"{block.page}: {block.text[:40]!r}"
        for block in tree.blocks(*_PAGES)
        if block.language == "yaml"
        and block.text not in ours
        and block.page not in {"docs/settings.md", "docs/operations.md"}
        and not _is_known(block)
    ]

    assert odd == []


def _is_known(block: tree.Block) -> bool:
    """Envoy's and Istio's own objects, or a fragment of a policy on the page about the language."""
    documents = list(yaml.safe_load_all(block.text))
    keys = {key for one in documents if isinstance(one, dict) for key in one}
    foreign = {
        "apiVersion",
        "static_resources",
        "typed_per_filter_config",
        "meshConfig",
        "services",
        "name",
        "json_format",
    }
    return bool(keys & foreign) or block.page == "docs/policy-language.md"
