"""Two policies' answers to one kind of request as formulas over what the caller shows.

A `Question` is a kind of request (a host, a path, a method) with what each side would evaluate for it. Its variables
are the parts of what a caller presents, with the values of `policy.universe`; its formulas say for which values a side
permits. The three values of the language become two by asking only "at least" and "at most" (`Bound`). Whoever uses an
answer evaluates it again for real (`policy.difference` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from authz.model.issuer import ClaimPath, IssuerSettings
from authz.model.principal import Binding, PrincipalKind, Principals, Via, Workload
from authz.model.request import AuthzRequest, Peer
from authz.model.spiffe import SpiffeId
from authz.policy.asks import (
    SUBJECT,
    Around,
    Ask,
    BoundAsk,
    KindAsk,
    OpaqueAsk,
    Operator,
    Reading,
    Source,
    UserAsk,
    Wanted,
    asks_of,
)
from authz.policy.claim_conditions import compare, compare_element
from authz.policy.compiled import CompiledGuardrail, Matched, Outcome, Scene, Usage, Variable, VariableType
from authz.policy.conditions import source_condition
from authz.policy.document import (
    AllOf,
    AnyOf,
    NobodyRequirement,
    NotRequirement,
    PublicRequirement,
    Quantifier,
    Requirement,
    SourceRequirement,
    UserRequirement,
    WorkloadRequirement,
)
from authz.policy.finite import FALSE, TRUE, Formula, Space, conjunction, disjunction
from authz.policy.meaning import Choice, Side
from authz.policy.presented import (
    UNUSABLE,
    Peers,
    Presented,
    ReadUser,
    Shown,
    Token,
    Unusable,
    accepted_audiences,
    workloads,
)
from authz.policy.requirements import Leaf, leaves_under
from authz.policy.three_values import Mode, interval
from authz.policy.universe import (
    ARRAY,
    FOREIGN,
    MISSING,
    OBJECT,
    Part,
    Universe,
    addresses,
    is_scope,
    typed,
    workload_ids,
)
from authz.policy.workload_conditions import workload_conditions

MAX_PEERS: Final = 4000
"""Combinations of workload identities in one question."""


class Bound(Enum):
    """What is asked of an outcome's interval: a test of `(lowest, highest)`, and the same of the negation."""

    HOLDS = "holds"
    NOT_FALSE = "not false"
    FAILS = "fails"
    NOT_TRUE = "not true"

    def met(self, outcome: Outcome) -> bool:
        if self is Bound.HOLDS:
            return outcome.lowest >= 2
        if self is Bound.NOT_FALSE:
            return outcome.lowest >= 1
        return outcome.highest <= 0 if self is Bound.FAILS else outcome.highest <= 1

    @property
    def least(self) -> bool:
        """Whether it asks for at least something: then `all` needs it of each."""
        return self in (Bound.HOLDS, Bound.NOT_FALSE)


