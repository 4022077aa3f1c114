"""Building beside checks: the collector and the switch interval while a set is built, and how old sets go."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from authz.policy.link import PolicySet
from authz.policy.load import load
from authz.sources.undisturbed import SWITCH_SECONDS, dismantle, undisturbed

_SITE = b"""apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: site}
service: {hosts: [site.shop.example]}
routes:
  - {id: all, match: {methods: [GET], path: "/**"}, allow: {public: "it is the front page"}}
"""


class Knot:
    """Refers to itself: only the collector frees it."""

    own: Knot


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    """What a test froze belongs to the collector again."""
    yield
    gc.unfreeze()


def test_no_full_collection_falls_into_a_build() -> None:
    """It would stop every check for as long as it takes to look at two sets of policies."""
    generations: list[int] = []

    def seen(_phase: str, info: dict[str, int]) -> None:
        generations.append(info["generation"])

    with undisturbed():
        gc.callbacks.append(seen)
        kept: list[list[object]] = [[] for _ in range(200_000)]
        gc.callbacks.remove(seen)

    assert kept and 1 in generations
    assert 2 not in generations


def test_what_was_built_is_out_of_the_collector_s_sight() -> None:
    """A full collection in the middle of a busy hour looks at what is new, never at the policies."""
    with undisturbed():
        built: list[object] = [[]]

    assert not any(one is built for one in gc.get_objects())


def test_garbage_is_collected_before_anything_is_frozen() -> None:
    """What is frozen as garbage would stay for ever."""
    knot = Knot()
    knot.own = knot
    seen = weakref.ref(knot)
    del knot

    with undisturbed():
        assert seen() is None


def test_other_threads_get_their_turn_sooner_only_while_a_set_is_built() -> None:
    """A check waits for the interpreter, which the builder holds for one switch interval."""
    before = sys.getswitchinterval()

    with undisturbed():
        during = sys.getswitchinterval()

    assert during == pytest.approx(SWITCH_SECONDS)
    assert sys.getswitchinterval() == before


def test_a_build_that_fails_leaves_the_process_as_it_was() -> None:
    """A bug in a load must not leave the collector off."""
    before = gc.get_threshold(), sys.getswitchinterval()

    with pytest.raises(RuntimeError), undisturbed():
        raise RuntimeError

    assert (gc.get_threshold(), sys.getswitchinterval()) == before


def test_a_dismantled_set_is_gone_with_its_routes() -> None:
    """Also after it was frozen: nothing that a set holds refers back to it."""
    with undisturbed():
        retired = [_loaded()]
    route = retired[0].routes[0]

    dismantle(retired)

    assert retired == []
    assert sys.getrefcount(route) == 2  # `route`, and the argument


def test_loading_again_and_again_leaves_nothing_behind() -> None:
    """No load makes a cycle, so that freezing keeps nothing alive."""
    _replaced()
    gc.collect()
    before = gc.get_freeze_count()

    for _ in range(20):
        _replaced()

    assert gc.get_freeze_count() - before < 200


def _loaded() -> PolicySet:
    policy = load({"site.yaml": _SITE}).policy
    assert policy is not None
    return policy


def _replaced() -> None:
    """A set built as the service does it, and dismantled."""
    with undisturbed():
        policy = _loaded()
    retired = [policy]
    del policy
    dismantle(retired)
