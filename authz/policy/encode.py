"""Two policies' answers to one kind of request as formulas over what the caller shows.

A `Question` is a kind of request (a host, a path, a method) with what each side would evaluate for it. Its variables
are the parts of what a caller presents, with the values of `policy.universe`; its formulas say for which values a side
permits. The three values of the language become two by asking only "at least" and "at most" (`Bound`). Whoever uses an
answer evaluates it again for real (`policy.difference` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from authz.model.issuer import IssuerSettings
from authz.model.principal import PrincipalKind, Principals, Via, Workload
from authz.model.request import AuthzRequest, Peer
from authz.policy.asks import SUBJECT, Ask, KindAsk, Operator, Reading, Source, UserAsk, Wanted, asks_of
from authz.policy.claim_formulas import ClaimFormulas
from authz.policy.compiled import Outcome, Scene
from authz.policy.conditions import source_condition
from authz.policy.document import (
    AllOf,
    AnyOf,
    NobodyRequirement,
    NotRequirement,
    PublicRequirement,
    Requirement,
    SourceRequirement,
    UserRequirement,
    WorkloadRequirement,
)
from authz.policy.finite import FALSE, TRUE, Formula, Space, conjunction, disjunction
from authz.policy.meaning import Choice, shape
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
from authz.policy.standing import NEGATED, Answer, Bound, Facts, Position, Standing, known_peer, peer_by
from authz.policy.three_values import Mode, interval
from authz.policy.universe import Part, Universe, addresses, workload_ids
from authz.policy.workload_conditions import workload_conditions

MAX_PEERS: Final = 4000
"""Combinations of workload identities in one question."""


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
        self._collect()
        self._declare()

    # --- collecting

    def _collect(self) -> None:
        self._leaves: list[tuple[Position, Leaf]] = []
        for standing in self._standings:
            for choice, tree, mode, guardrail in standing.trees():
                place = Position.of(standing, choice, mode, guardrail=guardrail)
                for leaf in leaves_under(tree):
                    inner = place if leaf is tree else place.under_not()
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

    def _issuers(self, place: Position, leaf: UserRequirement) -> frozenset[str]:
        return place.standing.side.issuers_of(
            leaf, place.accepted, loose=place.mode is not Mode.PLAIN, guardrail=place.guardrail
        )

    def _asks_of(self, place: Position, leaf: UserRequirement, issuer: str) -> tuple[UserAsk, ...]:
        key = (id(leaf), id(place.standing), issuer, place.via, place.guardrail)
        if key not in self._asks:
            self._asks[key] = tuple(asks_of(leaf, place.standing.side.issuers[issuer], place.around))
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
        self._claims = ClaimFormulas(space, universe, self._read, self._now)
        nets = [leaf for _, leaf in self._leaves if isinstance(leaf, SourceRequirement)]
        own = self._request.source.address
        self._address = space.declare("address", dict.fromkeys((own, *addresses(nets))) if nets else (own,))
        self._peers = space.declare("peers", self._all_peers())

    def _all_peers(self) -> Iterator[Peers]:
        vias = frozenset(via for standing in self._standings for via in standing.usage.vias)
        yield Peers()
        if self._facts.workload is not None:
            yield known_peer(*self._facts.workload)
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

    def known(self) -> Formula:
        """That the caller is as the facts say, with a token that can be."""
        facts = self._facts
        rules = [self._claims.consistent(), *(self._claims.is_claim(path, one) for path, one in facts.claims.items())]
        if facts.kind is not None:
            # The first side's reading: the old one's, which decided.
            rules += [self._claims.kind(KindAsk(facts.kind), settings).true for settings in self._known_issuers()[:1]]
        if facts.issuer_url is not None or facts.only:
            rules.append(self._claims.is_(self._user, lambda value: value == facts.issuer_url))
        if facts.workload is None and facts.only:
            rules.append(self._claims.is_(self._peers, lambda value: value == Peers()))
        if facts.workload is not None:
            via, named = facts.workload
            rules.append(self._claims.is_(self._peers, lambda value: peer_by(value, via) == named))
            if facts.only:
                rules.append(self._claims.is_(self._peers, lambda value: value == known_peer(via, named)))
        return conjunction(rules)

    def permits(self, standing: Standing) -> Formula:
        """When the side lets the request through."""
        parts: list[Formula] = []
        for guardrail in standing.guardrails:
            if guardrail.deny:
                place = Position.of(standing, None, Mode.DENY, guardrail=True)
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
                self._tree(leaf, Position.of(standing, choice, Mode.PLAIN, guardrail=guardrail), Bound.HOLDS)
                for leaf in choice.leaves
            )
            for choice in choices
        )

    def _tree(self, node: Requirement, place: Position, bound: Bound) -> Formula:
        if isinstance(node, AllOf | AnyOf):
            combine = conjunction if isinstance(node, AllOf) is bound.least else disjunction
            return combine(self._tree(item, place, bound) for item in node.items)
        if isinstance(node, NotRequirement):
            return self._tree(node.item, place.under_not(), NEGATED[bound])
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
        return self._claims.pick(
            self._claims.opaque_triple(f"{_opaque_text(node)}{variables}"), place.mode.absent, bound
        )

    def _remembered(
        self, node: object, place: Position, variable: int, make: Callable[[], tuple[Outcome, ...]]
    ) -> tuple[Outcome, ...]:
        standing = place.standing
        key = (shape(node), standing.usage.vias, place.mode, self.space.values[variable])
        known = standing.side.outcomes
        if key not in known:
            known[key] = make()
        return known[key]

    # --- workloads and addresses: the language's own conditions, asked for every value

    def _workload_outcomes(self, node: WorkloadRequirement, place: Position) -> tuple[Outcome, ...]:
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

    def _source_outcomes(self, node: SourceRequirement, place: Position) -> tuple[Outcome, ...]:
        condition = source_condition(node, place.mode, "")
        return tuple(
            condition.test(self._scene(replace(self._request, source=Peer(address=str(address))), Principals()))
            for address in self.space.values[self._address]
        )

    def _scene(self, request: AuthzRequest, who: Principals) -> Scene:
        return Scene(request, {}, {}, who.user, who.mtls, who.forwarded, who.jwt_svid, self._now)

    # --- users

    def _user_leaf(self, node: UserRequirement, place: Position, bound: Bound) -> Formula:
        standing = place.standing
        issuers = self._issuers(place, node)
        cases: list[Formula] = []
        refused = [self._claims.is_(self._user, lambda value: value is UNUSABLE)]
        known: set[str] = set()
        for name in sorted(standing.usage.issuers):
            settings = standing.side.issuers[name]
            known.add(settings.issuer)
            shown = self._claims.is_(self._user, lambda value, url=settings.issuer: value == url)
            accepted = accepted_audiences(settings, standing.matched)
            meant = self._claims.is_(self._audiences, lambda value, those=accepted: not those.isdisjoint(value))
            fields = (
                self._fields(node, place, name, bound)
                if name in issuers
                else (TRUE if bound.met(Outcome.FALSE) else FALSE)
            )
            cases.append(conjunction((shown, meant, fields)))
            refused.append(conjunction((shown, self.space.negation(meant))))
        refused.append(self._claims.is_(self._user, lambda value: isinstance(value, str) and value not in known))
        if bound.met(place.mode.refused):
            cases += refused
        if bound.met(place.mode.absent):
            cases.append(self._claims.is_(self._user, lambda value: value is None))
        return disjunction(cases)

    def _fields(self, node: UserRequirement, place: Position, issuer: str, bound: Bound) -> Formula:
        """`all` over the fields; that the issuer is right is one that holds."""
        settings = place.standing.side.issuers[issuer]

        def segments(via: Via, number: int) -> Iterator[tuple[object, Formula]]:
            return self._workload_segments(via, number, place)

        parts = [
            self._claims.asked(ask, settings, segments, place.mode.absent, bound)
            for ask in self._asks_of(place, node, issuer)
        ]
        return conjunction(parts) if bound.least else disjunction(parts)

    def _workload_segments(self, via: Via, number: int, place: Position) -> Iterator[tuple[object, Formula]]:
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

    # --- answers

    def answer(self, values: tuple[object, ...]) -> Answer:
        """What the caller shows when the variables have these values."""
        token: Token | Unusable | None = None
        user = values[self._user]
        if isinstance(user, str):
            audiences = values[self._audiences]
            assert isinstance(audiences, frozenset)
            token = replace(self._claims.token(user, values), audiences=audiences)
        elif user is UNUSABLE:
            token = UNUSABLE
        peers = values[self._peers]
        assert isinstance(peers, Peers)
        return Answer(
            presented=Presented(token=token, peers=peers),
            address=str(values[self._address]),
            references=self._claims.references(values),
            opaque=self._claims.opaque,
        )


def _opaque_text(node: object) -> str:
    """What a construct that can't be read is compared by: its text, wherever it was written."""
    for name in ("expression", "text", "source"):
        value = getattr(node, name, None)
        if isinstance(value, str):
            return value
    return repr(node)
