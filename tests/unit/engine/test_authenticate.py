"""Which credentials are examined, how, and what becomes of those that don't verify (policy language §3, §5, §8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from authz.authn.keys import KeySet, import_key_set
from authz.authn.svid import import_bundle
from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.issuer import ALGORITHMS, BundleFile, IssuerSettings, PeerVerification, TrustSettings
from authz.model.principal import NOBODY, Principals, Refusal, Undecided, User, Via, Workload
from authz.model.reason import Reason
from authz.model.request import Limits
from authz.model.spiffe import SpiffeId
from authz.policy.compiled import Usage
from tests.fakes.ports import FixedBundles, FixedKeys
from tests.mint import tokens
from tests.mint.certificates import FRONTEND, TRUST_DOMAIN, authority, bundle, make_authority, moment, svid
from tests.mint.keys import jwk_set, other_key, signing_key
from tests.mint.requests import request
from tests.mint.tokens import NOW

GATEWAY = "spiffe://shop.example/ns/edge/sa/gateway"
CORP = IssuerSettings(name="corp", issuer=tokens.ISSUER, audiences=frozenset({"shop-api", "admin-api"}))
PARTNER = IssuerSettings(name="partner", issuer="https://idp.partner.example", audiences=frozenset({"shop-api"}))
TRUST = TrustSettings(
    bundles={TRUST_DOMAIN: BundleFile("bundles/shop.json")},
    verified_by=PeerVerification.ENVOY,
    roles={SpiffeId.parse(FRONTEND): frozenset({"order-caller"})},
    trusted_proxies=frozenset({SpiffeId.parse(GATEWAY)}),
)
CERTIFICATE = replace(TRUST, verified_by=PeerVerification.CERTIFICATE)
CORP_ONLY = Usage(issuers=frozenset({"corp"}))
MTLS = Usage(vias=frozenset({Via.MTLS}))
FORWARDED = Usage(vias=frozenset({Via.FORWARDED}))


def key_set(*keys: Any) -> KeySet:
    return import_key_set(jwk_set(*keys), ALGORITHMS)[0]


class Scene:
    """An authenticator with its ports, and what is trusted; each part may be exchanged between requests."""

    def __init__(self) -> None:
        self.keys = FixedKeys({"corp": key_set(signing_key("RS256"))})
        self.bundles = FixedBundles(import_bundle(bundle(authority()), TRUST_DOMAIN))
        self.tokens = TokenCache()
        self.certificates = CertificateCache()
        self.issuers = [CORP, PARTNER]
        self.trust: TrustSettings | None = TRUST
        self.audiences: dict[str, frozenset[str]] = {}
        self.authenticator = Authenticator(self.keys, self.bundles, self.tokens, self.certificates, Limits())

    def principals(self, headers: Any = (), usage: Usage = CORP_ONLY, *, now: float = NOW, **peer: str) -> Principals:
        trusted = Trusted(
            issuers={issuer.name: issuer for issuer in self.issuers},
            issuers_by_url={issuer.issuer: issuer for issuer in self.issuers},
            trust=self.trust,
            audiences=self.audiences,
        )
        return self.authenticator.principals(request(headers, **peer), usage, trusted, now=now)

    def user(self, token: str | None = None, **how: Any) -> Any:
        return self.principals({"authorization": f"Bearer {tokens.mint() if token is None else token}"}, **how).user

    def mtls(self, principal: str = "", certificate: str = "", *, now: float = NOW) -> Any:
        return self.principals(usage=MTLS, principal=principal, certificate=certificate, now=now).mtls

    def forwarded(self, *values: str, principal: str = GATEWAY) -> Any:
        headers = [("x-forwarded-client-cert", value) for value in values]
        return self.principals(headers, usage=FORWARDED, principal=principal).forwarded


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- what is examined ---


def test_nothing_is_examined_that_usage_does_not_name(scene: Scene) -> None:
    """A public route looks at no credential, however broken."""
    found = scene.principals(
        [("authorization", "Bearer x"), ("authorization", "Bearer y")], Usage(), principal="spiffe://"
    )

    assert found == NOBODY
    assert scene.keys.asked == []


def test_each_via_is_examined_alone(scene: Scene) -> None:
    """The peer that vouches for a forwarded identity isn't shown where only `forwarded` is asked for."""
    found = scene.principals(
        {"x-forwarded-client-cert": f"By={GATEWAY};URI={FRONTEND}", "authorization": "Bearer x"},
        FORWARDED,
        principal=GATEWAY,
    )

    assert found == Principals(
        forwarded=Workload(id=SpiffeId.parse(FRONTEND), via=Via.FORWARDED, roles=frozenset({"order-caller"}))
    )


