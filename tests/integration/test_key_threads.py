"""Keys fetched by real threads from real servers: no issuer waits for another, and all threads end."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from authz.model.errors import Unavailable
from authz.model.issuer import IssuerSettings, JwksUri
from authz.sources.fetch import Fetcher, FetchRules
from authz.sources.jwks import KeyStore
from authz.sources.schedule import RefreshRules
from authz.sources.state import Cause, Freshness, SourceEvent
from tests.fakes.web_server import answer, serving
from tests.mint.jwk_documents import key_set


class Events:
    """What the store reported, and waiting for it."""

    def __init__(self) -> None:
        self.all: list[SourceEvent] = []
        self._changed = threading.Condition()

    def report(self, event: SourceEvent) -> None:
        with self._changed:
            self.all.append(event)
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[SourceEvent], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(wanted, self.all)), timeout=10)


def _issuer(name: str, port: int, **changes: object) -> IssuerSettings:
    url = f"http://127.0.0.1:{port}"
    values = {"name": name, "issuer": url, "audiences": frozenset({"shop"}), "keys": JwksUri(f"{url}/keys"), **changes}
    return IssuerSettings(**values)  # type: ignore[arg-type] # one maker for all variants


def _store(tmp_path: Path, events: Events) -> KeyStore:
    fetch = Fetcher(FetchRules(timeout=2.0)).get
    return KeyStore(tmp_path, fetch=fetch, rules=RefreshRules(cooldown=0.0), report=events.report)


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("keys-")]


def test_a_slow_issuer_delays_no_other(tmp_path: Path) -> None:
    """One thread each; and closing ends them all."""
    events, release = Events(), threading.Event()

    def slow(connection: socket.socket, head: bytes) -> None:
        release.wait(10)
        answer(key_set("s"))(connection, head)

    with serving(slow) as slow_port, serving(answer(key_set("q"))) as quick_port:
        store = _store(tmp_path, events)
        slow_issuer, quick_issuer = _issuer("slow", slow_port), _issuer("quick", quick_port)
        store.reconfigure([slow_issuer, quick_issuer])
        events.wait_for(lambda event: event.name == "quick")

        assert len(store.keys(quick_issuer)) == 1
        assert isinstance(store.unknown(slow_issuer), Unavailable)
        assert not store.tried_once()
        release.set()
        events.wait_for(lambda event: event.name == "slow")
        assert store.tried_once()
        store.close()

    assert _threads() == []


def test_an_issuer_whose_name_does_not_resolve_delays_no_other(tmp_path: Path) -> None:
    """The resolver hangs for one of them: that one is an error within the limit, the other has its keys."""
    events, release = Events(), threading.Event()

    def resolve(host: str, port: int) -> tuple[str, ...]:
        if host == "slow.shop.example":
            release.wait(10)
        return ("127.0.0.1",)

    with serving(answer(key_set("q"))) as port:
        fetch = Fetcher(FetchRules(timeout=0.2), resolve=resolve).get
        store = KeyStore(tmp_path, fetch=fetch, rules=RefreshRules(cooldown=0.0), report=events.report)
        quick, slow = _issuer("quick", port), _issuer("slow", port, keys=JwksUri("https://slow.shop.example/keys"))
        store.reconfigure([slow, quick])
        events.wait_for(lambda event: event.name == "quick")
        events.wait_for(lambda event: event.name == "slow")

        assert len(store.keys(quick)) == 1
        assert store.states()[0].cause is Cause.NAME
        store.close()
        release.set()


def test_discovery_leads_to_the_keys(tmp_path: Path) -> None:
    """Over the wire, from the issuer's URL alone."""
    events = Events()
    port_box: list[int] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        url = f"http://127.0.0.1:{port_box[0]}"
        document = json.dumps({"issuer": url, "jwks_uri": f"{url}/jwks"}).encode()
        answer(document if b"GET /.well-known/openid-configuration " in head else key_set("d"))(connection, head)

    with serving(handle) as port:
        port_box.append(port)
        url = f"http://127.0.0.1:{port}"
        issuer = IssuerSettings(name="corp", issuer=url, audiences=frozenset({"shop"}))
        store = _store(tmp_path, events)
        store.reconfigure([issuer])
        events.wait_for(lambda event: event.revision != "")
        assert store.keys(issuer).find("d", "ES256").kid == "d"
        store.close()


def test_a_reload_keeps_unchanged_issuers_and_ends_those_that_are_gone(tmp_path: Path) -> None:
    """The same key set object, so that cached verdicts stay; a new issuer begins to fetch."""
    events = Events()
    with serving(answer(key_set("k"))) as port, serving(answer(key_set("o"))) as other:
        store = _store(tmp_path, events)
        store.reconfigure([_issuer("a", port), _issuer("b", other)])
        events.wait_for(lambda event: event.name == "a")
        before = store.keys(_issuer("a", port))

        store.reconfigure([_issuer("a", port, audiences=frozenset({"more"})), _issuer("c", other)])
        events.wait_for(lambda event: event.name == "c")

        assert store.keys(_issuer("a", port)) is before
        assert [state.name for state in store.states()] == ["a", "c"]
        store.close()
    assert _threads() == []


def test_an_unknown_kid_wakes_the_thread(tmp_path: Path) -> None:
    """Long before the regular refresh."""
    events, bodies = Events(), [key_set("k1")]

    def handle(connection: socket.socket, head: bytes) -> None:
        answer(bodies[0])(connection, head)

    with serving(handle) as port:
        store = _store(tmp_path, events)
        issuer = _issuer("corp", port)
        store.reconfigure([issuer])
        events.wait_for(lambda event: event.revision != "")
        bodies[0] = key_set("k1", "k2")

        store.unknown(issuer)

        events.wait_for(lambda event: event is not events.all[0])
        assert len(store.keys(issuer)) == 2
        store.close()


def test_an_issuer_that_is_down_at_start_is_reported(tmp_path: Path) -> None:
    """Tried once is enough for readiness; its state says why it has no keys."""
    events = Events()
    store = _store(tmp_path, events)
    store.reconfigure([_issuer("down", 9)])
    events.wait_for(lambda event: event.error != "")

    assert store.tried_once()
    assert store.states()[0].freshness is Freshness.ABSENT
    assert store.states()[0].error == "the connection was refused"
    store.close()
