"""Which policy owns a request: destinations, hosts, shares, and what answers while one is faulty."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from authz.policy.compiled import Matched
from authz.policy.link import PolicySet, PolicyStatus
from authz.policy.load import Loaded, load
from tests.mint.routing import answer, files, guardrails, policy, request

ORDERS = "spiffe://shop.example/ns/shop/sa/orders"
EDGE = "dns:www.shop.example"
BROKEN = b"allow: {any: []}"


def codes(loaded: Loaded) -> list[tuple[str, str]]:
    """Who is blamed for what."""
    return sorted({(fault.policy, fault.code) for fault in loaded.faults})


def in_force(contents: Mapping[str, bytes], previous: PolicySet | None = None) -> PolicySet:
    loaded = load(contents, previous)
    assert loaded.policy is not None, loaded.faults
    return loaded.policy


def asked(policies: PolicySet, target: str = "/x", host: str = "a.example", at: str = "", service: str = "") -> str:
    return answer(policies.match(request(target, host=host, at=at, service=service)))


def status(policies: PolicySet) -> dict[str, PolicyStatus]:
    return {state.name: state.status for state in policies.policies}


def broken(text: bytes) -> bytes:
    """The same policy with a requirement that doesn't exist: its hosts can still be read."""
    return text.replace(b"{public: open to all}", b"no-such-requirement")


# --- what binds a policy ---------------------------------------------------------------------------------


def test_a_single_policy_needs_no_guardrails() -> None:
    """Without `at` its hosts bind it."""
    assert asked(in_force(files(p=policy("p", "/x")))) == "p/r0"


def test_a_single_policy_with_destinations_is_bound_by_them() -> None:
    """The host alone doesn't reach it."""
    policies = in_force(files(p=policy("p", "/x", at=ORDERS)))

    assert asked(policies, at=ORDERS) == "p/r0"
    assert asked(policies) == "destination_unmatched"
    assert asked(policies, host="b.example", at=ORDERS) == "destination_unmatched"


def test_two_policies_need_a_binding() -> None:
    """Nothing says what binds them: the load is refused."""
    loaded = load(files(p=policy("p", "/x"), q=policy("q", "/x", hosts="b.example")))

    assert loaded.policy is None
    assert codes(loaded) == [("", "bind-missing")]


@pytest.mark.parametrize(
    ("bind", "text", "code"),
    [
        ("host", policy("p", "/x", at=ORDERS), "destination-unexpected"),
        ("destination", policy("p", "/x"), "destination-missing"),
        ("destination", policy("p", "/x", at="https://a.example"), "destination-invalid"),
        ("destination", policy("p", "/x", at="dns:WWW.example"), "destination-invalid"),
        ("destination", policy("p", "/x", at="dns:www.example:443"), "destination-invalid"),
        ("destination", policy("p", "/x", at=ORDERS, extra="by_name: true"), "destination-unexpected"),
    ],
)
def test_a_policy_is_bound_as_the_platform_says(bind: str, text: bytes, code: str) -> None:
    """Anything else makes the policy faulty, and its host answers 503."""
    loaded = load(files(g=guardrails(f"bind: {bind}\n"), p=text))

    assert codes(loaded) == [("p", code)]
    assert loaded.policy is not None
    assert asked(loaded.policy, at=ORDERS) == "policy_unavailable"


def test_a_destination_is_compared_whole_and_dns_names_without_case() -> None:
    """An ingress is known by the DNS name of its own certificate."""
    policies = in_force(files(g=guardrails("bind: destination\n"), p=policy("p", "/x", at=EDGE)))

    assert asked(policies, at="WWW.shop.example") == "p/r0"
    for principal in ("", "shop.example", "www.shop.example.org", ORDERS, "spiffe://www.shop.example", "\u212aww"):
        assert asked(policies, at=principal) == "destination_unmatched"


BOTH = guardrails(f"bind: destination\ndestinations:\n  {ORDERS}: [p]\n  {EDGE}: [p, q]\n")


def test_several_policies_may_stand_at_a_gateway_that_lists_them() -> None:
    """Each request is judged by the one whose host it names."""
    policies = in_force(
        files(g=BOTH, p=policy("p", "/x", at=f"'{ORDERS}', '{EDGE}'"), q=policy("q", "/x", hosts="b.example", at=EDGE))
    )

    assert asked(policies, at="www.shop.example") == "p/r0"
    assert asked(policies, host="b.example", at="www.shop.example") == "q/r0"
    assert asked(policies, host="b.example", at=ORDERS) == "destination_unmatched"


