"""Revocation: two instances that share a real Redis, its outages, and logouts that the certified provider sends."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from examples.store.processes import free_ports, wait_for
from tests.e2e.load import Load
from tests.real.edge import PairEdge, edge_with_provider
from tests.real.idp import RealProvider
from tests.real.redis_server import RedisServer

ALLOWED: Final = (200, "allowed")
REVOKED: Final = (401, "token_revoked")
UNKNOWN: Final = (503, "store_unavailable")
EVERYWHERE: Final = 1.0
"""Seconds within which an act is in force at every instance."""
SLOW: Final = 1.0
"""Seconds; a check that waited for Redis would take its whole time limit."""


_PAGE: Final = Path(__file__).parents[2] / "docs" / "revocation.md"
_COMMANDS: Final = re.compile(r"the commands `([a-z ]+)` on `~authz:\*`")


class Revoking(PairEdge):
    """Two instances, each with a socket for `authz revoke`."""

    def revoke(self, *words: str, at: int = 0) -> int:
        """The command's exit code."""
        kind, *rest = words
        options = ["--why", "a test", "--socket", self.socket(at)]
        command = [sys.executable, "-m", "authz", "revoke", kind, *options, *rest]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode

    def socket(self, number: int) -> str:
        return str(self.directory / f"revoke-{number}.sock")

    def start_both(self, **settings: str) -> None:
        self.start_pair(revocation_socket=f"unix:{self.directory}/revoke-{{number}}.sock", **settings)

    def state(self, number: int = 0) -> dict[str, Any]:
        """What `/readyz?verbose` says of the list."""
        url = f"http://127.0.0.1:{self.instances[number].admin_port}/readyz?verbose"
        found: dict[str, Any] = httpx.get(url, trust_env=False).json()["revocations"]
        return found

    def make_strict(self) -> None:
        """The issuer insists on knowing."""
        issuers = self.policy / "issuers.yaml"
        self.put("issuers.yaml", issuers.read_bytes() + b"    revocation: strict\n")


@pytest.fixture
def pair() -> Iterator[Revoking]:
    """Provider and Redis run; no authz and no Envoy yet."""
    with edge_with_provider(Revoking) as edge:
        edge.corp.start()
        edge.redis = RedisServer(edge.directory, edge.processes).start()
        yield edge


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def test_an_act_is_in_force_everywhere_within_a_second(pair: Revoking) -> None:
    """Told to one instance, refused by the other, for a token that both have just let through."""
    pair.start_both()
    acts = {
        "token": lambda token: ["token", "--issuer", "corp", "--", claims_of(token)["jti"]],
        "subject": lambda _: ["subject", "alice", "--issuer", "corp"],
        "client": lambda _: ["client", "web", "--issuer", "corp"],
    }
    for number, (kind, words) in enumerate(acts.items()):
        token = pair.corp.log_in("bob" if kind == "client" else "alice").access_token
        assert pair.at_both(token) == [ALLOWED, ALLOWED], kind

        assert pair.revoke(*words(token), at=number % 2) == 0
        told = time.monotonic()
        wait_for(kind, lambda token=token: pair.at_both(token) == [REVOKED, REVOKED], within=EVERYWHERE)

        assert time.monotonic() - told < EVERYWHERE, kind


def test_others_tokens_and_later_ones_pass(pair: Revoking) -> None:
    """A subject is revoked for what was issued until then: whoever logs in again is let in."""
    pair.start_both()
    bob = pair.corp.log_in("bob").access_token

    pair.revoke("subject", "alice", "--issuer", "corp")
    wait_for("the next second", lambda: pair.at_both(pair.corp.log_in("alice").access_token) == [ALLOWED, ALLOWED])

    assert pair.at_both(bob) == [ALLOWED, ALLOWED]


def test_a_new_instance_knows_what_was_revoked_before(pair: Revoking) -> None:
    """It isn't ready before it has read the stream."""
    pair.start_both()
    token = pair.corp.log_in("alice").access_token
    pair.revoke("subject", "alice", "--issuer", "corp")
    pair.instances[1].process.kill()

    pair.start_authz(
        store_url=pair.redis.url,
        listen=f"127.0.0.1:{pair.instances[1].port}",
        audit_file=str(pair.directory / "authz-0.jsonl"),
    )

    wait_for("the new instance", lambda: pair.at_both(token) == [REVOKED, REVOKED])


