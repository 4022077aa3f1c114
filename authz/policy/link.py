"""From parsed documents to the set that requests are judged by (policy language §1, §4, §6).

Owns what is in force: which text of each policy, what refuses the whole load, the revision. Linking repeats until
no policy is faulty any more that still has something to fall back on. Reads nothing and compiles nothing itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from authz.model.decision import Denial
from authz.model.issuer import IssuerSettings, TrustSettings
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, connection_names
from authz.policy.candidates import Candidate, Compiler, Ground, Kept, PolicyStatus, closed, demoted, fresh, last_good
from authz.policy.clashes import Blame, Routers, find_clashes
from authz.policy.compiled import CompiledGuardrail, CompiledRoute, Matched
from authz.policy.document import FaultyPolicy, ParsedDirectory, RoutePolicyDocument
from authz.policy.faults import Fault, Faults, Place, Severity
from authz.policy.index import Index
from authz.policy.memory import Memory
from authz.policy.ownership import Land, read_land
from authz.policy.zones import build_index

__all__ = ["ALWAYS_REMOVED", "PolicySet", "PolicyState", "PolicyStatus", "link"]

ALWAYS_REMOVED: Final = frozenset(
    {
        "x-http-method-override",
        "x-method-override",
        "x-http-method",
        "x-original-url",
        "x-rewrite-url",
        "x-envoy-original-path",
        "x-forwarded-uri",
        "x-forwarded-method",
    }
)
"""Policy language §7 and docs/verification.md, "Requests"; `x-authz-*` goes by its prefix (policy.identity)."""

REVISION_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """One policy as readiness shows it: `faults` are texts with their place, `routes` those that answer 503."""

    name: str
    status: PolicyStatus
    faults: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PolicySet:
    """Everything that decides a request, immutable; a reload makes another."""

    revision: str
    issuers: Mapping[str, IssuerSettings]
    issuers_by_url: Mapping[str, IssuerSettings]
    trust: TrustSettings | None
    guardrails: tuple[CompiledGuardrail, ...]
    removable: frozenset[str]
    """Headers that never reach an upstream as the client sent them: lower case, `_` read as `-`."""
    policies: tuple[PolicyState, ...]
    index: Index
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """Last good texts by policy, for the next load."""
    platform_files: frozenset[str] = frozenset()
    routes: tuple[CompiledRoute, ...] = ()
    """Every route in force, by policy and in the order written: for tools."""
    memory: Memory = field(default_factory=Memory)
    """What the next load needn't do again (`policy.load`)."""

    def match(self, request: AuthzRequest) -> Matched | Denial:
        """The route that owns the request, or why none does."""
        if "connection" in request.headers and _hides_a_header_of_ours(request, self.removable):
            return Denial(reason=Reason.REQUEST_MALFORMED, detail="connection names a header that we set")
        return self.index.match(request)


def _hides_a_header_of_ours(request: AuthzRequest, removable: frozenset[str]) -> bool:
    """Whether the next hop would drop a header that we set (RFC 9110 §7.6.1): then the upstream would miss it."""
    return any(name in removable or name.startswith("x-authz-") for name in connection_names(request.headers))


@dataclass(frozen=True, slots=True)
class Source:
    """What linking needs beside the documents: digests of files by name, the guardrails that were compiled."""

    digests: Mapping[str, str]
    guardrails: tuple[CompiledGuardrail, ...] = ()


def link(
    parsed: ParsedDirectory, compiler: Compiler, source: Source, faults: Faults, previous: PolicySet | None = None
) -> PolicySet | None:
    """Link a directory. `faults` holds those of parsing and gets those of linking; None: the load is refused."""
    kept = {} if previous is None else previous.kept
    land = _land(parsed, faults)
    if _refused_by_platform(parsed, faults, previous):
        return None
    ground = Ground(land, compiler)
    candidates = _candidates(parsed, source, kept, ground)
    routers = Routers()
    while blames := _effective(find_clashes(candidates, land, kept, routers), candidates):
        judged = {name: candidate.status for name, candidate in candidates.items()}
        for blame in blames:
            _apply(blame, judged[blame.policy], candidates, ground)
    _report(candidates.values(), faults)
    if previous is None and not all(candidate.hosts_known for candidate in candidates.values()):
        return None
    return _policy_set(parsed, source, candidates, build_index(candidates, land, routers), faults)


def _land(parsed: ParsedDirectory, faults: Faults) -> Land:
    every: tuple[RoutePolicyDocument | FaultyPolicy, ...] = (*parsed.policies, *parsed.faulty)
    places = sorted(policy.place for policy in every)
    names = {policy.name or policy.place.file for policy in every}
    return read_land(
        parsed.guardrails,
        count=len(names),
        destined=any(policy.at or policy.by_name for policy in every),
        second=places[-1] if places else Place(""),
        faults=faults,
    )


def _refused_by_platform(parsed: ParsedDirectory, faults: Faults, previous: PolicySet | None) -> bool:
    """A fault of a platform kind refuses the load (§1), and so does a file that may have held one."""
    if any(fault.severity is Severity.ERROR and not fault.policy for fault in faults):
        return True
    if previous is None:
        return False
    files = {kept.document.place.file for kept in previous.kept.values()}
    return any(
        not faulty.certain and (faulty.place.file not in files or faulty.place.file in previous.platform_files)
        for faulty in parsed.faulty
    )


