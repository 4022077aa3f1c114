"""A small OpenID provider built on Authlib: who may log in, which tokens they get, with which keys.

Owns: accounts, clients, signing keys, the OAuth grants. Must not: open sockets (see `provider_web`).
Standards: OAuth 2.0 (RFC 6749), PKCE (RFC 7636), JWT access tokens (RFC 9068). Two demo users, one web
client, one batch client; passwords stand in the open because nothing here guards anything real.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    AuthorizationServer,
    ClientMixin,
    OAuth2Payload,
    OAuth2Request,
    grants,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

AUDIENCE = "shop-api"
TOKEN_LIFETIME = 600
"""Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A demo user. `scopes` is the most that a token for them can hold."""

    name: str
    password: str
    scopes: str
    claims: Mapping[str, object] = field(default_factory=dict)

    def get_user_id(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Client(ClientMixin):
    """A registered client; one without a secret is public and has to use PKCE."""

    client_id: str
    scopes: str
    grant: str
    secret: str = ""
    redirect_uris: tuple[str, ...] = ()

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        return self.redirect_uris[0] if self.redirect_uris else None

    def get_allowed_scope(self, scope: str | None) -> str:
        return common_scopes(self.scopes if scope is None else scope, self.scopes)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.secret) and secrets.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == ("client_secret_basic" if self.secret else "none")

    def check_response_type(self, response_type: str) -> bool:
        return self.grant == "authorization_code" and response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == self.grant


ACCOUNTS = {
    account.name: account
    for account in (
        Account(
            name="alice",
            password="alice-demo",
            scopes="orders:read orders:pay profile:read",
            claims={"email": "alice@shop.example", "order_ids": ["42", "43"]},
        ),
        Account(
            name="bob",
            password="bob-demo",
            scopes="orders:read profile:read",
            claims={"email": "bob@shop.example", "order_ids": ["7"]},
        ),
    )
}
WEB = Client(
    client_id="storefront",
    scopes="orders:read orders:pay profile:read",
    grant="authorization_code",
    redirect_uris=("http://localhost:8765/callback",),
)
BATCH = Client(client_id="nightly-batch", scopes="payments:settle", grant="client_credentials", secret="batch-demo")
CLIENTS = {client.client_id: client for client in (WEB, BATCH)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request as the web side read it."""

    method: str
    uri: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class SigningKeys:
    """RSA keys: the newest signs, all of them are published until they are retired.

    `kept` is the `private` form of keys that were made before: they sign on.
    """

    def __init__(self, kept: bytes = b"") -> None:
        self._lock = threading.Lock()
        self._keys: list[RSAKey] = [RSAKey.import_key(each) for each in json.loads(kept)["keys"]] if kept else []
        if not kept:
            self.rotate()

    def rotate(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on. The old ones stay published, unless they are to be dropped."""
        key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": secrets.token_hex(6)})
        with self._lock:
            self._keys = [*(self._keys if keep_old else ()), key]

    @property
    def current(self) -> RSAKey:
        with self._lock:
            return self._keys[-1]

    def published(self) -> bytes:
        return self._document(private=False)

    def private(self) -> bytes:
        """With what signs, for whoever keeps it."""
        return self._document(private=True)

    def _document(self, *, private: bool) -> bytes:
        with self._lock:
            return json.dumps(KeySet(list(self._keys)).as_dict(private=private)).encode()


class Provider:
    """One issuer. `issuer` is the URL that its tokens carry.

    `secrets_of` holds the passwords of accounts and the secrets of clients, by name, where the ones in the open
    below aren't to count.
    """

    def __init__(
        self, issuer: str, *, keys: SigningKeys | None = None, secrets_of: Mapping[str, str] | None = None
    ) -> None:
        self.issuer = issuer
        self.keys = keys or SigningKeys()
        self.secrets_of = dict(secrets_of or {})
        self.codes: dict[str, _Code] = {}
        self._server = _Server(self)

    def metadata(self) -> bytes:
        """The discovery document (OpenID Connect Discovery 1.0 §3)."""
        return json.dumps(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "code_challenge_methods_supported": ["S256"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            }
        ).encode()

    def authorize(self, request: HttpRequest) -> HttpResponse:
        """The login form was posted: check the password, answer with a code at the client's redirect URI."""
        account = ACCOUNTS.get(request.form.get("username", ""))
        password = request.form.get("password", "")
        known = account is not None and secrets.compare_digest(
            self.secrets_of.get(account.name, account.password), password
        )
        asked = _Request(request)
        try:
            grant = self._server.get_consent_grant(asked, account if known else None)
        except Exception as error:  # noqa: BLE001 - Authlib's whole error family; all mean the same here
            return HttpResponse(400, json.dumps({"error": type(error).__name__}).encode())
        response: HttpResponse = self._server.create_authorization_response(
            asked, grant_user=account if known else None, grant=grant
        )
        return response

    def token(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = self._server.create_token_response(request)
        return response

    def odd_token(
        self,
        subject: str,
        *,
        changes: Mapping[str, object] | None = None,
        without: Sequence[str] = (),
        header: Mapping[str, object] | None = None,
        key: RSAKey | None = None,
    ) -> str:
        """A token that no login would give: `changes` replace claims, `without` leaves claims out.

        For showing how each kind of bad token is refused.
        """
        now = int(time.time())
        account = ACCOUNTS.get(subject)
        signing = key or self.keys.current
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "client_id": WEB.client_id,
            "iat": now,
            "exp": now + TOKEN_LIFETIME,
            "jti": secrets.token_hex(8),
            "scope": account.scopes if account else "",
            **(account.claims if account else {}),
            **(changes or {}),
        }
        kept = {name: value for name, value in claims.items() if name not in without}
        protected = {"alg": "RS256", "typ": "at+jwt", "kid": signing.kid, **(header or {})}
        return jwt.encode(protected, kept, signing)


def common_scopes(wanted: str, allowed: str) -> str:
    """Those of `wanted` that are in `allowed`, in the order wanted."""
    return " ".join(scope for scope in wanted.split() if scope in allowed.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code(AuthorizationCodeMixin):
    code: str
    client_id: str
    redirect_uri: str
    scope: str
    account: Account
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


class _Payload(OAuth2Payload):
    def __init__(self, request: HttpRequest) -> None:
        self._lists = parse_qs(urlsplit(request.uri).query)
        for name, value in request.form.items():
            self._lists.setdefault(name, []).append(value)

    @property
    def data(self) -> dict[str, str]:
        return {name: values[-1] for name, values in self._lists.items()}

    @property
    def datalist(self) -> dict[str, list[str]]:
        return self._lists


class _Request(OAuth2Request):
    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.method, request.uri, headers=dict(request.headers))
        self.payload = _Payload(request)
        self._form = dict(request.form)

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = ["none"]

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        data = request.payload.data
        self.server.provider.codes[code] = _Code(
            code=code,
            client_id=request.client.client_id,
            redirect_uri=data.get("redirect_uri", ""),
            scope=common_scopes(request.scope, request.user.scopes),
            account=request.user,
            code_challenge=data.get("code_challenge", ""),
            code_challenge_method=data.get("code_challenge_method", ""),
        )

    def query_authorization_code(self, code: str, client: Client) -> _Code | None:
        found = self.server.provider.codes.get(code)
        return found if found is not None and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        self.server.provider.codes.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code: _Code) -> Account:
        return authorization_code.account


