"""Questions to the claims of a token as formulas (`policy.asks` over the values of `policy.universe`).

Owns the variables of a token's claims: for each claim what it is (missing, one of its scalars, an array, an object),
for each array which elements it holds, for each reference what it refers to. Every field comes out as a `Triple`: when
it is true, when false, when absent; what absence means is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from authz.model.issuer import ClaimPath, IssuerSettings
from authz.model.principal import Binding, PrincipalKind, Via
from authz.policy.asks import SUBJECT, Ask, BoundAsk, KindAsk, OpaqueAsk, Operator, Reading, Source, UserAsk, Wanted
from authz.policy.claim_conditions import compare, compare_element
from authz.policy.compiled import Outcome
from authz.policy.document import Quantifier
from authz.policy.finite import FALSE, TRUE, Formula, Space, conjunction, disjunction
from authz.policy.presented import ReadUser, Token
from authz.policy.standing import Bound
from authz.policy.universe import ARRAY, FOREIGN, MISSING, OBJECT, Universe, is_scope, typed

Segments = Callable[[Via, int], Iterator[tuple[object, Formula]]]
"""What a segment of a workload's ID can be, and when."""


@dataclass(frozen=True, slots=True)
class Triple:
    """When a field is true, false or absent; exactly one of them at a time."""

    true: Formula
    false: Formula
    absent: Formula