def test_user_and_both_workloads_act_together(scene: Scene) -> None:
    """A request has at most one user and one workload for each `via`."""
    usage = Usage(issuers=frozenset({"corp"}), vias=frozenset(Via))
    headers = {"authorization": f"Bearer {tokens.mint()}", "x-forwarded-client-cert": f"By={GATEWAY};URI={FRONTEND}"}

    found = scene.principals(headers, usage, principal=GATEWAY)

    assert isinstance(found.user, User)
    assert isinstance(found.mtls, Workload)
    assert isinstance(found.forwarded, Workload)
    assert found.jwt_svid is None


# --- users ---


def test_no_credential_is_nobody(scene: Scene) -> None:
    """Absence is not refusal."""
    assert scene.principals({"authorization": "Basic YTpi"}).user is None
    assert scene.principals().user is None


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("x", Reason.TOKEN_MALFORMED),
        (tokens.mint({"iss": "https://other.example"}), Reason.ISSUER_UNKNOWN),
        (tokens.mint({"iss": PARTNER.issuer}), Reason.ISSUER_NOT_PERMITTED),
        (tokens.mint({"exp": 1}), Reason.TOKEN_EXPIRED),
        (tokens.mint(head={"alg": "HS256"}), Reason.TOKEN_ALGORITHM_REFUSED),
        (tokens.mint(key=other_key("RS256")), Reason.TOKEN_SIGNATURE_INVALID),
    ],
)
def test_what_a_verifier_refuses_becomes_a_refusal(scene: Scene, token: str, reason: Reason) -> None:
    """A refused credential is a value with its reason; nothing is remembered."""
    outcome = scene.user(token)

    assert isinstance(outcome, Refusal)
    assert outcome.reason is reason
    assert scene.tokens.counters.entries == 0


def test_an_issuer_that_the_route_does_not_name_is_not_verified(scene: Scene) -> None:
    """Its keys aren't even asked for; nor are they for a token that is in the cache."""
    scene.user()
    scene.keys.asked.clear()

    outcome = scene.user(usage=Usage(issuers=frozenset({"partner"})))

    assert outcome == Refusal(reason=Reason.ISSUER_NOT_PERMITTED, detail=outcome.detail)
    assert scene.keys.asked == []


def test_keys_that_could_not_be_had_leave_it_undecided(scene: Scene) -> None:
    """Neither a refusal nor a user: 503, with the time after which to ask again; also for a remembered token."""
    scene.user()
    scene.keys.sets.clear()

    for token in (tokens.mint(), tokens.mint({"sub": "bob"})):
        assert scene.user(token) == Undecided(reason=Reason.KEYS_UNAVAILABLE, detail="never fetched", retry_after=7)


def test_no_keys_are_needed_to_refuse_a_hopeless_token(scene: Scene) -> None:
    """A refused algorithm or type is certain without keys."""
    scene.keys.sets.clear()

    assert scene.user(tokens.mint(head={"alg": "none"})).reason is Reason.TOKEN_ALGORITHM_REFUSED
    assert scene.user(tokens.mint(head={"typ": "JWT"})).reason is Reason.TOKEN_TYPE_REFUSED


def test_an_unknown_kid_asks_for_a_fetch(scene: Scene) -> None:
    """Undecided while a fetch may bring the key, refused when it can't (policy language §8)."""
    token = tokens.mint(key=other_key("RS256", "key-2"))

    assert scene.user(token).reason is Reason.TOKEN_KEY_UNKNOWN
    scene.keys.fetching = True
    assert scene.user(token) == Undecided(reason=Reason.KEYS_UNAVAILABLE, detail="a fetch is under way", retry_after=2)
    assert scene.keys.unknown_asked == ["corp", "corp"]


def test_a_token_without_kid_asks_for_no_fetch(scene: Scene) -> None:
    """What no fetch can settle causes none."""
    scene.keys.sets["corp"] = key_set(signing_key("RS256"), other_key("RS256", "key-2"))

    assert scene.user(tokens.mint(head={"kid": tokens.ABSENT})).reason is Reason.TOKEN_KEY_UNKNOWN
    assert scene.keys.unknown_asked == []


def test_a_policy_narrows_the_issuers_audiences(scene: Scene) -> None:
    """After verification, also for a remembered token: the same token may pass on another policy's route."""
    assert isinstance(scene.user(), User)
    scene.audiences = {"corp": frozenset({"admin-api"})}
    assert scene.user().reason is Reason.AUDIENCE_MISMATCH
    scene.audiences = {"corp": frozenset({"shop-api"})}
    assert isinstance(scene.user(), User)
    assert scene.tokens.counters.hits == 2


def test_a_repeated_header_is_ambiguous(scene: Scene) -> None:
    """Neither of the two is looked at."""
    good = f"Bearer {tokens.mint()}"

    outcome = scene.principals([("authorization", good), ("authorization", good)]).user

    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.HEADER_AMBIGUOUS


