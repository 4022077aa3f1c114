"""Loading settings: flags over environment over file over defaults, every fault at once, every origin
remembered.

Owns: where a value comes from. Must not: know single settings (config.settings does) or print anything.

How to use it (cli): `load_settings(file=…, environ=os.environ, flags=…)`, where `flags` maps dotted names
to what was given (config.flags makes it from argparse); raises `SettingsError` with one sentence per fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from authz.config import workers
from authz.config.settings import Descriptor, Settings, TlsSettings, build, descriptors, groups, value_of
from authz.model.errors import SettingsError
from authz.policy import yaml_reader
from authz.policy.suggest import did_you_mean

ENVIRONMENT_PREFIX: Final = "AUTHZ_"
FILE_VARIABLE: Final = "AUTHZ_CONFIG"
"""Names the settings file; not a setting itself."""
DEFAULT_FILE: Final = "authz.yaml"
MAX_FILE_BYTES: Final = 256 * 1024

_SERVICE_LINK: Final = re.compile(
    r"AUTHZ(?:_[A-Z0-9]+)*?_(?:"
    r"SERVICE_(?:HOST|PORT)(?:_[A-Z0-9_]+)?"
    r"|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes puts into every pod beside a Service named authz or authz-…; none of our settings looks
like it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value was written: `default`, `authz.yaml:3:5`, `AUTHZ_KEYS__REFRESH`, `--keys-refresh`."""

    text: str

    def __str__(self) -> str:
        return self.text