def test_the_service_name_chooses_among_the_policies_of_a_destination() -> None:
    """An unknown name, or one that stands elsewhere, reaches nobody."""
    policies = in_force(
        files(g=BOTH, p=policy("p", "/x", at=f"'{ORDERS}', '{EDGE}'"), q=policy("q", "/x", hosts="b.example", at=EDGE))
    )

    assert asked(policies, at="www.shop.example", service="p") == "p/r0"
    assert asked(policies, host="b.example", at="www.shop.example", service="p") == "destination_unmatched"
    assert asked(policies, host="b.example", at=ORDERS, service="q") == "destination_unmatched"
    assert asked(policies, at=ORDERS, service="nobody") == "destination_unmatched"


def test_a_policy_by_name_is_reached_only_by_its_name() -> None:
    """From any destination, but never by host alone."""
    policies = in_force(
        files(
            g=guardrails("bind: destination\n"),
            p=policy("p", "/x", extra="by_name: true"),
            q=policy("q", "/x", at=ORDERS),
        )
    )

    assert asked(policies, service="p") == "p/r0"
    assert asked(policies, at=ORDERS, service="p") == "p/r0"
    assert asked(policies) == "destination_unmatched"
    assert asked(policies, at=ORDERS) == "q/r0"
    assert asked(policies, service="q") == "destination_unmatched"


def test_a_policy_lists_only_destinations_that_it_was_given() -> None:
    """Where the platform lists destinations at all."""
    loaded = load(files(g=BOTH, q=policy("q", "/x", at=ORDERS)))

    assert ("q", "destination-not-given") in codes(loaded)


def test_destinations_have_no_meaning_when_hosts_bind() -> None:
    """Who writes them believes in a protection that isn't there."""
    loaded = load(files(g=guardrails(f"bind: host\ndestinations: {{'{ORDERS}': [p]}}\n"), p=policy("p", "/x")))

    assert loaded.policy is None
    assert codes(loaded) == [("", "destination-unexpected")]


# --- hosts -----------------------------------------------------------------------------------------------


def test_the_most_specific_entry_of_all_policies_wins() -> None:
    """And owns the request wholly: there is no second try."""
    policies = in_force(
        files(g=guardrails(), p=policy("p", "/x", hosts="'*.a.example'"), q=policy("q", "/y", hosts="b.a.example"))
    )

    assert asked(policies, host="c.a.example") == "p/r0"
    assert asked(policies, host="b.a.example") == "route_unmatched"


def test_a_host_variable_is_bound() -> None:
    """`{name}.` stands for exactly one label."""
    policies = in_force(files(p=policy("p", "/x", hosts="'{tenant}.a.example'")))

    found = policies.match(request("/x", host="acme.a.example"))

    assert found.host_variables == {"tenant": "acme"}


@pytest.mark.parametrize("other", ["a.example", "'a.example:443'", "'a.example:*'"])
def test_a_host_belongs_to_one_policy(other: str) -> None:
    """At the start nothing tells whose it is: both are faulty, also where only a port is shared."""
    loaded = load(files(g=guardrails(), p=policy("p", "/x"), q=policy("q", "/x", hosts=other)))

    assert codes(loaded) == [("p", "host-clash"), ("q", "host-clash")]
    assert loaded.policy is not None
    assert asked(loaded.policy) == "policy_unavailable"


def test_a_broken_policy_keeps_others_from_its_host() -> None:
    """Else whoever names the host while its owner is broken would take it over."""
    loaded = load(files(g=guardrails(), p=broken(policy("p", "/x")), q=policy("q", "/x")))

    assert loaded.policy is not None
    assert asked(loaded.policy) == "policy_unavailable"
    assert ("q", "host-clash") in codes(loaded)


def test_one_host_may_belong_to_two_policies_at_two_points() -> None:
    """An edge and a sidecar serve the same name."""
    policies = in_force(
        files(g=guardrails("bind: destination\n"), p=policy("p", "/x", at=ORDERS), q=policy("q", "/x", at=EDGE))
    )

    assert asked(policies, at=ORDERS) == "p/r0"
    assert asked(policies, at="www.shop.example") == "q/r0"


