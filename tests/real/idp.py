"""The certified OpenID provider as a process: starting, breaking, rotating, and a client's half of each flow.

Owns: its configuration, its clients and accounts, the requests that clients send. Must not: check tokens.
Standards used by its clients: OAuth 2.0 (RFC 6749) with PKCE (RFC 7636), resource indicators (RFC 8707),
private_key_jwt (RFC 7523), DPoP (RFC 9449), OpenID Connect RP-initiated logout 1.0.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from examples.store.processes import Process, Processes, accepts, free_ports
from tests.real import tools

AUDIENCE: Final = "shop-api"
API: Final = "https://api.shop.test/"
"""Resource indicator: JWT access tokens (RFC 9068), signed with RS256."""
API_ES256: Final = "https://api.shop.test/es256"
"""The same, signed with ES256."""
OPAQUE: Final = "https://api.shop.test/opaque"
"""Opaque access tokens, for introspection."""
SCOPES: Final = "orders:read orders:write"
TOKEN_LIFETIME: Final = 600
"""Seconds."""
REDIRECT: Final = "https://web.shop.test/callback"
BATCH_SECRET: Final = "batch-secret-of-the-tests-0001"
INTROSPECTION_CLIENTS: Final = {
    "client_secret_basic": "authz-basic",
    "client_secret_post": "authz-post",
    "private_key_jwt": "authz-key",
}
"""By how they authenticate."""
INTROSPECTION_SECRET: Final = "introspection-secret-of-the-tests-0001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What one login brought, and the browser that holds its session (for the logout)."""

    access_token: str
    id_token: str
    browser: httpx.Client
    claims: Mapping[str, Any] = field(default_factory=dict)


