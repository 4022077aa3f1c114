"""Proofs of possession: the numbered steps of RFC 9449 §4.3 for one `dpop` header (DPoP).

Owns: whether a proof shows possession of a key, for this request and this token, now. Must not: read a clock,
remember a proof, or look at the token's claims. Someone else's duty: that there is exactly one `dpop` header
(`authn.extract`), that the token is bound to the proof's key (`authn.binding`), that the proof wasn't used before
(`engine.authenticate`, §11.1).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from authz.authn import algorithms
from authz.authn.encoding import EncodingError, decode_segment, encode_base64url, read_json_object
from authz.authn.jws import FORBIDDEN, folded_media_type, split_compact
from authz.authn.keys import PRIVATE_MEMBERS
from authz.authn.material import KeyMaterialError, PublicKey, jwk_thumbprint, read_public_key
from authz.authn.nonce import is_fresh
from authz.model.errors import Refused
from authz.model.host import Authority
from authz.model.issuer import PROOF_ALGORITHMS
from authz.model.path import RequestPath, parse_path
from authz.model.reason import Reason
from authz.model.request import AuthzRequest

MAX_PROOF_BYTES: Final = 8192
"""An RSA key of 4,096 bits and a long URL fit four times."""
MAX_PROOF_ID: Final = 256
"""Characters of `jti`; a UUID has 36."""
FUTURE: Final = 30.0
"""Seconds by which a client's clock may be ahead; behind it may be by the whole window (RFC 9449 §11.1)."""

