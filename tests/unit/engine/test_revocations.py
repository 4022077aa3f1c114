"""The revocation list in memory: what it refuses, when it forgets, how much it takes."""

from __future__ import annotations

import pytest

from authz.engine.revocations import PlaneFull, RevocationPlane, UnsafeNoRevocations
from authz.model.principal import PrincipalKind
from authz.model.revocation import Revocation, RevocationKind
from authz.model.spiffe import SpiffeId
from tests.mint.principals import user
from tests.mint.revocations import LATER, numbered, revocation
from tests.mint.tokens import ISSUER, NOW

CLAIMS = {"jti": "4f2c", "sid": "s-1", "iat": int(NOW) - 60}


def holding(*entries: Revocation, capacity: int = 1000) -> RevocationPlane:
    plane = RevocationPlane(capacity)
    for entry in entries:
        plane.apply(entry)
    return plane


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (RevocationKind.TOKEN, "4f2c"),
        (RevocationKind.SESSION, "s-1"),
        (RevocationKind.SUBJECT, "alice"),
        (RevocationKind.CLIENT, "spa"),
    ],
)
def test_a_token_is_refused_by_each_of_its_names(kind: RevocationKind, value: str) -> None:
    """By its jti, its session, its subject or its client; and by those of no other issuer."""
    plane, foreign = holding(revocation(kind, value)), holding(revocation(kind, value, issuer="https://other.example"))

    assert plane.revoked(user(claims=CLAIMS, issuer_url=ISSUER), now=NOW) is kind
    assert foreign.revoked(user(claims=CLAIMS, issuer_url=ISSUER), now=NOW) is None


@pytest.mark.parametrize("kind", list(RevocationKind))
def test_no_name_stands_for_another_kind(kind: RevocationKind) -> None:
    """The same text as a jti, a sid, a subject and a client are different things."""
    plane = holding(revocation(kind, "x"))
    names = {"TOKEN": {"jti": "x"}, "SESSION": {"sid": "x"}}

    found = {
        other: plane.revoked(
            user(
                "x" if other == "SUBJECT" else "y",
                client="x" if other == "CLIENT" else "y",
                claims={"iat": int(NOW), "sid": "z", **names.get(other, {})},
            ),
            now=NOW,
        )
        for other in ("TOKEN", "SESSION", "SUBJECT", "CLIENT")
    }

    assert {other for other, by in found.items() if by} == ({kind.name} & found.keys())


@pytest.mark.parametrize("kind", [RevocationKind.SUBJECT, RevocationKind.CLIENT])
@pytest.mark.parametrize(("issued", "refused"), [(-1, True), (0, True), (0.9, True), (1, False)])
def test_what_was_issued_later_is_spared(kind: RevocationKind, issued: float, refused: bool) -> None:
    """Times are whole seconds: a token of the very second is refused, one of the next passes."""
    plane = holding(revocation(kind, "alice", before=int(NOW)))
    shown = user("alice", client="alice", claims={"iat": NOW + issued}, issuer_url=ISSUER)

    assert (plane.revoked(shown, now=NOW) is kind) is refused


def test_a_token_that_says_no_time_counts_as_old() -> None:
    """An opaque token may come without iat (RFC 7662 §2.2): nobody can say that it was issued later."""
    plane = holding(revocation(RevocationKind.SUBJECT, "alice"))

    assert plane.revoked(user(claims={}), now=NOW) is RevocationKind.SUBJECT


def test_after_a_logout_tokens_without_a_session_are_refused() -> None:
    """They may belong to the session that ended; those of another session don't."""
    plane = holding(revocation(RevocationKind.SESSIONLESS, "alice"))

    assert plane.revoked(user(claims={"iat": int(NOW)}), now=NOW) is RevocationKind.SESSIONLESS
    assert plane.revoked(user(claims={"iat": int(NOW), "sid": ""}), now=NOW) is RevocationKind.SESSIONLESS
    assert plane.revoked(user(claims={"iat": int(NOW), "sid": "other"}), now=NOW) is None


def test_a_clients_own_tokens_are_its_tokens() -> None:
    """A token that stands for a client may name it only as its subject."""
    plane = holding(revocation(RevocationKind.CLIENT, "batch"))

    assert plane.revoked(user("batch", kind=PrincipalKind.CLIENT, client=None), now=NOW) is RevocationKind.CLIENT
    assert plane.revoked(user("batch", kind=PrincipalKind.PERSON, client=None), now=NOW) is None


