"""`kind: RoutePolicyTest` (policy language §9): files of tests to suites, with every fault and its place.

Owns the shape of the document, and that what it names exists: its policy, people, routes, reasons, issuers. Read by
the tools only: no fault of a test keeps a policy from being served.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Final

from authz.model.reason import BY_CODE, Reason
from authz.model.request import split_url
from authz.policy.casting import Misplaced, token_claims
from authz.policy.document import ParsedDirectory, RoutePolicyDocument
from authz.policy.faults import Fault, FaultCode, Faults
from authz.policy.ownership import read_destination
from authz.policy.parse import Kind, check_head, is_test_file
from authz.policy.parse_people import json_of, moment, read_person
from authz.policy.parse_values import Reading
from authz.policy.suite import DEFAULT_NOW, Case, Expectation, Person, Rejected, RequestLine, Suite, UserFixture
from authz.policy.values import Text
from authz.policy.yaml_reader import read_file
from authz.policy.yaml_tree import Mapping, Node, Scalar, Sequence, Unread, show

MAX_TESTS: Final = 10_000
"""Tests of one document."""

_KEYS: Final = frozenset({"apiVersion", "kind", "metadata", "policy", "now", "people", "tests"})
_TEST_KEYS: Final = frozenset({"name", "as", "request", "expect", "route", "headers", "challenge", "now"})
_REQUEST_KEYS: Final = ("method", "host", "path", "scheme", "at", "service", "headers", "from", "tls")
_CHALLENGE_KEYS: Final = ("scheme", "realm", "error", "scope", "acr_values", "max_age")
_SCHEMES: Final = {"http": "http", "https": "https"}
_WITH_REASON: Final = "Write expect: {deny: REASON}; `authz explain` prints the reason of a request."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSuites:
    """The suites of a directory. One with an error is left out; `faults` are sorted by place."""

    suites: tuple[Suite, ...]
    faults: tuple[Fault, ...]


def read_suites(files: MappingType[str, bytes], directory: ParsedDirectory) -> ReadSuites:
    """Every RoutePolicyTest below the directory. Faults of the files as such, and of other kinds in them, are
    `policy.parse`'s."""
    suites: list[Suite] = []
    faults = Faults()
    for name in sorted(files):
        if is_test_file(name):
            _read_file(name, files[name], directory, suites, faults)
    return ReadSuites(suites=tuple(suites), faults=faults.sorted())


def _read_file(name: str, data: bytes, directory: ParsedDirectory, suites: list[Suite], faults: Faults) -> None:
    for document in read_file(name, data).documents:
        if not document.complete:
            continue
        reading = Reading(name, Faults())
        reading.faults.extend(document.faults)
        kind = check_head(reading, document)
        if kind not in (None, Kind.ROUTE_POLICY_TEST):
            continue
        if kind is not None and document.root is not None:
            suite = _SuiteReader(reading, directory).read(document.root)
            if not len(reading.faults):
                suites.append(suite)
        for fault in reading.faults:
            faults.add(fault.place, _CODES[fault.code], fault.message, policy=name, help=fault.help)


_CODES: Final = {code.code: code for code in FaultCode}