_TYPE: Final = "dpop+jwt"
_ALGORITHMS: Final = frozenset(map(algorithms.canonical, PROOF_ALGORITHMS))
_FORBIDDEN: Final = FORBIDDEN - {"jwk"}
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?[^#]*)?(?:#.*)?")
"""RFC 3986 Appendix B; query and fragment take no part (RFC 9449 §4.3 step 9)."""
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MAX_TARGET: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRules:
    """`window` is how many seconds after `iat` a proof is taken. With `nonce_keys` each proof needs a nonce, made
    under one of them within `nonce_lifetime` seconds. `schemes` are those that `htu` may have."""

    window: float = 60.0
    schemes: frozenset[str] = frozenset({"https"})
    nonce_keys: tuple[bytes, ...] = ()
    nonce_lifetime: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedProof:
    """A proof whose every step held. `thumbprint` is its key's (RFC 7638); from `until` on (seconds since the epoch)
    it would be refused by its age alone, so that its `proof_id` needn't be remembered any longer."""

    thumbprint: str
    proof_id: str
    until: float


class NonceWanted(Refused):
    """The proof lacks a good nonce: the client is given one and may try again (RFC 9449 §9)."""


def verify_proof(proof: str, token: str, request: AuthzRequest, rules: ProofRules, *, now: float) -> VerifiedProof:
    """Verify the text of one `dpop` header; raises `Refused(PROOF_INVALID)` for the first step that fails.

    The numbers are those of RFC 9449 §4.3; its step 1 is the caller's.
    """
    try:
        # 2. It is one well-formed JWT. 3. Its members have their types, none is lacking (§4.2).
        head, payload, signed, signature = split_compact(proof, limit=MAX_PROOF_BYTES)
        header, claims = read_json_object(decode_segment(head)), read_json_object(decode_segment(payload))
        proof_id, issued_at = _members(claims)
        # 4. Its type is that of proofs, so that nothing else signed by the key passes for one (RFC 8725 §3.11).
        algorithm = _check_header(header)
        # 6. and 7. The signature verifies with the public key in the header, which holds no private one.
        public, thumbprint = _key(header.get("jwk"), algorithm)
        if not algorithms.verifies(algorithm, public, decode_segment(signature), signed):
            raise _invalid("the proof's signature doesn't verify (RFC 9449 §4.3)")
    except (EncodingError, KeyMaterialError) as error:
        raise _invalid(str(error)) from None
    # 8. It was made for this method. 9. It was made for this URL, as Envoy saw it.
    if claims["htm"] != request.method:
        raise _invalid("htm is another method (RFC 9449 §4.3)")
    _check_url(claims["htu"], request, rules.schemes)
    # 10. It holds a nonce of ours, when one is asked for.
    _check_nonce(claims.get("nonce"), rules, now)
    # 11. It was made just now.
    until = issued_at + rules.window
    if not issued_at - FUTURE <= now < until:
        raise _invalid("iat is outside the window (RFC 9449 §11.1)")
    # 12a. It was made for this token.
    if not hmac.compare_digest(claims["ath"].encode("utf-8", "surrogatepass"), _token_hash(token)):
        raise _invalid("ath is another token's (RFC 9449 §4.3)")
    return VerifiedProof(thumbprint=thumbprint, proof_id=proof_id, until=until)


def _members(claims: Mapping[str, Any]) -> tuple[str, float]:
    for name in ("jti", "htm", "htu", "ath"):
        if type(claims.get(name)) is not str:
            raise _invalid(f"{name} is a string (RFC 9449 §4.2)")
    proof_id, issued_at = claims["jti"], claims.get("iat")
    if not 0 < len(proof_id) <= MAX_PROOF_ID:
        raise _invalid("jti has 1 to 256 characters (RFC 9449 §4.2)")
    if type(issued_at) is not int and type(issued_at) is not float:
        raise _invalid("iat is a number (RFC 9449 §4.2)")
    return proof_id, issued_at


def _check_header(header: Mapping[str, Any]) -> str:
    """4. and 5.: the canonical name of an algorithm that proofs may use; raises `Refused`."""
    typ = header.get("typ")
    if type(typ) is not str or folded_media_type(typ) != _TYPE:
        raise _invalid("typ is dpop+jwt (RFC 9449 §4.2)")
    if not _FORBIDDEN.isdisjoint(header):
        raise _invalid("the header holds crit, b64, jku, x5u or x5c")
    # 5. The algorithm is asymmetric and on the list, which knows no `none` and no HMAC.
    algorithm = algorithms.canonical(header.get("alg"))
    if algorithm not in _ALGORITHMS:
        raise _invalid("alg is none of those for proofs (RFC 9449 §4.2)")
    return algorithm


def _key(entry: object, algorithm: str) -> tuple[PublicKey, str]:
    """The public key in the header and its thumbprint; raises `Refused` or `KeyMaterialError`."""
    if type(entry) is not dict:
        raise _invalid("jwk is a JSON object (RFC 9449 §4.2)")
    if PRIVATE_MEMBERS & entry.keys():
        raise _invalid("jwk holds private or symmetric key material (RFC 9449 §4.3)")
    if not algorithms.fits(algorithm, entry.get("kty"), entry.get("crv")):
        raise _invalid("jwk is no key for alg (RFC 8725 §3.1)")
    public, _ = read_public_key(entry)
    return public, jwk_thumbprint(entry)


def _check_url(written: str, request: AuthzRequest, schemes: frozenset[str]) -> None:
    """Whether `htu` names what was asked for, after the normalisation of RFC 3986 §6.2.2 and §6.2.3: case of scheme
    and host, default ports, an empty path, and percent-encoding."""
    match = _URL.fullmatch(written)
    scheme = "" if match is None else match["scheme"].lower()
    if match is None or scheme not in schemes:
        raise _invalid("htu is no URL of a scheme that is taken (RFC 9449 §4.3)")
    try:
        authority = Authority.parse(match["authority"])
        path = parse_path(match["path"] or "/", _MAX_TARGET)
    except Refused:
        raise _invalid("htu is no canonical URL (RFC 9449 §4.3)") from None
    if not _same_place(authority, request.authority, scheme) or not _same_path(path, request.path):
        raise _invalid("htu is another URL (RFC 9449 §4.3)")


def _same_place(written: Authority, seen: Authority, scheme: str) -> bool:
    default = _DEFAULT_PORTS[scheme]
    return written.host == seen.host and (written.port or default) == (seen.port or default)


def _same_path(written: RequestPath, seen: RequestPath) -> bool:
    return written.segments == seen.segments


def _check_nonce(nonce: object, rules: ProofRules, now: float) -> None:
    if not rules.nonce_keys:
        return
    fresh = type(nonce) is str and is_fresh(nonce, rules.nonce_keys, lifetime=rules.nonce_lifetime, now=now)
    if not fresh:
        raise NonceWanted(Reason.PROOF_INVALID, "the proof holds no fresh nonce of ours (RFC 9449 §9)")


def _token_hash(token: str) -> bytes:
    return encode_base64url(hashlib.sha256(token.encode("ascii")).digest()).encode("ascii")


def _invalid(rule: str) -> Refused:
    return Refused(Reason.PROOF_INVALID, rule)
