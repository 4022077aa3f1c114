"""Faults in what people write: collected, never raised, sorted by place; none hides another.

A fault has a stable code out of a closed registry (`FaultCode`), a message, a help line and a place. Every code
has a page in docs/faults/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written; lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(Enum):
    """Whether a fault keeps what it is in from being used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `policy` names the RoutePolicy that it belongs to; "" means the platform's documents."""

    place: Place
    code: str
    message: str
    help: str
    severity: Severity = Severity.ERROR
    policy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.severity.value}[{self.code}]: {self.message}"


class Faults:
    """A collector that one load passes around."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        place: Place,
        code: FaultCode,
        message: str,
        *,
        policy: str = "",
        help: str | None = None,  # noqa: A002 - named as the registry names it
    ) -> None:
        """Record one fault; `help` overrides the code's own help line."""
        self._faults.append(
            Fault(
                place=place,
                code=code.code,
                message=message,
                help=code.help if help is None else help,
                severity=code.severity,
                policy=policy,
            )
        )

    def extend(self, faults: Iterator[Fault] | list[Fault] | tuple[Fault, ...]) -> None:
        self._faults.extend(faults)

    def sorted(self) -> tuple[Fault, ...]:
        unique = dict.fromkeys(self._faults)
        return tuple(sorted(unique, key=lambda fault: (fault.place, fault.code, fault.message)))

    def __len__(self) -> int:
        return len(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)


def has_errors(faults: Iterable[Fault]) -> bool:
    """Whether one of them is more than a warning."""
    return any(fault.severity is Severity.ERROR for fault in faults)


