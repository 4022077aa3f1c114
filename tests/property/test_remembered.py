"""Invariant: what is remembered never changes an outcome.

Two authenticators see the same requests under the same policies, keys and revocations. One keeps its caches; the other
begins anew with each request, so that it reads, verifies and looks up everything. Both find the same principals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.authn.certificate import decode_certificate, thumbprint
from authz.authn.keys import import_key_set
from authz.authn.svid import import_bundle
from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.ports import Outside
from authz.engine.revocations import RevocationPlane
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.issuer import (
    ALGORITHMS,
    BundleFile,
    ClientAuthentication,
    IntrospectionSettings,
    IssuerSettings,
    PeerVerification,
    TrustSettings,
)
from authz.model.principal import Principals, Via
from authz.model.request import AuthzRequest, Limits
from authz.model.revocation import RevocationKind
from authz.model.spiffe import SpiffeId
from authz.policy.compiled import Usage
from tests.fakes.ports import CountedReplays, FixedBundles, FixedIntrospection, FixedKeys
from tests.mint import proofs, tokens
from tests.mint.certificates import FRONTEND, TRUST_DOMAIN, authority, bundle, svid
from tests.mint.keys import jwk_set, other_key, signing_key
from tests.mint.requests import request
from tests.mint.revocations import revocation
from tests.mint.tokens import NOW

CAREFUL_URL = "https://idp.careful.example"
OPAQUE = "opaque-token"
ASKED = IntrospectionSettings(
    endpoint="https://idp.shop.example/introspect",
    client_id="authz",
    credential_file="secret",
    authentication=ClientAuthentication.BASIC,
)
CORP = IssuerSettings(
    name="corp", issuer=tokens.ISSUER, audiences=frozenset({"shop-api", "admin-api"}), introspection=ASKED
)
CAREFUL = IssuerSettings(
    name="careful", issuer=CAREFUL_URL, audiences=frozenset({"shop-api"}), introspection=replace(ASKED, always=True)
)
TRUST = TrustSettings(
    bundles={TRUST_DOMAIN: BundleFile("bundles/shop.json")},
    verified_by=PeerVerification.ENVOY,
    roles={SpiffeId.parse(FRONTEND): frozenset({"order-caller"})},
)
KEYS = {
    name: import_key_set(jwk_set(key), ALGORITHMS)[0]
    for name, key in {"first": signing_key("RS256"), "second": other_key("RS256")}.items()
}
BUNDLE = import_bundle(bundle(authority()), TRUST_DOMAIN)


@cache
def certificates() -> dict[str, str]:
    two = svid(uris=[FRONTEND, "spiffe://shop.example/b"])
    return {"none": "", "own": svid().encoded, "two": two.encoded, "garbage": "%%%"}


@cache
def minted() -> dict[str, str]:
    """Tokens by name."""
    bound = thumbprint(decode_certificate(certificates()["own"]))
    made: dict[str, dict[str, Any]] = {
        "plain": {},
        "admin": {"sub": "bob", "aud": ["admin-api"], "sid": "s-1"},
        "later": {"sub": "carol", "nbf": int(NOW) + 300},
        "short": {"sub": "dave", "exp": int(NOW) + 30},
        "client": {"sub": "batch", "azp": "batch"},
        "keyed": {"cnf": {"jkt": proofs.thumbprint()}},
        "certified": {"cnf": {"x5t#S256": bound}},
        "both": {"cnf": {"jkt": proofs.thumbprint(), "x5t#S256": bound}},
        "careful": {"iss": CAREFUL_URL},
        "careful-inactive": {"iss": CAREFUL_URL, "sub": "eve"},
        "unknown-binding": {"cnf": {"kid": "x"}},
    }
    return {
        **{name: tokens.mint(members) for name, members in made.items()},
        "opaque": OPAQUE,
        "forged": tokens.mint()[:-6] + "AAAAAA",
    }


SPELLINGS = (
    *("bearer {0}", "BEARER   {0}", "Bearer  {0}", "DPoP {0}", "dpop  {0}", "Basic {0}", "{0}", "Bearer", "Bearer "),
    *(
        "Bearer {0} ",
        " Bearer {0}",
        "Bearer {0},",
        "Bearer {0},Bearer {0}",
        "Bearer {0}=",
        "Bearer\t{0}",
        "Bearer {0}é",
    ),
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"audiences": frozenset({"shop-api"})},
    {"algorithms": ("ES256",)},
    {"max_lifetime": 60.0},
    {"clock_skew": 0.0},
    {"strict_revocation": True},
    {"scopes": ("azp",)},
)
EVERYTHING = Usage(issuers=frozenset({"corp", "careful"}), vias=frozenset({Via.MTLS}))


@dataclass(frozen=True)
class Step:
    """One request, and under what it is examined."""

    token: str
    spelling: str = "Bearer {0}"
    twice: bool = False
    proof: str = "none"
    certificate: str = "none"
    principal: str = FRONTEND
    now: float = NOW
    usage: Usage = EVERYTHING
    narrowed: frozenset[str] | None = None
    introspector: str = "corp"
    keys: str = "first"
    change: Mapping[str, Any] = field(default_factory=dict)
    roles: bool = True
    revoked: tuple[RevocationKind, str, bool] | None = None
    stale: bool = False
    limit: str = "usual"


NAMED = st.sampled_from(["alice", "4f2c9d0e", "s-1", "batch", FRONTEND])
UNUSUAL: dict[str, st.SearchStrategy[Any]] = {
    "token": st.deferred(lambda: st.sampled_from(sorted(minted()))),
    "spelling": st.sampled_from(SPELLINGS),
    "twice": st.just(True),
    "proof": st.sampled_from(["own", "other", "fixed", "garbage", "twice"]),
    "certificate": st.sampled_from(["own", "two", "garbage"]),
    "principal": st.sampled_from(["", "CN=x", "spiffe://shop.example", "spiffe://other.example/a", f"{FRONTEND}-2"]),
    "now": st.sampled_from([-100, -91, 25, 45, 61, 280, 301, 3569, 3571]).map(lambda offset: NOW + offset),
    "usage": st.sampled_from([Usage(issuers=frozenset({"careful"})), Usage(vias=frozenset({Via.MTLS})), Usage()]),
    "narrowed": st.sampled_from([frozenset({"shop-api"}), frozenset({"admin-api"}), frozenset[str]()]),
    "introspector": st.sampled_from(["", "careful"]),
    "keys": st.sampled_from(["second", "none"]),
    "change": st.sampled_from(CHANGES),
    "roles": st.just(False),
    "revoked": st.tuples(st.sampled_from(RevocationKind), NAMED, st.booleans()),
    "stale": st.just(True),
    "limit": st.sampled_from(["small", "exact", "one less"]),
}


@st.composite
def conversations(draw: st.DrawFn) -> list[Step]:
    """Requests with one or two tokens; each is as usual but for at most two things."""
    shown = draw(st.lists(UNUSUAL["token"], min_size=1, max_size=2))
    asked = []
    for _ in range(draw(st.integers(2, 8))):
        names = draw(st.lists(st.sampled_from(sorted(UNUSUAL)), max_size=2))
        usual = Step(token=draw(st.sampled_from(shown)))
        if usual.token in ("keyed", "both") and draw(st.booleans()):
            usual = replace(usual, spelling="DPoP {0}", proof="own")
        if usual.token in ("certified", "both") and draw(st.booleans()):
            usual = replace(usual, certificate="own")
        asked.append(replace(usual, **{name: draw(UNUSUAL[name]) for name in names}))
    return asked


class _Plane(RevocationPlane):
    old = False

    def stale(self) -> bool:
        return self.old


class Scene:
    """What both sides share, and the side that remembers: one authenticator for each limit, all with the same cache."""

    def __init__(self) -> None:
        self.plane = _Plane()
        self.keys = FixedKeys()
        self.tokens, self.certificates = TokenCache(4), CertificateCache()
        self.spent = {True: CountedReplays(), False: CountedReplays()}
        self.remembering: dict[str, Authenticator] = {}
        self.trusts = {roles: TRUST if roles else replace(TRUST, roles={}) for roles in (True, False)}
        self.proofs = 0

    def find(self, step: Step) -> tuple[Principals, Principals]:
        if step.revoked is not None:
            kind, value, lifted = step.revoked
            self.plane.apply(revocation(kind, value, lifted=lifted))
        self.plane.old = step.stale
        self.keys.sets = {} if step.keys == "none" else dict.fromkeys(("corp", "careful"), KEYS[step.keys])
        asked, trusted = self._request(step), self._trusted(step)
        if step.limit not in self.remembering:
            self.remembering[step.limit] = self._authenticator(step.limit, remembers=True)
        return (
            self.remembering[step.limit].principals(asked, step.usage, trusted, now=step.now),
            self._authenticator(step.limit, remembers=False).principals(asked, step.usage, trusted, now=step.now),
        )

    def _authenticator(self, limit: str, *, remembers: bool) -> Authenticator:
        exact = len(minted()["plain"])
        longest = {"usual": 8192, "small": 100, "exact": exact, "one less": exact - 1}[limit]
        answers = {OPAQUE: tokens.claims(sub="olga"), minted()["careful"]: {"active": True}}
        answers |= {minted()["careful-inactive"]: None}
        return Authenticator(
            self.keys,
            FixedBundles(BUNDLE),
            self.tokens if remembers else TokenCache(),
            self.certificates if remembers else CertificateCache(),
            Limits(token=longest),
            self.plane,
            Outside(introspection=FixedIntrospection(answers), replays=self.spent[remembers]),
        )

    def _request(self, step: Step) -> AuthzRequest:
        token = minted()[step.token]
        value = step.spelling.format(token)
        headers = [("authorization", value)] * (2 if step.twice else 1)
        self.proofs += 1
        shown = {
            "own": proofs.mint({"jti": f"proof-{self.proofs}", "iat": int(step.now)}, token=token),
            "other": proofs.mint({"iat": int(step.now)}, token=token, key=proofs.proof_key("RS256")),
            "fixed": proofs.mint({"iat": int(NOW)}, token=token),
            "garbage": "x",
        }
        if step.proof == "twice":
            headers += [("dpop", shown["own"]), ("dpop", shown["own"])]
        elif step.proof != "none":
            headers.append(("dpop", shown[step.proof]))
        return request(headers, principal=step.principal, certificate=certificates()[step.certificate])

    def _trusted(self, step: Step) -> Trusted:
        issuers = {one.name: one for one in (replace(CORP, **step.change), CAREFUL)}
        return Trusted(
            issuers=issuers,
            issuers_by_url={one.issuer: one for one in issuers.values()},
            trust=self.trusts[step.roles],
            audiences={} if step.narrowed is None else {"corp": step.narrowed},
            introspector=step.introspector,
        )


@settings(max_examples=400)
@given(conversations())
def test_who_remembers_finds_what_a_newcomer_finds(asked: list[Step]) -> None:
    """Whatever came before: other spellings, proofs, certificates, policies, keys, limits, revocations and times."""
    scene = Scene()

    for step in asked:
        remembered, anew = scene.find(step)
        assert remembered == anew
