"""The decision case, as each contender needs it: keys, tokens, policies, requests.

One case everywhere: a browser's request with an RS256 user token, from a SPIFFE peer, to one of 100 routes; the
token needs the route's scope, and the path variable must be among the token's `item_ids`. Tokens differ in `jti` and
`sub`. How a request looks, and that no two look alike, is `bench.traffic`'s.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from bench.traffic import FRONTEND, HOST, ITEMS, RING, Ask, stream
from examples.store.ca import Authority
from tests.mint import tokens
from tests.mint.keys import SigningKey, jwk_set, other_key, signing_key

ROUTES: Final = 100
LIFETIME: Final = 3540
USERS: Final = 8
"""People whose tokens a warm stream shows, for each issuer."""


class Material:
    """All of one run. `issuers` of them sign; issuer 0 is the one of the decision case."""

    def __init__(
        self, *, routes: int = ROUTES, issuers: int = 1, algorithm: str = "RS256", key: SigningKey | None = None
    ) -> None:
        self.routes = routes
        self.algorithm = algorithm
        self.keys: list[SigningKey] = [signing_key(algorithm, f"key-{number}") for number in range(issuers)]
        if key is not None:
            self.keys[0] = key
        self.authority = Authority("mesh", trust_domain="shop.example")
        self._serial = count()

    def token(
        self,
        issuer: int = 0,
        *,
        key: SigningKey | None = None,
        scope: str = "items:read items:write",
        subject: str = "user-0",
    ) -> str:
        """A token that nobody has seen."""
        members = {
            **claims(int(time.time()), LIFETIME),
            "iss": issuer_url(issuer),
            "scope": scope,
            "sub": subject,
            "jti": f"{next(self._serial):08x}",
        }
        return tokens.mint(members, key=key or self.keys[issuer])

    def write(self, directory: Path) -> Path:
        """The policy directory."""
        policy = directory / "policy"
        policy.mkdir(parents=True, exist_ok=True)
        for number, key in enumerate(self.keys):
            (policy / f"issuer-{number}.json").write_bytes(jwk_set(key))
        (policy / "bundle.json").write_bytes(self.authority.bundle())
        (policy / "platform.yaml").write_text(self._platform())
        self.write_routes(policy)
        return policy

    def write_routes(self, policy: Path, *, comment: str = "") -> None:
        """The service's policy, replaced in one step."""
        fresh = policy / ".items.yaml"
        fresh.write_text(f"# {comment}\n{self._routes()}")
        fresh.replace(policy / "items.yaml")

    def rego_data(self) -> bytes:
        """The same rules as data of `contenders/go/opa/rules.rego`."""
        routes = {f"GET res{number}": {"scope": "items:read", "peer": FRONTEND} for number in range(self.routes)}
        return json.dumps(
            {"host": HOST, "issuer": issuer_url(0), "audience": tokens.AUDIENCE, "routes": routes, "jwks": self.jwks()}
        ).encode()

    def jwks(self) -> str:
        return jwk_set(self.keys[0]).decode()

    def wrong(self) -> dict[str, Ask]:
        """One request for each rule that isn't met; whoever decides must refuse each."""
        good = self.token()
        return {
            "another's item": Ask(token=good, item="43"),
            "another peer": Ask(token=good, peer=f"{FRONTEND}-2"),
            "no such route": Ask(token=good, route=self.routes),
            "a forged signature": Ask(token=self.token(key=other_key(self.algorithm, "key-0"))),
            "a scope too few": Ask(token=self.token(scope="items:write")),
        }

    def _platform(self) -> str:
        issuers = "\n".join(
            f"  issuer{number}:\n    issuer: {issuer_url(number)}\n    audiences: [{tokens.AUDIENCE}]\n"
            f"    algorithms: [{self.algorithm}]\n    keys: {{jwks_file: issuer-{number}.json}}"
            for number in range(len(self.keys))
        )
        return (
            f"apiVersion: authz/v1\nkind: Issuers\nissuers:\n{issuers}\n---\n"
            "apiVersion: authz/v1\nkind: TrustDomains\n"
            "trustDomains:\n  shop.example:\n    bundle: {file: bundle.json}\npeers:\n  verified_by: envoy\n"
        )

    def _routes(self) -> str:
        named = ", ".join(f"issuer{number}" for number in range(len(self.keys)))
        routes = "\n".join(
            f"  - id: res{number}.read\n    match: {{methods: [GET], path: '/v1/res{number}/{{item_id}}'}}\n"
            "    allow: {all: [owner, from-frontend]}"
            for number in range(self.routes)
        )
        return (
            f"apiVersion: authz/v1\nkind: RoutePolicy\nmetadata: {{name: items, owner: bench}}\n"
            f"service:\n  hosts: [{HOST}]\nrequirements:\n  owner:\n    user:\n      issuer: [{named}]\n"
            "      scopes: {all: ['items:read']}\n      claims: {item_ids: {contains: '{path.item_id}'}}\n"
            f"  from-frontend:\n    workload: {{spiffe: {FRONTEND}}}\nroutes:\n{routes}\n"
        )


def claims(now: int, lifetime: int) -> dict[str, Any]:
    """What every token of issuer 0 says that lives from now on for so many seconds."""
    return {
        "iss": issuer_url(0),
        "scope": "items:read items:write",
        "item_ids": list(ITEMS),
        "iat": now - 60,
        "exp": now + lifetime,
        "auth_time": now - 120,
    }


def issuer_url(number: int) -> str:
    return f"https://idp{number}.shop.example"


def asks(material: Material, minted: Sequence[str], *, items: Sequence[str] = ITEMS, number: int = RING) -> list[Ask]:
    """Requests of the case, all permitted: tokens, routes, items and browsers rotate, each at its own pace."""
    return [
        Ask(
            token=minted[place % len(minted)],
            route=place % material.routes,
            item=items[place // 7 % len(items)],
            browser=place * 5 + place // 11,
        )
        for place in range(max(number, len(minted)))
    ]


def warm(material: Material, *, issuers: int = 1, users: int = USERS, prefix: bool = True) -> Iterator[bytes]:
    """A few people's tokens again and again, over all routes; every request is one of its own."""
    minted = [material.token(number, subject=f"user-{user}") for user in range(users) for number in range(issuers)]
    return stream(asks(material, minted), prefix=prefix)


def distinct(material: Material, number: int, *, prefix: bool = True) -> list[bytes]:
    """That many requests, each with a token of its own."""
    minted = [material.token(subject=f"user-{place}") for place in range(number)]
    return list(islice(stream(asks(material, minted, number=number), prefix=prefix), number))
