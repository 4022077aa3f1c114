"""Issuers asked about tokens: what counts as an answer, how long it counts, who shares it (RFC 7662)."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz.authn.encoding import read_json_object
from authz.engine.ports import Introspected
from authz.model.errors import Unavailable, WouldBlock
from authz.model.issuer import ClientAuthentication, IntrospectionSettings, IssuerSettings
from authz.model.patience import AT_ONCE, UNHURRIED, Patience
from authz.sources.fetch import Fetched, FetchError, Form
from authz.sources.introspection import COOLDOWN, Introspector
from authz.sources.state import SourceEvent
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import until
from tests.mint import tokens
from tests.mint.keys import SigningKey, base64url, signing_key
from tests.mint.tokens import NOW

ENDPOINT = "https://idp.shop.example/introspect"
SETTINGS = IntrospectionSettings(endpoint=ENDPOINT, client_id="authz:1", credential_file="secret")
CORP = IssuerSettings(name="corp", issuer=tokens.ISSUER, audiences=frozenset({tokens.AUDIENCE}), introspection=SETTINGS)
ACTIVE = json.dumps({"active": True, **tokens.claims()}).encode()
INACTIVE = b'{"active": false}'


class Endpoint:
    """Answers posts with `body` (or raises it); remembers them. `gate` holds them back while it isn't set."""

    def __init__(self) -> None:
        self.body: bytes | Exception = ACTIVE
        self.posts: list[tuple[str, Form]] = []
        self.gate = threading.Event()
        self.gate.set()

    def post(self, url: str, form: Form, /) -> Fetched:
        self.posts.append((url, form))
        self.gate.wait(10)
        if isinstance(self.body, Exception):
            raise self.body
        return Fetched(body=self.body)


class Bench:
    """An introspector with its endpoint, its clock and its events."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "secret").write_text("s3cr3t/+ é\n", encoding="utf-8")
        self.endpoint, self.clock, self.events = Endpoint(), FakeClock(), list[SourceEvent]()
        self.introspector = Introspector(
            directory, self.endpoint.post, limit=4, report=self.events.append, clock=self.clock
        )

    def ask(
        self, token: str = "opaque", issuer: IssuerSettings = CORP, *, now: float = NOW, patience: Patience = UNHURRIED
    ) -> Introspected:
        return self.introspector.ask(issuer, token, now=now, patience=patience)

    def reason(self, *args: Any, **how: Any) -> str:
        with pytest.raises(Unavailable) as error:
            self.ask(*args, **how)
        assert error.value.reason.code == "introspection_unavailable"
        return error.value.detail


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.endpoint.gate.set()
    made.introspector.close()


def form_of(post: tuple[str, Form]) -> dict[str, list[str]]:
    return parse_qs(post[1].body.decode(), strict_parsing=True)


def test_an_active_token_has_the_members_of_the_answer(bench: Bench) -> None:
    """They count for `cache_ttl`; the token goes into the body of a post, nowhere else."""
    said = bench.ask("a+token/=")

    assert said.claims is not None
    assert said.claims["sub"] == "alice"
    assert said.until == NOW + 30
    ((url, form),) = bench.endpoint.posts
    assert url == ENDPOINT
    assert form_of((url, form)) == {"token": ["a+token/="], "token_type_hint": ["access_token"]}


@pytest.mark.parametrize("active", [b"false", b'"true"', b"1", b"[true]", b"null", b'{"active": true}'])
def test_only_json_true_is_active(bench: Bench, active: bytes) -> None:
    """Whatever else stands there is no yes."""
    bench.endpoint.body = b'{"sub": "alice", "active": ' + active + b"}"

    assert bench.ask().claims is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"true",
        b"{}",
        b'{"sub": "alice"}',
        b'{"active": true, "active": false}',
        b'{"active": true, "exp": NaN}',
        b'{"active": true} x',
        '{"active": true}'.encode("utf-16"),
    ],
)
def test_what_is_no_answer_is_no_verdict(bench: Bench, body: bytes) -> None:
    """A page of another server says nothing about a token: unavailable, neither active nor not."""
    bench.endpoint.body = body

    bench.reason()


def test_both_kinds_of_answer_are_remembered(bench: Bench) -> None:
    """An active one for `cache_ttl` or until the token ends, "not active" for a few seconds."""
    bench.endpoint.body = json.dumps({"active": True, **tokens.claims(exp=NOW + 10)}).encode()
    assert bench.ask("short").until == NOW + 10
    bench.endpoint.body = INACTIVE
    assert bench.ask("bad").until == NOW + 5

    bench.ask("short", now=NOW + 9)
    bench.ask("bad", now=NOW + 4)
    assert len(bench.endpoint.posts) == 2
    bench.ask("bad", now=NOW + 5)
    assert len(bench.endpoint.posts) == 3


def test_an_answer_belongs_to_the_settings_that_it_was_asked_with(bench: Bench) -> None:
    """Another endpoint, another issuer: asked anew (CVE-2026-33496)."""
    bench.ask()
    elsewhere = replace(CORP, introspection=replace(SETTINGS, endpoint="https://idp.shop.example/other"))
    other = replace(CORP, name="other", issuer="https://other.example")

    bench.ask(issuer=elsewhere)
    bench.ask(issuer=other)

    assert [url for url, _ in bench.endpoint.posts] == [ENDPOINT, "https://idp.shop.example/other", ENDPOINT]


def test_without_a_lifetime_each_check_asks(bench: Bench) -> None:
    """`cache_ttl: 0s` remembers nothing."""
    issuer = replace(CORP, introspection=replace(SETTINGS, cache_ttl=0.0))

    bench.ask(issuer=issuer)
    bench.ask(issuer=issuer)

    assert len(bench.endpoint.posts) == 2


def test_many_who_ask_about_one_token_share_the_question(bench: Bench) -> None:
    """One post; each waiter gets its answer."""
    bench.endpoint.gate.clear()
    found: list[Introspected] = []
    threads = [threading.Thread(target=lambda: found.append(bench.ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: bench.endpoint.posts)
    bench.endpoint.gate.set()
    for thread in threads:
        thread.join(5)

    assert len(found) == 4
    assert len(bench.endpoint.posts) == 1


def test_who_may_not_wait_asks_nothing(bench: Bench) -> None:
    """A known answer comes at once, an unknown one isn't asked for."""
    with pytest.raises(WouldBlock):
        bench.ask(patience=AT_ONCE)
    assert bench.endpoint.posts == []

    bench.ask()

    assert bench.ask(patience=AT_ONCE).claims is not None


