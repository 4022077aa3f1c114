"""Back-channel logouts: the form of the request, what one revokes, when it is said to be done (BCL §2.5 to §2.8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from authz.authn.keys import KeySet, import_key_set
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import ALGORITHMS, IssuerSettings, JwksFile
from authz.model.reason import Reason
from authz.model.revocation import RevocationKind
from authz.server.http_door import HttpRequest, Page
from authz.server.logout import AT_ONCE, DEFAULT_PATIENCE, LogoutEndpoint, logout_clients
from tests.fakes.ports import FixedKeys
from tests.fakes.revoking import CORP, Desk
from tests.mint import logout_tokens
from tests.mint.keys import jwk_set, other_key, signing_key
from tests.mint.principals import user
from tests.mint.tokens import ABSENT, ISSUER, NOW

FORM = "application/x-www-form-urlencoded"


def key_set(*keys: Any) -> KeySet:
    return import_key_set(jwk_set(*keys), ALGORITHMS)[0]


class SlowKeys(FixedKeys):
    """Keys that a fetch brings after so many looks."""

    def __init__(self, *, looks: int) -> None:
        super().__init__({"corp": key_set(other_key("RS256", "old"))}, fetching=True)
        self._left = looks

    def unknown(self, issuer: IssuerSettings) -> Refused:
        self._left -= 1
        if self._left == 1:
            return Refused(Reason.TOKEN_KEY_UNKNOWN, "just fetched")
        if self._left == 0:
            self.sets["corp"] = key_set(signing_key("RS256"))
        return Unavailable(Reason.KEYS_UNAVAILABLE, "being fetched")


class Scene(Desk):
    """An endpoint with everything behind it."""

    def __init__(self, keys: FixedKeys | None = None, *, wait: Callable[[float], object] | None = None) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.keys = keys or FixedKeys({"corp": key_set(signing_key("RS256"))})
        self.endpoint = LogoutEndpoint(
            self.revoker,
            lambda: self.issuers,
            self.keys,
            logout_clients([("corp", "authz"), ("corp", "web")]),
            wall=self.wall,
            wait=wait or self.waits.append,
        )

    def post(
        self, token: str | None = None, *, name: str = "corp", body: bytes | None = None, kind: str = FORM
    ) -> Page:
        if body is None:
            body = urlencode({"logout_token": token or logout_tokens.mint()}).encode()
        return self.endpoint.answer(
            name, HttpRequest(method="POST", target=f"/logout/{name}", headers={"content-type": kind}, body=body)
        )

    def revoked(self, **claims: Any) -> RevocationKind | None:
        return self.plane.revoked(user(issuer_url=ISSUER, claims={"iat": int(NOW) - 5, **claims}), now=NOW)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_logout_ends_the_session(scene: Scene) -> None:
    """Its tokens, and those of the subject that don't say their session; another session of the subject goes on."""
    assert scene.post().status == 200

    assert scene.revoked(sid="s-1") is RevocationKind.SESSION
    assert scene.revoked() is RevocationKind.SESSIONLESS
    assert scene.revoked(sid="s-2") is None
    assert scene.revoked(iat=int(NOW) + 1) is None, "what a new login brings"


def test_a_logout_without_a_session_ends_all_of_the_subjects(scene: Scene) -> None:
    """BCL §2.4: without sid it is about every session."""
    assert scene.post(logout_tokens.mint({"sid": ABSENT})).status == 200

    assert scene.revoked(sid="s-2") is RevocationKind.SUBJECT
    assert scene.revoked(sid="s-2", iat=int(NOW) + 1) is None


def test_a_logout_without_a_subject_ends_the_session_only(scene: Scene) -> None:
    """Nobody else is named."""
    assert scene.post(logout_tokens.mint({"sub": ABSENT})).status == 200

    assert (scene.revoked(sid="s-1"), scene.revoked()) == (RevocationKind.SESSION, None)


def test_each_of_our_client_ids_is_taken(scene: Scene) -> None:
    """A provider tells each client by its own id."""
    assert scene.post(logout_tokens.mint({"aud": "web"})).status == 200


