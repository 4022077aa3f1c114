"""Results of policy tests in the XML form of JUnit, as CI systems read it."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from authz.cli.rehearsal import Rehearsal
from authz.cli.rehearsal_report import failure_lines
from authz.policy.rehearse import Result

_NOT_XML: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 §2.2 has no place for."""


def as_junit(done: Rehearsal) -> str:
    """One `testsuite` for each document."""
    failed = sum(not result.passed for result in done.results)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="authz" tests="{len(done.results)}" failures="{failed}">',
    ]
    for (policy, place), group in groupby(done.results, lambda one: (one.suite.policy, one.suite.place)):
        results = list(group)
        failures = sum(not result.passed for result in results)
        lines.append(
            f'  <testsuite name={_attribute(policy)} file={_attribute(place.file)} tests="{len(results)}" '
            f'failures="{failures}">'
        )
        lines += [line for result in results for line in _case(result)]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"])


def _case(result: Result) -> list[str]:
    place = result.case.place
    head = (
        f"    <testcase classname={_attribute(result.suite.policy)} name={_attribute(result.case.name)} "
        f'file={_attribute(place.file)} line="{place.line}"'
    )
    if result.passed:
        return [f"{head}/>"]
    text = escape(_NOT_XML.sub("?", "\n".join(failure_lines(result))))
    return [f"{head}>", f"      <failure message={_attribute(result.mistakes[0])}>{text}</failure>", "    </testcase>"]


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("?", text))
