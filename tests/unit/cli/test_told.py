"""`authz explain` without anything to verify: the same decision as the service's own decision point makes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from authz.cli import asserted, told
from authz.cli.offline_keys import OfflineKeys
from authz.cli.policy_directory import read
from authz.cli.verified import verified_user
from authz.model.headers import Headers
from authz.model.request import Limits, Peer, RawRequest, parse_request
from authz.model.spiffe import SpiffeId
from authz.policy.faults import Place
from authz.policy.suite import UserFixture

ROOT = Path(__file__).parents[3]
DIRECTORIES = ("examples/store/policy", "tests/cases/diff/after", "tests/cases/cli/policies/shop")
PATHS = ("/orders/42", "/orders/43", "/healthz", "/nothing", "/")
PEERS = (
    "",
    *(f"spiffe://{name}" for name in ("shop.example/ns/shop/sa/frontend", "shop.example/other", "else.example/a")),
)
NOW = 1_800_000_000.0


@pytest.mark.parametrize("name", DIRECTORIES)
def test_both_ways_decide_alike(name: str) -> None:
    """Whoever calls, from wherever, with any scopes: the decision and its reasoning are equal."""
    directory = read(str(ROOT / name), references=False)
    policy = directory.policy
    assert policy is not None
    keys = OfflineKeys(ROOT / name, ())
    users = [None] + [
        verified_user(UserFixture(place=Place("x"), issuer=issuer, subject="alice", scopes=scopes), settings, NOW)
        for issuer, settings in policy.issuers.items()
        for scopes in (None, ("orders:read",))
    ]
    hosts = ("www.shop.example", "orders.shop.example", "inventory.shop.example")
    svids = (None, SpiffeId.parse("spiffe://shop.example/ns/shop/sa/frontend"))
    compared = 0
    for host, path, peer, user, svid in itertools.product(hosts, PATHS, PEERS, users, svids):
        raw = RawRequest(
            method="GET",
            target=path,
            authority=host,
            scheme="https",
            headers=Headers(()),
            protocol="HTTP/1.1",
            source=Peer(principal=peer),
            destination=Peer(principal="spiffe://shop.example/ns/shop/sa/orders"),
            tls=True,
        )
        request = parse_request(raw, Limits())
        point = asserted.decision_point(policy, keys, user, svid)

        assert told.decide(policy, request, user, svid, NOW) == point.decide(request, now=NOW, trace=True).decision
        compared += 1
    assert compared >= 300