def test_of_two_that_clash_the_one_outside_the_last_good_set_is_faulty() -> None:
    """Who served the host goes on serving it."""
    first = in_force(files(g=guardrails(), p=policy("p", "/x")))

    loaded = load(files(g=guardrails(), p=policy("p", "/x"), q=policy("q", "/x")), first)

    assert codes(loaded) == [("q", "host-clash")]
    assert loaded.policy is not None
    assert asked(loaded.policy) == "p/r0"
    assert status(loaded.policy) == {"p": PolicyStatus.FRESH, "q": PolicyStatus.UNAVAILABLE}


def test_a_policy_that_reaches_for_a_taken_host_keeps_its_last_good_text() -> None:
    """Its other hosts are served as before."""
    before = files(g=guardrails(), p=policy("p", "/x"), q=policy("q", "/x", hosts="b.example"))
    first = in_force(before)

    second = in_force({**before, "q.yaml": policy("q", "/y", hosts="a.example, b.example")}, first)

    assert asked(second) == "p/r0"
    assert asked(second, "/x", "b.example") == "q/r0"
    assert status(second)["q"] is PolicyStatus.LAST_GOOD


def test_a_destination_belongs_to_one_policy_unless_the_platform_lists_several() -> None:
    """The newcomer is faulty, whatever its host."""
    bound = guardrails("bind: destination\n")
    first = in_force(files(g=bound, p=policy("p", "/x", at=ORDERS)))

    loaded = load(
        files(g=bound, p=policy("p", "/x", at=ORDERS), q=policy("q", "/x", hosts="b.example", at=ORDERS)), first
    )

    assert codes(loaded) == [("q", "destination-clash")]
    assert loaded.policy is not None
    assert asked(loaded.policy, at=ORDERS) == "p/r0"
    assert asked(loaded.policy, host="b.example", at=ORDERS) == "policy_unavailable"


def test_a_policy_that_lost_a_destination_cannot_be_named_there() -> None:
    """The platform took the entry away: its last good text stands only where it still may."""
    text = policy("p", "/x", at=f"'{ORDERS}', '{EDGE}'")
    first = in_force(files(g=BOTH, p=text))

    moved = guardrails(f"bind: destination\ndestinations:\n  {ORDERS}: [p]\n  {EDGE}: [q]\n")
    second = in_force(files(g=moved, p=text), first)

    assert asked(second, at=ORDERS) == "p/r0"
    assert asked(second, at="www.shop.example") == "policy_unavailable"
    assert asked(second, at="www.shop.example", service="p") == "destination_unmatched"


# --- shares ----------------------------------------------------------------------------------------------

SHARED = guardrails("bind: host\nhosts:\n  a.example: {p: /p/**, q: /q/**}\n")


def test_a_divided_host_is_served_by_share() -> None:
    """Each policy answers for its own part."""
    policies = in_force(files(g=SHARED, p=policy("p", "/p/{x}"), q=policy("q", "/q/{y}")))

    assert asked(policies, "/p/1") == "p/r0"
    assert asked(policies, "/q/1") == "q/r0"
    assert asked(policies, "/r/1") == "route_unmatched"


def test_a_route_outside_its_share_is_a_fault() -> None:
    """Only its policy is faulty; its share answers 503."""
    loaded = load(files(g=SHARED, p=policy("p", "/p/{x}", "/q/stolen"), q=policy("q", "/q/{y}")))

    assert codes(loaded) == [("p", "route-outside-share")]
    assert loaded.policy is not None
    assert asked(loaded.policy, "/p/1") == "policy_unavailable"
    assert asked(loaded.policy, "/q/stolen") == "q/r0"


def test_a_policy_without_a_share_of_a_divided_host_is_faulty() -> None:
    """Also by way of a port; the others are served."""
    for host in ("a.example", "'a.example:443'"):
        others = files(g=SHARED, p=policy("p", "/p/{x}"), q=policy("q", "/q/{y}"))
        loaded = load({**others, "r.yaml": policy("r", "/x", hosts=host)})

        assert codes(loaded) == [("r", "host-clash")]
        assert loaded.policy is not None
        assert asked(loaded.policy, "/p/1", "a.example:443") == "p/r0"


