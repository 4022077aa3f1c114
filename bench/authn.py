"""What verifying costs: `python -m bench.authn` prints each algorithm cold and warm, as a ratio to the raw verify.

Cold is all that a request needs from its headers to principals, with an empty cache. The raw verify is the
cryptography library's alone, in the same run; ratios are comparable between machines, microseconds aren't.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from authz.authn import algorithms
from authz.authn.keys import import_key_set
from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.issuer import ALGORITHMS, IssuerSettings
from authz.model.request import Limits
from authz.policy.compiled import Usage
from tests.fakes.ports import FixedBundles, FixedKeys
from tests.mint import requests, tokens
from tests.mint.keys import jwk_set, signing_key

REPEATS = 9
CALLS = 1000


class ForgetfulCache(TokenCache):
    """A cache that keeps nothing: every token is verified anew."""

    def put(self, digest: bytes, entry: object) -> None:
        del digest, entry


def micros(call: Callable[[], object]) -> float:
    """The least time of one call, in microseconds."""
    return min(timeit.repeat(call, number=CALLS, repeat=REPEATS)) / CALLS * 1e6


def measure(algorithm: str) -> tuple[float, float, float]:
    """Raw, cold and warm, in microseconds."""
    key = signing_key(algorithm)
    settings = IssuerSettings(
        name="corp",
        issuer=tokens.ISSUER,
        audiences=frozenset({tokens.AUDIENCE}),
        aliases={"scopes": ("scope",), "groups": ("groups",), "roles": ("roles",), "client": ("azp",)},
    )
    key_set, _ = import_key_set(jwk_set(key), ALGORITHMS)
    token = tokens.mint(key=key)
    signed = token.rpartition(".")[0].encode()
    signature, public = key.sign(signed), key_set.find(key.kid, algorithm).public
    trusted = Trusted(issuers={"corp": settings}, issuers_by_url={settings.issuer: settings}, trust=None, audiences={})
    usage, request = Usage(issuers=frozenset({"corp"})), requests.request({"authorization": f"Bearer {token}"})

    def principals(cache: TokenCache) -> Callable[[], object]:
        authenticator = Authenticator(FixedKeys({"corp": key_set}), FixedBundles(), cache, CertificateCache(), Limits())
        return lambda: authenticator.principals(request, usage, trusted, now=tokens.NOW)

    raw = micros(lambda: algorithms.verifies(algorithm, public, signature, signed))
    return raw, micros(principals(ForgetfulCache())), micros(principals(TokenCache()))


def main() -> None:
    print(f"{'algorithm':10} {'raw us':>8} {'cold us':>8} {'cold/raw':>9} {'warm us':>8} {'warm/raw':>9}")
    for algorithm in ALGORITHMS:
        raw, cold, warm = measure(algorithm)
        print(f"{algorithm:10} {raw:8.1f} {cold:8.1f} {cold / raw:9.2f} {warm:8.1f} {warm / raw:9.2f}")


if __name__ == "__main__":
    main()
