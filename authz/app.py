"""The composition root: the one place that picks concrete classes and says in which order they start and end.

From `Settings` to a running service. What can't start raises `PolicyRefused` (a policy nobody can serve),
`ListenError` (an address, a key), `SettingsError` (a file or a library that they need) or OSError (the audit file);
whatever had begun by then is ended again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

from authz import __version__
from authz.authn.dpop import ProofRules
from authz.config.settings import DpopSettings, Settings
from authz.engine.check import DecisionPoint
from authz.engine.ports import NoReplayStore, Outside
from authz.engine.revocations import RevocationPlane
from authz.engine.token_cache import TokenCache
from authz.model.issuer import IssuerSettings
from authz.model.record import RevocationRecord
from authz.model.request import Limits
from authz.observe.audit import AuditLog
from authz.observe.metrics import Metrics
from authz.observe.sinks import open_sink
from authz.server import lifecycle, states
from authz.server.admin import AdminPages, AdminServer, Logout
from authz.server.assembly import choose_fronts, make_fronts, start_fronts, tell_fronts
from authz.server.control import Control
from authz.server.doors import doors_of
from authz.server.front import Listening
from authz.server.lifecycle import DrainTimes, Event, Events
from authz.server.logout import LogoutEndpoint, logout_clients
from authz.server.readiness import Readiness
from authz.server.revoking import Revoker
from authz.server.service import CheckService, Deadlines, Recorder
from authz.sources.background import Surroundings
from authz.sources.bundles import BundleStore
from authz.sources.fetch import Fetcher, FetchRules
from authz.sources.introspection import MAX_ANSWER_BYTES, Introspector
from authz.sources.jwks import KeyStore
from authz.sources.nonce_keys import NonceKeys
from authz.sources.redis_stream import RedisStream
from authz.sources.reload import PolicyDirectory
from authz.sources.replays import LocalReplays, StoredReplays
from authz.sources.revocation_file import FileJournal
from authz.sources.revocation_stream import StreamJournal
from authz.sources.revocations import Journal, RevocationList
from authz.sources.schedule import RefreshRules
from authz.sources.state import Report
from authz.sources.store import StoreAddress
from authz.sources.undisturbed import undisturbed
from authz.sources.workload_api import WorkloadApi
from authz.wire import decode

_LOG: Final = logging.getLogger("authz.app")


def serve(settings: Settings, events: Events, *, started: Callable[[], None] = lambda: None) -> bool:
    """Run until a stop is asked for; whether every check in flight was finished. `started` is called once it serves."""
    with ExitStack() as closing:
        audit = _audit(settings, closing)
        metrics = Metrics()
        closing.callback(metrics.close)
        sources = _sources(settings)
        for api in sources.workload_apis:
            closing.callback(api.close)
            api.start()
        closing.callback(sources.trust_bundles.close)
        closing.callback(sources.keys.close)
        closing.callback(sources.policies.close)

        limits = _limits(settings)
        tokens = _token_cache(settings)
        outside = _outside(settings, closing)
        revocations = sources.revoked
        if revocations is not None:
            closing.callback(revocations.close)
            revocations.open()
        point = DecisionPoint(
            sources.policies,
            sources.keys,
            sources.trust_bundles,
            tokens,
            limits,
            outside=outside,
            revocations=revocations,
        )
        recorders: tuple[Recorder, ...] = (metrics,) if audit is None else (audit, metrics)
        deadlines = Deadlines(maximum=settings.deadlines.default, margin=settings.deadlines.margin)
        service = CheckService(
            point, recorders, limits=limits, deadlines=deadlines, on_fatal=lambda: events.put(Event.STOP)
        )
        chosen = choose_fronts(settings, sources.own)
        fronts = make_fronts(settings, service, chosen, sources.own)
        states.show(metrics, sources, tokens=tokens, audit=audit, admissions=tuple(one.admission for one in fronts))
        readiness = Readiness(sources)

        sources.policies.load_first()
        sources.policies.start()
        logout = None
        if revocations is not None:
            logout = _start_revoking(settings, sources, revocations, audit, metrics, closing)
        _start_admin(settings, AdminPages(readiness, metrics.exposition, logout), closing)
        listening = start_fronts(fronts)
        _announce(settings, sources, listening, chosen)
        started()
        _warn_of_strict_issuers(sources)

        lifecycle.run(
            events, reload=lambda: _reload(sources, audit), tick=lambda: tell_fronts(fronts, readiness.report().ready)
        )
        times = DrainTimes(notice=settings.health_wait, grace=settings.drain_grace)
        return lifecycle.drain(events, fronts, times, begin=readiness.drain)


def _sources(settings: Settings) -> states.RunningStates:
    directory, fetcher, rules = settings.policy_dir, fetcher_of(settings), rules_of(settings)
    apis = workload_apis_of(settings, rules)
    key_store = KeyStore(directory, fetch=fetcher.get, rules=rules, report=states.report)
    bundles = bundles_of(settings, fetcher, apis)
    policies = PolicyDirectory(
        directory,
        keys=key_store,
        bundles=bundles,
        report=states.report,
        interval=settings.reload_interval,
        building=undisturbed,
    )
    return states.RunningStates(
        policies=policies,
        keys=key_store,
        trust_bundles=bundles,
        workload_apis=tuple(apis.values()),
        own=apis.get(str(settings.tls.workload_api)),
        revoked=_revocations(settings),
    )


def _revocations(settings: Settings) -> RevocationList | None:
    """None without a store that others may write to and without a way to revoke here."""
    chosen, address = settings.revocation, store_of(settings)
    if address is None and not chosen.enabled:
        return None
    journal: Journal = FileJournal(chosen.file) if address is None else StreamJournal(RedisStream(address))
    return RevocationList(RevocationPlane(chosen.capacity), journal, max_stale=chosen.max_stale)


def _start_revoking(
    settings: Settings,
    sources: states.RunningStates,
    revocations: RevocationList,
    audit: AuditLog | None,
    metrics: Metrics,
    closing: ExitStack,
) -> Logout:
    """Follow the store and open the doors; the answer to back-channel logouts."""

    def issuers() -> Mapping[str, IssuerSettings]:
        policy = sources.policies.current()
        return {} if policy is None else policy.issuers

    revocations.start()
    revoker = Revoker(revocations, issuers, _unrecorded if audit is None else audit.act)
    states.show_acts(metrics, revoker)
    for door in doors_of(settings, Control(revoker, revocations)):
        closing.callback(door.close)
        _LOG.info("revocations are taken", extra={"event": "revoking", "address": door.start()})
    clients = logout_clients(settings.revocation.logout)
    patience = settings.keys.cooldown + settings.keys.timeout
    return LogoutEndpoint(revoker, issuers, sources.keys, clients, patience=patience).answer


def _unrecorded(_record: RevocationRecord) -> None:
    """Without an audit trail; the log has a line for each act all the same."""


def _outside(settings: Settings, closing: ExitStack) -> Outside:
    """What some checks wait for. A part of the threads is kept for those that needn't."""
    threads = settings.limits.concurrency
    limit = max(1, threads - max(1, threads // 4))
    answers = fetcher_of(settings, max_bytes=MAX_ANSWER_BYTES)
    introspector = Introspector(settings.policy_dir, answers.post, limit=limit, report=states.report)
    closing.callback(introspector.close)
    replays = replays_of(settings, limit)
    closing.callback(replays.close)
    return Outside(introspection=introspector, replays=replays, proof_rules=_proof_rules(settings.dpop))


def replays_of(settings: Settings, limit: int) -> StoredReplays | LocalReplays | NoReplayStore:
    """Several workers without a store would each take a proof once: then none is taken."""
    address = store_of(settings)
    if address is not None:
        return StoredReplays(address, limit=limit)
    if settings.workers == 1:
        return LocalReplays()
    _LOG.warning(
        "proofs of possession are answered with 503: several workers share no store (store.url)",
        extra={"event": "replays_absent", "workers": settings.workers},
    )
    return NoReplayStore()


def _proof_rules(dpop: DpopSettings) -> Callable[[], ProofRules]:
    schemes = frozenset({"https", "http"} if dpop.http else {"https"})
    if not dpop.nonces:
        rules = ProofRules(window=dpop.window, schemes=schemes)
        return lambda: rules
    nonces = NonceKeys(dpop.nonce_key_file, report=states.report)
    return lambda: ProofRules(
        window=dpop.window, schemes=schemes, nonce_keys=nonces.keys(), nonce_lifetime=dpop.nonce_lifetime
    )


def store_of(settings: Settings) -> StoreAddress | None:
    """Where the shared store is; None without one."""
    store = settings.store
    if store.url is None:
        return None
    return StoreAddress(
        url=store.url,
        user=store.user or "",
        password_file=store.password_file,
        ca_file=store.ca_file,
        timeout=store.timeout,
        prefix=store.prefix,
    )


def fetcher_of(settings: Settings, *, max_bytes: int | None = None) -> Fetcher:
    """What fetches keys and bundles under the settings' rules, or something smaller."""
    keys = settings.keys
    return Fetcher(
        FetchRules(
            timeout=keys.timeout,
            max_bytes=max_bytes or keys.size,
            allow_private=keys.allow_private,
            ca_file=keys.ca_file,
        )
    )


def rules_of(settings: Settings) -> RefreshRules:
    """How often, and how long the last good serves."""
    keys = settings.keys
    return RefreshRules(refresh=keys.refresh, cooldown=keys.cooldown, max_stale=keys.max_stale)


def workload_apis_of(
    settings: Settings, rules: RefreshRules, *, report: Report = states.report
) -> Mapping[str, WorkloadApi]:
    """The Workload API at each socket that the settings name, by address; not started yet."""
    wanted = str(settings.tls.spiffe_id or "")
    around = Surroundings(rules=rules, clock=time.monotonic, random=random.random, report=report)
    addresses = {str(socket) for socket in (settings.tls.workload_api, settings.keys.workload_api) if socket}
    return {address: WorkloadApi(address, around, wanted=wanted) for address in addresses}


def bundles_of(
    settings: Settings, fetcher: Fetcher, apis: Mapping[str, WorkloadApi], *, report: Report = states.report
) -> BundleStore:
    """The trust bundles, from wherever the policy directory says."""
    return BundleStore(
        settings.policy_dir,
        fetch=fetcher.get,
        rules=rules_of(settings),
        report=report,
        workload_api=apis.get(str(settings.keys.workload_api or settings.tls.workload_api)),
    )


def _audit(settings: Settings, closing: ExitStack) -> AuditLog | None:
    if not settings.audit.enabled:
        _LOG.warning("decisions are not recorded: audit.enabled is false", extra={"event": "audit_off"})
        return None
    audit = AuditLog(
        open_sink(settings.audit.file), capacity=settings.audit.queue, deny_when_full=settings.audit.on_full == "deny"
    )
    audit.start()
    closing.callback(audit.close)
    return audit


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        target=limits.target, headers=limits.headers, header_count=limits.header_count, message=limits.message
    )


def _token_cache(settings: Settings) -> TokenCache:
    """Size 0 means none: an age of 0 makes every entry too old at once."""
    cache = settings.token_cache
    return TokenCache(cache.size, cache.cap) if cache.size else TokenCache(1, 0.0)


def _start_admin(settings: Settings, pages: AdminPages, closing: ExitStack) -> None:
    if settings.admin_listen is None:
        return
    admin = AdminServer(str(settings.admin_listen), pages)
    port = admin.start()
    closing.callback(admin.close)
    _LOG.info("admin listens", extra={"event": "admin", "address": str(settings.admin_listen), "port": port})


def _warn_of_strict_issuers(sources: states.RunningStates) -> None:
    """Without a list nobody knows what is revoked, and these issuers insist on knowing."""
    policy = sources.policies.current()
    strict = [] if policy is None else [name for name, each in policy.issuers.items() if each.strict_revocation]
    if strict and sources.revoked is None:
        _LOG.warning(
            "issuers with `revocation: strict` are denied: there is no revocation list",
            extra={"event": "revocations_absent", "issuers": strict},
        )


def _announce(
    settings: Settings,
    sources: states.RunningStates,
    listening: tuple[Listening, ...],
    chosen: dict[str, tuple[str, str]],
) -> None:
    for each in listening:
        front, why = chosen[each.address]
        _LOG.info(
            "listens",
            extra={
                "event": "listening",
                "address": each.address,
                "port": each.port,
                "tls": each.tls,
                "front": front,
                "why": why,
            },
        )
    _LOG.info(
        "started",
        extra={
            "event": "started",
            "version": __version__,
            "compiled": not str(decode.__file__).endswith(".py"),
            "revision": sources.policy().revision,
            "policy_dir": str(settings.policy_dir),
            "concurrency": settings.limits.concurrency,
        },
    )


def _reload(sources: states.RunningStates, audit: AuditLog | None) -> None:
    sources.policies.reload_now()
    if audit is not None:
        audit.reopen()
