"""Host patterns and which of them wins."""

from __future__ import annotations

import pytest

from authz.model.host import Authority
from authz.policy.guardrails import covers_host
from authz.policy.hosts import HostError, HostTable, parse_host

ENTRIES = (
    "api.example",
    "api.example:8443",
    "api.example:*",
    "*.example",
    "*.a.example",
    "{t}.a.example",
    "{t}.example:9000",
    "[::1]",
    "10.0.0.1",
    "localhost:*",
)


@pytest.mark.parametrize(
    ("authority", "winner"),
    [
        ("api.example", "api.example"),
        ("API.example:443", "api.example"),
        ("api.example:80", "api.example"),
        ("api.example:8443", "api.example:8443"),
        ("api.example:1", "api.example:*"),
        ("x.example", "*.example"),
        ("x.y.example:443", "*.example"),
        ("x.example:9000", "{t}.example:9000"),
        ("x.example:8443", None),
        ("x.a.example", "{t}.a.example"),
        ("x.y.a.example", "*.a.example"),
        ("a.example", "*.example"),
        ("example", None),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("[0:0::1]", None),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.2", None),
        ("localhost", "localhost:*"),
        ("localhost:3000", "localhost:*"),
        ("xapi.example.org", None),
    ],
)
def test_the_most_specific_entry_wins(authority: str, winner: str | None) -> None:
    """Exact, then the longest suffix, one label before several; a written port before none before any."""
    table = HostTable((parse_host(text).pattern, text) for text in ENTRIES)

    assert table.find(Authority.parse(authority)) == winner


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "{t}.",
        "A.example",
        "a.example.",
        "a..example",
        "a_b.example",
        "a.example:0",
        "a.example:080",
        "a.example:70000",
        "a.example:80:*",
        "http://a.example",
        "a.example/x",
        "x*.example",
        "a.*.example",
        "{T}.example",
        "{t}x.example",
        "*.{t}.example",
        "*.*.example",
        "*.10.0.0.1",
        "*.[::1]",
        "[::1",
        "[fe80::1%25eth0]",
        "u@a.example",
        "ä.example",
        "a.example\n",
    ],
)
def test_an_entry_that_no_request_could_meet_is_refused(text: str) -> None:
    """What the grammar of authorities refuses can't be written either."""
    with pytest.raises(HostError):
        parse_host(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a.example", "a.example:443", True),
        ("a.example", "a.example:8443", False),
        ("a.example:*", "a.example:1", True),
        ("{t}.example", "{u}.example", True),
        ("{t}.example", "*.example", False),
        ("a.example", "b.example", False),
    ],
)
def test_two_entries_are_one_host_when_they_share_a_port(one: str, other: str, same: bool) -> None:
    """The client chooses the port that it writes, so such entries can't belong to two policies."""
    assert parse_host(one).pattern.meets(parse_host(other).pattern) is same


@pytest.mark.parametrize(
    ("pattern", "authority", "covered"),
    [
        ("a.example", "a.example:8443", True),
        ("a.example:8443", "a.example:8443", True),
        ("a.example:8443", "a.example", False),
        ("a.example:443", "a.example", True),
        ("a.example:80", "a.example", True),
        ("a.example:443", "a.example:80", False),
        ("*.example:443", "a.b.example", True),
        ("a.example", "b.example", False),
    ],
)
def test_a_guardrail_covers_the_ports_that_a_request_may_mean(pattern: str, authority: str, covered: bool) -> None:
    """Leaving a default port out doesn't lead around it."""
    assert covers_host(parse_host(pattern).pattern, Authority.parse(authority)) is covered