class RealProvider:
    """One provider on loopback ports. `start` after `kill` or `stop` brings it back with the same keys.

    `logout_uri`: where the clients want back-channel logout tokens. `token_lifetime` in seconds.
    """

    def __init__(
        self,
        directory: Path,
        processes: Processes,
        *,
        name: str = "provider",
        logout_uri: str = "",
        dpop_nonce: bool = False,
        token_lifetime: int = TOKEN_LIFETIME,
    ) -> None:
        self.name = name
        self.port, self._admin_port = free_ports(2)
        self.issuer = f"http://localhost:{self.port}"
        self.key = ECKey.generate_key("P-256", {"kid": "authz-key-1", "use": "sig", "alg": "ES256"})
        """The private key of the introspection client that authenticates with `private_key_jwt`."""
        self._directory = directory
        self._processes = processes
        self._process: Process | None = None
        self._configuration = directory / f"{name}.json"
        self._configuration.write_text(
            json.dumps(
                {
                    "issuer": self.issuer,
                    "port": self.port,
                    "admin_port": self._admin_port,
                    "keys_file": str(directory / f"{name}-keys.json"),
                    "state_file": str(directory / f"{name}-state.json"),
                    "clients": self._clients(logout_uri),
                    "accounts": {"alice": {"order_ids": ["42"]}, "bob": {"order_ids": ["7"]}},
                    "resources": {
                        API: {"audience": AUDIENCE, "scope": SCOPES, "format": "jwt", "alg": "RS256"},
                        API_ES256: {"audience": AUDIENCE, "scope": SCOPES, "format": "jwt", "alg": "ES256"},
                        OPAQUE: {"audience": AUDIENCE, "scope": SCOPES, "format": "opaque"},
                    },
                    "access_token_ttl": token_lifetime,
                    "dpop_nonce": dpop_nonce,
                }
            )
        )

    # --- the process ---

    def start(self) -> RealProvider:
        """Start it and wait until both ports answer."""
        place = tools.provider_directory()
        command = [str(tools.node()), str(place / "provider.mjs"), str(self._configuration)]
        process = self._processes.start(self.name, command, directory=place)
        process.wait_ready(lambda: accepts(self.port) and accepts(self._admin_port))
        self._process = process
        return self

    def kill(self) -> None:
        """End it at once: connections are refused from now on."""
        self._running().kill()

    def pause(self) -> None:
        """It keeps its sockets and answers nothing: connections hang."""
        os.kill(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._running().pid, signal.SIGCONT)

    # --- what only tests may do (the admin port) ---

    def publish_key(self) -> None:
        """New keys stand beside the old ones, which sign on."""
        self._administer("POST", "/keys/publish")

    def switch_key(self) -> None:
        """The newest keys sign; the old ones stay published."""
        self._administer("POST", "/keys/switch")

    def retire_key(self) -> None:
        """Only the keys that sign are published."""
        self._administer("POST", "/keys/retire")

    def rotate(self) -> None:
        """All at once, as a provider in an emergency does it."""
        for step in (self.publish_key, self.switch_key, self.retire_key):
            step()

    def behave(self, *, delay: float = 0.0, status: int = 0) -> None:
        """Answer after `delay` seconds; with nothing but `status` unless that is 0."""
        self._administer("POST", "/behaviour", {"delay_ms": int(delay * 1000), "status": status})

    def requests(self, path: str = "") -> list[dict[str, str]]:
        """What it was asked so far, optionally at one path only."""
        asked: list[dict[str, str]] = self._administer("GET", "/requests")
        return [each for each in asked if not path or each["path"] == path]

    def events(self) -> list[dict[str, Any]]:
        """What the library reported: errors, back-channel logouts."""
        reported: list[dict[str, Any]] = self._administer("GET", "/events")
        return reported

    # --- a client's half of the flows ---

    def client_token(self, resource: str = API, *, scope: str = SCOPES, dpop: Proofs | None = None) -> str:
        """An access token by client credentials."""
        form = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
        with self._http() as http:
            return str(self._token(http, form, auth=("batch", BATCH_SECRET), dpop=dpop)["access_token"])

    def log_in(
        self, account: str, resource: str = API, *, client: str = "web", dpop: Proofs | None = None, acr: str = ""
    ) -> Login:
        """Authorization code with PKCE, as a browser and a web client do it together."""
        browser, verifier, state = self._http(), secrets.token_urlsafe(48), secrets.token_urlsafe(8)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": REDIRECT,
            "login_hint": account,
            "scope": f"openid {SCOPES}",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": resource,
            **({"acr_values": acr} if acr else {}),
        }
        answer = self._follow(browser, browser.get("/auth", params=query))
        if answer.get("state") != [state] or "code" not in answer:
            raise RuntimeError(f"the login of {account} failed: {answer}")
        form = {
            "grant_type": "authorization_code",
            "client_id": client,
            "redirect_uri": REDIRECT,
            "code": answer["code"][0],
            "code_verifier": verifier,
            "resource": resource,
        }
        tokens = self._token(browser, form, dpop=dpop)
        return Login(
            access_token=str(tokens["access_token"]), id_token=str(tokens["id_token"]), browser=browser, claims=tokens
        )

    def log_out(self, login: Login) -> None:
        """The browser ends its session; the provider tells the clients over the back channel."""
        page = login.browser.get("/session/end", params={"id_token_hint": login.id_token}).raise_for_status()
        form = re.search(r'action="([^"]+)".*name="xsrf" value="([^"]+)"', page.text)
        if form is None:
            raise RuntimeError("the provider shows no logout form")
        login.browser.post(urlsplit(form[1]).path, data={"xsrf": form[2], "logout": "yes"})

    def revoke(self, token: str) -> None:
        """RFC 7009, as the web client; only opaque tokens can be revoked there."""
        with self._http() as http:
            http.post("/token/revocation", data={"token": token, "client_id": "web"}).raise_for_status()

    def introspect(self, token: str) -> dict[str, Any]:
        """RFC 7662, as the client `authz-basic`: what the provider itself says of a token."""
        with self._http() as http:
            auth = ("authz-basic", INTROSPECTION_SECRET)
            answer = http.post("/token/introspection", data={"token": token}, auth=auth).raise_for_status()
            document: dict[str, Any] = answer.json()
            return document

    # --- inside ---

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("the provider was never started")
        return self._process

    def _administer(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        url = f"http://127.0.0.1:{self._admin_port}{path}"
        return httpx.request(method, url, json=body, timeout=10, trust_env=False).raise_for_status().json()

    def _http(self) -> httpx.Client:
        return httpx.Client(base_url=self.issuer, timeout=10, trust_env=False)

    def _follow(self, browser: httpx.Client, answer: httpx.Response) -> dict[str, list[str]]:
        """Follow redirects up to the one that leads to the client; its query."""
        for _ in range(6):
            location = answer.headers.get("location", "")
            if answer.status_code != 303 or not location:
                raise RuntimeError(f"the provider answered {answer.status_code}: {answer.text[:200]}")
            if location.startswith(REDIRECT):
                return parse_qs(urlsplit(location).query)
            answer = browser.get(location)
        raise RuntimeError("the provider redirects in circles")

    def _token(
        self,
        http: httpx.Client,
        form: Mapping[str, str],
        *,
        auth: tuple[str, str] | None = None,
        dpop: Proofs | None = None,
    ) -> dict[str, Any]:
        def ask(nonce: str = "") -> httpx.Response:
            headers = {"DPoP": dpop.proof("POST", f"{self.issuer}/token", nonce=nonce)} if dpop else {}
            return http.post("/token", data=dict(form), headers=headers, auth=auth or httpx.USE_CLIENT_DEFAULT)

        answer = ask()
        if answer.status_code in (400, 401) and "dpop-nonce" in answer.headers:
            answer = ask(answer.headers["dpop-nonce"])
        if answer.status_code != 200:
            raise RuntimeError(f"the token endpoint answered {answer.status_code}: {answer.text}")
        document: dict[str, Any] = answer.json()
        return document

    def _clients(self, logout_uri: str) -> list[dict[str, object]]:
        web: dict[str, object] = {
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "redirect_uris": [REDIRECT],
            **(
                {"backchannel_logout_uri": logout_uri, "backchannel_logout_session_required": True}
                if logout_uri
                else {}
            ),
        }
        service: dict[str, object] = {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": []}
        return [
            {"client_id": "web", **web},
            {"client_id": "web-dpop", **web, "dpop_bound_access_tokens": True},
            {"client_id": "batch", "client_secret": BATCH_SECRET, **service},
            *(
                {
                    "client_id": f"authz-{name}",
                    "client_secret": INTROSPECTION_SECRET,
                    **service,
                    "token_endpoint_auth_method": f"client_secret_{name}",
                }
                for name in ("basic", "post")
            ),
            {
                "client_id": "authz-key",
                **service,
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": "ES256",
                "jwks": {"keys": [self.key.as_dict(private=False)]},
            },
        ]


class Proofs:
    """A client's DPoP key and the proofs that it makes (RFC 9449 §4.2)."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")

    @property
    def thumbprint(self) -> str:
        return self._key.thumbprint()

    def proof(self, method: str, url: str, *, token: str = "", nonce: str = "", **changed: object) -> str:
        """A fresh proof; `token` for one that goes with an access token, `changed` replaces claims."""
        claims: dict[str, object] = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
        }
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if nonce:
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._key.as_dict(private=False)}
        return jwt.encode(header, {**claims, **changed}, self._key, algorithms=["ES256"])
