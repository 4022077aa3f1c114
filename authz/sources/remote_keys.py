"""One issuer's keys over HTTP: fetched in the background on a thread of their own, kept while fetches fail.

Owns: what a fetch of keys is, and the shared refetch for unknown key ids with its cooldown (policy language §8).
Must not: fetch on a caller's thread, or let an empty key set take good keys away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from authz.authn.keys import KeySet, import_key_set
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings, JwksUri
from authz.model.reason import Reason
from authz.sources.background import BackgroundSource, Obtained, Surroundings
from authz.sources.discovery import Get, discover
from authz.sources.fetch import FetchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment(Surroundings):
    """With the way to fetch."""

    get: Get


class RemoteKeys(BackgroundSource[KeySet]):
    """The keys of one issuer."""

    kind: ClassVar[str] = "keys"

    def __init__(self, settings: IssuerSettings, environment: Environment) -> None:
        super().__init__(settings.name, environment, origin=_origin(settings))
        self._settings = settings
        self._environment = environment

    # --- answers for checks: never block ---

    def keys(self) -> KeySet:
        good = self._good
        if good is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "the issuer's keys were never fetched")
        if self._env.clock() - good.at > self._env.rules.max_stale:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "the issuer's keys are too old")
        return good.obtained.value

    def unknown(self) -> Refused:
        with self._lock:
            cooling = self._cooling()
            if not self._fetching and not cooling:
                self._asked = True
            if self._fetching or self._asked:
                self._wake.set()
                return Unavailable(Reason.KEYS_UNAVAILABLE, "the issuer's keys are being fetched again")
            if self._failures:
                return Unavailable(
                    Reason.KEYS_UNAVAILABLE, "the issuer's keys can't be fetched", retry_after=math.ceil(cooling)
                )
            return Refused(Reason.TOKEN_KEY_UNKNOWN, "the issuer's keys were just fetched and lack this one")

    def _cooling(self) -> float:
        """Seconds of cooldown left. It runs from the end of each fetch, failed ones too: a provider in
        trouble isn't asked more often because of what clients send."""
        if self._completed is None:
            return 0.0
        return max(0.0, self._completed + self._env.rules.cooldown - self._env.clock())

    # --- the background ---

    def _obtain(self) -> Obtained[KeySet]:
        settings, get = self._settings, self._environment.get
        url = settings.keys.url if isinstance(settings.keys, JwksUri) else discover(settings.issuer, get)
        fetched = get(url)
        keys, warnings = import_key_set(fetched.body, settings.algorithms)
        if not len(keys):
            # Nobody means to revoke every key by publishing none: a half-deployed provider does it.
            raise FetchError("the key set holds no usable key")
        return Obtained(
            value=keys, revision=keys.revision, size=len(keys), warnings=warnings, suggested=fetched.max_age
        )


def _origin(settings: IssuerSettings) -> str:
    return settings.keys.url if isinstance(settings.keys, JwksUri) else f"discovery at {settings.issuer}"