@pytest.mark.parametrize("wildcard", ["'*.example'", "'{t}.example'"])
def test_nobody_takes_over_the_share_of_an_absent_policy(wildcard: str) -> None:
    """It answers 503, whatever wildcard would match."""
    policies = in_force(files(g=SHARED, p=policy("p", "/p/{x}"), w=policy("w", "/**", hosts=wildcard)))

    assert asked(policies, "/p/1") == "p/r0"
    assert asked(policies, "/q/1") == "policy_unavailable"
    assert asked(policies, "/r/1") == "route_unmatched"


def test_a_divided_host_answers_503_when_all_its_policies_are_absent() -> None:
    """The wildcard next door doesn't get it."""
    policies = in_force(files(g=SHARED, w=policy("w", "/**", hosts="'*.example'")))

    assert asked(policies, "/q/1") == "policy_unavailable"
    assert asked(policies, "/q/1", host="b.example") == "w/r0"


NESTED = guardrails("bind: host\nhosts:\n  a.example: {wide: /api/**, narrow: /api/v2/**}\n")


def test_the_narrower_share_owns_its_part() -> None:
    """The wider policy's variable doesn't reach into it, whether the narrower policy is there or not."""
    wide, narrow = policy("wide", "/api/{version}"), policy("narrow", "/api/v2/{x}")

    both = in_force(files(g=NESTED, w=wide, n=narrow))
    alone = in_force(files(g=NESTED, w=wide))

    assert asked(both, "/api/v1") == asked(alone, "/api/v1") == "wide/r0"
    assert asked(both, "/api/v2/1") == "narrow/r0"
    assert asked(both, "/api/v2") == "route_unmatched"
    assert asked(alone, "/api/v2") == asked(alone, "/api/v2/1") == "policy_unavailable"
    assert asked(alone, "/api/V2") == "path_not_canonical"


def test_a_wider_policy_does_not_write_into_the_narrower_part() -> None:
    """Such a route lies outside its share."""
    loaded = load(files(g=NESTED, w=policy("wide", "/api/v2/mine"), n=policy("narrow", "/api/v2/{x}")))

    assert codes(loaded) == [("wide", "route-outside-share")]


def test_templates_are_checked_across_the_policies_of_a_host() -> None:
    """A crossing of two policies is a fault of the one that is new."""
    before = files(g=NESTED, w=policy("wide", "/api/{version}/x"), n=policy("narrow", "/api/v2/y"))
    first = in_force(before)

    loaded = load({**before, "n.yaml": policy("narrow", "/api/v2/y", "/api/v2/{z}")}, first)

    assert codes(loaded) == [("narrow", "path-crossing")]
    assert loaded.policy is not None
    assert asked(loaded.policy, "/api/v2/y") == "narrow/r0"


@pytest.mark.parametrize(
    "shares",
    [
        "{p: /**, q: /q/**}",
        "{p: '/{x}/**', q: /q/**}",
        "{p: /a/**, q: /a/**}",
        "{p: '/a/{x}/b', q: '/a/b/{x}'}",
        "{p: '/{x}/**'}",
        "{p: a}",
        "{p: /a%20b/**}",
    ],
)
def test_shares_that_do_not_divide_a_host_refuse_the_load(shares: str) -> None:
    """They start with a literal and don't overlap unless one contains the other."""
    loaded = load(files(g=guardrails(f"bind: host\nhosts:\n  a.example: {shares}\n"), p=policy("p", "/a/x")))

    assert loaded.policy is None
    assert {code for _, code in codes(loaded)} <= {"share-invalid", "path-template"}


def test_a_host_may_be_given_whole() -> None:
    """Then another policy that names it is faulty from the start, and an absent owner closes it."""
    given = guardrails("bind: host\nhosts:\n  a.example: {p: /**}\n")

    loaded = load(files(g=given, p=policy("p", "/x"), q=policy("q", "/x")))
    absent = in_force(files(g=given, w=policy("w", "/**", hosts="'*.example'")))

    assert codes(loaded) == [("q", "host-clash")]
    assert loaded.policy is not None
    assert asked(loaded.policy) == "p/r0"
    assert asked(absent) == "policy_unavailable"


# --- last good -------------------------------------------------------------------------------------------


