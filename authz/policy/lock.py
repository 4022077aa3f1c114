"""`access.lock`: effective access as a text whose lines change only when access does (`authz lock`).

One block per policy, one per route, lines sorted, so that plain `git diff` of the file shows who gains or loses what.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from authz.policy.describe import Access, access_of
from authz.policy.meaning import Side

FILE_NAME: Final = "access.lock"
_HEAD: Final = (
    "# Who may call what: made by `authz lock`, to be committed. Don't edit; run `authz lock` after a change.\n"
)


def lock_text(side: Side) -> str:
    """The whole file."""
    return _HEAD + "".join(f"{line}\n" for line in _lines(side))


def _lines(side: Side) -> Iterator[str]:
    for policy, routes in groupby(access_of(side), key=lambda one: one.policy):
        members = list(routes)
        first = members[0]
        yield ""
        yield f"policy {policy}"
        yield from (f"  host {host}" for host in first.hosts)
        yield from (f"  at {entry}" for entry in first.at)
        if first.by_name:
            yield "  by name"
        for one in members:
            yield from _route(one)


def _route(one: Access) -> Iterator[str]:
    upgrade = f" upgrade {one.upgrade}" if one.upgrade else ""
    yield f"  {' '.join(one.methods)} {one.path}{upgrade}  [{one.route}]"
    yield from (f"    allow {sentence}" for sentence in sorted(one.who))
    yield from (f"    guardrail {sentence}" for sentence in one.guardrails)
