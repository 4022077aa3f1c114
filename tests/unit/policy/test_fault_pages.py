"""docs/faults: each page's first example has the fault, its second doesn't, and the index is the registry."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from authz.cli.policy_directory import read
from authz.cli.rehearsal import rehearse
from authz.policy.faults import FaultCode, Severity
from authz.policy.lint import exercised, lint
from authz.policy.load import load
from authz.policy.parse_tests import read_suites

PAGES = Path(__file__).parents[3] / "docs" / "faults"
OF_THE_FILE_SYSTEM = {"file-unreadable", "file-missing", "file-content", "directory-limit", "lock-stale"}
"""No YAML shows them; tests/unit/sources does."""
ADVICE = [
    FaultCode.OWNER_MISSING,
    FaultCode.PUBLIC_WRITE,
    FaultCode.WORKLOAD_WILDCARD,
    FaultCode.VARIABLE_UNUSED,
    FaultCode.ALTERNATIVE_SHADOWED,
    FaultCode.NEVER_HOLDS,
    FaultCode.PATH_DEAD_END,
    FaultCode.CATCH_ALL_WEAK,
    FaultCode.TEST_MISSING,
    FaultCode.VALUE_SUSPICIOUS,
]
"""What only `authz lint` looks for, in policies that are sound."""
WRITTEN = [code for code in FaultCode if code.code not in OF_THE_FILE_SYSTEM and code not in ADVICE]
TODAY = date(2026, 11, 21)

PLATFORM = {
    "Issuers": "apiVersion: authz/v1\nkind: Issuers\nissuers:\n  corp:\n    issuer: https://idp.shop.example\n"
    "    audiences: [shop-api]\n",
    "TrustDomains": "apiVersion: authz/v1\nkind: TrustDomains\n"
    "trustDomains: {shop.example: {bundle: {file: bundles/shop.json}}}\npeers: {verified_by: envoy}\n",
}
"""What the examples leave out."""


def examples(code: FaultCode) -> list[str]:
    """The two examples of a code's page."""
    text = (PAGES / f"{code.code}.md").read_text(encoding="utf-8")
    return re.findall(r"^```(?:yaml|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def found(example: str) -> dict[str, Severity]:
    """Codes and severities of everything that is reported for the example."""
    files = _files(example)
    loaded = load(files, today=TODAY)
    return {fault.code: fault.severity for fault in (*loaded.faults, *read_suites(files, loaded.parsed).faults)}


def _files(example: str) -> dict[str, bytes]:
    """The example and what it leaves out."""
    first, *named = re.split(r"^# file: (\S+)\n", example, flags=re.MULTILINE)
    files = {"example.yaml": first.encode()} if first else {}
    files |= {name: text.encode() for name, text in zip(named[::2], named[1::2], strict=True)}
    return files | {
        f"{kind}.yaml": text.encode() for kind, text in PLATFORM.items() if f"kind: {kind}\n" not in example
    }


def advised(example: str, folder: Path) -> dict[str, Severity]:
    """What lint says of the example beyond its faults, tests included."""
    for name, data in _files(example).items():
        (folder / name).write_bytes(data)
    directory = read(str(folder), tests=True, references=False)
    tests = exercised(rehearse(directory).results)
    return {fault.code: fault.severity for fault in lint(directory.documents, tests)}


@pytest.mark.parametrize("code", WRITTEN, ids=lambda code: code.code)
def test_the_first_example_has_the_fault(code: FaultCode) -> None:
    """And it is of the severity that the registry says."""
    faulty, _ = examples(code)

    assert found(faulty).get(code.code) is code.severity


@pytest.mark.parametrize("code", ADVICE, ids=lambda code: code.code)
def test_advice_is_given_for_the_first_example_and_not_for_the_second(code: FaultCode, tmp_path: Path) -> None:
    """Both are sound: the service takes them."""
    first, second = examples(code)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()

    assert advised(first, tmp_path / "first").get(code.code) is code.severity
    assert code.code not in advised(second, tmp_path / "second")
    assert found(first) == found(second) == {}


@pytest.mark.parametrize("code", WRITTEN, ids=lambda code: code.code)
def test_the_second_example_has_no_fault_at_all(code: FaultCode) -> None:
    """What is shown as corrected can be copied."""
    _, corrected = examples(code)

    assert found(corrected) == {}


def test_each_page_begins_with_its_code() -> None:
    """A page is found by the code that a report shows."""
    for code in FaultCode:
        assert (PAGES / f"{code.code}.md").read_text(encoding="utf-8").startswith(f"# `{code.code}`\n\n")


def test_the_index_is_the_registry() -> None:
    """Every code with its severity and help, sorted."""
    rows = re.findall(r"^\| \[`(.*?)`\]\((.*?)\) \| (.*?) \| (.*) \|$", (PAGES / "README.md").read_text(), re.MULTILINE)

    assert rows == sorted((code.code, f"{code.code}.md", code.severity.value, code.help) for code in FaultCode)
