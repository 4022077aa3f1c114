"""`/revocations`: what is asked and answered, apart from who may ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from authz.server.control import Control
from authz.server.http_door import HttpRequest
from tests.fakes.revoking import Desk
from tests.mint.tokens import ISSUER, NOW

ALICE = {"kind": "subject", "value": "alice", "issuer": "corp", "why": "left"}


class Scene(Desk):
    """A desk with its pages."""

    def __init__(self) -> None:
        super().__init__()
        self.control = Control(self.revoker, self.entries, wall=self.wall)

    def post(self, body: Any) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask(HttpRequest(method="POST", target="/revocations", caller="unix:root", body=data))

    def get(self, target: str = "/revocations") -> tuple[int, dict[str, Any]]:
        return self._ask(HttpRequest(method="GET", target=target, caller="unix:root"))

    def _ask(self, request: HttpRequest) -> tuple[int, dict[str, Any]]:
        page = self.control.answer(request)
        return page.status, json.loads(page.body)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_act_is_answered_with_what_it_did(scene: Scene) -> None:
    """Where it is in force, what it concerns and until when."""
    status, answer = scene.post(ALICE)

    assert status == 200
    assert answer == {
        "result": "everywhere",
        "kind": "subject",
        "value": "alice",
        "issuer": ISSUER,
        "by": "unix:root",
        "why": "left",
        "at": int(NOW),
        "issued_before": int(NOW),
        "until": int(NOW) + 3631,
    }


def test_an_act_that_is_in_force_here_only_is_202(scene: Scene) -> None:
    """With what keeps it from the others."""
    scene.stream.away = True

    status, answer = scene.post(ALICE)

    assert (status, answer["result"], answer["error"]) == (202, "here", "away")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        {},
        {**ALICE, "kind": "user"},
        {**ALICE, "kind": ["subject"]},
        {**ALICE, "value": 7},
        {**ALICE, "why": None},
        {**ALICE, "issued_before": "now"},
        {**ALICE, "issued_before": True},
        {**ALICE, "lift": 1},
        {**ALICE, "by": "somebody else"},
        {**ALICE, "issuer": "unknown"},
        {**ALICE, "lasting": 5},
    ],
)
def test_what_is_no_act_is_400(scene: Scene, body: Any) -> None:
    """Unknown members too: nobody names the caller but the door."""
    status, answer = scene.post(body)

    assert status == 400
    assert answer.keys() == {"error"}
    assert len(scene.plane) == 0


def test_the_newest_entries_are_listed_first(scene: Scene) -> None:
    """Each once, with its last note; what was lifted or has ended isn't there."""
    for value in ("alice", "bob", "carol", "alice"):
        scene.post({**ALICE, "value": value, "issued_before": int(NOW) + len(scene.stream.entries)})
    scene.post({**ALICE, "value": "bob", "lift": True})

    status, answer = scene.get()

    assert status == 200
    assert answer["count"] == 2
    assert [each["value"] for each in answer["entries"]] == ["alice", "carol"]
    assert scene.get("/revocations?limit=1")[1]["entries"][0]["value"] == "alice"
    assert scene.get("/revocations?value=carol")[1]["entries"][0]["value"] == "carol"
    assert scene.get("/revocations?kind=workload")[1]["entries"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=99999999", "limit=", "since=1"])
def test_a_listing_that_isnt_right_is_400(scene: Scene, query: str) -> None:
    """Unknown parameters too."""
    assert scene.get(f"/revocations?{query}")[0] == 400


def test_a_store_that_cant_be_read_is_503(scene: Scene) -> None:
    """Memory holds no names."""
    scene.stream.away = True

    assert scene.get()[0] == 503


def test_there_is_nothing_else(scene: Scene) -> None:
    """One path."""
    assert scene.get("/")[0] == 404