DEFAULT: Final = Origin(text="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """`origins` has an entry for every setting, by dotted name. `warnings` are sentences."""

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path | None = None

    def show(self) -> Iterator[tuple[str, str, str]]:
        """(name, value as it would be written, origin) of each setting, for `authz config show`."""
        for each in descriptors():
            yield each.name, each.kind.show(value_of(self.settings, each.name)), str(self.origins[each.name])


@dataclass(slots=True)
class _Gathered:
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def take(self, setting: Descriptor, written: object, origin: str) -> None:
        """A later, stronger source replaces what a weaker one said; both are checked."""
        try:
            self.values[setting.name] = setting.kind.read(written)
        except ValueError as error:
            self.faults.append(f"{origin}: {setting.name}: {error}")
        self.origins[setting.name] = Origin(text=origin)


def load_settings(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str | list[str]] | None = None,
) -> LoadedSettings:
    """Raises `SettingsError`. Without `file`, `AUTHZ_CONFIG` names it, else `authz.yaml` if there is one."""
    environ = environ or {}
    gathered = _Gathered()
    path = _path(file, environ)
    known = {each.name: each for each in descriptors()}
    if path is not None:
        _from_file(path, known, gathered)
    _from_environment(environ, known, gathered)
    for name, given in (flags or {}).items():
        gathered.take(known[name], given, flag_name(name))
    if gathered.faults:
        raise SettingsError(*gathered.faults)
    settings = build(gathered.values)
    origins = {name: gathered.origins.get(name, DEFAULT) for name in known}
    faults = tuple(_contradictions(settings, origins))
    if faults:
        raise SettingsError(*faults)
    return LoadedSettings(settings=settings, origins=origins, file=path)


def flag_name(name: str) -> str:
    """`keys.max_stale` → `--keys-max-stale`"""
    return "--" + name.replace(".", "-").replace("_", "-")


def variable_name(name: str) -> str:
    """`keys.max_stale` → `AUTHZ_KEYS__MAX_STALE`"""
    return ENVIRONMENT_PREFIX + name.replace(".", "__").upper()


def _path(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    if environ.get(FILE_VARIABLE):
        return Path(environ[FILE_VARIABLE])
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


# --- file ------------------------------------------------------------------------------------------------


def _from_file(path: Path, known: Mapping[str, Descriptor], gathered: _Gathered) -> None:
    try:
        with path.open("rb") as source:
            data = source.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {(error.strerror or 'it can not be read').lower()}") from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError(f"{path}: it is over {MAX_FILE_BYTES} bytes")
    read = yaml_reader.read_file(str(path), data)
    faults = [fault for document in read.documents for fault in document.faults]
    for fault in (*faults, *([read.broken] if read.broken else [])):
        gathered.faults.append(f"{fault.place}: {fault.message}")
    if len(read.documents) > 1:
        gathered.faults.append(f"{read.documents[1].place}: settings are one document")
    for document in read.documents[:1]:
        _from_root(str(path), document.root, known, gathered)


def _from_root(file: str, root: yaml_reader.Node | None, known: Mapping[str, Descriptor], gathered: _Gathered) -> None:
    if root is None or isinstance(root, yaml_reader.Unread) or _is_null(root):
        return
    if not isinstance(root, yaml_reader.Mapping):
        gathered.faults.append(f"{_at(file, root)}: settings are a mapping")
        return
    group_names = {group.name for group in groups() if group.name}
    for key, node in root.entries.items():
        if key in group_names:
            _from_group(file, key, node, known, gathered)
        else:
            _from_entry(file, "", (key, root.keys[key], node), known, gathered)


def _from_group(
    file: str, group: str, node: yaml_reader.Node, known: Mapping[str, Descriptor], gathered: _Gathered
) -> None:
    if isinstance(node, yaml_reader.Unread) or _is_null(node):
        return
    if not isinstance(node, yaml_reader.Mapping):
        gathered.faults.append(f"{_at(file, node)}: {group}: it is a mapping")
        return
    for key, inner in node.entries.items():
        _from_entry(file, group, (key, node.keys[key], inner), known, gathered)


def _from_entry(
    file: str,
    group: str,
    entry: tuple[str, yaml_reader.Node, yaml_reader.Node],
    known: Mapping[str, Descriptor],
    gathered: _Gathered,
) -> None:
    key, key_node, node = entry
    setting = known.get(f"{group}.{key}" if group else key)
    if setting is None or ("." in key):
        hint = did_you_mean(key, _siblings(group))
        gathered.faults.append(f"{_at(file, key_node)}: unknown key `{key}`{hint}")
        return
    if isinstance(node, yaml_reader.Unread):
        return
    gathered.take(setting, _plain(node), _at(file, node))


def _siblings(group: str) -> set[str]:
    """The keys that could have stood there."""
    settings = next(found.settings for found in groups() if found.name == group)
    own = {each.name.rpartition(".")[2] for each in settings}
    return own if group else own | {found.name for found in groups() if found.name}


def _plain(node: yaml_reader.Node) -> object:
    """A YAML value as kinds take it; what no kind takes stays something that none of them accepts."""
    if isinstance(node, yaml_reader.Scalar):
        return node.value
    if isinstance(node, yaml_reader.Sequence):
        return [_plain(item) for item in node.items]
    return None


def _is_null(node: yaml_reader.Node) -> bool:
    return isinstance(node, yaml_reader.Scalar) and node.value is None


def _at(file: str, node: yaml_reader.Node) -> str:
    return f"{file}:{node.line}:{node.column}"


# --- environment -----------------------------------------------------------------------------------------


def _from_environment(environ: Mapping[str, str], known: Mapping[str, Descriptor], gathered: _Gathered) -> None:
    by_variable = {variable_name(name): setting for name, setting in known.items()}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == FILE_VARIABLE:
            continue
        setting = by_variable.get(variable)
        if setting is not None:
            gathered.take(setting, environ[variable], variable)
        elif not _SERVICE_LINK.fullmatch(variable):
            gathered.faults.append(f"{variable}: unknown setting{did_you_mean(variable, by_variable)}")


# --- what no single setting can tell ---------------------------------------------------------------------


def _contradictions(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[str]:
    yield from _tls(settings.tls, origins)
    yield from _revocation(settings, origins)
    if settings.admin_listen is not None and settings.admin_listen.is_unix:
        yield f"{origins['admin_listen']}: admin_listen: probes and scrapers need HOST:PORT"
    if settings.dpop.nonce_key_file is not None and not settings.dpop.nonces:
        yield f"{origins['dpop.nonce_key_file']}: dpop.nonce_key_file: it isn't used unless dpop.nonces is true"
    yield from _exposed(settings, origins)
    yield from (f"{origins['workers']}: workers: {sentence}" for sentence in workers.contradictions(settings))


def _tls(tls: TlsSettings, origins: Mapping[str, Origin]) -> Iterator[str]:
    parts = {"tls.cert": tls.cert, "tls.key": tls.key, "tls.client_ca": tls.client_ca}
    given = [name for name, value in parts.items() if value is not None]
    missing = [name for name, value in parts.items() if value is None]
    if tls.workload_api is not None:
        yield from (f"{origins[name]}: {name}: tls.workload_api supplies it" for name in given)
        domains = {workload.trust_domain for workload in tls.may_connect}
        if len(domains) > 1:
            # The listener knows one set of authorities: each could name a workload of the other domain.
            yield f"{origins['tls.may_connect']}: tls.may_connect: with tls.workload_api, of one trust domain"
        if not tls.may_connect:
            yield f"{origins['tls.workload_api']}: tls.workload_api: it needs tls.may_connect (the Envoys that may ask)"
        return
    if tls.spiffe_id is not None:
        yield f"{origins['tls.spiffe_id']}: tls.spiffe_id: it needs tls.workload_api"
    if given and missing:
        yield f"{origins[given[0]]}: {given[0]}: it needs {' and '.join(missing)} as well"
    if given and not tls.may_connect:
        yield f"{origins[given[0]]}: {given[0]}: it needs tls.may_connect (the Envoys that may ask)"
    if tls.may_connect and not given:
        yield (
            f"{origins['tls.may_connect']}: tls.may_connect: "
            "it needs tls.cert, tls.key and tls.client_ca, or tls.workload_api"
        )


def _revocation(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[str]:
    chosen, tls = settings.revocation, settings.tls
    if chosen.listen is not None:
        where = f"{origins['revocation.listen']}: revocation.listen"
        if tls.cert is None or tls.key is None or tls.client_ca is None:
            yield f"{where}: it needs tls.cert, tls.key and tls.client_ca"
        if not chosen.operators:
            yield f"{where}: it needs revocation.operators (who may revoke)"
        if chosen.listen.is_unix:
            yield f"{where}: it is HOST:PORT; revocation.socket is the Unix socket"
    elif chosen.operators:
        yield f"{origins['revocation.operators']}: revocation.operators: it needs revocation.listen"
    if chosen.logout and settings.admin_listen is None:
        yield f"{origins['revocation.logout']}: revocation.logout: it needs admin_listen"


def _exposed(settings: Settings, origins: Mapping[str, Origin]) -> Iterable[str]:
    """Whoever can reach an open port can ask what is allowed, and whoever can stand in its place can
    allow."""
    if settings.tls.enabled or settings.unsafe_plaintext:
        return
    for address in settings.listen:
        if not address.is_local:
            yield (
                f"{origins['listen']}: listen: {address} can be reached from outside, "
                "so it needs tls (or unsafe_plaintext)"
            )
