"""The list in memory answers as the plainest list would: every entry kept and looked at one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from authz.engine.revocations import RevocationPlane, marks_of
from authz.model.principal import PrincipalKind, User
from authz.model.revocation import BOUNDED_BY_ISSUE, Revocation, RevocationKind, key_of
from tests.mint.principals import user
from tests.mint.revocations import revocation
from tests.mint.tokens import NOW

START = int(NOW)
NAMES = st.sampled_from(["a", "b", "c", "a\0b", "é"])
ISSUERS = st.sampled_from(["https://one.example", "https://two.example"])


@dataclass
class Naive:
    """Joined entries in a plain list; minutes are rounded up as the real one promises."""

    entries: list[Revocation] = field(default_factory=list)

    def apply(self, one: Revocation) -> None:
        if one.lifted:
            self.entries = [each for each in self.entries if each.key != one.key]
        else:
            self.entries.append(one)

    def revoked(self, shown: User, now: float) -> bool:
        return any(self._meets(kind, shown, now) for kind in RevocationKind)

    def _meets(self, kind: RevocationKind, shown: User, now: float) -> bool:
        sid = shown.claims.get("sid") or ""
        values = {
            RevocationKind.TOKEN: [shown.claims.get("jti")],
            RevocationKind.SESSION: [shown.claims.get("sid")],
            RevocationKind.SUBJECT: [shown.subject],
            RevocationKind.SESSIONLESS: [] if sid else [shown.subject],
            RevocationKind.CLIENT: [shown.client, *([shown.subject] if shown.kind is PrincipalKind.CLIENT else [])],
            RevocationKind.WORKLOAD: [],
        }[kind]
        mine = [
            each
            for each in self.entries
            if each.kind is kind
            and each.note.issuer == shown.issuer_url
            and each.note.value in [value for value in values if value is not None]
        ]
        by_value = {each.note.value: [one for one in mine if one.note.value == each.note.value] for each in mine}
        for same in by_value.values():
            until = max(-(-one.until // 60) * 60 for one in same)
            before = max(one.before for one in same)
            if now < until and (kind not in BOUNDED_BY_ISSUE or int(shown.claims.get("iat", 0)) <= before):  # type: ignore[call-overload]  # claims are objects
                return True
        return False


@st.composite
def entries(draw: st.DrawFn) -> Revocation:
    kind = draw(st.sampled_from([kind for kind in RevocationKind if kind is not RevocationKind.WORKLOAD]))
    return revocation(
        kind,
        draw(NAMES),
        issuer=draw(ISSUERS),
        until=START + draw(st.integers(1, 600)),
        before=START + draw(st.integers(-50, 50)) if kind in BOUNDED_BY_ISSUE else None,
        lifted=draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def users(draw: st.DrawFn) -> User:
    claims: dict[str, object] = {"iat": START + draw(st.integers(-60, 60))}
    for name in ("jti", "sid"):
        if draw(st.booleans()):
            claims[name] = draw(NAMES)
    return user(
        draw(NAMES),
        issuer_url=draw(ISSUERS),
        kind=draw(st.sampled_from(PrincipalKind)),
        client=draw(st.none() | NAMES),
        claims=claims,
    )


@given(acts=st.lists(entries() | st.integers(0, 900), max_size=30), shown=users(), later=st.integers(0, 900))
def test_the_list_is_the_naive_list(acts: list[Revocation | int], shown: User, later: int) -> None:
    """Whatever was revoked, lifted and forgotten in between, both say the same of every token at every time."""
    plane, naive, now = RevocationPlane(1000), Naive(), START
    marks = marks_of(shown)
    for act in acts:
        if isinstance(act, int):
            now = max(now, START + act)
            plane.expire(now=now)
            naive.entries = [
                each
                for each in naive.entries
                if -(-each.until // 60) * 60 > now
                or any(other.key == each.key and -(-other.until // 60) * 60 > now for other in naive.entries)
            ]
        else:
            plane.apply(act)
            naive.apply(act)
    now = max(now, START + later)

    assert (plane.revoked(shown, now=now) is not None) is naive.revoked(shown, now)
    assert plane.revoked(shown, now=now, marks=lambda: marks) is plane.revoked(shown, now=now)


@given(st.lists(st.tuples(st.sampled_from(RevocationKind), ISSUERS, NAMES), unique=True))
def test_no_two_names_share_a_key(names: list[tuple[RevocationKind, str, str]]) -> None:
    """Kind, issuer and value are told apart however the value is written."""
    assert len({key_of(*name) for name in names}) == len(names)
