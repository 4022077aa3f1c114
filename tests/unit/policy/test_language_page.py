"""docs/policy-language.md: its examples are one sound directory."""

from __future__ import annotations

import re
from pathlib import Path

from authz.policy.faults import Severity
from authz.policy.load import load

PAGE = Path(__file__).parents[3] / "docs" / "policy-language.md"


def test_the_examples_of_the_language_page_are_sound_together() -> None:
    """What people copy loads: every document of the page in one directory, without a fault that is an error."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    kinds = [kind for block in blocks for kind in re.findall(r"^kind: (\w+)$", block, re.MULTILINE)]
    names = [f"{kind}_test.yaml" if kind == "RoutePolicyTest" else f"{kind}.yaml" for kind in kinds]

    loaded = load({name: text.encode() for name, text in zip(names, blocks, strict=True)})

    assert [str(fault) for fault in loaded.faults if fault.severity is Severity.ERROR] == []
    assert loaded.policy is not None
    assert set(kinds) == {"Issuers", "TrustDomains", "RoutePolicy", "Guardrails", "Requirements", "RoutePolicyTest"}
