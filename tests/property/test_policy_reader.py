"""Invariant: whatever the bytes, `parse` returns; what it didn't report as a fault, it read.

Fuzzed three ways: any bytes, any YAML that PyYAML can write, and a sound directory with a few bytes changed.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.policy.faults import Faults, Severity
from authz.policy.parse import parse

EXAMPLE = Path(__file__).parent.parent / "cases" / "lint" / "sound"
SOUND = {path.name: path.read_bytes() for path in sorted(EXAMPLE.glob("*.yaml"))}
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

words = st.sampled_from(
    [
        "apiVersion",
        "authz/v1",
        "kind",
        "RoutePolicy",
        "Issuers",
        "Guardrails",
        "Requirements",
        "TrustDomains",
        "metadata",
        "name",
        "service",
        "hosts",
        "at",
        "routes",
        "id",
        "match",
        "methods",
        "path",
        "allow",
        "any",
        "all",
        "not",
        "user",
        "workload",
        "claims",
        "equals",
        "exists",
        "public",
        "{path.x}",
        "{",
        "}}",
        "GET",
        "/a/{b}",
        "issuers",
        "audiences",
        "guardrails",
        "deny",
        "for",
        "except",
        "until",
        "2027-01-01",
        "peers",
        "trustDomains",
        "bundle",
        "roles",
        "keys",
    ]
) | st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6), max_leaves=25
)


def read(files: dict[str, bytes]) -> bool:
    """Parse; whether a fault was found. Every fault has a place in one of the files."""
    faults = Faults()
    directory = parse(files, faults)
    for fault in faults.sorted():
        assert fault.place.file in files
        assert fault.place.line >= 1 and fault.place.column >= 1
        assert fault.message.isprintable()
    named = {fault.policy for fault in faults}
    assert all(policy.name not in named for policy in directory.policies)
    return any(fault.severity is Severity.ERROR for fault in faults)


@QUICK
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_reported(data: bytes) -> None:
    """No bytes raise, and what doesn't even name our language is no sound policy. (Hypothesis tries the constants of
    these tests too, some of which are sound documents.)"""
    assert read({"a.yaml": data}) or b"authz/v1" in data


@QUICK
@given(st.dictionaries(words, values, max_size=8))
def test_any_yaml_is_read_or_reported(document: dict[str, object]) -> None:
    """No tree raises, whatever stands where."""
    read({"a.yaml": yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")})


@QUICK
@given(st.sampled_from(["Issuers", "TrustDomains", "Guardrails", "Requirements", "RoutePolicy"]), st.data())
def test_any_value_at_any_key_of_a_kind_is_read_or_reported(kind: str, data: st.DataObject) -> None:
    """A document of each kind with one subtree exchanged never raises."""
    text = next(text for text in SOUND.values() if f"kind: {kind}\n".encode() in text)
    document = yaml.safe_load(text)
    node = document
    while isinstance(node, (dict, list)) and node:
        key = data.draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.integers(0, len(node) - 1))
        if not isinstance(node[key], (dict, list)) or data.draw(st.booleans()):
            node[key] = data.draw(values)
            break
        node = node[key]

    read({**SOUND, "changed.yaml": yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")})


@QUICK
@given(st.data())
def test_a_directory_with_changed_bytes_is_read_or_reported(data: st.DataObject) -> None:
    """Bytes cut, doubled or replaced anywhere never raise."""
    name = data.draw(st.sampled_from(sorted(SOUND)))
    text = SOUND[name]
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 20)))
    inserted = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"{", b"- ", b": ", b"&a ", b"*a", b"!!str ", b"\n---\n", b"\t"])
    )

    read({**SOUND, name: text[:begin] + inserted + text[end:]})


def test_the_directory_that_is_changed_is_sound() -> None:
    """Otherwise the fuzzing would begin in the dark."""
    assert not read(SOUND)
