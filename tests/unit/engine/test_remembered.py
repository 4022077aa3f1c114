"""How could a remembered token or peer become an allow that it isn't? Each rule that hangs on the request, one by one.

The token was verified a moment ago and is found by the digest of its header, so that its octets aren't looked at again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from authz.authn.keys import import_key_set
from authz.authn.svid import import_bundle
from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.ports import Outside
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.issuer import ALGORITHMS, BundleFile, IssuerSettings, PeerVerification, TrustSettings
from authz.model.principal import Principals, Refusal, User, Via, Workload
from authz.model.reason import Reason
from authz.model.request import Limits
from authz.model.spiffe import SpiffeId
from authz.policy.compiled import Usage
from tests.fakes.ports import CountedReplays, FixedBundles, FixedKeys
from tests.mint import proofs, tokens
from tests.mint.certificates import FRONTEND, TRUST_DOMAIN, authority, bundle, svid
from tests.mint.keys import jwk_set, signing_key
from tests.mint.requests import request
from tests.mint.tokens import NOW

CORP = IssuerSettings(name="corp", issuer=tokens.ISSUER, audiences=frozenset({"shop-api"}))
TRUST = TrustSettings(
    bundles={TRUST_DOMAIN: BundleFile("bundles/shop.json")},
    verified_by=PeerVerification.ENVOY,
    roles={SpiffeId.parse(FRONTEND): frozenset({"order-caller"})},
)
USER = Usage(issuers=frozenset({"corp"}))
PEER = Usage(vias=frozenset({Via.MTLS}))


class Scene:
    """An authenticator that has seen some tokens; another with a lower limit shares its cache."""

    def __init__(self) -> None:
        self.tokens = TokenCache(8)
        self.trust = TRUST
        self.authenticator = self.limited_to(8192)

    def limited_to(self, limit: int) -> Authenticator:
        return Authenticator(
            FixedKeys({"corp": import_key_set(jwk_set(signing_key("RS256")), ALGORITHMS)[0]}),
            FixedBundles(import_bundle(bundle(authority()), TRUST_DOMAIN)),
            self.tokens,
            CertificateCache(),
            Limits(token=limit),
            outside=Outside(replays=CountedReplays()),
        )

    def ask(self, headers: Any = (), usage: Usage = USER, *, now: float = NOW, **peer: str) -> Principals:
        trusted = Trusted(issuers={"corp": CORP}, issuers_by_url={CORP.issuer: CORP}, trust=self.trust, audiences={})
        return self.authenticator.principals(request(headers, **peer), usage, trusted, now=now)

    def refused(self, *headers: tuple[str, str], now: float = NOW) -> Reason | None:
        user = self.ask(headers, now=now).user
        return user.reason if isinstance(user, Refusal) else None

    def peer(self, principal: str, certificate: str = "") -> Any:
        return self.ask(usage=PEER, principal=principal, certificate=certificate).mtls


@pytest.fixture
def scene() -> Scene:
    return Scene()


def shown(value: str) -> tuple[str, str]:
    return ("authorization", value)


def proof_for(token: str) -> tuple[str, str]:
    return ("dpop", proofs.mint(token=token))


# --- the header ---


def test_a_second_value_is_ambiguous_though_the_first_is_remembered(scene: Scene) -> None:
    """Whichever comes first, and also when both are the same."""
    good, bad = shown(f"Bearer {tokens.mint()}"), shown("Bearer x")
    assert isinstance(scene.ask([good]).user, User)

    for headers in ([good, bad], [bad, good], [good, good]):
        assert scene.refused(*headers) is Reason.HEADER_AMBIGUOUS


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{0},", Reason.HEADER_AMBIGUOUS),
        ("{0},{0}", Reason.HEADER_AMBIGUOUS),
        ("{0} ", Reason.TOKEN_MALFORMED),
        ("{0}\t", Reason.TOKEN_MALFORMED),
        ("{0} x", Reason.TOKEN_MALFORMED),
        ("{0}é", Reason.TOKEN_MALFORMED),
        ("{0}=", Reason.TOKEN_MALFORMED),
        ("{0}A", Reason.TOKEN_SIGNATURE_INVALID),
    ],
)
def test_one_octet_more_is_another_header(scene: Scene, value: str, reason: Reason) -> None:
    """The digest is that of all of the value."""
    good = f"Bearer {tokens.mint()}"
    assert isinstance(scene.ask([shown(good)]).user, User)

    assert scene.refused(shown(value.format(good))) is reason


@pytest.mark.parametrize("value", ["Basic {0}", "{0}", "Bearer{0}", " Bearer {0}", "Bearer\t{0}", "Bearer"])
def test_another_scheme_shows_no_token(scene: Scene, value: str) -> None:
    """What stands before a remembered token still says what it is."""
    token = tokens.mint()
    assert isinstance(scene.ask([shown(f"Bearer {token}")]).user, User)

    assert not isinstance(scene.ask([shown(value.format(token))]).user, User)


@pytest.mark.parametrize("value", ["bearer {0}", "BEARER {0}", "Bearer   {0}"])
def test_every_spelling_of_the_scheme_finds_one_entry(scene: Scene, value: str) -> None:
    """Who spells it in many ways gets no more room than others, and drives nobody's token out."""
    token = tokens.mint()

    users = [scene.ask([shown(each.format(token))]).user for each in ("Bearer {0}", value, "Bearer {0}", value)]

    assert all(user is users[0] for user in users)
    assert (scene.tokens.counters.entries, scene.tokens.counters.hits, scene.tokens.counters.misses) == (1, 3, 1)


