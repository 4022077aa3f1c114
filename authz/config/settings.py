"""The service's settings: every one, with its kind, default and purpose, in one place.

Owns: the frozen value that the composition root reads, and the metadata that the loader, flags and
docs/settings.md are made from. Must not: read anything. Secrets are never settings: a setting names the
file that holds one. Durations are seconds and sizes bytes, however they were written.
"""
# ruff: noqa: RUF009 - `_setting` and `_group` make dataclass fields; nothing mutable is shared

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, cast

from authz.config.kinds import (
    Address,
    Choice,
    Count,
    FilePath,
    IssuerClient,
    Kind,
    Many,
    Optional,
    Seconds,
    Size,
    Spiffe,
    StoreUrl,
    Switch,
    Text,
    UnixSocket,
)
from authz.config.listen import ListenAddress
from authz.model.spiffe import SpiffeId

KIND: Final = "kind"
HELP: Final = "help"
_KIB: Final = 1024
_MIB: Final = 1024 * 1024
_DAY: Final = 24 * 3600.0


def _setting(kind: Kind, default: Any, help_text: str) -> Any:
    return field(default=default, metadata={KIND: kind, HELP: help_text})


def _group(cls: Callable[[], Any], help_text: str) -> Any:
    return field(default_factory=cls, metadata={HELP: help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """The group `tls`; with neither `cert` nor `workload_api` there is no TLS."""

    cert: Path | None = _setting(
        Optional(FilePath()), None, "Certificate chain (PEM) that Envoy sees; re-read when it changes."
    )
    key: Path | None = _setting(Optional(FilePath()), None, "Private key (PEM) of the certificate.")
    client_ca: Path | None = _setting(
        Optional(FilePath()), None, "CA certificates (PEM) that a connecting Envoy's certificate must chain to."
    )
    may_connect: tuple[SpiffeId, ...] = _setting(
        Many(Spiffe()), (), "SPIFFE IDs of the Envoys that may connect; with TLS at least one."
    )
    workload_api: ListenAddress | None = _setting(
        Optional(UnixSocket()),
        None,
        "SPIFFE Workload API that supplies our certificate and the CA of connecting Envoys, instead of three files.",
    )
    spiffe_id: SpiffeId | None = _setting(
        Optional(Spiffe(), word="first"), None, "Which of our identities the Workload API's certificate is to bear."
    )

    @property
    def enabled(self) -> bool:
        return self.cert is not None or self.workload_api is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """The group `limits`; sizes in bytes."""

    target: int = _setting(
        Size(256, 64 * _KIB), 8 * _KIB, "Longest request target that is judged; a longer one is refused."
    )
    headers: int = _setting(Size(4 * _KIB, _MIB), 96 * _KIB, "All header names and values of a request together.")
    header_count: int = _setting(Count(10, 2000), 200, "Number of headers of a request.")
    message: int = _setting(Size(64 * _KIB, 64 * _MIB), 4 * _MIB, "A whole CheckRequest, refused before it is parsed.")
    concurrency: int = _setting(Count(1, 256), 8, "Checks that are worked on at the same time (threads).")
    queue: int = _setting(
        Count(0, 10_000), 256, "Checks that may wait for a thread; the next one is denied as `overloaded`."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineSettings:
    """The group `deadlines`; in seconds."""

    default: float = _setting(
        Seconds(0.01, 60.0), 5.0, "Longest time that a check may take, whatever Envoy's own timeout is."
    )
    margin: float = _setting(Seconds(0.0, 1.0), 0.005, "Kept from Envoy's timeout for the answer to travel back.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """The group `keys`; times in seconds, the size in bytes."""

    refresh: float = _setting(
        Seconds(10.0, _DAY),
        300.0,
        "How often keys and bundles are fetched; what their server says may change that between 30s and 1h.",
    )
    cooldown: float = _setting(
        Seconds(1.0, 600.0), 10.0, "Least time between fetches that tokens with unknown keys cause."
    )
    max_stale: float = _setting(
        Seconds(60.0, 7 * _DAY),
        _DAY,
        "How long the last good keys (and trust bundles) serve while their source is failing.",
    )
    timeout: float = _setting(Seconds(0.1, 60.0), 5.0, "Limit for one fetch as a whole.")
    size: int = _setting(Size(_KIB, 512 * _KIB), 512 * _KIB, "Largest document that is fetched.")
    allow_private: bool = _setting(
        Switch(),
        False,
        "Whether issuers and bundle endpoints may live at private or loopback addresses. Link-local never may.",
    )
    ca_file: Path | None = _setting(
        Optional(FilePath()), None, "CA certificates (PEM) for issuers and bundle endpoints, instead of the system's."
    )
    workload_api: ListenAddress | None = _setting(
        Optional(UnixSocket(), word="tls"),
        None,
        "SPIFFE Workload API for bundles with `workload_api: true`; `tls` is the one of `tls.workload_api`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCacheSettings:
    """The group `token_cache`; `cap` in seconds."""

    size: int = _setting(
        Count(0, 1_000_000), 10_000, "Verified tokens that are remembered; 0 verifies every token anew."
    )
    cap: float = _setting(
        Seconds(0.0, 3600.0), 300.0, "Longest time that a token is remembered (never beyond its own expiry)."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DpopSettings:
    """The group `dpop`; times in seconds."""

    window: float = _setting(Seconds(1.0, 600.0), 60.0, "How old a proof may be.")
    http: bool = _setting(
        Switch(), False, "Whether proofs may also be for http:// URLs (a provider of the own machine, tests)."
    )
    nonces: bool = _setting(
        Switch(), False, "Whether a proof has to hold a nonce of ours; a client without one is given one."
    )
    nonce_lifetime: float = _setting(Seconds(10.0, 3600.0), 300.0, "How long a nonce is taken.")
    nonce_key_file: Path | None = _setting(
        Optional(FilePath()),
        None,
        "File with the key that makes nonces (32 octets or more), the same for all processes; re-read when it "
        "changes. Unset: a key of this process alone.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """The group `audit`."""

    file: Path | None = _setting(
        Optional(FilePath(), word="stdout"),
        None,
        "Where decisions are written, one JSON object a line: a file, or `stdout`.",
    )
    enabled: bool = _setting(Switch(), True, "Whether decisions are written at all.")
    queue: int = _setting(Count(100, 1_000_000), 20_000, "Decisions that may wait to be written.")
    on_full: str = _setting(
        Choice(("drop", "deny")),
        "drop",
        "What happens when they can't be written fast enough: count and drop, or deny the check (503).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The group `store`; with `url` unset there is none. `timeout` in seconds."""

    url: str | None = _setting(
        Optional(StoreUrl()), None, "The Redis or Valkey that all processes share, without credentials."
    )
    user: str | None = _setting(Optional(Text()), None, "Our user name there (ACL); unset: its default user.")
    password_file: Path | None = _setting(
        Optional(FilePath()), None, "File that holds the password; read again for each new connection."
    )
    ca_file: Path | None = _setting(
        Optional(FilePath()), None, "CA certificates (PEM) for rediss://, instead of the system's."
    )
    timeout: float = _setting(Seconds(0.01, 10.0), 0.25, "Longest wait for one answer of the store.")
    prefix: str = _setting(Text(), "authz:", "Begins every key there; the same for all processes that belong together.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationSettings:
    """The group `revocation`; without `socket`, `listen`, `logout` and `store.url` there is no list."""

    socket: ListenAddress | None = _setting(
        Optional(UnixSocket()), None, "Unix socket for `authz revoke` on this machine: root's and our own user's."
    )
    group: bool = _setting(
        Switch(), False, "Whether members of the socket's group may revoke too (mode 0660 instead of 0600)."
    )
    listen: ListenAddress | None = _setting(
        Optional(Address()), None, "Address for `authz revoke` from elsewhere, over mTLS with the files of `tls`."
    )
    operators: tuple[SpiffeId, ...] = _setting(Many(Spiffe()), (), "SPIFFE IDs that may revoke at `revocation.listen`.")
    logout: tuple[tuple[str, str], ...] = _setting(
        Many(IssuerClient()),
        (),
        "Issuers whose back-channel logouts are taken at `/logout/ISSUER` of the admin address, each with a client "
        "id that it knows us by.",
    )
    file: Path = _setting(
        FilePath(),
        Path("/var/lib/authz/revocations.jsonl"),
        "Where one process keeps its list when there is no `store.url`.",
    )
    capacity: int = _setting(
        Count(1000, 20_000_000), 1_000_000, "Most entries; a million take about 110 MB. Beyond it an act is refused."
    )
    max_stale: float = _setting(
        Seconds(2.0, 3600.0),
        30.0,
        "Age of what is known from which issuers with `revocation: strict` answer 503; others go on with it.",
    )

    @property
    def enabled(self) -> bool:
        return self.socket is not None or self.listen is not None or bool(self.logout)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The group `log`."""

    level: str = _setting(Choice(("debug", "info", "warning", "error")), "info", "Least severity that is logged.")
    format: str = _setting(Choice(("json", "text")), "json", "One JSON object a line, or text for people.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the service, typed."""

    policy_dir: Path = _setting(FilePath(), Path("policies"), "The policy directory.")
    listen: tuple[ListenAddress, ...] = _setting(
        Many(Address(), required=True),
        (ListenAddress(host="127.0.0.1", port=9000),),
        "Addresses that Envoy's checks are answered on.",
    )
    workers: int = _setting(
        Count(1, 64),
        1,
        "Processes. Worker i (from 0) listens on port + 10·i of each address here and of admin_listen, or on PATH.i.",
    )
    admin_listen: ListenAddress | None = _setting(
        Optional(Address()),
        ListenAddress(host="127.0.0.1", port=9001),
        "Address of /livez, /readyz, /metrics and /logout (no TLS; keep it inside).",
    )
    front: str = _setting(
        Choice(("auto", "native", "grpcio")),
        "auto",
        "The gRPC server: chosen for each address (native on Unix sockets and loopback where the extra `fast` is "
        "installed, else grpcio), or always the same.",
    )
    reload_interval: float = _setting(Seconds(0.1, 3600.0), 1.0, "How often the policy directory is looked at.")
    drain_grace: float = _setting(Seconds(0.0, 600.0), 20.0, "How long checks under way may still take after SIGTERM.")
    health_wait: float = _setting(
        Seconds(0.0, 600.0), 5.0, "How long NOT_SERVING is shown before the service stops taking checks."
    )
    unsafe_plaintext: bool = _setting(
        Switch(),
        False,
        "Whether checks may be answered without TLS on addresses that others can reach: whoever can stand in "
        "between decides what is allowed.",
    )
    tls: TlsSettings = _group(TlsSettings, "mTLS with Envoy; without it, listen on Unix sockets or loopback only.")
    limits: LimitSettings = _group(LimitSettings, "Bounds on what is judged.")
    deadlines: DeadlineSettings = _group(DeadlineSettings, "Time for one check.")
    keys: KeySettings = _group(KeySettings, "Fetching issuers' keys and trust bundles.")
    token_cache: TokenCacheSettings = _group(TokenCacheSettings, "Remembering verified tokens.")
    dpop: DpopSettings = _group(DpopSettings, "Proofs of possession (RFC 9449).")
    audit: AuditSettings = _group(AuditSettings, "The record of every decision.")
    store: StoreSettings = _group(StoreSettings, "The shared store (needs the extra `redis`).")
    revocation: RevocationSettings = _group(
        RevocationSettings, "What is refused before it expires (see revocation.md)."
    )
    log: LogSettings = _group(LogSettings, "Logs of the service itself, on stderr.")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One setting: `name` is dotted (`keys.refresh`)."""

    name: str
    kind: Kind
    default: Any
    help: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group of settings: `name` is "" for those at the top."""

    name: str
    help: str
    settings: tuple[Descriptor, ...]


def groups() -> tuple[Group, ...]:
    """Every group in the order of this file."""
    top = tuple(_describe("", each) for each in fields(Settings) if KIND in each.metadata)
    nested = tuple(
        Group(each.name, each.metadata[HELP], tuple(_describe(each.name, inner) for inner in fields(_class(each))))
        for each in fields(Settings)
        if KIND not in each.metadata
    )
    return (Group("", "", top), *nested)


def descriptors() -> Iterator[Descriptor]:
    """Every setting."""
    for group in groups():
        yield from group.settings


def build(values: dict[str, Any]) -> Settings:
    """Settings from typed values by dotted name; what isn't there has its default."""
    arguments: dict[str, Any] = {}
    for group in groups():
        own = {each.name: values[each.name] for each in group.settings if each.name in values}
        if not group.name:
            arguments.update(own)
            continue
        group_class = next(_class(each) for each in fields(Settings) if each.name == group.name)
        arguments[group.name] = group_class(**{name.partition(".")[2]: value for name, value in own.items()})
    return Settings(**arguments)


def value_of(settings: Settings, name: str) -> Any:
    """The value of a setting by its dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _describe(group: str, each: Any) -> Descriptor:
    name = f"{group}.{each.name}" if group else each.name
    return Descriptor(name, each.metadata[KIND], each.default, each.metadata[HELP])


def _class(each: Any) -> type[Any]:
    group_class = each.default_factory
    assert group_class is not MISSING and is_dataclass(group_class)
    return cast(type[Any], group_class)