@pytest.mark.parametrize("outage", ["kill", "pause"])
def test_checks_never_wait_for_redis(pair: Revoking, outage: str) -> None:
    """While it is gone, or hangs, what is known is in force, nothing is slower, and its age grows."""
    pair.start_both()
    alice, bob = (pair.corp.log_in(name).access_token for name in ("alice", "bob"))
    pair.revoke("subject", "alice", "--issuer", "corp")
    wait_for("the act", lambda: pair.at_both(alice) == [REVOKED, REVOKED])
    headers = {"Host": "shop.test", "Authorization": f"Bearer {bob}"}

    with Load(pair.ports[True], "/anyone", headers, threads=2) as load:
        load.wait_for_more(50)
        getattr(pair.redis, outage)()
        started = time.monotonic()
        slowest = max(_timed(lambda: pair.at_both(alice)) for _ in range(20))
        load.wait_for_more(200)
        wait_for("its age", lambda: pair.state()["age_seconds"] > 2.5)
        state = pair.state()
        code = pair.revoke("subject", "bob", "--issuer", "corp")
        in_force = pair.why(pair.send("GET", "/anyone", token=bob))
        pair.redis.start() if outage == "kill" else pair.redis.resume()
        wait_for("the other instance", lambda: pair.at_both(bob) == [REVOKED, REVOKED])

    assert slowest < SLOW
    assert (state["state"], bool(state["error"])) == ("fresh", True), "younger than its bound, and the error shows"
    assert code == 5, "in force here only"
    assert in_force == REVOKED
    assert set(load.outcomes) == {200, 401}
    assert time.monotonic() - started < 60
    wait_for("the age", lambda: pair.state()["age_seconds"] < EVERYWHERE and not pair.state()["pending"])


def test_redis_that_comes_back_empty_is_filled_again(pair: Revoking) -> None:
    """What the instances know isn't forgotten: one that starts afterwards knows it too."""
    pair.start_both()
    token = pair.corp.log_in("alice").access_token
    for name in ("alice", "carol"):
        pair.revoke("subject", name, "--issuer", "corp")
    wait_for("the acts", lambda: all(pair.state(number)["entries"]["subject"] == 2 for number in (0, 1)))

    pair.redis.restart(empty=True)
    wait_for("the entries in Redis", lambda: pair.redis.command("XLEN", "authz:revocations") == ":2")
    pair.instances[1].process.kill()
    pair.start_authz(
        store_url=pair.redis.url,
        listen=f"127.0.0.1:{pair.instances[1].port}",
        audit_file=str(pair.directory / "authz-0.jsonl"),
    )

    wait_for("the new instance", lambda: pair.at_both(token) == [REVOKED, REVOKED])
    assert pair.state()["gaps"] == 1


def test_redis_that_kept_its_data_goes_on(pair: Revoking) -> None:
    """Killed and started again, nothing is lost and nothing is written twice."""
    pair.start_both()
    token = pair.corp.log_in("alice").access_token
    pair.revoke("subject", "alice", "--issuer", "corp")
    wait_for("the act", lambda: pair.at_both(token) == [REVOKED, REVOKED])

    pair.redis.restart()
    wait_for("both", lambda: all(not pair.state(number)["error"] for number in (0, 1)))

    assert pair.redis.command("XLEN", "authz:revocations") == ":1"
    assert [pair.state(number)["gaps"] for number in (0, 1)] == [0, 0]
    pair.revoke("client", "web", "--issuer", "corp", at=1)
    wait_for("the next act", lambda: pair.state(0)["entries"]["client"] == 1, within=EVERYWHERE)


def test_a_strict_issuer_denies_when_the_list_is_too_old(pair: Revoking) -> None:
    """From the bound on 503, at both; others would go on. It passes again by itself."""
    pair.make_strict()
    pair.start_both(revocation_max_stale="2s")
    alice, bob = (pair.corp.log_in(name).access_token for name in ("alice", "bob"))
    pair.revoke("subject", "alice", "--issuer", "corp")
    wait_for("the act", lambda: pair.at_both(alice) == [REVOKED, REVOKED])
    assert pair.at_both(bob) == [ALLOWED, ALLOWED]

    pair.redis.pause()
    wait_for("the bound", lambda: pair.at_both(bob) == [UNKNOWN, UNKNOWN])
    known, public = pair.at_both(alice), pair.send("GET", "/healthz").status
    state = pair.state()["state"]
    pair.redis.resume()

    assert (known, public, state) == ([REVOKED, REVOKED], 200, "stale")
    wait_for("its return", lambda: pair.at_both(bob) == [ALLOWED, ALLOWED])