@pytest.mark.parametrize("value", [7, None, ["4f2c"], ""])
def test_a_name_that_is_no_text_is_no_name(value: object) -> None:
    """Nothing is folded or converted (RFC 7519 §4.1.7)."""
    plane = holding(revocation(RevocationKind.TOKEN, "7"), revocation(RevocationKind.TOKEN, "4f2c"))

    assert plane.revoked(user(claims={"jti": value, "iat": int(NOW)}), now=NOW) is None


def test_a_workload_is_refused_by_its_whole_id() -> None:
    """Neither a longer nor a shorter path, nor another trust domain."""
    plane = holding(revocation(RevocationKind.WORKLOAD, "spiffe://shop.example/ns/shop"))

    ids = [
        "spiffe://shop.example/ns/shop",
        "spiffe://shop.example/ns/shop/sa",
        "spiffe://shop.example/ns",
        "spiffe://other.example/ns/shop",
    ]

    assert [plane.revoked_workload(SpiffeId.parse(one), now=NOW) for one in ids] == [True, False, False, False]


def test_an_entry_ends_and_is_forgotten() -> None:
    """It counts until its minute is over; then its memory is given back."""
    plane = holding(revocation(RevocationKind.TOKEN, "4f2c", until=int(NOW) + 60))
    shown, end = user(claims=CLAIMS), -(-(int(NOW) + 60) // 60) * 60

    assert plane.revoked(shown, now=end - 0.1) is RevocationKind.TOKEN
    assert plane.revoked(shown, now=end) is None
    assert (plane.expire(now=end - 1), len(plane)) == (0, 1)
    assert (plane.expire(now=end), len(plane)) == (1, 0)


def test_entries_of_one_key_are_joined() -> None:
    """The later of both times counts, whichever came first."""
    early = revocation(RevocationKind.SUBJECT, "alice", before=int(NOW) - 10, until=LATER + 600)
    late = revocation(RevocationKind.SUBJECT, "alice", before=int(NOW), until=LATER)

    for order in ((early, late), (late, early)):
        found = holding(*order).find(early.kind, early.key)
        assert found is not None
        assert found.before == int(NOW)
        assert found.until >= LATER + 600
        assert holding(*order).covers(early)
        assert holding(*order).covers(late)


def test_a_longer_entry_outlives_its_first_end() -> None:
    """Forgetting looks at the entry as it is now."""
    plane = holding(numbered(1, until=int(NOW) + 60), numbered(1, until=LATER))

    assert plane.expire(now=NOW + 600) == 0
    assert plane.expire(now=LATER + 60) == 1


def test_the_same_act_again_and_again_takes_no_more_room() -> None:
    """Whoever logs out each minute of a long lifetime is one entry, and ends with the last of those."""
    plane = RevocationPlane()
    for minute in range(100):
        plane.apply(revocation(RevocationKind.SUBJECT, "alice", until=int(NOW) + 60 * minute))

    table = plane._tables[RevocationKind.SUBJECT]
    assert sum(map(len, table._ending.values())) == 1
    for minute in range(99):
        assert plane.expire(now=NOW + 60 * minute) == 0
        assert plane.revoked(user("alice", issuer_url=ISSUER), now=NOW + 60 * minute) is not None
    assert plane.expire(now=NOW + 60 * 101) == 1
    assert len(plane) == 0 and not table._ending


def test_an_entry_can_be_lifted() -> None:
    """The token passes again; lifting what isn't there changes nothing."""
    plane = holding(revocation(RevocationKind.TOKEN, "4f2c"))
    lift = revocation(RevocationKind.TOKEN, "4f2c", lifted=True)

    assert [plane.apply(lift), plane.apply(lift)] == [True, False]
    assert plane.revoked(user(claims=CLAIMS), now=NOW) is None


def test_a_full_list_refuses_new_entries_only() -> None:
    """What is there can be made to last longer and be lifted; expiry makes room."""
    plane = holding(*(numbered(number) for number in range(10)), capacity=10)

    with pytest.raises(PlaneFull):
        plane.apply(numbered(10))
    assert plane.apply(numbered(9, until=LATER + 600))
    plane.apply(revocation(RevocationKind.TOKEN, "token-0", lifted=True))
    assert plane.apply(numbered(10))


def test_a_part_of_the_room_is_kept() -> None:
    """Logouts can't take the last hundredth, in which people revoke."""
    plane = holding(*(numbered(number) for number in range(198)), capacity=200)

    assert (plane.has_room(reserved=True), plane.has_room(reserved=False)) == (True, False)


def test_nothing_known_is_said_to_be_nothing_known() -> None:
    """Without a list nothing is revoked, and issuers that insist on knowing are told so."""
    nothing = UnsafeNoRevocations()

    assert nothing.revoked(user(claims=CLAIMS), now=NOW) is None
    assert nothing.stale()