def test_a_logout_is_on_the_trail(scene: Scene) -> None:
    """Done by the issuer, for each entry that it made."""
    scene.post()

    assert [(one.act, one.by, one.kind, one.value, one.result) for one in scene.trail] == [
        ("logout", "issuer:corp", "session", "s-1", "everywhere"),
        ("logout", "issuer:corp", "sessionless", "alice", "everywhere"),
    ]


def test_a_token_is_taken_once(scene: Scene) -> None:
    """BCL §2.6 step 8; another one for the same session is another logout."""
    assert [scene.post().status, scene.post().status] == [200, 400]
    assert scene.post(logout_tokens.mint({"jti": "logout-2"})).status == 200


def test_a_refused_token_revokes_nothing(scene: Scene) -> None:
    """400 with an error that names the rule and nothing of what was sent."""
    page = scene.post(logout_tokens.mint(key=other_key("RS256")))

    assert page.status == 400
    assert json.loads(page.body)["error"] == "invalid_request"
    assert len(scene.plane) == 0


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FORM),
        (b"logout_token=", FORM),
        (b"other=1", FORM),
        (b"logout_token=a&logout_token=a", FORM),
        (b"\xff\xfe", FORM),
        (b"logout_token", FORM),
        (b"&".join([b"a=1"] * 20), FORM),
        (b"logout_token=a.b.c", ""),
        (b'{"logout_token": "a.b.c"}', "application/json"),
        (b"logout_token=" + b"a" * 20_000, FORM),
    ],
)
def test_what_is_no_logout_request_is_refused(scene: Scene, body: bytes, kind: str) -> None:
    """One form with one token (BCL §2.5), within bounds."""
    assert scene.post(body=body, kind=kind).status == 400
    assert len(scene.plane) == 0


def test_the_content_type_may_name_a_charset(scene: Scene) -> None:
    """And is compared without case."""
    assert scene.post(kind="Application/X-WWW-Form-Urlencoded; charset=UTF-8").status == 200


@pytest.mark.parametrize("name", ["partner", "", "corp/", "CORP"])
def test_only_issuers_that_the_settings_name_are_heard(scene: Scene, name: str) -> None:
    """Each has its own path, so that one can't speak for another."""
    assert scene.post(name=name).status == 404


def test_an_issuer_that_left_the_policies_is_not_heard(scene: Scene) -> None:
    """Trust comes from the policies in force."""
    scene.issuers = {}

    assert scene.post().status == 404


def test_a_new_key_is_waited_for() -> None:
    """Through a fetch and through its cooldown: a provider tells of a logout once, and no user waits here."""
    scene = Scene(SlowKeys(looks=3))

    assert scene.post().status == 200
    assert len(scene.waits) == 3


def test_keys_out_of_a_file_are_not_waited_for() -> None:
    """Nothing brings another one."""
    scene = Scene(FixedKeys({"corp": key_set(other_key("RS256", "old"))}))
    scene.issuers = {"corp": replace(CORP, keys=JwksFile("corp.json"))}

    assert scene.post().status == 400
    assert scene.waits == []


def test_keys_that_dont_come_end_in_an_error() -> None:
    """After a bounded time."""
    scene = Scene(FixedKeys())

    assert scene.post().status == 400
    assert sum(scene.waits) == pytest.approx(DEFAULT_PATIENCE)


def test_a_logout_that_isnt_known_everywhere_isnt_done(scene: Scene) -> None:
    """It is in force here; the provider may try the same token again."""
    scene.stream.away = True
    page = scene.post()
    scene.stream.away = False

    assert page.status == 400
    assert json.loads(page.body)["error"] == "temporarily_unavailable"
    assert scene.revoked(sid="s-1") is RevocationKind.SESSION
    assert scene.post().status == 200


def test_logouts_that_wait_leave_threads_for_probes() -> None:
    """Tokens with unknown keys, posted all at once, can't use up the listener: beyond a bound they are refused."""
    answers: list[Page] = []
    scene = Scene(FixedKeys(), wait=lambda _: answers.append(scene.post()) if len(answers) < AT_ONCE else None)

    scene.post()

    assert answers[0].status == 400
    assert b"too many logouts at once" in answers[0].body
    assert scene.post().status == 400
