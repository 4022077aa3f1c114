"""The caches of verified credentials."""

from __future__ import annotations

import gc
import threading
import tracemalloc

from authz.authn.claims import user_of
from authz.authn.extract import PresentedToken, Scheme
from authz.authn.keys import import_key_set
from authz.authn.token import peek, verify
from authz.engine.revocations import marks_of
from authz.engine.token_cache import CachedToken, TokenCache, digest_of
from authz.model.issuer import ALGORITHMS, IssuerSettings
from tests.mint import tokens
from tests.mint.keys import jwk_set, signing_key
from tests.mint.tokens import NOW

SETTINGS = IssuerSettings(
    name="corp",
    issuer=tokens.ISSUER,
    audiences=frozenset({tokens.AUDIENCE}),
    aliases={"scopes": ("scope",), "groups": ("groups",), "roles": ("roles",), "client": ("azp",)},
)


KEYS, _ = import_key_set(jwk_set(signing_key("RS256")), ALGORITHMS)


def entry() -> CachedToken:
    return entry_of(tokens.mint())


def entry_of(text: str) -> CachedToken:
    presented = PresentedToken(scheme=Scheme.BEARER, token=text)
    token = verify(peek(presented, limit=8192), SETTINGS, KEYS.find, presented, now=NOW)
    return CachedToken(
        user=user_of(token, SETTINGS), settings=SETTINGS.revision, keys=KEYS.revision, since=NOW - 90, until=NOW + 60
    )


def test_an_entry_is_found_until_its_time_is_over() -> None:
    """At `until` itself it is gone, and stays gone when the clock goes back."""
    cache, kept = TokenCache(), entry()
    cache.put(b"a", kept)

    assert cache.get(b"a", now=NOW + 59.9) is kept
    assert cache.get(b"a", now=NOW + 60) is None
    assert cache.get(b"a", now=NOW) is None


def test_the_least_recently_used_goes_first() -> None:
    """The bound holds whatever comes; reading an entry keeps it."""
    cache, kept = TokenCache(2), entry()
    cache.put(b"a", kept)
    cache.put(b"b", kept)
    cache.get(b"a", now=NOW)

    cache.put(b"c", kept)

    assert [cache.get(digest, now=NOW) is kept for digest in (b"a", b"b", b"c")] == [True, False, True]
    assert cache.counters.entries == 2


def test_counters_tell_hits_misses_and_evictions() -> None:
    """A hit that is taken back counts as a miss; what timed out is no eviction."""
    cache, kept = TokenCache(2), entry()
    for digest in (b"a", b"b", b"c"):
        cache.put(digest, kept)

    cache.get(b"a", now=NOW)
    cache.get(b"b", now=NOW)
    cache.get(b"c", now=NOW)
    cache.reject(b"c")
    cache.get(b"b", now=NOW + 60)

    counters = cache.counters
    assert (counters.hits, counters.misses, counters.evictions, counters.entries) == (1, 3, 1, 0)


def test_only_who_looks_closer_counts_a_miss() -> None:
    """A first look counts when it finds something, and takes nothing away."""
    cache = TokenCache(2)
    cache.put(b"a", entry())

    assert cache.hit(b"b", now=NOW) is None
    assert cache.hit(b"a", now=NOW + 60) is None
    assert (cache.counters.hits, cache.counters.misses, cache.counters.entries) == (0, 0, 1)
    assert cache.hit(b"a", now=NOW) is not None
    assert (cache.counters.hits, cache.counters.misses) == (1, 0)


def test_what_may_revoke_a_token_is_worked_out_once() -> None:
    """And is what the list would work out."""
    kept = entry()

    assert kept.marks() == marks_of(kept.user)
    assert kept.marks() is kept.marks()


def test_a_digest_covers_the_whole_credential() -> None:
    """Tokens are filed by SHA-256: no part of one stands in memory as a key."""
    assert len({digest_of("a.b.c"), digest_of("a.b.d"), digest_of("a.b.c\ud800")}) == 3
    assert len(digest_of("a")) == 32


def test_an_entry_takes_less_than_two_kilobytes() -> None:
    """Memory for typical tokens, all of the cache's own tables counted, measured over many of them."""
    cache, count = TokenCache(), 400
    minted = [tokens.mint({"sub": f"user-{number}", "jti": f"{number:08x}"}) for number in range(count)]
    cache.put(digest_of(""), entry())
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    for token in minted:
        cache.put(digest_of(token), entry_of(token))
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert cache.counters.entries == count + 1
    assert taken / count < 2048


def test_threads_may_share_it() -> None:
    """Many threads at once lose no count and break no bound."""
    cache, kept = TokenCache(8), entry()

    def work(seed: int) -> None:
        for number in range(300):
            digest = bytes([(seed * 7 + number) % 16])
            if cache.get(digest, now=NOW) is None:
                cache.put(digest, kept)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    counters = cache.counters
    assert counters.hits + counters.misses == 1200
    assert counters.entries <= 8
