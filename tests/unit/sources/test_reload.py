"""The policy in force: swapped whole, kept on any fault. The loader is a fake; files are real; no thread runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from authz.model.issuer import IssuerSettings, JwksFile
from authz.policy.faults import Fault, Place
from authz.policy.link import PolicySet
from authz.policy.load import Loaded, load
from authz.sources.bundles import BundleStore
from authz.sources.jwks import KeyStore
from authz.sources.reload import FULL_READ_TICKS, RETRY_TICKS, PolicyDirectory, PolicyRefused
from authz.sources.state import SourceEvent
from tests.fakes.fetching import FakeProvider
from tests.mint.jwk_documents import key_set

EMPTY = load({}).policy
ISSUER = IssuerSettings(
    name="corp", issuer="https://idp.shop.example", audiences=frozenset({"shop"}), keys=JwksFile("corp.json")
)


@dataclass
class FakeLoader:
    """Takes the text of `a.yaml` as the revision; the text "bad" is refused, "crash" is a bug."""

    issuers: tuple[IssuerSettings, ...] = ()
    calls: int = 0

    def __call__(self, files: Mapping[str, bytes], previous: PolicySet | None = None) -> Loaded:
        self.calls += 1
        text = files["a.yaml"].decode()
        if text == "crash":
            raise RuntimeError("secret")
        if text == "bad":
            return Loaded(policy=None, faults=(Fault(place=Place("a.yaml", 1, 2), code="x", message="m", help="h"),))
        assert EMPTY is not None
        named = {issuer.name: issuer for issuer in self.issuers}
        return Loaded(policy=replace(EMPTY, revision=text, issuers=named), faults=())


class Bench:
    def __init__(self, root: Path, *issuers: IssuerSettings) -> None:
        self.file = root / "a.yaml"
        self.events: list[SourceEvent] = []
        self.loader = FakeLoader(issuers)
        self.keys = KeyStore(root, fetch=FakeProvider().get)
        self.policies = PolicyDirectory(
            root,
            keys=self.keys,
            bundles=BundleStore(root),
            report=self.events.append,
            loader=self.loader,
            now=lambda: 5.0,
        )

    def revision(self) -> str:
        policy = self.policies.current()
        return "" if policy is None else policy.revision

    def write(self, text: str) -> None:
        self.file.write_text(text)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_before_the_first_load_there_is_no_policy(bench: Bench) -> None:
    """The engine answers 503 then."""
    assert bench.policies.current() is None
    assert bench.policies.state().loaded_at is None


def test_the_first_load_puts_a_policy_in_force(bench: Bench) -> None:
    """On the caller's thread."""
    bench.write("one")
    bench.policies.load_first()

    assert bench.revision() == "one"
    assert bench.policies.state().loaded_at == 5.0


def test_a_first_load_without_a_servable_policy_is_refused(bench: Bench, tmp_path: Path) -> None:
    """With the faults as values: absent file or faulty content alike."""
    bench.write("bad")

    with pytest.raises(PolicyRefused) as caught:
        bench.policies.load_first()
    assert [str(fault.place) for fault in caught.value.faults] == ["a.yaml:1:2"]
    bench.file.unlink()
    bench.file.symlink_to("nowhere")
    with pytest.raises(PolicyRefused, match="file-unreadable"):
        bench.policies.load_first()


def test_a_change_is_swapped_in_at_the_next_tick(bench: Bench) -> None:
    """And an unchanged directory isn't even read."""
    bench.write("one")
    bench.policies.load_first()
    bench.policies.tick()
    assert bench.loader.calls == 1
    bench.write("two")
    bench.policies.tick()

    assert bench.revision() == "two"
    assert bench.policies.state().loads == 2


def test_a_file_that_was_only_touched_changes_nothing(bench: Bench) -> None:
    """Content decides, not times."""
    bench.write("one")
    bench.policies.load_first()
    bench.write("one")
    bench.policies.tick()

    assert bench.loader.calls == 1