def test_a_remembered_token_is_not_verified_again(scene: Scene) -> None:
    """The second time the same user comes from the cache."""
    first, second = scene.user(), scene.user()

    assert first is second
    assert scene.tokens.counters.hits == 1


def test_a_remembered_token_expires(scene: Scene) -> None:
    """Within the skew it is verified anew, beyond it refused."""
    scene.user()

    assert isinstance(scene.user(now=NOW + 3569), User)
    assert scene.user(now=NOW + 3570).reason is Reason.TOKEN_EXPIRED


def test_new_keys_end_what_old_keys_verified(scene: Scene) -> None:
    """A key that is withdrawn takes its verdicts with it."""
    scene.user()
    scene.keys.sets["corp"] = key_set(other_key("RS256"))

    assert scene.user().reason is Reason.TOKEN_SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"audiences": frozenset({"other"})}, Reason.AUDIENCE_MISMATCH),
        ({"algorithms": ("ES256",)}, Reason.TOKEN_ALGORITHM_REFUSED),
        ({"token_types": frozenset({"jwt"})}, Reason.TOKEN_TYPE_REFUSED),
        ({"max_lifetime": 60.0}, Reason.TOKEN_LIFETIME_EXCESSIVE),
        ({"issuer": "https://new.example"}, Reason.ISSUER_UNKNOWN),
    ],
)
def test_new_settings_end_what_old_settings_verified(scene: Scene, change: dict[str, Any], reason: Reason) -> None:
    """A cached verdict is bound to the version of the issuer's settings."""
    scene.user()
    scene.issuers = [replace(CORP, **change)]

    assert scene.user().reason is reason


def test_a_removed_issuer_ends_what_it_verified(scene: Scene) -> None:
    """Without its entry the issuer is unknown, whatever is remembered."""
    scene.user()
    scene.issuers = [PARTNER]

    assert scene.user(usage=Usage(issuers=frozenset({"corp", "partner"}))).reason is Reason.ISSUER_UNKNOWN


def test_the_binding_is_asked_of_each_request(scene: Scene) -> None:
    """A remembered token that is bound to a certificate is worth nothing beside another one."""
    from authz.authn.certificate import thumbprint

    own = svid()
    token = tokens.mint({"cnf": {"x5t#S256": thumbprint(own.certificate)}})
    headers = {"authorization": f"Bearer {token}"}

    assert isinstance(scene.principals(headers, certificate=own.encoded).user, User)
    for certificate in ("", svid().encoded):
        outcome = scene.principals(headers, certificate=certificate).user
        assert isinstance(outcome, Refusal)
        assert outcome.reason is Reason.BINDING_MISMATCH


def test_any_other_exception_passes_through(scene: Scene) -> None:
    """A bug is no refusal: the guard outside turns it into a 503 denial."""

    class Broken(FixedKeys):
        def keys(self, issuer: IssuerSettings) -> KeySet:
            raise RuntimeError(issuer.name)

    scene.authenticator = Authenticator(Broken(), scene.bundles, scene.tokens, scene.certificates, Limits())

    with pytest.raises(RuntimeError):
        scene.user()


# --- workloads, as Envoy verified them ---


def test_the_principal_names_the_workload(scene: Scene) -> None:
    """With the roles that the platform gave to its exact ID."""
    assert scene.mtls(FRONTEND) == Workload(
        id=SpiffeId.parse(FRONTEND), via=Via.MTLS, roles=frozenset({"order-caller"})
    )
    assert scene.mtls(FRONTEND + "-2").roles == frozenset()


@pytest.mark.parametrize(
    ("principal", "reason"),
    [("spiffe://shop.example", Reason.WORKLOAD_INVALID), ("spiffe://other.example/a", Reason.TRUST_DOMAIN_UNKNOWN)],
)
def test_a_principal_that_is_no_id_of_ours_is_refused(scene: Scene, principal: str, reason: Reason) -> None:
    """Grammar first, then the trust domain."""
    assert scene.mtls(principal).reason is reason


@pytest.mark.parametrize("principal", ["", "frontend.shop.example", "CN=frontend"])
def test_another_principal_is_no_workload(scene: Scene, principal: str) -> None:
    """Nothing was presented, so nothing is refused."""
    assert scene.mtls(principal) is None


def test_without_trust_domains_there_are_no_workloads(scene: Scene) -> None:
    """No document, no identity."""
    scene.trust = None

    assert scene.mtls(FRONTEND) is None


