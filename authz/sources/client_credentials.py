"""Our own credential at an issuer, as part of a form: RFC 6749 §2.3.1 and RFC 7523 §2.2.

Owns: how a secret or a private key becomes parts of a request. The file is read for each request, so that a rotated
one counts at once. Must not: log, keep or show a secret: errors name the rule, never what a file holds.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote_plus, urlencode

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from authz.authn.encoding import EncodingError, read_json_object
from authz.model.errors import AuthzError
from authz.model.issuer import ClientAuthentication, IntrospectionSettings
from authz.sources.fetch import Form
from authz.sources.files import FileError, read_bounded

MAX_CREDENTIAL_BYTES: Final = 32 * 1024
ASSERTION_SECONDS: Final = 60
"""How long an assertion of ours lives; it is used at once."""

_KINDS: Final[tuple[Literal["EC", "RSA", "OKP"], ...]] = ("EC", "RSA", "OKP")
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Parameters = Mapping[str, str]


class CredentialError(AuthzError):
    """The credential file can't be used; the message names the rule."""


def authenticated_form(
    parameters: Parameters, settings: IntrospectionSettings, issuer: str, directory: Path, *, now: float
) -> Form:
    """The parameters as a form with our credential; raises `CredentialError`. `issuer` is the issuer's URL."""
    credential = _read(directory, settings.credential_file)
    return _METHODS[settings.authentication](parameters, settings.client_id, credential, issuer, now)


def _basic(parameters: Parameters, client: str, credential: bytes, issuer: str, now: float) -> Form:
    """Both parts are form-encoded first (RFC 6749 §2.3.1): a colon in one would end the other."""
    pair = f"{quote_plus(client)}:{quote_plus(_secret(credential))}"
    authorization = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
    return _form(parameters, (("authorization", authorization),))


def _post(parameters: Parameters, client: str, credential: bytes, issuer: str, now: float) -> Form:
    return _form({**parameters, "client_id": client, "client_secret": _secret(credential)})


def _assertion(parameters: Parameters, client: str, credential: bytes, issuer: str, now: float) -> Form:
    """RFC 7523 §3; the audience is the issuer itself, so that no other endpoint could use the assertion."""
    key, algorithm, kid = _signing_key(credential)
    header = {"alg": algorithm, **({"kid": kid} if kid else {})}
    claims = {
        "iss": client,
        "sub": client,
        "aud": issuer,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now),
        "exp": int(now) + ASSERTION_SECONDS,
    }
    assertion = jwt.encode(header, claims, key, algorithms=[algorithm])
    own = {"client_id": client, "client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
    return _form({**parameters, **own})


_METHODS: Final[Mapping[ClientAuthentication, Callable[[Parameters, str, bytes, str, float], Form]]] = {
    ClientAuthentication.BASIC: _basic,
    ClientAuthentication.POST: _post,
    ClientAuthentication.PRIVATE_KEY_JWT: _assertion,
}


def _form(parameters: Parameters, headers: tuple[tuple[str, str], ...] = ()) -> Form:
    return Form(body=urlencode(parameters).encode("ascii"), headers=headers)


def _read(directory: Path, file: str) -> bytes:
    """An absolute path is taken as it is, another one from the policy directory."""
    try:
        return read_bounded(directory / file, limit=MAX_CREDENTIAL_BYTES)
    except FileError as error:
        raise CredentialError(f"our credential file: {error.reason}") from None


def _secret(credential: bytes) -> str:
    """The text of the file without the line break that editors leave at its end."""
    try:
        secret = credential.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise CredentialError("our credential file holds no UTF-8 text") from None
    if not secret or not secret.isprintable():
        raise CredentialError("our credential file holds no secret of one line")
    return secret


@lru_cache(maxsize=16)
def _signing_key(credential: bytes) -> tuple[Any, str, str]:
    """A private key with its algorithm and its `kid` (empty: none), from a JWK or PEM; reading one takes a while."""
    try:
        jwk: Any = read_json_object(credential) if credential.lstrip()[:1] == b"{" else None
        key = _from_pem(credential) if jwk is None else import_key(jwk)
    except (JoseError, EncodingError, ValueError, TypeError) as error:
        raise CredentialError(f"our key file holds no private key ({type(error).__name__})") from None
    return key, _algorithm(key, jwk or {}), str((jwk or {}).get("kid", ""))


def _from_pem(credential: bytes) -> Any:
    for kind in _KINDS:
        try:
            return import_key(credential, kind)
        except (JoseError, ValueError, TypeError):
            continue
    raise CredentialError("our key file holds no private key in PEM or as a JWK")


def _algorithm(key: Any, jwk: Mapping[str, Any]) -> str:
    private = getattr(key, "private_key", None)
    if isinstance(private, rsa.RSAPrivateKey):
        return "PS256" if jwk.get("alg") == "PS256" else "RS256"
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return "ES256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "EdDSA"
    raise CredentialError("our key is a private one of RSA, EC on P-256, or Ed25519")