class ClaimFormulas:
    """Makes formulas over the claims; the variables are declared once, in the given space."""

    def __init__(self, space: Space, universe: Universe, read: ReadUser, now: float) -> None:
        self._space = space
        self._read = read
        self._now = now
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
        self._sources = {
            source: space.declare(source, (None, *values) if source.kind == "header" else values)
            for source, values in universe.sources.items()
            if source.kind != "workload"
        }
        self._opaque: dict[str, int] = {}

    @property
    def opaque(self) -> tuple[str, ...]:
        """What could only be compared by its text."""
        return tuple(self._opaque)

    def consistent(self) -> Formula:
        """What any token obeys: a claim inside another needs that one to be an object."""
        paths = sorted(self._shape, key=len)
        rules: list[Formula] = []
        for number, inner in enumerate(paths):
            for outer in paths[:number]:
                if len(outer) < len(inner) and inner[: len(outer)] == outer:
                    there = self.is_(self._shape[inner], lambda value: value is not MISSING)
                    rules.append(
                        disjunction(
                            (self._space.negation(there), self.is_(self._shape[outer], lambda value: value is OBJECT))
                        )
                    )
        return conjunction(rules)

    def is_claim(self, path: ClaimPath, known: object) -> Formula:
        """That the claim has exactly this value; for a list, that it holds these texts and no others."""
        if not isinstance(known, list):
            return self.is_(self._shape[path], lambda value: typed(value) == typed(known))
        inside = {typed(value) for value in known}
        return conjunction(
            (
                self.is_(self._shape[path], lambda value: value is ARRAY),
                *(
                    self._space.one_of(member, (key not in inside, key in inside))
                    for key, (_, member) in self._members[path].items()
                ),
            )
        )

    def asked(
        self, ask: UserAsk, settings: IssuerSettings, segments: Segments, absent: Outcome, bound: Bound
    ) -> Formula:
        """When the answer to the ask is within the bound."""
        if isinstance(ask, KindAsk):
            return self.pick(self.kind(ask, settings), absent, bound)
        if isinstance(ask, BoundAsk):
            held = self.is_(self._bound, lambda value: ask.binding in value)
            return self.pick(Triple(held, self._space.negation(held), FALSE), absent, bound)
        if isinstance(ask, OpaqueAsk):
            return self.pick(self.opaque_triple(ask.text), absent, bound)
        if not ask.wanted:
            return self.pick(self._alone(ask), absent, bound)
        parts = [self.pick(self._wanted(ask, wanted, settings, segments), absent, bound) for wanted in ask.wanted]
        every = (ask.quantifier is Quantifier.ALL) is bound.least
        return conjunction(parts) if every else disjunction(parts)

    def pick(self, triple: Triple, absent: Outcome, bound: Bound) -> Formula:
        """The triple as a formula, where absence turns out as `absent`."""
        cases = ((triple.true, Outcome.TRUE), (triple.false, Outcome.FALSE), (triple.absent, absent))
        return disjunction(formula for formula, outcome in cases if bound.met(outcome))

    def kind(self, ask: KindAsk, settings: IssuerSettings) -> Triple:
        """Whether the token stands for a person or a client, as the issuer's settings tell."""
        rule = settings.client_tokens
        if rule is not None:
            client = self.is_(self._shape[rule.claim], lambda value: typed(value) == typed(rule.equals))
        else:
            subject, named = self._shape[SUBJECT], self._shape[settings.client]
            client = disjunction(
                conjunction(
                    (
                        self.is_(subject, lambda value, one=one: value == one),
                        self.is_(named, lambda value, one=one: value == one),
                    )
                )
                for one in self._space.values[subject]
            )
        held = client if ask.kind is PrincipalKind.CLIENT else self._space.negation(client)
        return Triple(held, self._space.negation(held), FALSE)

    def opaque_triple(self, text: str) -> Triple:
        """Free to be anything, but the same wherever the text is the same."""
        if text not in self._opaque:
            self._opaque[text] = self._space.declare(("opaque", text), (True, False, None))
        return self._by_value(self._opaque[text], lambda value: value if isinstance(value, bool) else None)

    def _alone(self, ask: Ask) -> Triple:
        """EXISTS, LACKS and WITHIN: what compares with nothing."""
        shape = self._shape[ask.path]
        missing = self.is_(shape, lambda value: value is MISSING)
        if ask.operator is Operator.EXISTS:
            return Triple(self._space.negation(missing), FALSE, missing)
        if ask.operator is Operator.LACKS:
            return Triple(missing, self._space.negation(missing), FALSE)

        def recent(value: object) -> bool | None:
            if isinstance(value, bool) or not isinstance(value, int | float) or value > self._now + ask.skew:
                return None
            return self._now - value <= ask.seconds

        return self._by_value(shape, recent)

    def _wanted(self, ask: Ask, wanted: Wanted, settings: IssuerSettings, segments: Segments) -> Triple:
        """The ask for one value; for a reference, by what it holds."""
        text = ask.operator is Operator.HOLDS
        if wanted.source is None:
            return self._against(ask, wanted.resolve(None, text=text), False, settings)
        cases: list[tuple[Formula, Triple]] = []
        rest: list[Formula] = []
        for value, held in self._held(wanted.source, segments):
            resolved = wanted.resolve(value, text=text)
            if resolved is None:
                rest.append(held)
            else:
                cases.append((held, self._against(ask, resolved, wanted.number, settings)))
        elsewhere = self._space.negation(disjunction(held for held, _ in cases))
        return Triple(
            disjunction(conjunction((held, triple.true)) for held, triple in cases),
            disjunction(conjunction((held, triple.false)) for held, triple in cases),
            disjunction((elsewhere, *(conjunction((held, triple.absent)) for held, triple in cases))),
        )

    def _held(self, source: Source, segments: Segments) -> Iterator[tuple[object, Formula]]:
        """What a source can hold, and when it does."""
        if source.kind == "workload":
            assert isinstance(source.key, tuple)
            via, number = source.key
            yield from segments(via, number)
            return
        if source.kind == "claim":
            assert isinstance(source.key, tuple)
            variable = self._shape[source.key]
        else:
            variable = self._sources[source]
        for value in self._space.values[variable]:
            if isinstance(value, str | int | float):
                yield value, self.is_(variable, lambda other, one=value: typed(other) == typed(one))

    def _against(self, ask: Ask, wanted: object, number: bool, settings: IssuerSettings) -> Triple:
        """The ask against one known value."""
        shape = self._shape[ask.path]
        if wanted is None:
            return Triple(FALSE, FALSE, TRUE)
        if ask.operator is Operator.EQUALS:
            return self._by_value(shape, lambda value: _compared(value, wanted))
        if ask.operator is Operator.CONTAINS:
            return self._found(ask.path, wanted, number, TRUE)
        if ask.operator is Operator.ANY:
            array = self.is_(shape, lambda value: value is ARRAY)
            single = self._by_value(shape, lambda value: None if value is ARRAY else _compared(value, wanted))
            found = self._found(ask.path, wanted, number, array)
            absent = conjunction((single.absent, self._space.negation(array)))
            return Triple(
                disjunction((single.true, found.true)),
                disjunction((single.false, found.false)),
                disjunction((absent, conjunction((array, found.absent)))),
            )
        assert isinstance(wanted, str)
        if ask.reading in (Reading.TEXT, Reading.SUBJECT):
            return self._by_value(shape, lambda value: value == wanted if isinstance(value, str) and value else None)
        return self._listed(ask, wanted, settings)

    def _found(self, path: ClaimPath, wanted: object, number: bool, where: Formula) -> Triple:
        """Whether an array claim holds the value; `where` is beside it for the absent case."""
        array = self.is_(self._shape[path], lambda value: value is ARRAY)
        equal: list[Formula] = []
        odd: list[Formula] = []
        for value, member in self._members[path].values():
            outcome = Outcome.UNKNOWN if value is FOREIGN else compare_element(value, wanted, number, Outcome.UNKNOWN)
            if outcome is Outcome.TRUE:
                equal.append(self._space.one_of(member, (False, True)))
            elif outcome is Outcome.UNKNOWN:
                odd.append(self._space.one_of(member, (False, True)))
        hit, strange = disjunction(equal), disjunction(odd)
        miss, plain = self._space.negation(hit), self._space.negation(strange)
        absent = disjunction((self._space.negation(array), conjunction((array, miss, strange))))
        return Triple(conjunction((array, hit)), conjunction((array, miss, plain)), conjunction((where, absent)))

    def _listed(self, ask: Ask, wanted: str, settings: IssuerSettings) -> Triple:
        """Whether a list of texts (or of scopes, which may be one string) holds the text."""
        shape = self._shape[ask.path]
        scopes = ask.reading is Reading.SCOPES
        member: Formula = FALSE
        spoilt: list[Formula] = []
        for value, number in self._members[ask.path].values():
            inside = self._space.one_of(number, (False, True))
            if not isinstance(value, str) or (scopes and not is_scope(value)):
                spoilt.append(inside)
            elif value == wanted:
                member = inside
        array = self.is_(shape, lambda value: value is ARRAY)
        good = conjunction((array, self._space.negation(disjunction(spoilt))))
        single = self._by_value(
            shape, lambda value: self._scoped(value, wanted, ask.path, settings) if scopes else None
        )
        true = disjunction((conjunction((good, member)), single.true))
        false = disjunction((conjunction((good, self._space.negation(member))), single.false))
        return Triple(true, false, self._space.negation(disjunction((good, single.true, single.false))))

    def _scoped(self, value: object, wanted: str, path: ClaimPath, settings: IssuerSettings) -> bool | None:
        if not isinstance(value, str):
            return None
        scopes = self._read(token_of(settings.issuer, {path: value}), settings).scopes
        return None if scopes is None else wanted in scopes

    def is_(self, variable: int, test: Callable[..., bool]) -> Formula:
        """That the variable has a value that passes the test."""
        return self._space.one_of(variable, map(test, self._space.values[variable]))

    def _by_value(self, variable: int, judge: Callable[[object], bool | None]) -> Triple:
        judged = [judge(value) for value in self._space.values[variable]]
        return Triple(
            *(self._space.one_of(variable, [verdict is one for verdict in judged]) for one in (True, False, None))
        )

    # --- answers

    def token(self, url: str, values: tuple[object, ...]) -> Token:
        """The token when the variables have these values."""
        bound = values[self._bound]
        assert isinstance(bound, frozenset)
        claims = {path: self._claim(path, values) for path in sorted(self._shape, key=len)}
        return token_of(url, claims, bound=bound)

    def references(self, values: tuple[object, ...]) -> Mapping[Source, str]:
        """What references to the request hold."""
        return {
            source: value for source, variable in self._sources.items() if isinstance(value := values[variable], str)
        }

    def _claim(self, path: ClaimPath, values: tuple[object, ...]) -> object:
        value = values[self._shape[path]]
        if value is ARRAY:
            inside = (item for item, member in self._members[path].values() if values[member])
            return [{} if item is FOREIGN else item for item in inside]
        return {} if value is OBJECT else None if value is MISSING else value


def token_of(url: str, claims: Mapping[ClaimPath, object], *, bound: frozenset[Binding] = frozenset()) -> Token:
    """A token of the issuer with these claims by their paths; None is a missing one."""
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
    return Token(issuer_url=url, claims=found, audiences=frozenset(), bound=bound)


def _compared(value: object, wanted: object) -> bool | None:
    """Typed equality; None when the two can't be compared."""
    if value is MISSING or value is ARRAY or value is OBJECT:
        return None
    outcome = compare(value, wanted, Outcome.UNKNOWN)
    return None if outcome is Outcome.UNKNOWN else outcome is Outcome.TRUE
