"""Issuers asked about tokens (RFC 7662): implements `engine.ports.Introspection`.

Owns: one question at a time for each token, answers remembered for a while, and what counts as an answer. Only the
JSON value `true` says that a token is active (§2.2). Must not: judge an active token (`authn.token` does), or ask
anyone but the endpoint that the issuer's settings name. Answers are filed under the settings' revision, so that none
outlives what it was asked with.

How to wire it (app): `Introspector(directory, Fetcher(rules).post, limit=…, report=…)`, handed to the decision point
in `Outside`; `close()` at shutdown.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from authz.authn.encoding import EncodingError, read_json_object
from authz.engine.ports import Introspected
from authz.engine.token_cache import BoundedCache
from authz.model.errors import Unavailable
from authz.model.issuer import IntrospectionSettings, IssuerSettings
from authz.model.patience import Patience
from authz.model.reason import Reason
from authz.sources.client_credentials import CredentialError, authenticated_form
from authz.sources.fetch import Fetched, FetchError, Form
from authz.sources.flights import Flights, NoAnswer
from authz.sources.state import Report, SourceEvent, unreported

NEGATIVE_SECONDS: Final = 5.0
"""How long "not active" is remembered at most: a token may become active, and a flood of bad ones costs one question
each."""
COOLDOWN: Final = 1.0
"""Seconds after a failure in which the issuer isn't asked again: checks don't wait for what just failed."""
MAX_ANSWER_BYTES: Final = 32 * 1024
"""A token has at most 8 KiB; what is said of it is no longer by much."""
ENTRIES: Final = 10_000
"""Answers remembered, of each kind."""


class Post(Protocol):
    """`Fetcher.post`."""

    def __call__(self, url: str, form: Form, /) -> Fetched: ...


class Introspector:
    """See the module. `limit` bounds the questions under way, of all issuers together."""

    def __init__(
        self,
        directory: Path,
        post: Post,
        *,
        limit: int,
        report: Report = unreported,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._post = post
        self._report = report
        self._clock = clock
        self._flights = Flights("introspect", limit=limit)
        # Apart, so that a flood of tokens that nobody issued drives out nothing good.
        self._active: BoundedCache[Introspected] = BoundedCache(ENTRIES)
        self._inactive: BoundedCache[Introspected] = BoundedCache(ENTRIES)
        self._lock = threading.Lock()
        self._failing: dict[str, tuple[float, str]] = {}

    def ask(self, issuer: IssuerSettings, token: str, *, now: float, patience: Patience) -> Introspected:
        """See the port."""
        settings = issuer.introspection
        if settings is None:
            raise Unavailable(Reason.INTROSPECTION_UNAVAILABLE, "the issuer has no introspection endpoint")
        key = hashlib.sha256(f"{issuer.revision}\n{token}".encode("utf-8", "surrogatepass")).digest()
        known = self._active.get(key, now=now) or self._inactive.get(key, now=now)
        if known is not None:
            return known
        if self._cools(issuer.name):
            raise Unavailable(Reason.INTROSPECTION_UNAVAILABLE, "the issuer could not be asked just now")
        try:
            return self._flights.answer(key, lambda: self._asked(issuer, settings, token, key, now), patience)
        except NoAnswer as error:
            raise Unavailable(Reason.INTROSPECTION_UNAVAILABLE, str(error)) from None
        except (FetchError, CredentialError, EncodingError) as error:
            raise Unavailable(Reason.INTROSPECTION_UNAVAILABLE, f"the issuer could not be asked: {error}") from None

    def close(self) -> None:
        self._flights.close()

    # --- one question, on a thread of its own ---

    def _asked(
        self, issuer: IssuerSettings, settings: IntrospectionSettings, token: str, key: bytes, now: float
    ) -> Introspected:
        try:
            claims = self._answer(issuer, settings, token, now)
        except (FetchError, CredentialError, EncodingError) as error:
            self._failed(issuer.name, str(error))
            raise
        self._succeeded(issuer.name)
        active = claims.get("active") is True
        said = Introspected(claims=claims if active else None, until=now + _lifetime(claims, settings, now))
        (self._active if active else self._inactive).put(key, said)
        return said

    def _answer(
        self, issuer: IssuerSettings, settings: IntrospectionSettings, token: str, now: float
    ) -> dict[str, Any]:
        parameters = {"token": token, "token_type_hint": "access_token"}
        form = authenticated_form(parameters, settings, issuer.issuer, self._directory, now=now)
        claims = read_json_object(self._post(settings.endpoint, form).body)
        if "active" not in claims:
            # No answer at all (§2.2: the member is required): some other server's page is no verdict on a token.
            raise EncodingError("the answer has no member `active` (RFC 7662 §2.2)")
        return claims

    # --- failures ---

    def _cools(self, name: str) -> bool:
        failure = self._failing.get(name)
        return failure is not None and self._clock() < failure[0] + COOLDOWN

    def _failed(self, name: str, error: str) -> None:
        with self._lock:
            before = self._failing.get(name)
            self._failing[name] = (self._clock(), error)
        if before is None or before[1] != error:
            self._report(SourceEvent(kind="introspection", name=name, error=error))

    def _succeeded(self, name: str) -> None:
        if name not in self._failing:
            return
        with self._lock:
            recovered = self._failing.pop(name, None) is not None
        if recovered:
            self._report(SourceEvent(kind="introspection", name=name))


def _lifetime(claims: dict[str, Any], settings: IntrospectionSettings, now: float) -> float:
    """Seconds that the answer is remembered: an active token's not beyond its own end."""
    if claims.get("active") is not True:
        return min(settings.cache_ttl, NEGATIVE_SECONDS)
    expires_at = claims.get("exp")
    if type(expires_at) is int or type(expires_at) is float:
        return max(0.0, min(settings.cache_ttl, expires_at - now))
    return settings.cache_ttl
