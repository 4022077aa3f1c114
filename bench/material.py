"""The decision case, as each contender needs it: keys, tokens, policies, requests.

One case everywhere: a browser's request with an RS256 user token, from a SPIFFE peer, to one of 100 routes; the
token needs the route's scope, and the path variable must be among the token's `item_ids`. Tokens differ in `jti`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Final

from bench.client import grpc_body
from examples.store.ca import Authority
from tests.mint import tokens
from tests.mint.keys import SigningKey, jwk_set, other_key, signing_key
from tests.mint.messages import check_request

HOST: Final = "api.shop.example"
FRONTEND: Final = "spiffe://shop.example/ns/shop/sa/frontend"
SERVICE: Final = "spiffe://shop.example/ns/shop/sa/orders"
ITEM: Final = "42"
ROUTES: Final = 100
LIFETIME: Final = 3540
BROWSER: Final = (
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.shop.example/orders"),
    ("x-request-id", "0a4f2c6e-1d3b-4c5a-9e8f-7a6b5c4d3e2f"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-for", "203.0.113.7"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("cookie", "consent=all; theme=dark"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-site"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request of the case; what is given differs from the usual."""

    token: str
    route: int = 7
    item: str = ITEM
    peer: str = FRONTEND

    @property
    def path(self) -> str:
        return path_of(self.route, self.item)


class Material:
    """All of one run. `issuers` of them sign; issuer 0 is the one of the decision case."""

    def __init__(self, *, routes: int = ROUTES, issuers: int = 1, algorithm: str = "RS256") -> None:
        self.routes = routes
        self.algorithm = algorithm
        self.keys: list[SigningKey] = [signing_key(algorithm, f"key-{number}") for number in range(issuers)]
        self.authority = Authority("mesh", trust_domain="shop.example")
        self._serial = count()

    def token(self, issuer: int = 0, *, key: SigningKey | None = None, scope: str = "items:read items:write") -> str:
        """A token that nobody has seen."""
        now = int(time.time())
        members = {
            "iss": issuer_url(issuer),
            "scope": scope,
            "item_ids": ["17", ITEM, "99"],
            "iat": now - 60,
            "exp": now + LIFETIME,
            "auth_time": now - 120,
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


def issuer_url(number: int) -> str:
    return f"https://idp{number}.shop.example"


def path_of(route: int, item: str = ITEM) -> str:
    return f"/v1/res{route}/{item}"


def message(ask: Ask) -> bytes:
    """The serialized CheckRequest, headers in the form that the README recommends (`encode_raw_headers: true`)."""
    return check_request(
        path=ask.path,
        host=HOST,
        headers=(*BROWSER, ("authorization", f"Bearer {ask.token}")),
        source=ask.peer,
        destination=SERVICE,
        raw_headers=True,
    ).SerializeToString()


def warm(material: Material, *, issuers: int = 1) -> Iterator[bytes]:
    """One token of each issuer again and again, over all routes."""
    minted = [material.token(number) for number in range(issuers)]
    asks = (Ask(token=minted[place % issuers], route=place % material.routes) for place in range(max(100, issuers)))
    return cycle([grpc_body(message(ask)) for ask in asks])


def distinct(material: Material, number: int) -> list[bytes]:
    """That many requests, each with a token of its own."""
    return [grpc_body(message(Ask(token=material.token(), route=place % material.routes))) for place in range(number)]
