"""What tests of the policy reader share: a directory of texts, read."""

from __future__ import annotations

from authz.policy.document import ParsedDirectory, RoutePolicyDocument
from authz.policy.faults import Fault, Faults
from authz.policy.parse import parse

HEAD = "apiVersion: authz/v1\n"
POLICY = HEAD + "kind: RoutePolicy\nmetadata: {name: orders}\nservice: {hosts: [orders.shop.example]}\n"


def read(files: dict[str, str | bytes]) -> tuple[ParsedDirectory, tuple[Fault, ...]]:
    """The directory and its faults, sorted by place."""
    faults = Faults()
    directory = parse({name: text.encode() if isinstance(text, str) else text for name, text in files.items()}, faults)
    return directory, faults.sorted()


def codes(text: str, file: str = "a.yaml") -> list[str]:
    """The codes of one file's faults, in order of place."""
    return [fault.code for fault in read({file: text})[1]]


def messages(text: str) -> str:
    """All messages of one file's faults."""
    return "\n".join(fault.message for fault in read({"a.yaml": text})[1])


def with_route(allow: str, extra: str = "") -> str:
    """A policy of one route; `allow` and `extra` are flow YAML."""
    return POLICY + (
        f"routes:\n  - id: orders.read\n    match: {{methods: [GET], path: /orders}}\n    allow: {allow}\n{extra}"
    )


def policy(text: str) -> RoutePolicyDocument:
    """The one sound policy of a file."""
    directory, faults = read({"a.yaml": text})
    assert not faults, [str(fault) for fault in faults]
    return directory.policies[0]
