"""Single values as people wrote them: text with its place, and references into a request (policy language §5)."""

from __future__ import annotations

from dataclasses import dataclass

from authz.policy.faults import Place


@dataclass(frozen=True, slots=True)
class Text:
    """A string and where it stands."""

    value: str
    place: Place


# --- references in values (§5) ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PathVariable:
    """`{path.NAME}`."""

    name: str


@dataclass(frozen=True, slots=True)
class HostVariable:
    """`{host.NAME}`."""

    name: str


@dataclass(frozen=True, slots=True)
class UserSubject:
    """`{user.sub}`"""


@dataclass(frozen=True, slots=True)
class UserClaim:
    """`{user.claims.X}`: X as written, an alias or a dotted path."""

    path: str


@dataclass(frozen=True, slots=True)
class WorkloadSegment:
    """`{workload.path.N}`: segments count from 1."""

    number: int


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """`{request.header.NAME}`: NAME in lower case."""

    name: str


Reference = PathVariable | HostVariable | UserSubject | UserClaim | WorkloadSegment | RequestHeader


@dataclass(frozen=True, slots=True)
class Value:
    """A typed JSON scalar (str, bool, int, float), or text around exactly one reference.

    Without a reference: `literal` holds the value. With one: the text is `prefix + reference + suffix`.
    """

    place: Place
    literal: object = None
    reference: Reference | None = None
    prefix: str = ""
    suffix: str = ""
