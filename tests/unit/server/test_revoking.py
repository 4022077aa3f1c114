"""Acts of revocation: how long they last, what they may be, and that each leaves its line."""

from __future__ import annotations

from typing import Any

import pytest

from authz.model.principal import User
from authz.model.revocation import ALWAYS, RevocationKind
from authz.server.revoking import EVERYWHERE, HERE, LONGEST, Act, ActRefused
from tests.fakes.revoking import Desk
from tests.mint.principals import user
from tests.mint.revocations import numbered
from tests.mint.tokens import ISSUER, NOW

FRONTEND = "spiffe://shop.example/ns/shop/sa/frontend"
LIFETIME = 3600 + 30 + 1
"""The longest that a token of the issuer can be valid: max_lifetime, the skew, and the second that was cut off."""


def act(kind: RevocationKind = RevocationKind.SUBJECT, value: str = "alice", **fields: Any) -> Act:
    issuer = {} if kind is RevocationKind.WORKLOAD else {"issuer": "corp"}
    return Act(**{"kind": kind, "value": value, "by": "unix:root", "why": "left", **issuer, **fields})


def shown(issued: float = NOW) -> User:
    return user(issuer_url=ISSUER, claims={"jti": "j", "sid": "s", "iat": issued})


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (RevocationKind.TOKEN, "j"),
        (RevocationKind.SESSION, "s"),
        (RevocationKind.SUBJECT, "alice"),
        (RevocationKind.CLIENT, "spa"),
    ],
)
def test_an_act_is_in_force_at_once_and_ends_with_the_tokens(desk: Desk, kind: RevocationKind, value: str) -> None:
    """The issuer's longest token bounds it: after that no token that it concerns is valid any more."""
    done = desk.revoker.do(act(kind, value))

    assert done.result == EVERYWHERE
    assert done.entry.until == int(NOW) + LIFETIME
    assert desk.plane.revoked(shown(), now=NOW) is kind


def test_a_time_ahead_refuses_what_is_issued_until_then(desk: Desk) -> None:
    """A client whose secret is known to others stays out until it has a new one."""
    done = desk.revoker.do(act(before=int(NOW) + 86_400))

    assert done.entry.until == int(NOW) + 86_400 + LIFETIME
    assert desk.plane.revoked(shown(NOW + 86_000), now=NOW + 86_000) is RevocationKind.SUBJECT


@pytest.mark.parametrize(("lasting", "seconds"), [(None, 86_400), (60, 60), (LONGEST, LONGEST)])
def test_a_workload_is_revoked_for_a_time(desk: Desk, lasting: int | None, seconds: int) -> None:
    """Its certificates are renewed by themselves: nothing else would end it."""
    done = desk.revoker.do(act(RevocationKind.WORKLOAD, FRONTEND, lasting=lasting))

    assert (done.entry.before, done.entry.until) == (ALWAYS, int(NOW) + seconds)


@pytest.mark.parametrize(
    "wrong",
    [
        act(issuer="unknown"),
        act(issuer=""),
        act(value=""),
        act(value="a\nb"),
        act(value="x" * 3000),
        act(why=""),
        act(why="a\x1b[2J"),
        act(why="x" * 501),
        act(before=0),
        act(before=int(NOW) + LONGEST + 1),
        act(lasting=60),
        act(RevocationKind.TOKEN, "j", before=int(NOW)),
        act(RevocationKind.WORKLOAD, "spiffe://shop.example"),
        act(RevocationKind.WORKLOAD, "frontend"),
        act(RevocationKind.WORKLOAD, FRONTEND, lasting=0),
        act(RevocationKind.WORKLOAD, FRONTEND, lasting=LONGEST + 1),
        act(RevocationKind.WORKLOAD, FRONTEND, before=1),
        act(lift=True),
    ],
)
def test_an_act_that_isnt_right_changes_nothing_and_is_recorded(desk: Desk, wrong: Act) -> None:
    """What was tried belongs on the trail too."""
    with pytest.raises(ActRefused):
        desk.revoker.do(wrong)

    assert len(desk.plane) == 0
    assert desk.stream.entries == []
    assert [record.result for record in desk.trail] == ["refused"]
    assert desk.trail[0].error


def test_each_act_leaves_a_line(desk: Desk) -> None:
    """Who did what to whom, why, when, and what became of it."""
    desk.revoker.do(act())
    desk.revoker.do(act(lift=True, why="a mistake"))

    first, second = desk.trail
    assert (first.act, first.by, first.kind, first.issuer, first.value, first.why, first.result, first.time) == (
        "revoke",
        "unix:root",
        "subject",
        "corp",
        "alice",
        "left",
        "everywhere",
        NOW,
    )
    assert (first.before, first.until) == (int(NOW), int(NOW) + LIFETIME)
    assert (second.act, second.why, second.result) == ("lift", "a mistake", "everywhere")
    assert desk.plane.revoked(shown(), now=NOW) is None
    assert desk.revoker.counts() == {("revoke", "everywhere"): 1, ("lift", "everywhere"): 1}


def test_while_the_store_is_away_an_act_is_in_force_here(desk: Desk) -> None:
    """The caller is told; asking again says the same until the others know."""
    desk.stream.away = True

    results = [desk.revoker.do(act()).result for _ in range(2)]
    desk.stream.away = False
    results.append(desk.revoker.do(act()).result)

    assert results == [HERE, HERE, EVERYWHERE]
    assert desk.plane.revoked(shown(), now=NOW) is RevocationKind.SUBJECT


def test_what_is_in_force_everywhere_isnt_written_again(desk: Desk) -> None:
    """An act that says nothing new costs the store nothing, and still leaves its line."""
    for _ in range(3):
        desk.revoker.do(act())

    assert len(desk.stream.entries) == 1
    assert len(desk.trail) == 3


def test_logouts_leave_room_for_people() -> None:
    """A flood of logouts can't keep an operator from revoking."""
    desk = Desk(capacity=100)
    for number in range(99):
        desk.plane.apply(numbered(number))

    with pytest.raises(ActRefused, match="full"):
        desk.revoker.do(act(RevocationKind.SESSION, "s"), name="logout")

    assert desk.revoker.do(act(RevocationKind.SESSION, "s")).result == EVERYWHERE