_NEGATED: Final = {
    Bound.HOLDS: Bound.FAILS,
    Bound.FAILS: Bound.HOLDS,
    Bound.NOT_FALSE: Bound.NOT_TRUE,
    Bound.NOT_TRUE: Bound.NOT_FALSE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one side evaluates for the question's requests."""

    side: Side
    matched: Matched
    guardrails: tuple[CompiledGuardrail, ...]
    usage: Usage
    host_variable: str

    @property
    def variables(self) -> Mapping[str, tuple[int, VariableType]]:
        return {
            part.name: (index, part.type)
            for index, part in enumerate(self.matched.route.template.segments)
            if isinstance(part, Variable)
        }

    def trees(self) -> Iterator[tuple[Choice | None, Requirement, Mode, bool]]:
        """Each tree that counts: its alternative, the tree, how absence is read, whether it is a guardrail's."""
        if not self.matched.preflight:
            for choice in self.side.route(self.matched.route):
                for leaf in choice.leaves:
                    yield choice, leaf, Mode.PLAIN, False
        for guardrail in self.guardrails:
            if guardrail.deny:
                yield None, self.side.deny(guardrail), Mode.DENY, True
            else:
                for choice in self.side.require(guardrail):
                    for leaf in choice.leaves:
                        yield choice, leaf, Mode.PLAIN, True


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a leaf stands: which side, how absence is read, and what its alternative says."""

    standing: Standing
    mode: Mode
    accepted: frozenset[str]
    via: Via | None
    guardrail: bool


@dataclass(frozen=True, slots=True)
class _Triple:
    """When a field is true, false or absent; exactly one of them at a time."""

    true: Formula
    false: Formula
    absent: Formula


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Values that meet what was asked for: what the caller shows, and what references of the request hold."""

    presented: Presented
    address: str
    references: Mapping[Source, str]
    opaque: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the caller beforehand: the issuer and some claims of their token, one workload. `only`: what
    isn't named isn't shown."""

    issuer_url: str | None = None
    only: bool = False
    claims: Mapping[ClaimPath, object] = field(default_factory=dict)
    kind: PrincipalKind | None = None
    workload: tuple[Via, SpiffeId] | None = None


class Question:
    """One kind of request. `parts` are the path's segments by position; `label` is the host's first label."""

    def __init__(
        self,
        request: AuthzRequest,
        parts: tuple[Part, ...],
        label: Part | None,
        standings: tuple[Standing, ...],
        read: ReadUser,
        now: float,
        facts: Facts | None = None,
    ) -> None:
        self.space = Space()
        self.exact = True
        self._request = request
        self._standings = standings
        self._read = read
        self._now = now
        self._facts = facts or Facts()
        self._asks: dict[tuple[object, ...], tuple[UserAsk, ...]] = {}
        self._universe = Universe(parts=dict(enumerate(parts)), label=label, now=now)
        self._opaque: dict[str, int] = {}
        self._collect()
        self._declare()

    # --- collecting

    def _collect(self) -> None:
        self._leaves: list[tuple[_Place, Leaf]] = []
        for standing in self._standings:
            for choice, tree, mode, guardrail in standing.trees():
                place = _place(standing, choice, mode, guardrail)
                for leaf in leaves_under(tree):
                    inner = place if leaf is tree else _under(place, mode)
                    self._leaves.append((inner, leaf))
        for place, leaf in self._leaves:
            if isinstance(leaf, UserRequirement):
                for name in sorted(self._issuers(place, leaf) & place.standing.usage.issuers):
                    self._collect_asks(self._asks_of(place, leaf, name), place.standing.side.issuers[name])
        for path, value in self._facts.claims.items():
            self._universe.note(path, value)
        for settings in self._known_issuers():
            self._collect_asks((KindAsk(PrincipalKind.PERSON),), settings)
        self._universe.close()
        self.exact = self._universe.exact

    def _known_issuers(self) -> list[IssuerSettings]:
        """How each side reads the tokens of a caller whose kind is known."""
        url = self._facts.issuer_url
        if url is None or self._facts.kind is None:
            return []
        found = (standing.side.policy.issuers_by_url.get(url) for standing in self._standings)
        return [settings for settings in found if settings is not None]

    def _collect_asks(self, asks: Iterable[UserAsk], settings: IssuerSettings) -> None:
        for ask in asks:
            if isinstance(ask, Ask):
                self._universe.add(ask)
            elif isinstance(ask, KindAsk):
                rule = settings.client_tokens
                self._universe.mention(SUBJECT, Reading.SUBJECT, Operator.HOLDS)
                if rule is not None:
                    self._universe.note(rule.claim, rule.equals)
                else:
                    self._universe.add(
                        Ask(settings.client, Reading.TEXT, Operator.HOLDS, (Wanted(source=Source("claim", SUBJECT)),))
                    )

    def _issuers(self, place: _Place, leaf: UserRequirement) -> frozenset[str]:
        return place.standing.side.issuers_of(
            leaf, place.accepted, loose=place.mode is not Mode.PLAIN, guardrail=place.guardrail
        )

    def _asks_of(self, place: _Place, leaf: UserRequirement, issuer: str) -> tuple[UserAsk, ...]:
        key = (id(leaf), id(place.standing), issuer, place.via, place.guardrail)
        if key not in self._asks:
            standing = place.standing
            around = Around(
                {} if place.guardrail else standing.variables,
                "" if place.guardrail else standing.host_variable,
                place.via,
            )
            self._asks[key] = tuple(asks_of(leaf, standing.side.issuers[issuer], around))
        return self._asks[key]

    # --- variables

    def _declare(self) -> None:
        space, universe = self.space, self._universe
        urls: dict[str, set[frozenset[str]]] = {}
        for standing in self._standings:
            for name in sorted(standing.usage.issuers):
                settings = standing.side.issuers[name]
                urls.setdefault(settings.issuer, set()).add(accepted_audiences(settings, standing.matched))
        known = () if self._facts.issuer_url is None else (self._facts.issuer_url,)
        self._user = space.declare("user", (None, *urls, *known, UNUSABLE))
        every = frozenset(audience for sets in urls.values() for one in sets for audience in one)
        differ = any(len(sets) > 1 for sets in urls.values())
        singles = [frozenset({audience}) for audience in sorted(every)] if differ else []
        self._audiences = space.declare("audiences", (every, *singles))
        self._bound = space.declare(
            "bound", (frozenset(), *(frozenset({binding}) for binding in Binding), frozenset(Binding))
        )
        self._shape = {path: space.declare(path, universe.shapes(path)) for path in universe.scalars}
        self._members = {
            path: {
                typed(value): (value, space.declare(("member", path, typed(value)), (False, True)))
                for value in universe.elements(path)
            }
            for path in universe.scalars
        }
        self._source_variables = {
            source: space.declare(source, (None, *values) if source.kind == "header" else values)
            for source, values in universe.sources.items()
            if source.kind != "workload"
        }
        nets = [leaf for _, leaf in self._leaves if isinstance(leaf, SourceRequirement)]
        own = self._request.source.address
        self._address = space.declare("address", dict.fromkeys((own, *addresses(nets))) if nets else (own,))
        self._peers = space.declare("peers", self._all_peers())

    def _all_peers(self) -> Iterator[Peers]:
        vias = frozenset(via for standing in self._standings for via in standing.usage.vias)
        yield Peers()
        if self._facts.workload is not None:
            yield _known_peer(*self._facts.workload)
        if not vias:
            return
        asked = [leaf for _, leaf in self._leaves if isinstance(leaf, WorkloadRequirement)]
        trusts = [standing.side.policy.trust for standing in self._standings if standing.side.policy.trust is not None]
        segments: dict[int, list[str]] = {}
        for source, values in self._universe.sources.items():
            if source.kind == "workload":
                assert isinstance(source.key, tuple)
                segments.setdefault(source.key[1], []).extend(values)
        ids, complete = workload_ids(asked, trusts, segments)
        proxies = frozenset(proxy for trust in trusts for proxy in trust.trusted_proxies)
        self.exact = self.exact and complete
        if self._facts.workload is not None:
            ids = (*ids, self._facts.workload[1])
        shown: tuple[Shown, ...] = (None, *ids, UNUSABLE)
        count = 0
        for mtls in shown:
            behind = shown if Via.FORWARDED in vias and mtls in proxies else (None,)
            for forwarded in behind:
                for jwt_svid in shown if Via.JWT_SVID in vias else (None,):
                    count += 1
                    if count > MAX_PEERS:
                        self.exact = False
                        return
                    yield Peers(mtls=mtls, forwarded=forwarded, jwt_svid=jwt_svid)

    # --- formulas

    def consistent(self) -> Formula:
        """What any token obeys: a claim inside another needs that one to be an object."""
        paths = sorted(self._shape, key=len)
        rules: list[Formula] = []
        for number, inner in enumerate(paths):
            for outer in paths[:number]:
                if len(outer) < len(inner) and inner[: len(outer)] == outer:
                    there = self._is(self._shape[inner], lambda value: value is not MISSING)
                    rules.append(
                        disjunction(
                            (self.space.negation(there), self._is(self._shape[outer], lambda value: value is OBJECT))
                        )
                    )
        return conjunction(rules)

    def known(self) -> Formula:
        """That the caller is as the facts say."""
        facts = self._facts
        rules = [self._is_claim(path, one) for path, one in facts.claims.items()]
        if facts.kind is not None:
            # The first side's reading: the old one's, which decided.
            rules += [self._kind(KindAsk(facts.kind), settings).true for settings in self._known_issuers()[:1]]
        if facts.issuer_url is not None or facts.only:
            rules.append(self._is(self._user, lambda value: value == facts.issuer_url))
        if facts.workload is None and facts.only:
            rules.append(self._is(self._peers, lambda value: value == Peers()))
        if facts.workload is not None:
            via, named = facts.workload
            rules.append(self._is(self._peers, lambda value: getattr(value, _PEER[via]) == named))
            if facts.only:
                rules.append(self._is(self._peers, lambda value: value == _known_peer(via, named)))
        return conjunction(rules)

    def _is_claim(self, path: ClaimPath, known: object) -> Formula:
        """That the claim has exactly this value; for a list, that it holds these texts and no others."""
        if not isinstance(known, list):
            return self._is(self._shape[path], lambda value: typed(value) == typed(known))
        inside = {typed(value) for value in known}
        return conjunction(
            (
                self._is(self._shape[path], lambda value: value is ARRAY),
                *(
                    self.space.one_of(member, (key not in inside, key in inside))
                    for key, (_, member) in self._members[path].items()
                ),
            )
        )

    def permits(self, standing: Standing) -> Formula:
        """When the side lets the request through."""
        parts: list[Formula] = []
        for guardrail in standing.guardrails:
            if guardrail.deny:
                place = _place(standing, None, Mode.DENY, True)
                bound = Bound.FAILS if guardrail.absent_denies else Bound.NOT_TRUE
                parts.append(self._tree(standing.side.deny(guardrail), place, bound))
            else:
                parts.append(self._choices(standing, standing.side.require(guardrail), guardrail=True))
        if not standing.matched.preflight:
            parts.append(self._choices(standing, standing.side.route(standing.matched.route), guardrail=False))
        return conjunction(parts)

    def alternatives(self, standing: Standing) -> Iterator[tuple[Choice, Formula]]:
        """Each alternative of the route, and when it holds."""
        for choice in standing.side.route(standing.matched.route):
            yield choice, self._choices(standing, (choice,), guardrail=False)

    def _choices(self, standing: Standing, choices: tuple[Choice, ...], *, guardrail: bool) -> Formula:
        return disjunction(
            conjunction(
                self._tree(leaf, _place(standing, choice, Mode.PLAIN, guardrail), Bound.HOLDS) for leaf in choice.leaves
            )
            for choice in choices
        )

    def _tree(self, node: Requirement, place: _Place, bound: Bound) -> Formula:
        if isinstance(node, AllOf | AnyOf):
            combine = conjunction if isinstance(node, AllOf) is bound.least else disjunction
            return combine(self._tree(item, place, bound) for item in node.items)
        if isinstance(node, NotRequirement):
            return self._tree(node.item, _under(place, place.mode), _NEGATED[bound])
        if isinstance(node, UserRequirement):
            return self._user_leaf(node, place, bound)
        if isinstance(node, WorkloadRequirement):
            outcomes = self._remembered(node, place, self._peers, lambda: self._workload_outcomes(node, place))
            return self.space.one_of(self._peers, map(bound.met, outcomes))
        if isinstance(node, SourceRequirement):
            outcomes = self._remembered(node, place, self._address, lambda: self._source_outcomes(node, place))
            return self.space.one_of(self._address, map(bound.met, outcomes))
        if isinstance(node, PublicRequirement):
            return TRUE if bound.met(Outcome.TRUE) else FALSE
        if isinstance(node, NobodyRequirement):
            return TRUE if bound.met(Outcome.FALSE) else FALSE
        variables = "" if place.guardrail else f" with {sorted(place.standing.variables.items())}"
        return self._pick(self._opaque_triple(f"{_opaque_text(node)}{variables}"), place.mode.absent, bound)

    def _remembered(
        self, node: object, place: _Place, variable: int, make: Callable[[], tuple[Outcome, ...]]
    ) -> tuple[Outcome, ...]:
        standing = place.standing
        key = (id(node), standing.usage.vias, place.mode, self.space.values[variable])
        known = standing.side.outcomes
        if key not in known:
            known[key] = make()
        return known[key]

    # --- workloads and addresses: the language's own conditions, asked for every value

    def _workload_outcomes(self, node: WorkloadRequirement, place: _Place) -> tuple[Outcome, ...]:
        via = node.via if place.mode is not Mode.PLAIN else node.via or Via.MTLS
        conditions = workload_conditions(node, place.mode, via, "")
        trust = place.standing.side.policy.trust
        assert trust is not None
        found = []
        for peers in self.space.values[self._peers]:
            assert isinstance(peers, Peers)
            mtls, forwarded, jwt_svid = workloads(trust, place.standing.usage, peers)
            who = Principals(mtls=mtls, forwarded=forwarded, jwt_svid=jwt_svid)
            scene = self._scene(self._request, who)
            outcomes = [one.test(scene) for one in conditions]
            found.append(interval(min(one.lowest for one in outcomes), min(one.highest for one in outcomes)))
        return tuple(found)

    def _source_outcomes(self, node: SourceRequirement, place: _Place) -> tuple[Outcome, ...]:
        condition = source_condition(node, place.mode, "")
        return tuple(
            condition.test(self._scene(replace(self._request, source=Peer(address=str(address))), Principals()))
            for address in self.space.values[self._address]
        )

    def _scene(self, request: AuthzRequest, who: Principals) -> Scene:
        return Scene(request, {}, {}, who.user, who.mtls, who.forwarded, who.jwt_svid, self._now)

    # --- users

    def _user_leaf(self, node: UserRequirement, place: _Place, bound: Bound) -> Formula:
        standing = place.standing
        issuers = self._issuers(place, node)
        cases: list[Formula] = []
        refused = [self._is(self._user, lambda value: value is UNUSABLE)]
        known: set[str] = set()
        for name in sorted(standing.usage.issuers):
            settings = standing.side.issuers[name]
            known.add(settings.issuer)
            shown = self._is(self._user, lambda value, url=settings.issuer: value == url)
            accepted = accepted_audiences(settings, standing.matched)
            meant = self._is(self._audiences, lambda value, those=accepted: not those.isdisjoint(value))
            fields = (
                self._fields(node, place, name, bound)
                if name in issuers
                else (TRUE if bound.met(Outcome.FALSE) else FALSE)
            )
            cases.append(conjunction((shown, meant, fields)))
            refused.append(conjunction((shown, self.space.negation(meant))))
        refused.append(self._is(self._user, lambda value: isinstance(value, str) and value not in known))
        if bound.met(place.mode.refused):
            cases += refused
        if bound.met(place.mode.absent):
            cases.append(self._is(self._user, lambda value: value is None))
        return disjunction(cases)

    def _fields(self, node: UserRequirement, place: _Place, issuer: str, bound: Bound) -> Formula:
        """`all` over the fields; that the issuer is right is one that holds."""
        settings = place.standing.side.issuers[issuer]
        parts = [self._asked(ask, place, settings, bound) for ask in self._asks_of(place, node, issuer)]
        return conjunction(parts) if bound.least else disjunction(parts)

    def _asked(self, ask: UserAsk, place: _Place, settings: IssuerSettings, bound: Bound) -> Formula:
        absent = place.mode.absent
        if isinstance(ask, KindAsk):
            return self._pick(self._kind(ask, settings), absent, bound)
        if isinstance(ask, BoundAsk):
            held = self._is(self._bound, lambda value: ask.binding in value)
            return self._pick(_Triple(held, self.space.negation(held), FALSE), absent, bound)
        if isinstance(ask, OpaqueAsk):
            return self._pick(self._opaque_triple(ask.text), absent, bound)
        if not ask.wanted:
            return self._pick(self._alone(ask), absent, bound)
        parts = [self._pick(self._wanted(ask, wanted, place, settings), absent, bound) for wanted in ask.wanted]
        every = (ask.quantifier is Quantifier.ALL) is bound.least
        return conjunction(parts) if every else disjunction(parts)

    def _pick(self, triple: _Triple, absent: Outcome, bound: Bound) -> Formula:
        cases = ((triple.true, Outcome.TRUE), (triple.false, Outcome.FALSE), (triple.absent, absent))
        return disjunction(formula for formula, outcome in cases if bound.met(outcome))

    def _kind(self, ask: KindAsk, settings: IssuerSettings) -> _Triple:
        rule = settings.client_tokens
        if rule is not None:
            client = self._is(self._shape[rule.claim], lambda value: typed(value) == typed(rule.equals))
        else:
            subject, named = self._shape[SUBJECT], self._shape[settings.client]
            client = disjunction(
                conjunction(
                    (
                        self._is(subject, lambda value, one=one: value == one),
                        self._is(named, lambda value, one=one: value == one),
                    )
                )
                for one in self.space.values[subject]
            )
        held = client if ask.kind is PrincipalKind.CLIENT else self.space.negation(client)
        return _Triple(held, self.space.negation(held), FALSE)

    def _alone(self, ask: Ask) -> _Triple:
        """EXISTS, LACKS and WITHIN: what compares with nothing."""
        shape = self._shape[ask.path]
        missing = self._is(shape, lambda value: value is MISSING)
        if ask.operator is Operator.EXISTS:
            return _Triple(self.space.negation(missing), FALSE, missing)
        if ask.operator is Operator.LACKS:
            return _Triple(missing, self.space.negation(missing), FALSE)

        def recent(value: object) -> bool | None:
            if type(value) not in (int, float) or value > self._now + ask.skew:  # type: ignore[operator]
                return None
            return self._now - value <= ask.seconds  # type: ignore[operator]

        return self._by_value(shape, recent)

    def _wanted(self, ask: Ask, wanted: Wanted, place: _Place, settings: IssuerSettings) -> _Triple:
        """The ask for one value; for a reference, by what it holds."""
        text = ask.operator is Operator.HOLDS
        if wanted.source is None:
            return self._against(ask, wanted.resolve(None, text=text), False, settings)
        cases: list[tuple[Formula, _Triple]] = []
        rest: list[Formula] = []
        for value, held in self._held(wanted.source, place):
            resolved = wanted.resolve(value, text=text)
            if resolved is None:
                rest.append(held)
            else:
                cases.append((held, self._against(ask, resolved, wanted.number, settings)))
        elsewhere = self.space.negation(disjunction(held for held, _ in cases))
        return _Triple(
            disjunction(conjunction((held, triple.true)) for held, triple in cases),
            disjunction(conjunction((held, triple.false)) for held, triple in cases),
            disjunction((elsewhere, *(conjunction((held, triple.absent)) for held, triple in cases))),
        )

    def _held(self, source: Source, place: _Place) -> Iterator[tuple[object, Formula]]:
        """What a source can hold, and when it does."""
        if source.kind == "workload":
            assert isinstance(source.key, tuple)
            via, number = source.key
            yield from self._workload_segments(via, number, place)
            return
        variable = self._shape[source.key] if source.kind == "claim" else self._source_variables[source]  # type: ignore[index]
        for value in self.space.values[variable]:
            if isinstance(value, str | int | float):
                yield value, self._is(variable, lambda other, one=value: typed(other) == typed(one))

    def _workload_segments(self, via: Via, number: int, place: _Place) -> Iterator[tuple[object, Formula]]:
        trust = place.standing.side.policy.trust
        if trust is None:
            return
        texts: list[str | None] = []
        for peers in self.space.values[self._peers]:
            assert isinstance(peers, Peers)
            mtls, forwarded, jwt_svid = workloads(trust, place.standing.usage, peers)
            who = Principals(mtls=mtls, forwarded=forwarded, jwt_svid=jwt_svid).workload(via)
            path = who.id.path if isinstance(who, Workload) else ()
            texts.append(path[number - 1] if number <= len(path) else None)
        for text in dict.fromkeys(texts):
            if text is not None:
                yield text, self.space.one_of(self._peers, (other == text for other in texts))

    def _against(self, ask: Ask, wanted: object, number: bool, settings: IssuerSettings) -> _Triple:
        """The ask against one known value."""
        shape = self._shape[ask.path]
        if wanted is None:
            return _Triple(FALSE, FALSE, TRUE)
        if ask.operator is Operator.EQUALS:
            return self._by_value(shape, lambda value: _compared(value, wanted))
        if ask.operator is Operator.CONTAINS:
            return self._found(ask.path, wanted, number, TRUE)
        if ask.operator is Operator.ANY:
            array = self._is(shape, lambda value: value is ARRAY)
            single = self._by_value(shape, lambda value: None if value is ARRAY else _compared(value, wanted))
            found = self._found(ask.path, wanted, number, array)
            absent = conjunction((single.absent, self.space.negation(array)))
            return _Triple(
                disjunction((single.true, found.true)),
                disjunction((single.false, found.false)),
                disjunction((absent, conjunction((array, found.absent)))),
            )
        assert isinstance(wanted, str)
        if ask.reading in (Reading.TEXT, Reading.SUBJECT):
            return self._by_value(shape, lambda value: value == wanted if isinstance(value, str) and value else None)
        return self._listed(ask, wanted, settings)

    def _found(self, path: ClaimPath, wanted: object, number: bool, where: Formula) -> _Triple:
        """Whether an array claim holds the value; `where` is beside it for the absent case."""
        array = self._is(self._shape[path], lambda value: value is ARRAY)
        equal: list[Formula] = []
        odd: list[Formula] = []
        for value, member in self._members[path].values():
            outcome = Outcome.UNKNOWN if value is FOREIGN else compare_element(value, wanted, number, Outcome.UNKNOWN)
            if outcome is Outcome.TRUE:
                equal.append(self.space.one_of(member, (False, True)))
            elif outcome is Outcome.UNKNOWN:
                odd.append(self.space.one_of(member, (False, True)))
        hit, strange = disjunction(equal), disjunction(odd)
        miss, plain = self.space.negation(hit), self.space.negation(strange)
        absent = disjunction((self.space.negation(array), conjunction((array, miss, strange))))
        return _Triple(conjunction((array, hit)), conjunction((array, miss, plain)), conjunction((where, absent)))

    def _listed(self, ask: Ask, wanted: str, settings: IssuerSettings) -> _Triple:
        """Whether a list of texts (or of scopes, which may be one string) holds the text."""
        shape = self._shape[ask.path]
        scopes = ask.reading is Reading.SCOPES
        member: Formula = FALSE
        spoilt: list[Formula] = []
        for value, number in self._members[ask.path].values():
            inside = self.space.one_of(number, (False, True))
            if not isinstance(value, str) or (scopes and not is_scope(value)):
                spoilt.append(inside)
            elif value == wanted:
                member = inside
        array = self._is(shape, lambda value: value is ARRAY)
        good = conjunction((array, self.space.negation(disjunction(spoilt))))
        single = self._by_value(
            shape, lambda value: self._scoped(value, wanted, ask.path, settings) if scopes else None
        )
        true = disjunction((conjunction((good, member)), single.true))
        false = disjunction((conjunction((good, self.space.negation(member))), single.false))
        return _Triple(true, false, self.space.negation(disjunction((good, single.true, single.false))))

    def _scoped(self, value: object, wanted: str, path: ClaimPath, settings: IssuerSettings) -> bool | None:
        if not isinstance(value, str):
            return None
        scopes = self._read(self._token(settings.issuer, {path: value}), settings).scopes
        return None if scopes is None else wanted in scopes

    # --- small formulas

    def _is(self, variable: int, test: Callable[..., bool]) -> Formula:
        return self.space.one_of(variable, map(test, self.space.values[variable]))

    def _by_value(self, variable: int, judge: Callable[[object], bool | None]) -> _Triple:
        judged = [judge(value) for value in self.space.values[variable]]
        return _Triple(
            *(self.space.one_of(variable, [verdict is one for verdict in judged]) for one in (True, False, None))
        )

    def _opaque_triple(self, text: str) -> _Triple:
        if text not in self._opaque:
            self._opaque[text] = self.space.declare(("opaque", text), (True, False, None))
        return self._by_value(self._opaque[text], lambda value: value)  # type: ignore[arg-type,return-value]

    # --- answers

    def answer(self, values: tuple[object, ...]) -> Answer:
        """What the caller shows when the variables have these values."""
        token: Token | Unusable | None = None
        user = values[self._user]
        if isinstance(user, str):
            audiences, bound = values[self._audiences], values[self._bound]
            assert isinstance(audiences, frozenset) and isinstance(bound, frozenset)
            claims = {path: self._claim(path, values) for path in sorted(self._shape, key=len)}
            token = replace(self._token(user, claims), audiences=audiences, bound=bound)
        elif user is UNUSABLE:
            token = UNUSABLE
        peers = values[self._peers]
        assert isinstance(peers, Peers)
        references = {
            source: value
            for source, variable in self._source_variables.items()
            if isinstance(value := values[variable], str)
        }
        return Answer(
            presented=Presented(token=token, peers=peers),
            address=str(values[self._address]),
            references=references,
            opaque=tuple(self._opaque),
        )

    def _claim(self, path: ClaimPath, values: tuple[object, ...]) -> object:
        value = values[self._shape[path]]
        if value is ARRAY:
            inside = (item for item, member in self._members[path].values() if values[member])
            return [{} if item is FOREIGN else item for item in inside]
        return {} if value is OBJECT else None if value is MISSING else value

    def _token(self, url: str, claims: Mapping[ClaimPath, object]) -> Token:
        found: dict[str, object] = {"iss": url, "sub": "someone"}
        for path, value in claims.items():
            if value is None:
                continue
            node = found
            for key in path[:-1]:
                inner = node.setdefault(key, {})
                assert isinstance(inner, dict)
                node = inner
            if not (isinstance(value, dict) and path[-1] in node):
                node[path[-1]] = value
        return Token(issuer_url=url, claims=found, audiences=frozenset())


_PEER: Final = {Via.MTLS: "mtls", Via.FORWARDED: "forwarded", Via.JWT_SVID: "jwt_svid"}


def _known_peer(via: Via, named: SpiffeId) -> Peers:
    return replace(Peers(), **{_PEER[via]: named})


def _place(standing: Standing, choice: Choice | None, mode: Mode, guardrail: bool) -> _Place:
    accepted, via = (frozenset[str](), None) if choice is None else (choice.accepted, choice.via)
    return _Place(standing, mode, accepted, via, guardrail)


def _under(place: _Place, mode: Mode) -> _Place:
    return place if mode is Mode.DENY else replace(place, mode=Mode.UNDER_NOT)


def _compared(value: object, wanted: object) -> bool | None:
    """Typed equality; None when the two can't be compared."""
    if value is MISSING or value is ARRAY or value is OBJECT:
        return None
    outcome = compare(value, wanted, Outcome.UNKNOWN)
    return None if outcome is Outcome.UNKNOWN else outcome is Outcome.TRUE


def _opaque_text(node: object) -> str:
    """What a construct that can't be read is compared by: its text, wherever it was written."""
    for name in ("expression", "text", "source"):
        value = getattr(node, name, None)
        if isinstance(value, str):
            return value
    return repr(node)
