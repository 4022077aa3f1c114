"""`POST /logout/ISSUER`: OpenID Connect Back-Channel Logout 1.0, the side that is told.

Owns: the form of the request (§2.5) and of its answer (§2.8), that a logout token is taken once, and what a logout
revokes. Must not: trust anything but the token's own signature: who posts it doesn't matter.

A token of the session that ended is refused by its `sid`. Tokens without `sid` can't be told from those of the
subject's other sessions: the ones that were issued until the logout are refused too. A logout without `sid` ends all
sessions of its subject (§2.4).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

from authz.authn.jws import malformed
from authz.authn.logout_token import Logout, verify_logout
from authz.engine.ports import IssuerKeys
from authz.engine.users import KeySearch
from authz.model.errors import Refused
from authz.model.issuer import IssuerSettings, JwksFile
from authz.model.reason import Reason
from authz.model.revocation import RevocationKind
from authz.server.http_door import THREADS, HttpRequest, Page
from authz.server.revoking import EVERYWHERE, Act, ActRefused, Revoker

_LOG: Final = logging.getLogger("authz.server")
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_A_FETCH_MAY_HELP: Final = frozenset({Reason.TOKEN_KEY_UNKNOWN, Reason.KEYS_UNAVAILABLE})
MAX_TOKEN_BYTES: Final = 16 * 1024
MAX_REMEMBERED: Final = 10_000
"""Logout tokens that are known to have been taken. One that was forgotten and comes again changes nothing: its entries
are those of the first time, with the same times."""
AT_ONCE: Final = THREADS // 2
"""Logouts that are worked on at the same time. They may wait for keys and for the store, and whoever reaches the admin
address can post some: half of its threads stay free for probes and scrapes."""
DEFAULT_PATIENCE: Final = 12.0
"""Seconds that a key is waited for: longer than the cooldown of fetches (`keys.cooldown`). A provider signs with a new
key at times and tells of a logout only once; what it told is done even if it has hung up by then."""
KEY_WAIT_SECONDS: Final = 0.1


class LogoutEndpoint:
    """See the module. `clients` are, by issuer name, the client ids that the issuer knows us by."""

    def __init__(
        self,
        revoker: Revoker,
        issuers: Callable[[], Mapping[str, IssuerSettings]],
        keys: IssuerKeys,
        clients: Mapping[str, frozenset[str]],
        *,
        patience: float = DEFAULT_PATIENCE,
        wall: Callable[[], float] = time.time,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._revoker = revoker
        self._issuers = issuers
        self._keys = keys
        self._clients = clients
        self._patience = patience
        self._wall = wall
        self._wait = wait
        self._taken = _Taken()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def answer(self, name: str, request: HttpRequest) -> Page:
        """200 when the logout is in force everywhere, else 400 with an error as in RFC 6749 §5.2 (BCL §2.8)."""
        clients, settings = self._clients.get(name), self._issuers().get(name)
        if clients is None or settings is None:
            return _error(404, "invalid_request", "no such issuer sends logouts here")
        if not self._places.acquire(blocking=False):
            return _error(400, "temporarily_unavailable", "too many logouts at once")
        try:
            return self._answer(request, settings, clients)
        finally:
            self._places.release()

    def _answer(self, request: HttpRequest, settings: IssuerSettings, clients: frozenset[str]) -> Page:
        name = settings.name
        try:
            logout = self._verified(_token_of(request), settings, clients)
            if (name, logout.jti) in self._taken:
                raise Refused(Reason.TOKEN_MALFORMED, "the logout token was taken before (BCL §2.6)")
            everywhere = [self._revoker.do(act, name="logout").result for act in _acts(logout)]
        except ActRefused as error:
            return _error(400, "temporarily_unavailable", str(error))
        except Refused as error:
            _LOG.warning(
                "a back-channel logout was refused",
                extra={"event": "logout_refused", "issuer": name, "reason": error.reason.code, "detail": error.detail},
            )
            return _error(400, "invalid_request", error.detail)
        if set(everywhere) != {EVERYWHERE}:
            return _error(400, "temporarily_unavailable", "not every instance knows of the logout yet")
        self._taken.add((name, logout.jti))
        return Page(200, _JSON, b"{}")

    def _verified(self, token: str, settings: IssuerSettings, clients: frozenset[str]) -> Logout:
        """The logout, once the key is there that the token names; raises `Refused`."""
        left = 0 if isinstance(settings.keys, JwksFile) else round(self._patience / KEY_WAIT_SECONDS)
        while True:
            try:
                return self._verify(token, settings, clients)
            except Refused as error:
                if error.reason not in _A_FETCH_MAY_HELP or not left:
                    raise
            left -= 1
            self._wait(KEY_WAIT_SECONDS)

    def _verify(self, token: str, settings: IssuerSettings, clients: frozenset[str]) -> Logout:
        search = KeySearch(self._keys, settings)
        return verify_logout(token, settings, search.find, clients, limit=MAX_TOKEN_BYTES, now=self._wall())


def logout_clients(pairs: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    """The client ids by issuer name, out of the setting's pairs."""
    found: dict[str, set[str]] = {}
    for issuer, client in pairs:
        found.setdefault(issuer, set()).add(client)
    return {issuer: frozenset(clients) for issuer, clients in found.items()}


class _Taken:
    """The last logout tokens that were taken, by issuer and `jti`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __contains__(self, which: tuple[str, str]) -> bool:
        with self._lock:
            return which in self._known

    def add(self, which: tuple[str, str]) -> None:
        with self._lock:
            self._known[which] = None
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)


def _token_of(request: HttpRequest) -> str:
    """The one `logout_token` of a form (BCL §2.5); raises `Refused`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise malformed("a logout is posted as a form (BCL §2.5)")
    try:
        fields = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError:
        raise malformed("a logout is posted as a form (BCL §2.5)") from None
    tokens = [value for name, value in fields if name == "logout_token"]
    if len(tokens) != 1:
        raise malformed("a logout has one logout_token (BCL §2.5)")
    return tokens[0]


def _acts(logout: Logout) -> Iterator[Act]:
    """What a logout revokes; `before` is by the issuer's own clock, which dates its tokens."""
    by, why, before = f"issuer:{logout.issuer}", "back-channel logout", int(logout.issued_at)
    if logout.session:
        yield Act(kind=RevocationKind.SESSION, value=logout.session, by=by, why=why, issuer=logout.issuer)
    if logout.subject:
        kind = RevocationKind.SESSIONLESS if logout.session else RevocationKind.SUBJECT
        yield Act(kind=kind, value=logout.subject, by=by, why=why, issuer=logout.issuer, before=before)


def _error(status: int, error: str, description: str) -> Page:
    document = {"error": error, "error_description": description}
    return Page(status, _JSON, json.dumps(document).encode())