def _candidates(
    parsed: ParsedDirectory, source: Source, kept: Mapping[str, Kept], ground: Ground
) -> dict[str, Candidate]:
    """Every policy with the best text that it has."""
    digests = source.digests
    found = {
        policy.name: fresh(policy, digests.get(policy.place.file, ""), kept.get(policy.name), ground)
        for policy in parsed.policies
    }
    named = found.keys() | {faulty.name for faulty in parsed.faulty}
    for faulty in parsed.faulty:
        texts = _last_good_of(faulty, kept, named)
        for text in texts:
            found[text.document.name] = last_good(text, [], ground)
        if not texts:
            candidate = closed(faulty, digests.get(faulty.place.file, ""))
            found[candidate.name] = _merged(found.get(candidate.name), candidate)
    return dict(sorted(found.items()))


def _last_good_of(faulty: FaultyPolicy, kept: Mapping[str, Kept], named: Iterable[str]) -> list[Kept]:
    """The text of the same name; without a name, those that stood in the same file and stand nowhere else now."""
    if faulty.name:
        return [kept[faulty.name]] if faulty.name in kept else []
    return [text for name, text in kept.items() if text.document.place.file == faulty.place.file and name not in named]


def _merged(known: Candidate | None, candidate: Candidate) -> Candidate:
    """Two faulty documents of one name (or file) close the hosts of both."""
    if known is None:
        return candidate
    candidate.claims = (*known.claims, *candidate.claims)
    candidate.at = {**known.at, **candidate.at}
    candidate.by_name = known.by_name or candidate.by_name
    candidate.hosts_known = known.hosts_known and candidate.hosts_known
    candidate.at_known = known.at_known and candidate.at_known
    return candidate


def _effective(blames: Iterable[Blame], candidates: Mapping[str, Candidate]) -> list[Blame]:
    """Those that still change something: who is unavailable has nothing more to give up."""
    return [blame for blame in blames if candidates[blame.policy].live]


def _apply(blame: Blame, judged: PolicyStatus, candidates: dict[str, Candidate], ground: Ground) -> None:
    """`judged` is the status of the text that the blame is about: what a policy fell back on since is not to blame."""
    candidate = candidates[blame.policy]
    candidate.faults.append(blame.fault)
    if candidate.status is not judged:
        return
    if candidate.status is PolicyStatus.LAST_GOOD and blame.host is not None:
        candidate.lost_hosts.add(blame.host)
    elif candidate.status is PolicyStatus.LAST_GOOD and blame.entry is not None:
        candidate.lost_at.add(blame.entry)
    elif candidate.live:
        candidates[blame.policy] = demoted(candidate, ground)


def _report(candidates: Iterable[Candidate], faults: Faults) -> None:
    faults.extend([fault for candidate in candidates for fault in candidate.faults])


# --- the set ---------------------------------------------------------------------------------------------


def _policy_set(
    parsed: ParsedDirectory, source: Source, candidates: Mapping[str, Candidate], index: Index, faults: Faults
) -> PolicySet:
    issuers = {} if parsed.issuers is None else parsed.issuers.issuers
    by_policy: dict[str, list[Fault]] = {}
    for fault in faults.sorted():
        by_policy.setdefault(fault.policy, []).append(fault)
    platform_files = parsed.platform_files
    return PolicySet(
        revision=_revision(platform_files, source.digests, candidates.values()),
        issuers=issuers,
        issuers_by_url={issuer.issuer: issuer for issuer in issuers.values()},
        trust=None if parsed.trust_domains is None else parsed.trust_domains.settings,
        guardrails=source.guardrails,
        removable=ALWAYS_REMOVED | _settable(candidates.values()),
        policies=tuple(_state(candidate, by_policy) for candidate in candidates.values()),
        index=index,
        kept={name: text for name, candidate in candidates.items() if (text := _kept(candidate)) is not None},
        platform_files=platform_files,
        routes=tuple(chain.from_iterable(candidate.routes for candidate in candidates.values() if candidate.live)),
    )


def _kept(candidate: Candidate) -> Kept | None:
    if candidate.status is PolicyStatus.FRESH and candidate.document is not None:
        return Kept(candidate.document, candidate.digest)
    return candidate.kept


def _state(candidate: Candidate, faults: Mapping[str, list[Fault]]) -> PolicyState:
    own = faults.get(candidate.name, [])
    if candidate.status is PolicyStatus.LAST_GOOD:
        # A document whose name can't be read has its faults under the name of its file.
        own = [*own, *faults.get(candidate.place.file, [])]
    return PolicyState(
        name=candidate.name,
        status=candidate.status,
        faults=tuple(str(fault) for fault in own if fault.severity is Severity.ERROR),
        routes=tuple(route.id for route in candidate.routes if route.unavailable),
    )


def _settable(candidates: Iterable[Candidate]) -> frozenset[str]:
    """Every header that a route of the directory can set (§7), those of routes that answer 503 included."""
    documents = (candidate.document for candidate in candidates if candidate.document is not None)
    routes = chain.from_iterable(document.routes for document in documents)
    return frozenset(name.value.lower().replace("_", "-") for route in routes for name, _ in route.identity_headers)


def _revision(files: Iterable[str], digests: Mapping[str, str], candidates: Iterable[Candidate]) -> str:
    """A short digest of everything in force: the same documents in force give the same revision."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(repr((file, digests.get(file, ""))).encode("utf-8", "surrogatepass"))
    for candidate in candidates:
        gone = [route.id for route in candidate.routes if route.unavailable]
        lost = sorted(map(repr, candidate.lost_hosts)) + sorted(candidate.lost_at)
        text = repr((candidate.name, candidate.live, candidate.digest, gone, lost))
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:REVISION_DIGITS]
