"""The provider's web side: HTTP on loopback, a login page, and the client's half of a login.

Owns: sockets and HTML. Must not: decide who gets which token (see `provider`). Plain HTTP is for loopback
only; a provider that another machine can reach has to speak HTTPS.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from examples.store.provider import ACCOUNTS, BATCH, WEB, HttpRequest, HttpResponse, Provider

_LOGIN_PAGE = """<!doctype html><html lang="en"><title>Log in</title>
<form method="post"><h1>Log in to the store</h1>
<p><label>Name <input name="username" autocomplete="username" autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<p><button>Log in</button></p></form></html>"""
_HTML = (("Content-Type", "text/html; charset=utf-8"),)
_MAX_FORM = 16 * 1024
"""Bytes of a posted form."""


class ProviderServer:
    """One provider, in plain HTTP on a loopback port unless there is `tls`. `stop` and `start` may be called again
    and again."""

    def __init__(
        self,
        port: int,
        *,
        provider: Provider | None = None,
        address: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port = port
        self.provider = provider or Provider(f"http://localhost:{port}")
        self._address = address
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None
        self.requests: list[str] = []
        """`METHOD path` of each request, for tests that count key fetches."""

    def __enter__(self) -> ProviderServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        server = _Server((self._address, self.port), _handler(self, self._tls))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._server = server

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, request: HttpRequest) -> HttpResponse:
        path = urlsplit(request.uri).path
        self.requests.append(f"{request.method} {path}")
        match request.method, path:
            case "GET", "/.well-known/openid-configuration":
                return HttpResponse(200, self.provider.metadata())
            case "GET", "/jwks":
                return HttpResponse(200, self.provider.keys.published())
            case "GET", "/authorize":
                return HttpResponse(200, _LOGIN_PAGE.encode(), _HTML)
            case "POST", "/authorize":
                return self.provider.authorize(request)
            case "POST", "/token":
                return self.provider.token(request)
            case "POST", "/rotate":
                self.provider.keys.rotate()
                return HttpResponse(200, b"{}")
        return HttpResponse(404, b"{}")


def log_in(issuer: str, name: str, *, password: str = "", tls: ssl.SSLContext | None = None) -> str:
    """An access token by authorization code with PKCE, as the storefront's web client does it."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(8)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    redirect_uri = WEB.redirect_uris[0]
    query = urlencode(
        {
            "response_type": "code",
            "client_id": WEB.client_id,
            "redirect_uri": redirect_uri,
            "scope": WEB.scopes,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
    )
    form = {"username": name, "password": password or ACCOUNTS[name].password}
    status, headers, _ = _post(issuer, f"/authorize?{query}", form, tls=tls)
    answer = parse_qs(urlsplit(headers.get("location", "")).query)
    if status != 302 or answer.get("state") != [state] or "code" not in answer:
        raise RuntimeError(f"the login of {name} failed with status {status}")
    form = {
        "grant_type": "authorization_code",
        "client_id": WEB.client_id,
        "redirect_uri": redirect_uri,
        "code": answer["code"][0],
        "code_verifier": verifier,
    }
    return _access_token(_post(issuer, "/token", form, tls=tls))


def batch_token(issuer: str, *, secret: str = "", tls: ssl.SSLContext | None = None) -> str:
    """An access token by client credentials, as the nightly batch job gets it."""
    form = {"grant_type": "client_credentials", "scope": BATCH.scopes}
    basic = base64.b64encode(f"{quote(BATCH.client_id)}:{quote(secret or BATCH.secret)}".encode()).decode()
    return _access_token(_post(issuer, "/token", form, authorization=f"Basic {basic}", tls=tls))


_Answer = tuple[int, dict[str, str], bytes]


def _post(
    issuer: str, path: str, form: dict[str, str], *, authorization: str = "", tls: ssl.SSLContext | None = None
) -> _Answer:
    connection = _connection(issuer, tls)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if authorization:
        headers["Authorization"] = authorization
    try:
        connection.request("POST", path, urlencode(form), headers)
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return response.status, received, response.read()
    finally:
        connection.close()


def _connection(issuer: str, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    where = urlsplit(issuer)
    if tls is None:
        return http.client.HTTPConnection("127.0.0.1", where.port, timeout=5)
    return http.client.HTTPSConnection(where.hostname or "", where.port, context=tls, timeout=5)


def _access_token(answer: _Answer) -> str:
    status, _, body = answer
    if status != 200:
        raise RuntimeError(f"the token endpoint answered {status}")
    return str(json.loads(body)["access_token"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: a client that went away, or one that spoke no TLS."""


def _handler(web: ProviderServer, tls: ssl.SSLContext | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def setup(self) -> None:
            # Here and not at the listening socket: a client that doesn't finish its handshake holds up itself only.
            if tls is not None:
                self.request.settimeout(self.timeout)
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            length = min(int(self.headers.get("content-length") or 0), _MAX_FORM)
            form = parse_qs(self.rfile.read(length).decode())
            self._answer({name: values[-1] for name, values in form.items()})

        def _answer(self, form: dict[str, str]) -> None:
            uri = f"{web.provider.issuer}{self.path}"
            request = HttpRequest(method=self.command, uri=uri, headers=dict(self.headers), form=form)
            response = web.answer(request)
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Silent: the demo prints what matters."""

    return Handler
