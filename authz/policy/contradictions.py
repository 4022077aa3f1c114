"""Parts of one `all` that exclude each other (`authz lint`, never-holds).

Looks at what is written only: literal values, kinds, exact SPIFFE IDs. Whatever hangs on the request may hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from authz.policy.document import ClaimOperator, Quantified, UserRequirement, WorkloadRequirement
from authz.policy.requirements import Leaves


def contradiction(leaves: Leaves) -> str:
    """Why nobody can meet all of the leaves, in a few words; empty where somebody may."""
    users = [leaf for leaf in leaves if isinstance(leaf, UserRequirement)]
    if len({user.kind for user in users if user.kind is not None}) > 1:
        return "a person and a client"
    for field_name in ("subjects", "clients"):
        if _disjoint([literals(getattr(user, field_name)) for user in users]):
            return f"`{field_name}` that have nothing in common"
    if _disjoint([frozenset(user.acr) for user in users if user.acr]):
        return "`acr` that have nothing in common"
    return _claim_contradiction(users) or _workload_contradiction(leaves)


def _claim_contradiction(users: list[UserRequirement]) -> str:
    wanted: dict[str, set[object]] = {}
    for claim in (claim for user in users for claim in user.claims):
        literal = claim.values[0]
        if claim.operator is ClaimOperator.EQUALS and literal.reference is None:
            wanted.setdefault(claim.path, set()).add((type(literal.literal).__name__, literal.literal))
    several = [path for path, values in wanted.items() if len(values) > 1]
    return f"two values of the claim {several[0]}" if several else ""


def _workload_contradiction(leaves: Leaves) -> str:
    workloads = [leaf for leaf in leaves if isinstance(leaf, WorkloadRequirement)]
    for via in {leaf.via for leaf in workloads}:
        same = [leaf for leaf in workloads if leaf.via is via]
        exact = [
            frozenset(text.value for text in leaf.spiffe)
            for leaf in same
            if leaf.spiffe and not any("*" in text.value for text in leaf.spiffe)
        ]
        if _disjoint(exact):
            return "SPIFFE IDs that have nothing in common"
    return ""


def literals(quantified: Quantified | None) -> frozenset[object]:
    """The values, if all are literal; empty otherwise."""
    if quantified is None or any(value.reference is not None for value in quantified.values):
        return frozenset()
    return frozenset(value.literal for value in quantified.values)


def _disjoint(sets: Iterable[frozenset[object] | frozenset[str]]) -> bool:
    written = [one for one in sets if one]
    return len(written) > 1 and not frozenset.intersection(*map(frozenset, written))