def test_a_broken_policy_keeps_its_last_good_text() -> None:
    """The others take their new text."""
    first = in_force(files(g=guardrails(), p=policy("p", "/x"), q=policy("q", "/x", hosts="b.example")))

    second = in_force(files(g=guardrails(), p=broken(policy("p", "/y")), q=policy("q", "/y", hosts="b.example")), first)

    assert (asked(second, "/x"), asked(second, "/y")) == ("p/r0", "route_unmatched")
    assert asked(second, "/y", "b.example") == "q/r0"
    assert status(second) == {"p": PolicyStatus.LAST_GOOD, "q": PolicyStatus.FRESH}
    assert second.policies[0].faults


def test_the_last_good_text_survives_several_broken_ones_and_heals() -> None:
    """It is kept until a good one comes."""
    sets = [in_force(files(p=policy("p", "/x")))]
    for _ in range(3):
        sets.append(in_force(files(p=broken(policy("p", "/y"))), sets[-1]))
    healed = in_force(files(p=policy("p", "/y")), sets[-1])

    assert [asked(policies) for policies in sets] == ["p/r0"] * 4
    assert asked(healed, "/y") == "p/r0"


@pytest.mark.parametrize(
    "text", [b"\xff", b"apiVersion: authz/v1\nkind: RoutePolicy\nmetadata: {name: [}\n", b"kind: RoutePolicy\n"]
)
def test_an_unreadable_file_keeps_the_policies_that_stood_in_it(text: bytes) -> None:
    """Their names can't be read, so the file tells which they are."""
    both = policy("p", "/x") + b"---\n" + policy("q", "/x", hosts="b.example")
    first = in_force(files(g=guardrails(), both=both))

    second = in_force(files(g=guardrails(), both=text), first)

    assert asked(second) == "p/r0"
    assert asked(second, host="b.example") == "q/r0"
    assert set(status(second).values()) == {PolicyStatus.LAST_GOOD}


def test_a_removed_policy_is_gone() -> None:
    """Nothing of it is kept."""
    first = in_force(files(g=guardrails(), p=policy("p", "/x"), q=policy("q", "/x", hosts="b.example")))

    second = in_force(files(g=guardrails(), q=policy("q", "/x", hosts="b.example")), first)

    assert asked(second) == "destination_unmatched"


def test_a_broken_policy_answers_503_at_the_start() -> None:
    """On its hosts, at its destinations, and nowhere else."""
    policies = in_force(
        files(g=guardrails("bind: destination\n"), p=broken(policy("p", "/x", at=ORDERS)), q=policy("q", "/x", at=EDGE))
    )

    assert asked(policies, at=ORDERS) == "policy_unavailable"
    assert asked(policies, host="b.example", at=ORDERS) == "destination_unmatched"
    assert asked(policies, at="www.shop.example") == "q/r0"


def test_a_policy_whose_hosts_cannot_be_read_refuses_the_start() -> None:
    """Nothing could be closed in its place; a reload goes on without it."""
    good, bad = policy("p", "/x"), policy("q", "/x", hosts="b_.example")

    first = in_force(files(g=guardrails(), p=good))

    assert load(files(g=guardrails(), p=good, q=bad)).policy is None
    assert asked(in_force(files(g=guardrails(), p=good, q=bad), first)) == "p/r0"


def test_a_platform_fault_refuses_the_load() -> None:
    """The caller keeps what it has."""
    first = in_force(files(g=guardrails(), p=policy("p", "/x")))

    loaded = load(files(g=guardrails("bind: hosts\n"), p=policy("p", "/x")), first)

    assert loaded.policy is None
    assert loaded.faults[0].policy == ""


def test_a_file_that_may_have_held_the_guardrails_refuses_the_reload() -> None:
    """Linking without them would serve what they forbid."""
    first = in_force(files(g=guardrails(), p=policy("p", "/x")))

    assert load(files(g=b"\xff", p=policy("p", "/x")), first).policy is None


def test_routes_of_a_last_good_text_that_no_longer_fit_answer_503() -> None:
    """The rest is served: here the platform takes a shared requirement away."""
    head = b"apiVersion: authz/v1\nkind: Requirements\nmetadata: {name: r}\n"
    shared = head + b"requirements:\n  all-of-us: {public: for all}\n"
    text = policy("p", "/x", "/y").replace(b"'/y'}\n  allow: {public: open to all}", b"'/y'}\n  allow: all-of-us")
    first = in_force(files(p=text, r=shared))

    second = in_force(files(p=text), first)

    assert (asked(first, "/y"), asked(second, "/y")) == ("p/r1", "policy_unavailable")
    assert asked(second, "/x") == "p/r0"
    assert second.policies[0].routes == ("r1",)


