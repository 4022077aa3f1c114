"""An issuer's verification keys: JWK sets (RFC 7517, RFC 7518 §6, RFC 8037 §2) read into keys of one use
each.

Owns: which key verifies which token. Each key is bound to exactly one algorithm (RFC 8725 §3.1) and each
`kid` to exactly one key. Must not: fetch anything, accept symmetric or private keys (no HMAC code path
exists), or fall back to another key. A key that can't be used is skipped with a warning; "no key" is an
exception, never a default.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from authz.authn import algorithms
from authz.authn.encoding import EncodingError, read_json_object
from authz.authn.material import KeyMaterialError, PublicKey, read_public_key
from authz.model.errors import AuthzError, Refused
from authz.model.reason import Reason

MAX_KEY_SET_BYTES: Final = 512 * 1024
"""Real sets are a few KiB; the largest public ones with certificate chains stay under 100 KiB."""
MAX_KEYS: Final = 128
MAX_KEY_ID_LENGTH: Final = 128
"""Characters (docs/verification.md, "The token")."""

PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a JWK that no verifier is to see (RFC 7518 §6)."""


class KeySetError(AuthzError):
    """The document is no key set; the message names the rule."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VerificationKey:
    """One public key and the one algorithm that it verifies."""

    kid: str | None
    algorithm: str
    public: PublicKey
    fingerprint: str
    """SHA-256 of the SubjectPublicKeyInfo, in hex."""

    def verify(self, signature: bytes, signed: bytes) -> None:
        """Return if `signature` is over `signed`; raises `Refused(TOKEN_SIGNATURE_INVALID)`."""
        if not algorithms.verifies(self.algorithm, self.public, signature, signed):
            raise Refused(Reason.TOKEN_SIGNATURE_INVALID, "the signature doesn't verify (RFC 7515 §5.2)")


class KeySet:
    """The usable keys of one issuer, immutable. `revision` changes with any change to them."""

    __slots__ = ("_by_kid", "_keys", "revision")

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self._keys: Final = tuple(keys)
        self._by_kid: Final = {key.kid: key for key in self._keys if key.kid is not None}
        self.revision: Final = _revision(self._keys)

    def find(self, kid: str | None, algorithm: str) -> VerificationKey:
        """The one key for a token's `kid` and `alg`; raises `Refused(TOKEN_KEY_UNKNOWN)`.

        Without `kid` exactly one key of the set must fit the algorithm.
        """
        if kid is None:
            return self._only(algorithm)
        key = self._by_kid.get(kid)
        if key is None or key.algorithm != algorithm:
            raise Refused(Reason.TOKEN_KEY_UNKNOWN, "the set has no such kid for this algorithm")
        return key

    def _only(self, algorithm: str) -> VerificationKey:
        fitting = [key for key in self._keys if key.algorithm == algorithm]
        if len(fitting) != 1:
            raise Refused(Reason.TOKEN_KEY_UNKNOWN, "without kid exactly one key must fit the algorithm")
        return fitting[0]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[VerificationKey]:
        return iter(self._keys)


def import_key_set(document: bytes, accepted: tuple[str, ...]) -> tuple[KeySet, tuple[str, ...]]:
    """Read a JWK set for an issuer that accepts these algorithms: its usable keys, a warning for each other.

    Raises `KeySetError` when the document is no key set at all. Warnings name a key by its position only.
    """
    return read_keys(_entries(document), accepted)


def read_keys(entries: list[Any], accepted: tuple[str, ...], *, use: str = "sig") -> tuple[KeySet, tuple[str, ...]]:
    """The usable keys among the entries of a `keys` array whose `use` is that one; a warning for each other."""
    keys: list[VerificationKey] = []
    warnings: list[str] = []
    repeated = _repeated_key_ids(entries, accepted, use)
    for position, entry in enumerate(entries):
        try:
            keys.append(_read_key(entry, accepted, repeated, use))
        except (KeyMaterialError, EncodingError) as error:
            warnings.append(f"keys[{position}] is skipped: {error}")
    return KeySet(keys), tuple(warnings)


def _entries(document: bytes) -> list[Any]:
    if len(document) > MAX_KEY_SET_BYTES:
        raise KeySetError("a key set has at most 512 KiB")
    try:
        entries = read_json_object(document).get("keys")
    except EncodingError as error:
        raise KeySetError(f"a key set is a JSON object: {error}") from None
    if type(entries) is not list:
        raise KeySetError("a key set has an array `keys` (RFC 7517 §5.1)")
    if len(entries) > MAX_KEYS:
        raise KeySetError("a key set has at most 128 keys")
    return entries


def _repeated_key_ids(entries: list[Any], accepted: tuple[str, ...], use: str) -> frozenset[str]:
    """Each `kid` that more than one entry meant for these algorithms bears: they can't be told apart."""
    kids: Counter[str] = Counter()
    for entry in entries:
        try:
            _algorithm_of(entry, accepted, use)
            kid = _key_id(entry)
        except KeyMaterialError:
            continue
        if kid is not None:
            kids[kid] += 1
    return frozenset(kid for kid, count in kids.items() if count > 1)


def _read_key(entry: Any, accepted: tuple[str, ...], repeated: frozenset[str], use: str) -> VerificationKey:
    """One entry of `keys`; raises `KeyMaterialError` naming the broken rule."""
    algorithm = _algorithm_of(entry, accepted, use)
    kid = _key_id(entry)
    if kid in repeated:
        raise KeyMaterialError("its kid stands twice in the set (RFC 7517 §4.5)")
    if PRIVATE_MEMBERS & entry.keys():
        raise KeyMaterialError("it holds private or symmetric key material")
    public, fingerprint = read_public_key(entry)
    return VerificationKey(kid=kid, algorithm=algorithm, public=public, fingerprint=fingerprint)


def _key_id(entry: dict[str, Any]) -> str | None:
    kid = entry.get("kid")
    if "kid" not in entry:
        return None
    if type(kid) is not str or not 0 < len(kid) <= MAX_KEY_ID_LENGTH:
        raise KeyMaterialError("kid is a non-empty string of at most 128 characters")
    return kid


def _algorithm_of(entry: Any, accepted: tuple[str, ...], use: str) -> str:
    """The one algorithm that the entry is bound to, from `kty crv use key_ops alg` and the issuer's list."""
    if type(entry) is not dict:
        raise KeyMaterialError("a key is a JSON object (RFC 7517 §4)")
    if entry.get("use", "sig") != use:
        raise KeyMaterialError(f"its use is not {use} (RFC 7517 §4.2)")
    operations = entry.get("key_ops", ["verify"])
    if type(operations) is not list or "verify" not in operations:
        raise KeyMaterialError("its key_ops lack verify (RFC 7517 §4.3)")
    fitting = [name for name in accepted if algorithms.fits(name, entry.get("kty"), entry.get("crv"))]
    if "alg" in entry:
        named = algorithms.canonical(entry["alg"])
        fitting = [name for name in fitting if name == named]
    if not fitting:
        raise KeyMaterialError("its kty, crv and alg fit no algorithm of the issuer (RFC 8725 §3.1)")
    return fitting[0]


def _revision(keys: tuple[VerificationKey, ...]) -> str:
    lines = sorted(f"{key.kid!r} {key.algorithm} {key.fingerprint}" for key in keys)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]
