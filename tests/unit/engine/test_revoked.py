"""Revocation where decisions are made: on every request, for whatever was verified, however it was shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from authz.authn.keys import import_key_set
from authz.authn.svid import import_bundle
from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.revocations import RevocationPlane
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.issuer import ALGORITHMS, BundleFile, IssuerSettings, JwtSvidSettings, PeerVerification, TrustSettings
from authz.model.principal import Principals, Refusal, Undecided, User, Via, Workload
from authz.model.reason import Reason
from authz.model.request import Limits
from authz.model.revocation import RevocationKind
from authz.model.spiffe import SpiffeId
from authz.policy.compiled import Usage
from tests.fakes.ports import FixedBundles, FixedKeys
from tests.mint import jwt_svids, tokens
from tests.mint.certificates import FRONTEND, TRUST_DOMAIN, authority, bundle, svid
from tests.mint.keys import jwk_set, signing_key
from tests.mint.requests import request
from tests.mint.revocations import revocation
from tests.mint.tokens import NOW

GATEWAY: Final = "spiffe://shop.example/ns/edge/sa/gateway"
CORP: Final = IssuerSettings(name="corp", issuer=tokens.ISSUER, audiences=frozenset({"shop-api"}))
TRUST: Final = TrustSettings(
    bundles={TRUST_DOMAIN: BundleFile("bundles/shop.json")},
    verified_by=PeerVerification.ENVOY,
    trusted_proxies=frozenset({SpiffeId.parse(GATEWAY)}),
    jwt_svid=JwtSvidSettings(header="x-jwt-svid", audiences=frozenset({"orders"})),
)
EVERYTHING: Final = Usage(issuers=frozenset({"corp"}), vias=frozenset(Via))


class Plane(RevocationPlane):
    """A list whose age a test sets."""

    old = False

    def stale(self) -> bool:
        return self.old


class Scene:
    """An authenticator with a list; requests carry whatever a test shows."""

    def __init__(self, *, listed: bool = True, bundle: bytes | None = None) -> None:
        self.plane = Plane()
        self.cache = TokenCache()
        self.corp = CORP
        self.trust = TRUST
        keys = FixedKeys({"corp": import_key_set(jwk_set(signing_key("RS256")), ALGORITHMS)[0]})
        document = jwt_svids.bundle_of(jwt_svids.svid_key()) if bundle is None else bundle
        bundles = FixedBundles(import_bundle(document, TRUST_DOMAIN))
        self.authenticator = Authenticator(
            keys, bundles, self.cache, CertificateCache(), Limits(), revocations=self.plane if listed else None
        )

    def ask(self, headers: dict[str, str] | None = None, *, now: float = NOW, **peer: str) -> Principals:
        trusted = Trusted(
            issuers={"corp": self.corp}, issuers_by_url={self.corp.issuer: self.corp}, trust=self.trust, audiences={}
        )
        return self.authenticator.principals(request(headers or {}, **peer), EVERYTHING, trusted, now=now)

    def user(self, **claims: Any) -> Any:
        return self.ask({"authorization": f"Bearer {tokens.mint(claims)}"}).user


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (RevocationKind.TOKEN, "4f2c9d0e"),
        (RevocationKind.SUBJECT, "alice"),
        (RevocationKind.CLIENT, "storefront"),
        (RevocationKind.SESSION, "s-1"),
    ],
)
def test_a_revoked_token_is_refused_though_it_is_remembered(scene: Scene, kind: RevocationKind, value: str) -> None:
    """Cached as verified, it is refused from the next request on, and passes again when the entry is lifted."""
    claims = {"sid": "s-1"} if kind is RevocationKind.SESSION else {}
    assert isinstance(scene.user(**claims), User)

    scene.plane.apply(revocation(kind, value))
    refused = scene.user(**claims)
    scene.plane.apply(revocation(kind, value, lifted=True))

    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.TOKEN_REVOKED
    assert isinstance(scene.user(**claims), User)
    assert scene.cache.counters.hits == 2


def test_a_token_that_doesnt_verify_keeps_its_own_reason(scene: Scene) -> None:
    """What isn't verified names nobody, so it is looked up nowhere."""
    scene.plane.apply(revocation(RevocationKind.SUBJECT, "alice"))

    assert scene.user(exp=1).reason is Reason.TOKEN_EXPIRED


def test_a_strict_issuer_denies_when_the_list_is_old(scene: Scene) -> None:
    """Undecided, a 503: not a 401 that would send people to log in. What is known to be revoked is still a 401."""
    scene.plane.old = True
    assert isinstance(scene.user(), User)

    scene.corp = replace(CORP, strict_revocation=True)
    unknown = scene.user()
    scene.plane.apply(revocation(RevocationKind.SUBJECT, "alice"))

    assert isinstance(unknown, Undecided)
    assert unknown.reason is Reason.STORE_UNAVAILABLE
    assert scene.user().reason is Reason.TOKEN_REVOKED
    scene.plane.old = False
    assert isinstance(scene.user(sub="bob"), User)


def test_without_a_list_a_strict_issuer_denies() -> None:
    """Nobody can say that its tokens are in force."""
    scene = Scene(listed=False)
    scene.corp = replace(CORP, strict_revocation=True)

    assert scene.user().reason is Reason.STORE_UNAVAILABLE


def shown(scene: Scene, via: Via) -> Any:
    """The frontend, shown in one of the three ways."""
    if via is Via.MTLS:
        return scene.ask(principal=FRONTEND).workload(via)
    if via is Via.FORWARDED:
        headers = {"x-forwarded-client-cert": f"By={GATEWAY};URI={FRONTEND}"}
        return scene.ask(headers, principal=GATEWAY).workload(via)
    return scene.ask({"x-jwt-svid": jwt_svids.mint()}).workload(via)


@pytest.mark.parametrize("via", list(Via))
def test_a_revoked_workload_is_refused_however_it_is_shown(scene: Scene, via: Via) -> None:
    """By mTLS, forwarded by a proxy that isn't revoked, and by a JWT-SVID."""
    assert isinstance(shown(scene, via), Workload)

    scene.plane.apply(revocation(RevocationKind.WORKLOAD, FRONTEND))

    assert shown(scene, via).reason is Reason.WORKLOAD_REVOKED


def test_a_revoked_proxy_forwards_nobody(scene: Scene) -> None:
    """Its word no longer counts: the identity that it forwards is none."""
    scene.plane.apply(revocation(RevocationKind.WORKLOAD, GATEWAY))

    assert shown(scene, Via.FORWARDED) is None


def test_a_certificate_that_is_checked_here_is_looked_up_too() -> None:
    """Also when its verification is remembered."""
    scene = Scene(bundle=bundle(authority()))
    scene.trust = replace(TRUST, verified_by=PeerVerification.CERTIFICATE)
    leaf = svid()
    assert isinstance(scene.ask(certificate=leaf.encoded).mtls, Workload)

    scene.plane.apply(revocation(RevocationKind.WORKLOAD, FRONTEND))

    outcome = scene.ask(certificate=leaf.encoded).mtls
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.WORKLOAD_REVOKED
