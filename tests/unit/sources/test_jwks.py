"""An issuer's keys over time: fetched, kept, refetched, too old. No thread runs; tests take the steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings, JwksFile, JwksUri
from authz.model.reason import Reason
from authz.sources.fetch import FetchError
from authz.sources.jwks import KeyStore
from authz.sources.remote_keys import Environment, RemoteKeys
from authz.sources.schedule import RefreshRules, after_failure, after_success
from authz.sources.state import Freshness, SourceEvent
from tests.fakes.clock import FakeClock
from tests.fakes.fetching import FakeProvider
from tests.mint.jwk_documents import key_set

URL = "https://idp.shop.example/keys"
DOWN = FetchError("the connection failed")
RULES = RefreshRules(refresh=300.0, cooldown=10.0, max_stale=3600.0)


def _issuer(**changes: object) -> IssuerSettings:
    values: dict[str, object] = {
        "name": "corp",
        "issuer": "https://idp.shop.example",
        "audiences": frozenset({"shop"}),
        "keys": JwksUri(URL),
        **changes,
    }
    return IssuerSettings(**values)  # type: ignore[arg-type] # one maker for all variants


class Bench:
    """One issuer's source with everything around it in the test's hands."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider({URL: key_set("k1")})
        self.events: list[SourceEvent] = []
        self.source = RemoteKeys(
            _issuer(),
            Environment(
                get=self.provider.get, rules=RULES, clock=self.clock, random=lambda: 0.0, report=self.events.append
            ),
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def _reason(source: RemoteKeys) -> Reason:
    return source.unknown().reason


def test_before_the_first_fetch_there_is_no_answer(bench: Bench) -> None:
    """An issuer whose keys were never fetched is a 503, not an empty set."""
    with pytest.raises(Unavailable) as caught:
        bench.source.keys()

    assert caught.value.reason is Reason.KEYS_UNAVAILABLE
    assert not bench.source.tried()
    assert bench.source.state().freshness is Freshness.ABSENT


def test_the_first_step_fetches_and_the_next_is_due_after_the_interval(bench: Bench) -> None:
    """The step says when it wants to be called again."""
    assert bench.source.step() == 300.0
    assert bench.source.keys().find("k1", "ES256").kid == "k1"
    bench.clock.advance(100)
    assert bench.source.step() == 200.0
    assert len(bench.provider.asked) == 1


def test_a_failed_fetch_keeps_the_last_good_set(bench: Bench) -> None:
    """One bad answer takes no key away (GHSA-fhv5-28vv-h8m8)."""
    bench.source.step()
    bench.provider.answers[URL] = DOWN
    bench.clock.advance(300)

    assert bench.source.step() == 1.0
    assert len(bench.source.keys()) == 1
    assert bench.source.state().freshness is Freshness.STALE
    assert bench.source.state().error == "the connection failed"


@pytest.mark.parametrize("body", [b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', b"{}", b"<html>"])
def test_an_answer_without_a_usable_key_is_a_failure(bench: Bench, body: bytes) -> None:
    """An empty set doesn't replace a good one."""
    bench.source.step()
    bench.provider.answers[URL] = body
    bench.clock.advance(300)
    bench.source.step()

    assert len(bench.source.keys()) == 1
    assert bench.source.state().failures == 1


def test_the_last_good_set_serves_for_a_bounded_time(bench: Bench) -> None:
    """A provider that stays away takes its keys with it in the end."""
    bench.source.step()
    bench.clock.advance(3600.0)
    bench.source.keys()
    bench.clock.advance(0.001)

    with pytest.raises(Unavailable):
        bench.source.keys()
    assert bench.source.state().freshness is Freshness.EXPIRED


def test_an_issuer_that_was_down_at_start_recovers(bench: Bench) -> None:
    """Tries follow at growing distance; the first good one ends it."""
    bench.provider.answers[URL] = DOWN
    delays = []
    for _ in range(8):
        delays.append(bench.source.step())
        bench.clock.advance(delays[-1])
    bench.provider.answers[URL] = key_set("k1")
    bench.source.step()

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert len(bench.source.keys()) == 1
    assert [bool(event.error) for event in bench.events] == [True, False]


def test_an_unknown_kid_is_503_until_a_fetch_and_then_401(bench: Bench) -> None:
    """The language's order: asked for, under way, fetched and cooling down, asked for again (§8)."""
    bench.source.step()
    bench.clock.advance(11)

    assert _reason(bench.source) is Reason.KEYS_UNAVAILABLE
    assert _reason(bench.source) is Reason.KEYS_UNAVAILABLE
    bench.source.step()
    assert len(bench.provider.asked) == 2
    assert _reason(bench.source) is Reason.TOKEN_KEY_UNKNOWN
    assert bench.source.step() > 0
    assert len(bench.provider.asked) == 2
    bench.clock.advance(10)
    assert _reason(bench.source) is Reason.KEYS_UNAVAILABLE


def test_a_rotated_key_is_found_by_the_shared_refetch(bench: Bench) -> None:
    """Long before the regular refresh."""
    bench.source.step()
    bench.provider.answers[URL] = key_set("k1", "k2")
    bench.clock.advance(30)
    bench.source.unknown()
    bench.source.step()

    assert bench.source.keys().find("k2", "ES256").kid == "k2"


def test_with_the_provider_down_an_unknown_kid_stays_503(bench: Bench) -> None:
    """Also within the cooldown, which a failure starts as well; and no more fetches than it allows."""
    bench.source.step()
    bench.provider.answers[URL] = DOWN
    bench.clock.advance(11)
    bench.source.unknown()
    bench.source.step()
    asked = len(bench.provider.asked)

    answer = bench.source.unknown()

    assert isinstance(answer, Unavailable)
    assert answer.retry_after == 10
    assert bench.source.step() == 1.0
    assert len(bench.provider.asked) == asked


def test_while_a_fetch_is_under_way_an_unknown_kid_is_503(bench: Bench) -> None:
    """The request doesn't wait for it."""
    bench.source.step()
    bench.clock.advance(300)
    seen: list[Reason] = []
    answer = bench.provider.get

    class Watching:
        def get(self, url: str) -> object:
            seen.append(_reason(bench.source))
            return answer(url)

    object.__setattr__(bench.source._env, "get", Watching().get)
    bench.source.step()

    assert seen == [Reason.KEYS_UNAVAILABLE]


def test_a_bug_costs_one_attempt_and_not_the_thread(bench: Bench) -> None:
    """Any exception is a failed attempt with its type as the error."""
    bench.provider.answers[URL] = RuntimeError("secret")

    assert bench.source.step() == 1.0
    assert bench.source.state().error == "internal error (RuntimeError)"


def test_an_unchanged_set_stays_the_same_object(bench: Bench) -> None:
    """Verdicts cached with it stay valid."""
    bench.source.step()
    first = bench.source.keys()
    bench.clock.advance(300)
    bench.source.step()

    assert bench.source.keys() is first
    assert len(bench.events) == 1


@pytest.mark.parametrize(
    ("max_age", "delay"), [(None, 300.0), (0.0, 30.0), (10.0, 30.0), (100.0, 80.0), (1000.0, 800.0), (1e9, 3600.0)]
)
def test_cache_control_moves_the_refresh_within_bounds(max_age: float | None, delay: float) -> None:
    """Ahead of expiry, never more often than 30 s, never rarer than an hour."""
    assert after_success(RULES, max_age, lambda: 0.0) == delay


def test_jitter_only_shortens_a_delay() -> None:
    """So that it never goes past an expiry."""
    assert after_success(RULES, None, lambda: 0.999) == pytest.approx(270.0, abs=0.1)
    assert after_failure(RULES, 10_000, lambda: 0.0) == 60.0


# --- the store ---


def _store(tmp_path: Path, provider: FakeProvider | None = None) -> KeyStore:
    return KeyStore(tmp_path, fetch=(provider or FakeProvider()).get, rules=RULES, jitter=lambda: 0.0)


def test_a_key_file_is_read_at_load_and_again_when_it_changed(tmp_path: Path) -> None:
    """Without any thread: the reload loop polls."""
    file = tmp_path / "keys/corp.json"
    file.parent.mkdir()
    file.write_bytes(key_set("k1"))
    issuer = _issuer(keys=JwksFile("keys/corp.json"))
    store = _store(tmp_path)

    assert store.reconfigure([issuer]) == ()
    assert store.tried_once()
    before = store.keys(issuer)
    store.poll()
    assert store.keys(issuer) is before
    file.write_bytes(key_set("k1", "k2"))
    store.poll()
    assert store.keys(issuer).find("k2", "ES256").kid == "k2"
    file.write_bytes(b"half a fi")
    store.poll()
    assert len(store.keys(issuer)) == 2
    assert store.states()[0].freshness is Freshness.STALE
    file.write_bytes(key_set("k3"))
    store.poll()
    assert store.keys(issuer).find("k3", "ES256").kid == "k3"


def test_with_a_file_an_unknown_kid_is_unknown_at_once(tmp_path: Path) -> None:
    """Nothing can be fetched; also for an empty set."""
    (tmp_path / "corp.json").write_bytes(b'{"keys": []}')
    issuer = _issuer(keys=JwksFile("corp.json"))
    store = _store(tmp_path)

    assert store.reconfigure([issuer]) == ()
    answer = store.unknown(issuer)

    assert type(answer) is Refused
    assert answer.reason is Reason.TOKEN_KEY_UNKNOWN


def test_a_key_that_cannot_be_used_is_told_although_the_set_stays_the_same(tmp_path: Path) -> None:
    """Once, with a file and with a fetched set: it is skipped with a warning."""
    usable = json.loads(key_set("k1"))["keys"]
    odd = json.dumps({"keys": [*usable, {"kty": "oct", "kid": "odd", "k": "AA"}]}).encode()
    bench, events = Bench(), list[SourceEvent]()
    file = tmp_path / "corp.json"
    file.write_bytes(key_set("k1"))
    store = KeyStore(tmp_path, fetch=FakeProvider().get, rules=RULES, jitter=lambda: 0.0, report=events.append)
    store.reconfigure([_issuer(keys=JwksFile("corp.json"))])
    bench.source.step()

    file.write_bytes(odd)
    bench.provider.answers[URL] = odd
    for _ in range(2):
        store.poll()
        bench.clock.advance(300)
        bench.source.step()

    assert [len(event.warnings) for event in events] == [0, 1]
    assert [len(event.warnings) for event in bench.events] == [0, 1]


@pytest.mark.parametrize(
    "path", ["missing.json", "../outside.json", "/etc/hostname", "a/../../x", "", "no-set.json", "."]
)
def test_a_key_file_that_is_none_is_a_fault(tmp_path: Path, path: str) -> None:
    """Absent, outside the policy directory, a directory, or no key set: the load is refused, naming the file."""
    (tmp_path / "no-set.json").write_bytes(b"[]")
    store = _store(tmp_path)

    faults = store.reconfigure([_issuer(keys=JwksFile(path))])

    assert [fault.place.file for fault in faults] == [path]
    with pytest.raises(Unavailable):
        store.keys(_issuer(keys=JwksFile(path)))


def test_an_issuer_with_other_settings_gets_no_keys(tmp_path: Path) -> None:
    """A check under the policy before a reload must not be judged by keys of the one after it."""
    (tmp_path / "a.json").write_bytes(key_set("k1"))
    store = _store(tmp_path)
    store.reconfigure([_issuer(keys=JwksFile("a.json"))])

    assert len(store.keys(_issuer(keys=JwksFile("a.json")))) == 1
    for other in (_issuer(), _issuer(keys=JwksFile("a.json"), issuer="https://other.example")):
        with pytest.raises(Unavailable):
            store.keys(other)


def test_no_faulty_plan_can_be_applied(tmp_path: Path) -> None:
    """The type's own guard against a caller that forgets to look."""
    store = _store(tmp_path)
    plan = store.prepare([_issuer(keys=JwksFile("missing.json"))])

    with pytest.raises(ValueError, match="faults"):
        store.apply(plan)