def test_a_certificate_that_comes_along_must_bear_exactly_that_name(scene: Scene) -> None:
    """Envoy shows only the first URI: with the certificate at hand, a second one is seen and refused."""
    assert isinstance(scene.mtls(FRONTEND, svid().encoded), Workload)
    two = svid(uris=[FRONTEND, "spiffe://shop.example/b"])
    for certificate in (two.encoded, svid("spiffe://shop.example/b").encoded, "garbage"):
        assert scene.mtls(FRONTEND, certificate).reason is Reason.WORKLOAD_INVALID


# --- workloads, by their certificate ---


def test_the_certificate_names_the_workload(scene: Scene) -> None:
    """Verified against the bundle, then remembered."""
    scene.trust, leaf = CERTIFICATE, svid()

    for principal in (FRONTEND, "", FRONTEND):
        assert scene.mtls(principal, leaf.encoded).id == SpiffeId.parse(FRONTEND)
    assert scene.certificates.counters.hits == 2


def test_the_principal_alone_is_nothing_then(scene: Scene) -> None:
    """Where certificates are verified here, Envoy's word isn't taken; a contradicting one refuses."""
    scene.trust = CERTIFICATE

    assert scene.mtls(FRONTEND) is None
    assert scene.mtls("spiffe://shop.example/b", svid().encoded).reason is Reason.WORKLOAD_INVALID


def test_a_certificate_is_checked_against_the_bundle_in_force(scene: Scene) -> None:
    """A remembered certificate ends with its bundle's revision, its time, its trust domain."""
    scene.trust, leaf = CERTIFICATE, svid(end=moment(NOW + 100))
    scene.mtls("", leaf.encoded)

    assert scene.mtls("", leaf.encoded, now=NOW + 101).reason is Reason.WORKLOAD_INVALID
    scene.mtls("", leaf.encoded)
    assert scene.mtls("", leaf.encoded, now=NOW - 1801).reason is Reason.WORKLOAD_INVALID
    scene.mtls("", leaf.encoded)
    scene.bundles.bundles[TRUST_DOMAIN] = import_bundle(bundle(make_authority()), TRUST_DOMAIN)
    assert scene.mtls("", leaf.encoded).reason is Reason.WORKLOAD_INVALID
    scene.bundles.bundles.clear()
    assert scene.mtls("", leaf.encoded).reason is Reason.KEYS_UNAVAILABLE
    scene.trust = replace(CERTIFICATE, bundles={})
    assert scene.mtls("", leaf.encoded).reason is Reason.TRUST_DOMAIN_UNKNOWN


# --- forwarded identities ---


def test_only_a_trusted_proxy_forwards(scene: Scene) -> None:
    """From any other peer, from none and from one that is refused the header says nothing."""
    for peer in (FRONTEND, "", "CN=gateway", "spiffe://shop.example", "spiffe://other.example/ns/edge/sa/gateway"):
        assert scene.forwarded(f"By={peer};URI={FRONTEND}", principal=peer) is None
    assert scene.forwarded(f"By={GATEWAY};URI={FRONTEND}").id == SpiffeId.parse(FRONTEND)


def test_without_trusted_proxies_nobody_forwards(scene: Scene) -> None:
    """Empty means none."""
    scene.trust = replace(TRUST, trusted_proxies=frozenset())

    assert scene.forwarded(f"By={GATEWAY};URI={FRONTEND}") is None


def test_a_proxy_that_could_not_be_verified_leaves_it_undecided(scene: Scene) -> None:
    """Whether the header counts hangs on the peer."""
    scene.trust = CERTIFICATE
    scene.bundles.bundles.clear()

    found = scene.principals(
        {"x-forwarded-client-cert": f"By={GATEWAY};URI={FRONTEND}"}, FORWARDED, certificate=svid(GATEWAY).encoded
    )

    assert isinstance(found.forwarded, Undecided)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((f"By={GATEWAY};URI=x",), Reason.WORKLOAD_INVALID),
        ((f"By={GATEWAY};URI=spiffe://other.example/a",), Reason.TRUST_DOMAIN_UNKNOWN),
        ((f"By={GATEWAY};URI={FRONTEND}", f"By={GATEWAY};URI={FRONTEND}"), Reason.HEADER_AMBIGUOUS),
    ],
)
def test_a_forwarded_identity_that_breaks_the_rules_is_refused(
    scene: Scene, values: tuple[str, ...], reason: Reason
) -> None:
    """Also a header that came twice."""
    assert scene.forwarded(*values).reason is reason


@pytest.mark.parametrize(
    "values", [(), ("",), ("garbage",), (f"By={GATEWAY}; URI={FRONTEND}",), (f"By={GATEWAY};URI=",)]
)
def test_without_a_usable_element_there_is_no_forwarded_identity(scene: Scene, values: tuple[str, ...]) -> None:
    """The proxy's own identity doesn't take its place."""
    assert scene.forwarded(*values) is None