def test_a_check_leaves_at_its_deadline_and_the_answer_serves_the_next(bench: Bench) -> None:
    """503 in time; the question under way isn't asked twice."""
    bench.endpoint.gate.clear()

    assert "deadline" in bench.reason(patience=Patience(lambda: 0.01))
    bench.endpoint.gate.set()

    assert bench.ask().claims is not None
    assert len(bench.endpoint.posts) == 1


def test_waiting_is_bounded(bench: Bench) -> None:
    """Over the limit nobody waits: other checks keep their threads."""
    bench.endpoint.gate.clear()
    threads = [threading.Thread(target=bench.ask, args=(f"token-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(bench.endpoint.posts) == 4)

    assert "too many" in bench.reason("one more")
    bench.endpoint.gate.set()
    for thread in threads:
        thread.join(5)


def test_a_failure_is_told_once_and_cools_down(bench: Bench) -> None:
    """Checks don't wait for what just failed; then it is asked again, and its recovery is told."""
    bench.endpoint.body = FetchError("the server answered status 500", status=500)
    assert "status 500" in bench.reason()
    assert "just now" in bench.reason("another")
    assert len(bench.endpoint.posts) == 1

    bench.clock.advance(COOLDOWN)
    bench.reason("another")
    bench.endpoint.body = ACTIVE
    bench.clock.advance(COOLDOWN)
    bench.ask("another")

    assert [event.error for event in bench.events] == ["the server answered status 500", ""]
    assert {(event.kind, event.name) for event in bench.events} == {("introspection", "corp")}


def test_no_event_and_no_error_holds_a_secret_or_a_token(bench: Bench) -> None:
    """Whatever goes wrong."""
    for body in (FetchError("x"), b"s3cr3t", INACTIVE):
        bench.endpoint.body = body
        bench.clock.advance(60)
        try:
            bench.ask("tok3n")
        except Unavailable as error:
            assert "tok3n" not in f"{error!r} {error.__cause__!r}"
            assert "s3cr3t" not in f"{error!r} {error.__cause__!r}"
    assert "s3cr3t" not in repr(bench.events)


# --- our own credential ---


def test_the_secret_goes_as_basic_credentials(bench: Bench) -> None:
    """Both parts are form-encoded first (RFC 6749 §2.3.1)."""
    bench.ask()

    ((name, value),) = bench.endpoint.posts[0][1].headers
    assert name == "authorization"
    assert base64.b64decode(value.removeprefix("Basic ")) == b"authz%3A1:s3cr3t%2F%2B+%C3%A9"


def test_the_secret_goes_into_the_form(bench: Bench) -> None:
    """`client_secret_post`: both parts in the body."""
    issuer = replace(CORP, introspection=replace(SETTINGS, authentication=ClientAuthentication.POST))

    bench.ask(issuer=issuer)

    form = form_of(bench.endpoint.posts[0])
    assert (form["client_id"], form["client_secret"]) == (["authz:1"], ["s3cr3t/+ é"])
    assert bench.endpoint.posts[0][1].headers == ()


def test_a_new_secret_is_read(bench: Bench) -> None:
    """The file is read for each question, so that a rotated secret counts at once."""
    bench.ask("one")
    (bench.directory / "secret").write_text("new")
    bench.ask("two")

    assert base64.b64decode(bench.endpoint.posts[1][1].headers[0][1].removeprefix("Basic ")).endswith(b":new")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"two\nlines", b"x" * 40_000])
def test_without_a_usable_secret_nobody_is_asked(bench: Bench, content: bytes | None) -> None:
    """No request without a credential, and a reason for operators."""
    file = bench.directory / "secret"
    file.unlink() if content is None else file.write_bytes(content)

    assert "credential file" in bench.reason()
    assert bench.endpoint.posts == []


def test_a_secret_may_stand_anywhere(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An absolute path is taken as it is."""
    file = tmp_path_factory.mktemp("run") / "secret"
    file.write_text("mounted")

    bench.ask(issuer=replace(CORP, introspection=replace(SETTINGS, credential_file=str(file))))

    assert base64.b64decode(bench.endpoint.posts[0][1].headers[0][1].removeprefix("Basic ")).endswith(b":mounted")


def pem(key: SigningKey) -> bytes:
    return key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(("algorithm", "alg"), [("ES256", "ES256"), ("RS256", "RS256"), ("Ed25519", "EdDSA")])
def test_a_private_key_signs_an_assertion(bench: Bench, algorithm: str, alg: str) -> None:
    """RFC 7523 §3: for this issuer only, for a minute, each with an id of its own."""
    key = signing_key(algorithm)
    (bench.directory / "secret").write_bytes(pem(key))
    issuer = replace(CORP, introspection=replace(SETTINGS, authentication=ClientAuthentication.PRIVATE_KEY_JWT))

    bench.ask("one", issuer=issuer)
    bench.ask("two", issuer=issuer)

    forms = [form_of(post) for post in bench.endpoint.posts]
    parts = forms[0]["client_assertion"][0].split(".")
    head, claims = (read_json_object(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    assert forms[0]["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    assert head["alg"] == alg
    assert {name: claims[name] for name in ("iss", "sub", "aud", "iat", "exp")} == {
        "iss": "authz:1",
        "sub": "authz:1",
        "aud": tokens.ISSUER,
        "iat": int(NOW),
        "exp": int(NOW) + 60,
    }
    assert forms[0]["client_assertion"] != forms[1]["client_assertion"]
    verify(key, ".".join(parts[:2]), parts[2])


def test_a_jwk_names_its_kid(bench: Bench) -> None:
    """Providers with several keys of a client choose by it."""
    key = signing_key("ES256")
    assert isinstance(key.private, ec.EllipticCurvePrivateKey)
    d = base64url(key.private.private_numbers().private_value.to_bytes(32, "big"))
    (bench.directory / "secret").write_text(json.dumps({**key.jwk(kid="our-key"), "d": d}))
    issuer = replace(CORP, introspection=replace(SETTINGS, authentication=ClientAuthentication.PRIVATE_KEY_JWT))

    bench.ask(issuer=issuer)

    head = form_of(bench.endpoint.posts[0])["client_assertion"][0].split(".")[0]
    assert read_json_object(base64.urlsafe_b64decode(head + "=="))["kid"] == "our-key"


@pytest.mark.parametrize(
    "content",
    [
        b"no key",
        b"{}",
        b'{"kty": "oct", "k": "AAAA"}',
        b'{"kty": "RSA"}',
        json.dumps(signing_key("ES256").jwk()).encode(),
    ],
)
def test_what_is_no_private_key_signs_nothing(bench: Bench, content: bytes) -> None:
    """Text, other JSON, a shared secret, a public key."""
    (bench.directory / "secret").write_bytes(content)
    issuer = replace(CORP, introspection=replace(SETTINGS, authentication=ClientAuthentication.PRIVATE_KEY_JWT))

    assert "key" in bench.reason(issuer=issuer)
    assert bench.endpoint.posts == []


def verify(key: SigningKey, signed: str, signature: str) -> None:
    from authz.authn import algorithms

    octets = base64.urlsafe_b64decode(signature + "==")
    assert algorithms.verifies(key.algorithm, key.private.public_key(), octets, signed.encode())