def test_a_lower_limit_counts_for_what_is_remembered(scene: Scene) -> None:
    """Exactly as long as the limit passes, one octet more doesn't."""
    token = tokens.mint()
    assert isinstance(scene.ask([shown(f"Bearer {token}")]).user, User)

    scene.authenticator = scene.limited_to(len(token))
    assert isinstance(scene.ask([shown(f"Bearer {token}")]).user, User)
    assert scene.tokens.counters.hits == 1
    scene.authenticator = scene.limited_to(len(token) - 1)
    assert scene.refused(shown(f"Bearer {token}")) is Reason.TOKEN_MALFORMED


# --- proofs and bindings ---


def test_a_remembered_token_that_isnt_bound_is_none_for_dpop(scene: Scene) -> None:
    """The scheme is looked at though the token is known."""
    token = tokens.mint()
    assert isinstance(scene.ask([shown(f"Bearer {token}")]).user, User)

    assert scene.refused(shown(f"DPoP {token}")) is Reason.PROOF_MISSING
    assert scene.refused(shown(f"DPoP {token}"), proof_for(token)) is Reason.PROOF_INVALID


def test_a_remembered_token_that_is_bound_to_a_key_needs_its_proof(scene: Scene) -> None:
    """Under Bearer it is refused, with a proof and without; under DPoP each request needs a proof of its own."""
    token = tokens.mint({"cnf": {"jkt": proofs.thumbprint()}})
    proof = proof_for(token)
    assert isinstance(scene.ask([shown(f"DPoP {token}"), proof]).user, User)

    assert scene.refused(shown(f"Bearer {token}")) is Reason.PROOF_MISSING
    assert scene.refused(shown(f"Bearer {token}"), proof) is Reason.PROOF_INVALID
    assert scene.refused(shown(f"DPoP {token}")) is Reason.PROOF_MISSING
    assert scene.refused(shown(f"DPoP {token}"), proof) is Reason.PROOF_REPLAYED
    assert scene.refused(shown(f"DPoP {token}"), proof, proof) is Reason.HEADER_AMBIGUOUS


def test_a_proof_beside_a_plain_bearer_token_counts_for_nothing(scene: Scene) -> None:
    """Remembered or not, whatever it holds."""
    header = shown(f"Bearer {tokens.mint()}")

    for _ in range(2):
        assert isinstance(scene.ask([header, ("dpop", "x")]).user, User)


# --- time ---


def test_a_remembered_token_isnt_valid_before_its_time(scene: Scene) -> None:
    """Also when the clock is put back."""
    header = shown(f"Bearer {tokens.mint({'nbf': int(NOW)})}")
    assert isinstance(scene.ask([header]).user, User)

    assert scene.refused(header, now=NOW - 31) is Reason.TOKEN_NOT_YET_VALID


# --- peers ---


def test_new_trust_settings_count_for_known_peers(scene: Scene) -> None:
    """After a reload the roles are the new ones, and a trust domain that is gone is unknown."""
    assert scene.peer(FRONTEND).roles == {"order-caller"}

    scene.trust = replace(TRUST, roles={SpiffeId.parse(FRONTEND): frozenset({"auditor"})})
    assert scene.peer(FRONTEND).roles == {"auditor"}
    scene.trust = replace(TRUST, bundles={"other.example": BundleFile("bundles/other.json")})
    assert scene.peer(FRONTEND).reason is Reason.TRUST_DOMAIN_UNKNOWN
    scene.trust = TRUST
    assert scene.peer(FRONTEND).roles == {"order-caller"}


@pytest.mark.parametrize("other", ["/ns/shop/sa/Frontend", "/ns/shop/sa/frontend/", "/ns/shop/sa/frontend "])
def test_a_name_that_is_nearly_known_is_another(scene: Scene, other: str) -> None:
    """Names are compared octet for octet."""
    known = scene.peer(FRONTEND)

    found = scene.peer(f"spiffe://{TRUST_DOMAIN}{other}")

    assert found != known
    assert not isinstance(found, Workload) or found.roles == frozenset()


def test_a_long_name_is_read_each_time(scene: Scene) -> None:
    """With the same outcome."""
    name = f"spiffe://{TRUST_DOMAIN}/{'a' * 300}"

    assert scene.peer(name) == scene.peer(name) == Workload(id=SpiffeId.parse(name), via=Via.MTLS)


def test_a_known_peer_and_a_known_certificate_must_agree(scene: Scene) -> None:
    """Each was seen before, beside its own."""
    other = f"{FRONTEND}-2"
    mine, theirs = svid(), svid(other)
    assert isinstance(scene.peer(FRONTEND, mine.encoded), Workload)
    assert isinstance(scene.peer(other, theirs.encoded), Workload)

    for _ in range(2):
        assert scene.peer(FRONTEND, theirs.encoded).reason is Reason.WORKLOAD_INVALID
        assert scene.peer(other, mine.encoded).reason is Reason.WORKLOAD_INVALID


def test_a_certificate_of_two_names_is_refused_each_time(scene: Scene) -> None:
    """Refusals aren't kept, and not forgotten either."""
    two = svid(uris=[FRONTEND, "spiffe://shop.example/b"])

    for _ in range(2):
        assert scene.peer(FRONTEND, two.encoded).reason is Reason.WORKLOAD_INVALID