def test_routes_that_a_new_forbid_hits_answer_503() -> None:
    """The guardrail holds at once, also for a policy that nobody changed."""
    forbid = "bind: host\nguardrails:\n- id: none\n  for: {path: '/y'}\n  forbid: {public: true, methods: [GET]}\n"
    first = in_force(files(g=guardrails(), p=policy("p", "/x", "/y")))

    second = in_force(files(g=guardrails(forbid), p=policy("p", "/x", "/y")), first)

    assert asked(second, "/y") == "policy_unavailable"


def test_a_last_good_policy_shows_the_faults_of_a_file_that_cannot_be_read() -> None:
    """Readiness would say `last_good` without a reason otherwise."""
    first = in_force(files(g=guardrails(), p=policy("p", "/x")))

    second = in_force(files(g=guardrails(), p=b"a: ["), first)

    assert status(second) == {"p": PolicyStatus.LAST_GOOD}
    assert "yaml-syntax" in second.policies[0].faults[0]


@pytest.mark.parametrize("effect", ["", ", requires: {user: {}}", ", deny: 5", ", require: {}", ", forbid: 5"])
def test_a_guardrail_without_an_effect_is_a_fault_of_the_platform(effect: str) -> None:
    """However it went missing; the load is refused and says so."""
    loaded = load(files(g=guardrails(f"bind: host\nguardrails:\n- {{id: a{effect}}}\n"), p=policy("p", "/x")))

    assert loaded.policy is None
    assert {fault.place.file for fault in loaded.faults} == {"g.yaml"}


def test_policies_that_share_a_host_name_its_label_each_for_itself() -> None:
    """Else only the first one's `{host.NAME}` would be bound."""
    shared = guardrails("bind: host\nhosts:\n  '{any}.a.example': {p: '/p/**', q: '/q/**'}\n")
    policies = in_force(
        files(
            g=shared,
            p=policy("p", "/p/x", hosts="'{tenant}.a.example'"),
            q=policy("q", "/q/x", hosts="'{shop}.a.example'"),
        )
    )

    found = [policies.match(request(target, host="acme.a.example")) for target in ("/p/x", "/q/x")]

    assert [one.host_variables for one in found if isinstance(one, Matched)] == [{"tenant": "acme"}, {"shop": "acme"}]


@pytest.mark.parametrize(
    "changed",
    [
        policy("p", "/x", "/x", "/y", "/y"),
        policy("p", "/x", "/{a}", "/{b}", "/{c}"),
        policy("p", "/x", hosts="a.example, b.example, b.example:443"),
    ],
)
def test_a_text_with_several_clashes_falls_back_once(changed: bytes) -> None:
    """All of them are about the new text: none may cost the last good one, nor a host of it."""
    contents = files(g=guardrails(), p=policy("p", "/x"), q=policy("q", "/x", hosts="b.example"))
    first = in_force(contents)

    loaded = load({**contents, "p.yaml": changed}, first)

    assert loaded.policy is not None
    assert len([fault for fault in loaded.faults if fault.policy == "p"]) > 1
    assert status(loaded.policy) == {"p": PolicyStatus.LAST_GOOD, "q": PolicyStatus.FRESH}
    assert asked(loaded.policy) == "p/r0"
    assert asked(loaded.policy, host="b.example") == "q/r0"


def test_an_old_route_that_comes_to_a_new_host_is_the_newcomer_there() -> None:
    """Its policy is to blame, and not the one whose routes stood on that host."""
    shared = guardrails("bind: host\nhosts:\n  a.example: {p: '/o/**', q: '/o/in/**'}\n")
    contents = files(g=shared, p=policy("p", "/o/{x}/end"), q=policy("q", "/o/in/{y}", hosts="b.example"))
    first = in_force(contents)

    second = in_force({**contents, "q.yaml": policy("q", "/o/in/{y}", hosts="b.example, a.example")}, first)

    assert status(second) == {"p": PolicyStatus.FRESH, "q": PolicyStatus.LAST_GOOD}
    assert asked(second, "/o/1/end") == "p/r0"
    assert asked(second, "/o/in/1", "b.example") == "q/r0"