class _SuiteReader:
    """Reads one document; knows the directory that it speaks of."""

    def __init__(self, reading: Reading, directory: ParsedDirectory) -> None:
        self._reading = reading
        self._directory = directory
        self._policy: RoutePolicyDocument | None = None
        self._people: dict[str, Person] = {}
        self._faulty_people: set[str] = set()

    def read(self, root: Node) -> Suite:
        reading = self._reading
        entries = reading.fields(root, "a RoutePolicyTest", _KEYS, required=("policy", "tests"))
        policy = self._policy_name(entries["policy"]) if "policy" in entries else ""
        now = moment(reading, entries["now"], "`now`") if "now" in entries else DEFAULT_NOW
        if "people" in entries:
            self._read_people(entries["people"])
        cases = self._cases(entries["tests"], now) if "tests" in entries else ()
        return Suite(place=reading.place(root), policy=policy, cases=cases)

    def _policy_name(self, node: Node) -> str:
        name = self._reading.name(node, "`policy`")
        self._policy = next((one for one in self._directory.policies if one.name == name), None)
        known = {one.name for one in self._directory.policies} | {one.name for one in self._directory.faulty}
        if name and name not in known:
            self._unknown(node, "policy", name, known)
        return name

    def _read_people(self, node: Node) -> None:
        issuers = () if self._directory.issuers is None else tuple(self._directory.issuers.issuers)
        for name, key, value in self._reading.pairs(node, "`people`"):
            self._reading.name(key, "the name of a person")
            person = read_person(self._reading, name, value, issuers)
            if person is None or not self._claims_fit(person, value):
                self._faulty_people.add(name)
            else:
                self._people[name] = person

    def _claims_fit(self, person: Person, node: Node) -> bool:
        """Whether a token of the issuer can hold the claims together."""
        fixture, issuers = person.fixture, self._directory.issuers
        if not isinstance(fixture, UserFixture) or issuers is None:
            return True
        try:
            token_claims(fixture, issuers.issuers[fixture.issuer], DEFAULT_NOW)
        except Misplaced as error:
            self._reading.fault(node, FaultCode.CLAIM_PATH, str(error))
            return False
        return True

    # --- tests ---

    def _cases(self, node: Node, now: float) -> tuple[Case, ...]:
        found: dict[str, Case] = {}
        for item in self._reading.items(node, "`tests`", limit=MAX_TESTS):
            case = self._case(item, now)
            first = found.setdefault(case.name, case)
            if case.name and first is not case:
                self._reading.fault(
                    item, FaultCode.NAME_DUPLICATE, f"{first.place} has the name {show(case.name)} already"
                )
        return tuple(found.values())

    def _case(self, node: Node, now: float) -> Case:
        reading = self._reading
        entries = reading.fields(node, "a test", _TEST_KEYS, required=("name", "request", "expect"))
        reason = self._verdict(entries["expect"]) if "expect" in entries else None
        expected = Expectation(
            reason=reason,
            route=self._route(entries["route"]) if "route" in entries else "",
            headers=self._optional_texts(entries["headers"], "`headers`") if "headers" in entries else {},
            challenge=self._challenge(entries["challenge"]) if "challenge" in entries else {},
        )
        if reason is not None and expected.headers:
            reading.fault(entries["headers"], FaultCode.VALUE_INVALID, "`headers` are for requests that are allowed")
        if reason is None and expected.challenge:
            reading.fault(entries["challenge"], FaultCode.VALUE_INVALID, "`challenge` is for requests that are denied")
        return Case(
            name=reading.sentence(entries["name"], "`name`") if "name" in entries else "",
            place=reading.place(node),
            people=self._acting(entries["as"]) if "as" in entries else (),
            request=self._request(entries["request"]) if "request" in entries else _NO_REQUEST,
            expected=expected,
            now=moment(reading, entries["now"], "`now`") if "now" in entries else now,
        )

    def _acting(self, node: Node) -> tuple[Person, ...]:
        """Different people, at most one user and one workload for each `via`."""
        if type(node) is Sequence and not node.items:
            return ()
        found: list[Person] = []
        for text, item in self._named(node):
            person = self._people.get(text.value)
            if person is None:
                if text.value not in self._faulty_people:
                    self._unknown(item, "person", text.value, {*self._people, *self._faulty_people})
                continue
            twin = next((one for one in found if _slot(one) == _slot(person)), None)
            if twin is not None:
                both = f"{show(twin.name)} and {show(person.name)} are both {_slot(person)}"
                self._reading.fault(item, FaultCode.TEST_PRINCIPALS, both)
            found.append(person)
        return tuple(found)

    def _named(self, node: Node) -> list[tuple[Text, Node]]:
        texts = {text.place: text for text in self._reading.texts(node, "`as`")}
        items = node.items if type(node) is Sequence else []
        return [(texts[place], item) for item in items if (place := self._reading.place(item)) in texts]

    def _verdict(self, node: Node) -> Reason | None:
        """`allow`, or the reason of a denial; Reason.INTERNAL_ERROR stands for an unreadable one."""
        if type(node) is Scalar:
            if node.value == "allow":
                return None
            if node.value == "deny":
                self._reading.fault(node, FaultCode.TEST_REASON, "a deny without its reason proves nothing")
                return Reason.INTERNAL_ERROR
        if type(node) is not Mapping:
            self._reading.wrong_type(node, "`expect`", "`allow` or `{deny: REASON}`")
            return Reason.INTERNAL_ERROR
        entries = self._reading.fields(node, "`expect`", ("deny",), required=("deny",))
        return self._reason(entries["deny"]) if "deny" in entries else Reason.INTERNAL_ERROR

    def _reason(self, node: Node) -> Reason:
        if type(node) is Scalar and node.value in (None, True):
            self._reading.fault(node, FaultCode.TEST_REASON, "a deny without its reason proves nothing")
            return Reason.INTERNAL_ERROR
        code = self._reading.text(node, "`deny`")
        if code and code not in BY_CODE:
            message = f"there is no reason {show(code)}{self._reading.suggestion(code, BY_CODE)}"
            self._reading.fault(node, FaultCode.TEST_REASON, message, advice=_WITH_REASON)
        return BY_CODE.get(code, Reason.INTERNAL_ERROR)

    def _route(self, node: Node) -> str:
        name = self._reading.name(node, "`route`")
        if self._policy is not None:
            known = {route.id for route in self._policy.routes}
            known |= {f"{self._policy.name}.preflight"} if self._policy.preflight is not None else set()
            if name and name not in known:
                self._unknown(node, "route", name, known)
        return name

    def _challenge(self, node: Node) -> MappingType[str, str | None]:
        self._reading.fields(node, "`challenge`", _CHALLENGE_KEYS)
        return self._optional_texts(node, "`challenge`")

    def _optional_texts(self, node: Node, what: str) -> MappingType[str, str | None]:
        """Names in lower case, each with its text or null; numbers count as the text that they were written as."""
        found: dict[str, str | None] = {}
        for name, _, value in self._reading.pairs(node, what):
            plain = value.value if type(value) is Scalar else ""
            if plain is None or (type(plain) is int and what == "`challenge`"):
                found[name.lower()] = None if plain is None else str(plain)
            else:
                found[name.lower()] = self._reading.text(value, f"{show(name)} of {what}")
        return found

    # --- requests ---

    def _request(self, node: Node) -> RequestLine:
        if type(node) is not Mapping:
            return self._request_line(node)
        reading = self._reading
        entries = reading.fields(node, "`request`", _REQUEST_KEYS, required=("method", "host", "path"))
        texts = {
            key: reading.text(entries[key], f"`{key}`")
            for key in ("method", "host", "path", "service", "from")
            if key in entries
        }
        return RequestLine(
            method=texts.get("method", ""),
            authority=texts.get("host", ""),
            target=texts.get("path", ""),
            scheme=(reading.choice(entries["scheme"], "`scheme`", _SCHEMES) or "") if "scheme" in entries else "",
            at=self._destination(entries["at"]) if "at" in entries else None,
            service=texts.get("service", ""),
            headers=self._headers(entries["headers"]) if "headers" in entries else (),
            source=texts.get("from", ""),
            tls=reading.boolean(entries["tls"], "`tls`") if "tls" in entries else False,
        )

    def _request_line(self, node: Node) -> RequestLine:
        text = self._reading.text(node, "`request`")
        method, blank, url = text.partition(" ")
        if text and not (blank and url):
            self._reading.fault(node, FaultCode.VALUE_INVALID, "`request` is METHOD HOST/PATH, or a mapping")
        scheme, authority, target = split_url(url)
        return RequestLine(method=method, authority=authority, target=target, scheme=scheme if "://" in url else "")

    def _destination(self, node: Node) -> str:
        """A destination entry; null is a connection without one."""
        if type(node) is Scalar and node.value is None:
            return ""
        text = self._reading.text(node, "`at`")
        if text:
            read_destination(Text(text, self._reading.place(node)), self._reading.faults, "")
        return text

    def _headers(self, node: Node) -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, self._header_value(item, name))
            for name, _, value in self._reading.pairs(node, "`headers`")
            for item in self._reading.one_or_more(value, f"the header {show(name)}")
        )

    def _header_value(self, node: Node, name: str) -> str:
        value = json_of(node)
        if type(value) is str:
            return value
        self._reading.wrong_type(node, f"the header {show(name)}", "text")
        return ""

    def _unknown(self, node: Node, what: str, name: str, known: Collection[str]) -> None:
        if type(node) is not Unread:
            hint = self._reading.suggestion(name, known)
            self._reading.fault(node, FaultCode.TEST_UNKNOWN_NAME, f"there is no {what} {show(name)}{hint}")


def _slot(person: Person) -> str:
    """What a request has at most one of."""
    fixture = person.fixture
    if isinstance(fixture, UserFixture) or (isinstance(fixture, Rejected) and fixture.via is None):
        return "the user"
    assert fixture.via is not None
    return f"the workload by {fixture.via.value}"


_NO_REQUEST: Final = RequestLine(method="", authority="", target="")