@pytest.mark.parametrize("text", ["bad", "crash"])
def test_a_refused_reload_keeps_the_policy_in_force_and_says_why(bench: Bench, text: str) -> None:
    """Once, not at every tick; and without the text of an exception."""
    bench.write("one")
    bench.policies.load_first()
    bench.write(text)
    for _ in range(3 * RETRY_TICKS):
        bench.policies.tick()

    assert bench.revision() == "one"
    assert bench.policies.state().refused
    assert bench.policies.state().refusals == 1
    assert [bool(event.error) for event in bench.events] == [False, True]
    assert "secret" not in bench.events[-1].error
    bench.write("two")
    bench.policies.tick()
    assert bench.revision() == "two"
    assert not bench.policies.state().refused


def test_an_unreadable_directory_keeps_the_policy_in_force(bench: Bench) -> None:
    """And the same content coming back ends the fault."""
    bench.write("one")
    bench.policies.load_first()
    bench.file.unlink()
    bench.file.symlink_to("nowhere")
    bench.policies.tick()
    assert bench.revision() == "one"
    assert bench.policies.state().refused
    bench.file.unlink()
    bench.write("one")
    bench.policies.tick()

    assert not bench.policies.state().refused


def test_a_faulty_key_file_refuses_the_reload_until_it_is_mended(tmp_path: Path) -> None:
    """The policy isn't visible before its issuers' keys are known; mending the key file alone is enough."""
    bench = Bench(tmp_path)
    bench.write("one")
    bench.policies.load_first()
    bench.loader.issuers = (ISSUER,)
    bench.write("two")
    bench.policies.tick()
    assert bench.revision() == "one"
    assert "corp.json" in bench.policies.state().faults[0]
    (tmp_path / "corp.json").write_bytes(key_set("k1"))
    for _ in range(RETRY_TICKS):
        bench.policies.tick()

    assert bench.revision() == "two"
    assert len(bench.keys.keys(ISSUER)) == 1


def test_key_files_are_polled_although_no_policy_changed(tmp_path: Path) -> None:
    """They have their own life."""
    (tmp_path / "corp.json").write_bytes(key_set("k1"))
    bench = Bench(tmp_path, ISSUER)
    bench.write("one")
    bench.policies.load_first()
    (tmp_path / "corp.json").write_bytes(key_set("k1", "k2"))
    bench.policies.tick()

    assert len(bench.keys.keys(ISSUER)) == 2


def test_content_is_read_now_and_then_whatever_stat_says(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems show no change."""
    bench.write("one")
    bench.policies.load_first()
    bench.write("two")
    monkeypatch.setattr("authz.sources.reload.scan", lambda path: bench.policies._signature)
    for _ in range(FULL_READ_TICKS):
        bench.policies.tick()

    assert bench.revision() == "two"


def test_a_reload_can_be_asked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SIGHUP does: the next tick reads."""
    bench.write("one")
    bench.policies.load_first()
    bench.write("two")
    monkeypatch.setattr("authz.sources.reload.scan", lambda path: bench.policies._signature)
    bench.policies.reload_now()
    bench.policies.tick()

    assert bench.revision() == "two"


def test_a_replaced_set_stays_until_the_next_look(tmp_path: Path) -> None:
    """Checks that began under it finish with it; it is freed beside them, not by the last of them."""
    bench = Bench(tmp_path)
    bench.write("one")
    bench.policies.load_first()
    first = bench.policies.current()
    bench.write("other")

    bench.policies.tick()
    held = sys.getrefcount(first)
    bench.policies.tick()

    assert bench.revision() == "other"
    assert sys.getrefcount(first) == held - 1


def test_only_building_a_set_is_surrounded(tmp_path: Path) -> None:
    """What the service does to the whole process while it loads, it doesn't do at each look."""
    steps: list[str] = []

    @contextmanager
    def building() -> Iterator[None]:
        steps.append("begin")
        yield
        steps.append("end")

    (tmp_path / "a.yaml").write_text("one")
    policies = PolicyDirectory(
        tmp_path,
        keys=KeyStore(tmp_path, fetch=FakeProvider().get),
        bundles=BundleStore(tmp_path),
        loader=FakeLoader(),
        building=building,
    )

    policies.load_first()
    policies.tick()

    assert steps == ["begin", "end"]
