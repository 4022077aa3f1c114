"""The compiled alternatives decide like the tree that was written, read by the words of policy language §5.

Invariant: for every tree of `any`, `all` and `not` and every state of the credentials, the evaluator permits
exactly when the tree is true, and answers 503 exactly when what could not be found out could still make it true.
"""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from authz.model.decision import Denial, Permit
from authz.model.principal import Principals, Refusal, Undecided, UserOutcome, WorkloadOutcome
from authz.model.reason import Reason
from tests.mint.principals import user, workload
from tests.unit.policy.judge import Judge

FALSE, UNKNOWN, TRUE = 0, 1, 2
Interval = tuple[int, int]
Tree = tuple[str, object]

USERS: list[UserOutcome] = [
    None,
    Refusal(reason=Reason.TOKEN_EXPIRED),
    Undecided(reason=Reason.KEYS_UNAVAILABLE),
    user(groups=("a",)),
    user(groups=("b",)),
    user(groups=None),
]
WORKLOADS: list[WorkloadOutcome] = [
    None,
    Refusal(reason=Reason.WORKLOAD_INVALID),
    Undecided(reason=Reason.STORE_UNAVAILABLE),
    workload("spiffe://shop.example/a"),
    workload("spiffe://shop.example/b"),
]

leaves = st.sampled_from([("group", "a"), ("group", "b"), ("spiffe", "a"), ("spiffe", "b"), ("signed-in", None)])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["any", "all"]), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=7,
)


def yaml(tree: Tree) -> str:
    """The tree as a policy writes it (flow style)."""
    kind, rest = tree
    if kind in ("any", "all"):
        return f"{{{kind}: [{', '.join(yaml(item) for item in rest)}]}}"
    if kind == "not":
        return f"{{not: {yaml(rest)}}}"
    if kind == "group":
        return f"{{user: {{groups: {{any: [{rest}]}}}}}}"
    if kind == "spiffe":
        return f"{{workload: {{spiffe: spiffe://shop.example/{rest}}}}}"
    return "{user: {}}"


def truth(tree: Tree, who: UserOutcome, caller: WorkloadOutcome, *, inside: bool = False) -> Interval:
    """What the tree can still turn out to be, straight from the text of §5."""
    kind, rest = tree
    if kind in ("any", "all"):
        choose = max if kind == "any" else min
        parts = [truth(item, who, caller, inside=inside) for item in rest]
        return choose(low for low, _ in parts), choose(high for _, high in parts)
    if kind == "not":
        low, high = truth(rest, who, caller, inside=True)
        return 2 - high, 2 - low
    principal = caller if kind == "spiffe" else who
    absent = UNKNOWN if inside else FALSE
    if isinstance(principal, Undecided):
        return FALSE, TRUE
    if principal is None or isinstance(principal, Refusal):
        return absent, absent
    if kind == "signed-in":
        return TRUE, TRUE
    if kind == "spiffe":
        settled = TRUE if principal.id.path == (rest,) else FALSE
        return settled, settled
    if principal.groups is None:
        return absent, absent
    settled = TRUE if rest in principal.groups else FALSE
    return settled, settled


@settings(max_examples=300, deadline=None)
@given(trees)
def test_alternatives_decide_like_the_tree(tree: Tree) -> None:
    """Every credential state for each tree: the small space is exhausted."""
    judge = Judge(yaml(tree))
    assume(not judge.errors)

    for who in USERS:
        for caller in WORKLOADS:
            decision = judge.judge(Principals(user=who, mtls=caller))
            low, high = truth(tree, who, caller)
            assert isinstance(decision, Permit) is (low == TRUE)
            if isinstance(decision, Denial):
                assert decision.reason.is_undecided is (high == TRUE), (tree, who, caller)
