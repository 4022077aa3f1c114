"""docs/faults: each page's first example has the fault, its second doesn't, and the index is the registry."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from authz.policy.faults import FaultCode, Severity
from authz.policy.load import load
from authz.policy.parse_tests import read_suites

PAGES = Path(__file__).parents[3] / "docs" / "faults"
OF_THE_FILE_SYSTEM = {"file-unreadable", "file-missing", "file-content", "directory-limit"}
"""No YAML shows them; tests/unit/sources does."""
WRITTEN = [code for code in FaultCode if code.code not in OF_THE_FILE_SYSTEM]
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
    first, *named = re.split(r"^# file: (\S+)\n", example, flags=re.MULTILINE)
    files = {"example.yaml": first.encode()} if first else {}
    files |= {name: text.encode() for name, text in zip(named[::2], named[1::2], strict=True)}
    files |= {f"{kind}.yaml": text.encode() for kind, text in PLATFORM.items() if f"kind: {kind}\n" not in example}
    loaded = load(files, today=TODAY)
    return {fault.code: fault.severity for fault in (*loaded.faults, *read_suites(files, loaded.parsed).faults)}


@pytest.mark.parametrize("code", WRITTEN, ids=lambda code: code.code)
def test_the_first_example_has_the_fault(code: FaultCode) -> None:
    """And it is of the severity that the registry says."""
    faulty, _ = examples(code)

    assert found(faulty).get(code.code) is code.severity


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