def test_preflights_that_a_new_forbid_hits_answer_503() -> None:
    """A preflight is public too; the routes themselves, and preflights that aren't covered, are served."""
    text = policy("p", "/x", "/y", extra="preflight: {public: browsers ask first}", allow="{user: {issuer: corp}}")
    issuers = b"""apiVersion: authz/v1
kind: Issuers
issuers: {corp: {issuer: "https://idp.example", audiences: [a], keys: discovery}}
"""
    forbid = "bind: host\nguardrails:\n- id: no\n  for: {path: /y}\n  forbid: {public: true, methods: [OPTIONS]}\n"
    ask = {"origin": "https://www.example", "access-control-request-method": "GET"}
    first = in_force(files(g=guardrails(), i=issuers, p=text))

    second = in_force(files(g=guardrails(forbid), i=issuers, p=text), first)

    assert answer(first.match(request("/y", "OPTIONS", headers=ask.items()))) == "p/r1"
    assert answer(second.match(request("/y", "OPTIONS", headers=ask.items()))) == "policy_unavailable"
    assert answer(second.match(request("/x", "OPTIONS", headers=ask.items()))) == "p/r0"
    assert asked(second, "/y") == "p/r1"


def test_a_last_good_text_gives_up_a_host_that_the_platform_gave_away() -> None:
    """And goes on serving its others."""
    text = policy("r", "/x", hosts="a.example, b.example")
    first = in_force(files(g=guardrails(), r=text))

    second = in_force(files(g=SHARED, r=text, p=policy("p", "/p/{x}"), q=policy("q", "/q/{x}")), first)

    assert asked(second, "/p/1") == "p/r0"
    assert asked(second, "/x") == "route_unmatched"
    assert asked(second, "/x", "b.example") == "r/r0"


def test_a_last_good_route_gives_way_to_the_share_of_another() -> None:
    """Routes outside a new share answer 503, save where the paths are somebody else's now."""
    text = policy("p", "/p/a", "/old", "/q/{y}")
    first = in_force(files(g=guardrails(), p=text))

    second = in_force(files(g=SHARED, p=text, q=policy("q", "/q/{y}")), first)

    assert asked(second, "/p/a") == "p/r0"
    assert asked(second, "/old") == "policy_unavailable"
    assert asked(second, "/q/1") == "q/r0"


# --- the set ---------------------------------------------------------------------------------------------


def test_the_same_documents_give_the_same_revision() -> None:
    """However they came to be in force."""
    one = files(g=guardrails(), p=policy("p", "/x"))
    first = in_force(one)

    kept = in_force({**one, "p.yaml": broken(one["p.yaml"])}, first)
    other = in_force({**one, "p.yaml": policy("p", "/y")})

    assert first.revision == in_force(one).revision == kept.revision
    assert len(first.revision) == 12
    assert other.revision != first.revision


def test_headers_that_any_route_sets_are_removable() -> None:
    """Beside those that are always removed; an underscore reads as a hyphen."""
    text = policy("p", "/x").replace(b"  allow:", b"  identity: {headers: {x-user-tier: gold}}\n  allow:")

    assert {"x-user-tier", "x-original-url", "x-forwarded-uri"} <= in_force(files(p=text)).removable


def test_a_preflight_is_granted_where_the_policy_says_so() -> None:
    """It is the preflight of the route that the browser asks for."""
    headers = (("origin", "https://spa.example"), ("access-control-request-method", "GET"))
    asked_first = request("/x", "OPTIONS", headers=headers)

    granted = in_force(files(p=policy("p", "/x", extra="preflight: {public: browsers ask first}"))).match(asked_first)
    plain = in_force(files(p=policy("p", "/x"))).match(asked_first)

    assert answer(granted) == "p/r0"
    assert granted.preflight
    assert answer(plain) == "method_unmatched"


def test_linking_the_same_files_twice_reports_the_same_faults() -> None:
    """Every fault has a place, and the order is that of the places."""
    contents = files(g=SHARED, p=policy("p", "/x", "/p/{x}", "/p/{y}/a"), q=broken(policy("q", "/q/{y}")))

    assert load(contents).faults == load(contents).faults
    assert [fault.place for fault in load(contents).faults] == sorted(fault.place for fault in load(contents).faults)