def test_redis_that_is_away_at_the_start_is_waited_for(pair: Revoking) -> None:
    """The instances serve all the same; a strict issuer's tokens are 503 until it comes."""
    pair.make_strict()
    pair.redis.kill()
    pair.start_both()
    token = pair.corp.log_in("alice").access_token

    assert pair.at_both(token) == [UNKNOWN, UNKNOWN]
    pair.redis.start()

    wait_for("Redis", lambda: pair.at_both(token) == [ALLOWED, ALLOWED])


def test_a_user_of_its_own_is_enough(pair: Revoking) -> None:
    """With the commands that docs/revocation.md names, and a password out of a file; lost and given back likewise."""
    rules = _COMMANDS.search(_PAGE.read_text())
    assert rules is not None
    commands = [f"+{name}" for name in rules[1].split()]
    assert pair.redis.command("ACL", "SETUSER", "authz", "on", ">secret-of-the-tests", "~authz:*", *commands) == "+OK"
    password = pair.directory / "password"
    password.write_text("secret-of-the-tests\n")
    pair.start_both(store_user="authz", store_password_file=str(password))
    token = pair.corp.log_in("alice").access_token

    assert pair.revoke("subject", "alice", "--issuer", "corp") == 0
    wait_for("the act", lambda: pair.at_both(token) == [REVOKED, REVOKED])
    pair.redis.command("DEL", "authz:revocations")

    wait_for("its return", lambda: pair.redis.command("XLEN", "authz:revocations") == ":1")
    assert [pair.state(number)["error"] for number in (0, 1)] == ["", ""]


# --- OpenID Connect Back-Channel Logout ---


@pytest.fixture
def logging_out(pair: Revoking) -> Revoking:
    """The provider tells the first instance of logouts; sessions are browsers'."""
    pair.corp.kill()
    port = free_ports(1)[0]
    address = f"http://127.0.0.1:{port}/logout/corp"
    pair.corp = RealProvider(pair.directory, pair.processes, name="logouts", logout_uri=address).start()
    pair.put_policies("issuers.yaml")
    ways = {"store_url": pair.redis.url, "audit_file": str(pair.directory / "authz-0.jsonl")}
    pair.start_authz(**ways, admin_listen=f"127.0.0.1:{port}", revocation_logout="corp=web")
    pair.start_envoy(raw=True)
    pair.start_authz(**ways)
    pair.start_envoy(raw=False)
    return pair


def test_a_logout_at_the_provider_ends_the_session_everywhere(logging_out: Revoking) -> None:
    """Its token, at both instances, within a second of the provider's word; no other session's, no later one's."""
    first, other = (logging_out.corp.log_in("alice") for _ in range(2))
    assert claims_of(first.access_token)["sid"] != claims_of(other.access_token)["sid"]
    assert logging_out.at_both(first.access_token) == [ALLOWED, ALLOWED]

    logging_out.corp.log_out(first)
    wait_for("the provider's word", lambda: _told(logging_out))
    wait_for("the end", lambda: logging_out.at_both(first.access_token) == [REVOKED, REVOKED], within=EVERYWHERE)

    assert logging_out.at_both(other.access_token) == [ALLOWED, ALLOWED]
    later = logging_out.corp.log_in("alice").access_token
    assert logging_out.at_both(later) == [ALLOWED, ALLOWED]
    assert [event for event in logging_out.corp.events() if event["name"] == "backchannel.error"] == []


def test_a_logout_signed_with_a_new_key_is_taken(logging_out: Revoking) -> None:
    """The provider tells once: its new key is fetched and waited for."""
    old = logging_out.corp.log_in("alice").access_token
    assert logging_out.at_both(old) == [ALLOWED, ALLOWED]
    logging_out.corp.publish_key()
    logging_out.corp.switch_key()
    login = logging_out.corp.log_in("alice")

    logging_out.corp.log_out(login)

    wait_for("the end", lambda: logging_out.at_both(login.access_token) == [REVOKED, REVOKED])


def test_nobody_else_logs_anybody_out(logging_out: Revoking) -> None:
    """An access token, an ID token, and a logout token's form with nothing in it: 400, and never stored by anybody."""
    login = logging_out.corp.log_in("alice")
    url = f"http://127.0.0.1:{logging_out.instances[0].admin_port}/logout/corp"

    answers = [
        httpx.post(url, data={"logout_token": token}, trust_env=False)
        for token in (login.access_token, login.id_token, "")
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert logging_out.at_both(login.access_token) == [ALLOWED, ALLOWED]


def _told(pair: Revoking) -> bool:
    return any(event["name"] == "backchannel.success" for event in pair.corp.events())


def _timed(call: Any) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started