class _ClientGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = ["client_secret_basic"]


class _S256Only(CodeChallenge):
    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar = ["S256"]


class _Tokens(JWTBearerTokenGenerator):
    """`at+jwt` access tokens (RFC 9068) with the user's own claims."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider.issuer, "RS256", expires_generator=lambda _client, _grant: TOKEN_LIFETIME)
        self._provider = provider

    def get_jwks(self) -> KeySet:
        return KeySet([self._provider.keys.current])

    def get_audiences(self, *_: object) -> str:
        return AUDIENCE

    def get_extra_claims(self, client: Client, grant_type: str, user: Account | None, scope: str) -> dict[str, object]:
        return dict(user.claims) if user else {}


class _Server(AuthorizationServer):
    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.register_token_generator("default", _Tokens(provider))
        self.register_grant(_CodeGrant, [_S256Only(required=True)])
        self.register_grant(_ClientGrant)

    def query_client(self, client_id: str) -> Client | None:
        client = CLIENTS.get(client_id)
        secret = self.provider.secrets_of.get(client_id)
        return replace(client, secret=secret) if client and secret else client

    def save_token(self, token: Mapping[str, object], request: OAuth2Request) -> None:
        """Access tokens stand for themselves: nothing is kept."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Authlib's hook for frameworks with signals; this one has none."""

    def create_oauth2_request(self, request: HttpRequest | _Request) -> _Request:
        return request if isinstance(request, _Request) else _Request(request)

    def handle_response(self, status: int, body: object, headers: Sequence[tuple[str, str]]) -> HttpResponse:
        content = body if isinstance(body, str) else json.dumps(body)
        return HttpResponse(status, content.encode(), tuple(headers))
