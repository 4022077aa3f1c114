"""`authz bundle show`: the trust bundles as the service would have them now, from wherever they come."""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from authz.cli import live

if TYPE_CHECKING:
    from authz.authn.svid import TrustBundle
    from authz.config.settings import Settings
    from authz.model.issuer import TrustSettings
    from authz.sources.bundles import BundleStore
    from authz.sources.state import SourceState

NAME: Final = "bundle"
HELP: Final = "show the trust bundles, from files, endpoints and the Workload API"
DESCRIPTION: Final = (
    "Gets the bundle of each trust domain as the service would, and prints its sequence number, its authorities with "
    "the end of their validity, its keys for JWT-SVIDs, its source and its age. Exit code 0; 1 when a bundle can't be "
    "used; 5 when its source doesn't answer or a file can't be read."
)
_PATIENCE: Final = 11.0
"""Seconds for the Workload API's first answer, and one more."""
_TICK: Final = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`show` and its arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="get each trust domain's bundle once", description=DESCRIPTION)
    live.add_arguments(show)


def run(arguments: argparse.Namespace) -> int:
    """Get all, print all."""
    from authz.sources.probe import verdict_of

    settings, policy = live.read(arguments)
    states, bundles = _get(settings, policy.trust)
    now = time.time()
    if arguments.output == "json":
        print(json.dumps({"bundles": [_as_json(state, bundles.get(state.name)) for state in states]}, indent=2))
    else:
        for state in states:
            for line in _as_text(state, bundles.get(state.name), now):
                print(line)
    return live.exit_code(verdict_of(state.cause) for state in states)


def _get(settings: Settings, trust: TrustSettings | None) -> tuple[tuple[SourceState, ...], dict[str, TrustBundle]]:
    """What every source came to, after one attempt each."""
    from authz.app import bundles_of, fetcher_of, rules_of, workload_apis_of
    from authz.model.issuer import BundleWorkloadApi
    from authz.sources.state import unreported

    origins = () if trust is None else trust.bundles.values()
    pushed = any(isinstance(origin, BundleWorkloadApi) for origin in origins)
    apis = workload_apis_of(settings, rules_of(settings), report=unreported) if pushed else {}
    store = bundles_of(settings, fetcher_of(settings), apis, report=unreported)
    for api in apis.values():
        api.start()
    try:
        # Faults of files show in the states of their sources.
        store.apply(store.prepare(trust), strict=False)
        _wait(store, max(settings.keys.timeout + 1.0, _PATIENCE))
        bundles = {state.name: store.bundle(state.name) for state in store.states()}
        return store.states(), {name: bundle for name, bundle in bundles.items() if bundle is not None}
    finally:
        store.close()
        for api in apis.values():
            api.close()


def _wait(store: BundleStore, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    tick = threading.Event()
    while not store.tried_once() and time.monotonic() < deadline:
        tick.wait(_TICK)


def _as_text(state: SourceState, bundle: TrustBundle | None, now: float) -> Iterator[str]:
    yield f"{state.name}: {state.freshness.value}"
    yield _line("source", state.origin)
    if state.error:
        yield _line("error", state.error)
    if bundle is None:
        return
    yield _line("sequence", "none" if bundle.sequence is None else str(bundle.sequence))
    yield _line("age", f"{state.age or 0.0:.0f} s")
    for authority in bundle.authorities:
        mark = "" if authority.not_before <= now <= authority.not_after else ", not valid now"
        subject = authority.certificate.subject.rfc4514_string()
        yield _line("authority", f"{live.shown(subject)} until {_moment(authority.not_after)}{mark}")
        yield _line("", f"sha256 {authority.fingerprint}")
    for kid, algorithm in _token_keys(bundle):
        yield _line("jwt key", f"{live.shown(kid)} {algorithm}")
    for warning in bundle.warnings:
        yield _line("warning", warning)


def _as_json(state: SourceState, bundle: TrustBundle | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "trust_domain": state.name,
        "state": state.freshness.value,
        "source": state.origin,
        "error": state.error,
        "reason": state.cause.value,
    }
    if bundle is None:
        return found
    return found | {
        "sequence": bundle.sequence,
        "age_seconds": round(state.age or 0.0, 1),
        "refresh_hint_seconds": bundle.refresh_hint,
        "authorities": [
            {
                "subject": authority.certificate.subject.rfc4514_string(),
                "not_before": _moment(authority.not_before),
                "not_after": _moment(authority.not_after),
                "sha256": authority.fingerprint,
            }
            for authority in bundle.authorities
        ],
        "jwt_keys": [{"kid": kid, "algorithm": algorithm} for kid, algorithm in _token_keys(bundle)],
        "warnings": list(bundle.warnings),
    }


def _token_keys(bundle: TrustBundle) -> Iterable[tuple[str, str]]:
    return [(key.kid or "", key.algorithm) for key in bundle.jwt_keys]


def _line(label: str, text: str) -> str:
    return f"  {label:<12}{text}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