class FaultCode(Enum):
    """The registry: `(code, help line, severity)`. Grouped by who finds them."""

    # yaml.reader
    YAML_SYNTAX = ("yaml-syntax", "Quote paths that hold braces, or write them in block style.")
    YAML_TAG = ("yaml-tag", "Remove the tag: only YAML 1.2 core types are read.")
    YAML_ALIAS = ("yaml-alias", "Write the value out: anchors and aliases aren't read.")
    YAML_MERGE = ("yaml-merge", "Write the keys out: merge keys aren't read.")
    YAML_DUPLICATE_KEY = ("yaml-duplicate-key", "Keep one of the two.")
    YAML_KEY = ("yaml-key", "Keys are text: quote the key, and quote values that hold braces.")
    YAML_LIMIT = ("yaml-limit", "Split the file: size, depth and number of values are bounded.")
    FILE_NAME = ("file-name", "Rename the file so that it ends in .yaml.")
    # sources: the directory and the files that it refers to
    FILE_UNREADABLE = ("file-unreadable", "Make it a readable file inside the policy directory.")
    FILE_MISSING = ("file-missing", "Add the file, or correct its name: it is relative to the policy directory.")
    FILE_CONTENT = ("file-content", "Replace the file by one of the kind that the document refers to.")
    DIRECTORY_LIMIT = ("directory-limit", "Remove files that are no policies: number, size and depth are bounded.")
    # parse
    DOCUMENT_KIND = ("document-kind", "Each document has `apiVersion: authz/v1` and a `kind` of the language.")
    KEY_UNKNOWN = ("key-unknown", "Remove the key or correct its spelling.")
    KEY_MISSING = ("key-missing", "Add the key.")
    KEY_PLANNED = ("key-planned", "Remove the key: it is reserved for a later version.")
    VALUE_TYPE = ("value-type", "Write a value of the type that is named.")
    VALUE_INVALID = ("value-invalid", "Write one of the values that are named.")
    LIST_EMPTY = ("list-empty", "Name at least one, or leave the key out.")
    NAME_INVALID = ("name-invalid", "Names are letters, digits, '.', '_' and '-', and begin with a letter or digit.")
    NAME_DUPLICATE = ("name-duplicate", "Rename one of the two.")
    DOCUMENT_DUPLICATE = ("document-duplicate", "Merge the two: a policy directory has at most one of this kind.")
    REFERENCE_INVALID = ("reference-invalid", "See policy language §5, References; `{{` stands for a literal brace.")
    # link: hosts, paths, ownership
    HOST_PATTERN = ("host-pattern", "Write a lower-case host, or `*.` or `{name}.` before a suffix.")
    PATH_TEMPLATE = ("path-template", "Write whole segments: literals, `{name}`, `{name:int}`, one trailing `/**`.")
    PATH_POSITION = ("path-position", "Use one variable name and one type at each position of the routes of a host.")
    PATH_CROSSING = ("path-crossing", "Add a route for the template that both share, or make one contain the other.")
    ROUTE_DUPLICATE = ("route-duplicate", "Give the routes different methods, or merge them.")
    ROUTE_OUTSIDE_SHARE = ("route-outside-share", "Move the route below the policy's share of the host.")
    BIND_MISSING = ("bind-missing", "Write `bind: destination` or `bind: host` in Guardrails.")
    DESTINATION_MISSING = ("destination-missing", "Add `at:` with the protected workloads, or `by_name: true`.")
    DESTINATION_UNEXPECTED = ("destination-unexpected", "Remove `at`: the directory binds by host.")
    DESTINATION_INVALID = ("destination-invalid", "Write a SPIFFE ID or `dns:NAME`.")
    DESTINATION_CLASH = ("destination-clash", "Give the entry to one policy, or list both in Guardrails.destinations.")
    DESTINATION_NOT_GIVEN = ("destination-not-given", "Ask the platform to list the policy in Guardrails.destinations.")
    HOST_CLASH = ("host-clash", "Give the host to one policy, or divide it in Guardrails.hosts.")
    SHARE_INVALID = ("share-invalid", "Shares start with a literal and don't overlap, unless one contains the other.")
    # compile: requirements, guardrails
    REQUIREMENT_UNKNOWN = ("requirement-unknown", "Define it under `requirements`, or correct its spelling.")
    REQUIREMENT_CYCLE = ("requirement-cycle", "Break the cycle: a requirement can't need itself.")
    REQUIREMENT_CLASH = ("requirement-clash", "Rename the local requirement: the platform has one of that name.")
    REQUIREMENT_UNUSED = ("requirement-unused", "Use it or remove it.", Severity.WARNING)
    REQUIREMENT_SHAPE = ("requirement-shape", "See policy language §5 for where each key may stand.")
    REQUIREMENT_TOO_LARGE = ("requirement-too-large", "Split the route: the number of alternatives is bounded.")
    ISSUER_UNKNOWN = ("issuer-unknown", "Use a name from the Issuers document.")
    ISSUER_MISSING = ("issuer-missing", "Write `issuer:`: the directory has none, or more than one.")
    ISSUER_AMBIGUOUS = ("issuer-ambiguous", "Name exactly one issuer: a subject means nothing without its issuer.")
    AUDIENCE_MISSING = ("audience-missing", "Write `service.audiences`: the issuer has more than one audience.")
    AUDIENCE_UNKNOWN = ("audience-unknown", "Use at least one of the issuer's audiences.")
    TRUST_DOMAIN_UNKNOWN = ("trust-domain-unknown", "Use a trust domain from the TrustDomains document.")
    ROLE_UNKNOWN = ("role-unknown", "Use a role from the TrustDomains document.")
    WORKLOAD_PATTERN = ("workload-pattern", "`*` is one whole segment, a trailing `/**` one or more.")
    EXPRESSION_INVALID = ("expression-invalid", "See policy language §5, `when`, for what an expression sees.")
    CANDIDATE_EXPIRED = ("candidate-expired", "Enforce the candidate or remove it.", Severity.WARNING)
    VARIABLE_MISSING = ("variable-missing", "Name the variable in the route's path or in each host entry.")
    CLAIM_PATH = ("claim-path", "Give the claim an alias in the Issuers document.")
    NOTHING_REQUIRED = (
        "nothing-required",
        "Each way to an allow needs a `user`, `workload` or `public` outside `not`.",
    )
    IDENTITY_HEADER = ("identity-header", "Header names are x-[a-z0-9-]+ and not one of the reserved ones.")
    GUARDRAIL_FORBIDS = ("guardrail-forbids", "Change the route, or ask the platform for an exception.")
    GUARDRAIL_UNKNOWN_ROUTE = ("guardrail-unknown-route", "Remove the exception or correct the name.", Severity.WARNING)
    GUARDRAIL_EXPIRED = ("guardrail-expired", "Remove the exception or agree on a new date.", Severity.WARNING)
    DENY_EVADABLE = ("deny-evadable", "Use `require`, where absence denies.", Severity.WARNING)
    # tests
    TEST_REASON = ("test-reason", "A denial is expected with its reason: expect: {deny: REASON}.")
    TEST_UNKNOWN_NAME = ("test-unknown-name", "Correct the spelling, or add what is named.")
    TEST_PRINCIPALS = ("test-principals", "A request has at most one user and, for each `via`, one workload.")
    # lint: advice about sound policies
    OWNER_MISSING = ("owner-missing", "Add `metadata.owner`: the team that answers for the policy.", Severity.WARNING)
    PUBLIC_WRITE = ("public-write", "Ask for a principal, or say in a guardrail's exception why not.", Severity.WARNING)
    WORKLOAD_WILDCARD = ("workload-wildcard", "Spell out the namespace before `*` or `/**`.", Severity.WARNING)
    VARIABLE_UNUSED = (
        "variable-unused",
        "Refer to it in a requirement, or say under `objects` why the service checks it.",
        Severity.WARNING,
    )
    ALTERNATIVE_SHADOWED = ("alternative-shadowed", "Remove it, or write it before the looser one.", Severity.WARNING)
    NEVER_HOLDS = ("never-holds", "Split the alternatives, or write `nobody` if the route is closed.", Severity.WARNING)
    PATH_DEAD_END = ("path-dead-end", "Add a route for that path, or accept that it is denied.", Severity.WARNING)
    CATCH_ALL_WEAK = ("catch-all-weak", "Ask for as much as the routes inside it, or list paths.", Severity.WARNING)
    TEST_MISSING = ("test-missing", "Add a test to a `_test.yaml` file (`authz test`).", Severity.WARNING)
    VALUE_SUSPICIOUS = ("value-suspicious", "Correct the spelling, or use the name elsewhere too.", Severity.WARNING)
    LOCK_STALE = ("lock-stale", "Run `authz lock` and commit what changes in access.lock.", Severity.WARNING)
    # issuers, trust domains
    ISSUER_DUPLICATE = ("issuer-duplicate", "Two names for one issuer: keep one.")
    ISSUER_URL = ("issuer-url", "Issuers and key URLs are https URLs without query or fragment.")
    TRUST_DOMAIN_VALIDATION = (
        "trust-domain-validation",
        "State `peers.envoy_validates_per_domain: true` once Envoy checks each domain against its own bundle.",
    )
    SPIFFE_ID = ("spiffe-id", "Write spiffe://trust.domain/path.")

    def __init__(self, code: str, help_line: str, severity: Severity = Severity.ERROR) -> None:
        self.code = code
        self.help = help_line
        self.severity = severity
