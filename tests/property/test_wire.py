"""Invariant: whatever bytes come in, a parseable answer goes out, and it is an allow only for a Permit."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authz.model.decision import Challenge, Decision, Denial, Permit
from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits, RawRequest, RequestView, Transport, parse_request
from authz.wire.decode import decode, view, view_of_parsed
from authz.wire.encode import answer, denial_bytes, encode
from authz.wire.grammar import REFUSED_NAMES
from authz.wire.pb import check_pb2 as pb
from tests.mint.messages import check_request

LIMITS = Limits()
NAMES = st.one_of(st.sampled_from(["x-authz-subject", "host", "x-a", "X-A", "", "connection", "x_a"]), st.text())
HEADERS = st.lists(st.tuples(NAMES, st.text()), max_size=6).map(tuple)
REMOVED = st.lists(NAMES, max_size=6).map(tuple)
DECISION_IDS = st.one_of(st.just("01JD3W8Z5Q"), st.text())
TRANSPORTS = st.sampled_from(Transport)
PERMITS = st.builds(
    Permit,
    route=st.text(),
    policy=st.text(),
    alternative=st.just(0),
    set_headers=HEADERS,
    remove_headers=REMOVED,
    user=st.none(),
    workload=st.none(),
    trace=st.none(),
)
CHALLENGES = st.builds(
    Challenge,
    scheme=st.text(),
    error=st.text(),
    scope=st.text(),
    acr_values=st.text(),
    max_age=st.none() | st.integers(),
)
DENIALS = st.builds(
    Denial,
    reason=st.sampled_from(Reason),
    route=st.text(),
    policy=st.text(),
    detail=st.text(),
    guardrail=st.text(),
    challenge=st.none() | CHALLENGES,
    retry_after=st.none() | st.integers(),
    user=st.none(),
    workload=st.none(),
    trace=st.none(),
)
WIRE_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.builds(
    lambda raw_headers, headers, **fields: check_request(
        headers=headers, raw_headers=raw_headers, **fields
    ).SerializeToString(),
    raw_headers=st.booleans(),
    headers=st.lists(st.tuples(WIRE_TEXT, WIRE_TEXT), max_size=5),
    method=st.one_of(st.just("GET"), WIRE_TEXT),
    path=st.one_of(st.just("/a"), WIRE_TEXT),
    host=st.one_of(st.just("a.example"), WIRE_TEXT),
    source=WIRE_TEXT,
    service=WIRE_TEXT,
)


def decide(message: bytes) -> tuple[Decision, RawRequest | None]:
    """As the service does it, with a policy that permits nothing."""
    raw = None
    try:
        raw = decode(message, LIMITS)
        parse_request(raw, LIMITS)
    except Refused as refused:
        return Denial(reason=refused.reason, detail=refused.detail), raw
    return Denial(reason=Reason.ROUTE_UNMATCHED), raw


def assert_denies(message: bytes) -> None:
    response = pb.CheckResponse.FromString(message)
    assert response.status.code != 0
    assert response.WhichOneof("http_response") == "denied_response"
    assert response.denied_response.status.code in (400, 401, 403, 503)
    assert_sound(response.denied_response.headers)


def assert_sound(options: Any) -> None:
    for option in options:
        assert option.header.key == option.header.key.lower().strip() != ""
        assert option.header.key not in REFUSED_NAMES and ":" not in option.header.key
        assert option.header.value.isascii() and (option.header.value + "x").isprintable()


@given(st.one_of(st.binary(), MESSAGES), DECISION_IDS, st.booleans())
def test_any_bytes_end_in_a_denial_when_nothing_permits(message: bytes, decision_id: str, grpc: bool) -> None:
    """Decode, refuse, encode: always parseable, always a non-zero status."""
    decision, raw = decide(message)

    assert_denies(encode(decision, decision_id=decision_id, revision="", transport=Transport.PLAIN, grpc=grpc))
    shown = view(raw) if raw else RequestView()
    assert (shown.method + shown.host + shown.path).isprintable()


@given(st.binary())
def test_any_bytes_decode_to_a_request_or_to_the_one_refusal(message: bytes) -> None:
    """No other exception leaves `decode`."""
    try:
        assert isinstance(decode(message, LIMITS), RawRequest)
    except Refused as refused:
        assert refused.reason is Reason.REQUEST_MALFORMED


@given(MESSAGES)
def test_a_parsed_request_is_within_its_grammars(message: bytes) -> None:
    """What `parse_request` lets through needs no second look."""
    try:
        request = parse_request(decode(message, LIMITS), LIMITS)
    except Refused:
        return

    assert isinstance(request, AuthzRequest)
    assert request.path.text.startswith("/") and request.authority.host.isascii()
    assert all(name and name.isascii() and name == name.lower() for name in request.headers.names())
    assert not any(letter in value for value in request.headers.values() for letter in "\r\n\0\x7f")


@given(PERMITS, DECISION_IDS, st.text(), TRANSPORTS, st.booleans())
def test_any_permit_becomes_a_sound_allow_or_a_denial(
    permit: Permit, decision_id: str, revision: str, transport: Transport, grpc: bool
) -> None:
    """Whatever text a header has, nothing malformed goes out, and the answer says which of the two it is."""
    given_answer = answer(permit, decision_id=decision_id, revision=revision, transport=transport, grpc=grpc)
    response = pb.CheckResponse.FromString(given_answer.message)

    if isinstance(given_answer.decision, Denial):
        assert_denies(given_answer.message)
        return
    assert response.status.code == 0 and response.WhichOneof("http_response") == "ok_response"
    ok = response.ok_response
    sent = [(option.header.key, option.header.value) for option in ok.headers]
    assert sent[: len(permit.set_headers)] == list(permit.set_headers) or ("x-authz-decision-id", decision_id) in sent
    assert_sound(ok.headers)
    assert not {name for name, _ in sent} & set(ok.headers_to_remove)
    assert {name for name, _ in sent} == {name for name, _ in permit.set_headers} | {"x-authz-decision-id"}
    assert all(option.append.value is False and option.HasField("append") for option in ok.headers)


@given(DENIALS, DECISION_IDS, st.text(), TRANSPORTS, st.booleans())
def test_no_denial_becomes_an_allow(
    denial: Denial, decision_id: str, revision: str, transport: Transport, grpc: bool
) -> None:
    """Whatever its texts hold."""
    assert_denies(encode(denial, decision_id=decision_id, revision=revision, transport=transport, grpc=grpc))


@given(st.sampled_from(Reason), st.text(), st.booleans())
def test_a_guard_never_fails(reason: Reason, decision_id: str, grpc: bool) -> None:
    """With any text as the decision id."""
    assert_denies(denial_bytes(reason, decision_id=decision_id, grpc=grpc))


@given(st.dictionaries(st.sampled_from(["x-a", "x-b", "accept"]), st.binary()))
def test_both_header_forms_decide_alike(octets: dict[str, bytes]) -> None:
    """Octets that Envoy sanitises in the joined form are sanitised alike in the raw form."""
    headers = list(octets.items())
    sanitised = [(name, _as_envoy_sanitises(value)) for name, value in headers]
    raw = decode(check_request(headers=headers, raw_headers=True).SerializeToString(), LIMITS)
    joined = decode(check_request(headers=sanitised).SerializeToString(), LIMITS)

    assert sorted(raw.headers.items()) == sorted(joined.headers.items())


def _as_envoy_sanitises(octets: bytes) -> bytes:
    """Octet by octet: the longest valid prefix stays, then one octet becomes `!`, and so on."""
    done = bytearray()
    while octets:
        try:
            octets.decode()
        except UnicodeDecodeError as error:
            done += octets[: error.start] + b"!"
            octets = octets[error.start + 1 :]
        else:
            return bytes(done) + octets
    return bytes(done)


@given(MESSAGES)
def test_a_well_formed_request_shows_what_any_request_would(message: bytes) -> None:
    """The quick view of a parsed request is the careful one of the raw request."""
    try:
        raw = decode(message, LIMITS)
        request = parse_request(raw, LIMITS)
    except Refused:
        return
    assert view_of_parsed(raw, request) == view(raw)
