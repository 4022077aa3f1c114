"""docs/policy-language.md: its examples are one sound directory."""

from __future__ import annotations

import re
from pathlib import Path

from authz.cli.verified import verified_user
from authz.policy.faults import Severity
from authz.policy.load import load
from authz.policy.parse_tests import read_suites
from authz.policy.rehearse import Stage, run
from authz.wire.challenge import challenge

PAGE = Path(__file__).parents[3] / "docs" / "policy-language.md"


def test_the_examples_of_the_language_page_are_sound_together() -> None:
    """What people copy loads: every document of the page in one directory, without a fault that is an error."""
    files = _files()

    loaded = load(files)

    assert [str(fault) for fault in loaded.faults if fault.severity is Severity.ERROR] == []
    assert loaded.policy is not None
    assert {name.partition(".")[0] for name in files} == {
        "Issuers",
        "TrustDomains",
        "RoutePolicy",
        "Guardrails",
        "Requirements",
        "RoutePolicyTest_test",
    }


def test_the_tests_of_the_language_page_pass() -> None:
    """They are of the policy that the same page shows."""
    files = _files()
    loaded = load(files)
    read = read_suites(files, loaded.parsed)
    assert loaded.policy is not None
    stage = Stage(policy=loaded.policy, documents=loaded.parsed, make_user=verified_user, challenge=challenge)

    results = [run(stage, suite, case) for suite in read.suites for case in suite.cases]

    assert [str(fault) for fault in read.faults] == []
    assert len(results) == 3
    assert [result.mistakes for result in results if not result.passed] == []


def _files() -> dict[str, bytes]:
    """A file for each block, named after its kind."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    kinds = [kind for block in blocks for kind in re.findall(r"^kind: (\w+)$", block, re.MULTILINE)]
    names = [f"{kind}_test.yaml" if kind == "RoutePolicyTest" else f"{kind}.yaml" for kind in kinds]
    return {name: text.encode() for name, text in zip(names, blocks, strict=True)}
