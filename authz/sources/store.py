"""The shared store: connections to Redis or Valkey, for whoever keeps something there.

Owns: the address, how a connection is made (TLS, credentials, time limits) and which exceptions mean "not now".
Must not: know what is kept, or hold a credential in a setting: the password stands in a file that is read again for
each new connection. The client library is the extra `redis` of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz.model.errors import SettingsError
from authz.sources.files import FileError, read_bounded

if TYPE_CHECKING:
    from redis import Redis

MAX_PASSWORD_BYTES: Final = 4096


class StoreError(Exception):
    """The store can't be used now; `reason` is our sentence or the system's word, never what was sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAddress:
    """Where the store is and who we are there. `url` holds no credentials; `timeout` is seconds for one answer.

    `prefix` begins every key, so that several installations can share a store.
    """

    url: str
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = 0.25
    prefix: str = "authz:"


def connect(address: StoreAddress, *, timeout: float | None = None) -> Redis:
    """A client with a pool of its own, which connects when it is first used. `timeout` overrides the address's.

    It never tries a command a second time: the caller knows its own deadline. Raises `SettingsError` when the client
    library isn't installed or the URL can't be used.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise SettingsError("store.url: it needs the extra `redis`: pip install 'authz[redis]'") from None
    limit = address.timeout if timeout is None else timeout
    options: dict[str, object] = {
        "socket_timeout": limit,
        "socket_connect_timeout": limit,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "authz",
        "protocol": 2,
    }
    if address.password_file is not None:
        options["credential_provider"] = _credentials(address.user, address.password_file)
    elif address.user:
        options["username"] = address.user
    if address.ca_file is not None and address.url.startswith("rediss:"):
        options["ssl_ca_certs"] = str(address.ca_file)
    try:
        client: Redis = redis.Redis.from_url(address.url, **options)
    except ValueError as error:
        raise SettingsError(f"store.url: {error}") from None
    return client


def failures() -> tuple[type[Exception], ...]:
    """What a command may raise when the store can't be reached, refuses or answers nonsense."""
    from redis.exceptions import RedisError

    return (RedisError, OSError, StoreError)


def describe(error: Exception) -> str:
    """What went wrong, in a few words for operators: the kind of error only, as its text may hold what was sent."""
    if isinstance(error, StoreError):
        return error.reason
    return type(error).__name__


def _credentials(user: str, file: Path) -> object:
    from redis.credentials import CredentialProvider

    class FromFile(CredentialProvider):
        """Read anew for each connection, so that a rotated password needs no restart."""

        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            try:
                password = read_bounded(file, limit=MAX_PASSWORD_BYTES).decode("utf-8").strip()
            except (FileError, UnicodeDecodeError) as error:
                raise StoreError(f"store.password_file: {getattr(error, 'reason', 'no UTF-8 text')}") from None
            return (user, password) if user else (password,)

    return FromFile()
