"""`RoutePolicy`: services, routes, identity."""

from __future__ import annotations

import pytest

from authz.policy.document import Credential, NamedRequirement, UserRequirement
from authz.policy.values import PathVariable, UserClaim
from tests.unit.policy.reading import POLICY, codes, policy, read, with_route

ALLOW = "{user: {}}"


def route(match: str, rest: str = "") -> str:
    """A policy whose one route has this `match` (flow YAML)."""
    return POLICY + f"routes:\n  - id: a\n    match: {match}\n    allow: {ALLOW}\n{rest}"


def test_a_policy_keeps_everything_that_was_written() -> None:
    """Metadata, service and routes, each with its place."""
    text = POLICY.replace("{name: orders}", "{name: orders, owner: team, runbook: 'https://r.example'}").replace(
        "[orders.shop.example]",
        "[orders.shop.example, '{tenant}.shop.example'], at: ['dns:x'], audiences: [a],"
        " preflight: {public: browsers ask first}",
    )
    found = policy(text + "routes:\n  - id: a\n    match: {methods: [GET, HEAD], path: '/o/{id}'}\n    allow: staff\n")

    assert (found.name, found.owner, found.runbook) == ("orders", "team", "https://r.example")
    assert [host.value for host in found.hosts] == ["orders.shop.example", "{tenant}.shop.example"]
    assert ([entry.value for entry in found.at], found.by_name) == (["dns:x"], False)
    assert ([text.value for text in found.audiences], found.preflight) == (["a"], "browsers ask first")
    only = found.routes[0]
    assert (only.id, only.methods, only.path.value, only.upgrade) == ("a", ("GET", "HEAD"), "/o/{id}", "")
    assert isinstance(only.allow, NamedRequirement) and only.allow.name == "staff"
    assert str(only.path.place) == "a.yaml:7:41"


def test_a_grpc_match_is_post_on_the_method_s_path() -> None:
    """gRPC over HTTP/2: the path names service and method."""
    only = policy(route("{grpc: shop.v1.Orders/Get}")).routes[0]

    assert (only.methods, only.path.value) == (("POST",), "/shop.v1.Orders/Get")


def test_an_upgrade_is_kept() -> None:
    """WebSocket is the one upgrade there is."""
    assert policy(route("{methods: [GET], path: /ws, upgrade: websocket}")).routes[0].upgrade == "websocket"


@pytest.mark.parametrize(
    ("match", "found"),
    [
        ("{path: /a}", ["key-missing"]),
        ("{methods: [GET]}", ["key-missing"]),
        ("{}", ["key-missing", "key-missing"]),
        ("{methods: [], path: /a}", ["list-empty"]),
        ("{methods: [get], path: /a}", ["value-invalid"]),
        ("{methods: [CONNECT], path: /a}", ["value-invalid"]),
        ("{methods: [TRACE], path: /a}", ["value-invalid"]),
        ("{methods: [GET, GET], path: /a}", ["name-duplicate"]),
        ("{methods: GET, path: /a}", ["value-type"]),
        ("{methods: [yes], path: /a}", ["value-invalid"]),
        ("{methods: ['G T'], path: /a}", ["value-invalid"]),
        ("{methods: [GET], path: ''}", ["value-invalid"]),
        ("{methods: [GET], path: {order_id}}", ["value-type"]),
        ("{methods: [GET], path: /a, upgrade: h2c}", ["value-invalid"]),
        ("{methods: [GET], path: /a, tcp: 1}", ["key-planned"]),
        ("{methods: [GET], paths: /a}", ["key-missing", "key-unknown"]),
        ("{grpc: Orders}", ["value-invalid"]),
        ("{grpc: shop.v1.Orders/Get/x}", ["value-invalid"]),
        ("{grpc: '/shop.v1.Orders/Get'}", ["value-invalid"]),
        ("{grpc: shop.Orders/Get, methods: [POST]}", ["value-invalid"]),
    ],
)
def test_what_a_match_cant_say_is_a_fault(match: str, found: list[str]) -> None:
    """Methods and a path, or a gRPC method alone."""
    assert codes(route(match)) == found


def test_a_path_in_bare_braces_is_told_to_be_quoted() -> None:
    """`path: {order_id}` is sound YAML, but a mapping."""
    _, faults = read({"a.yaml": route("{methods: [GET], path: {order_id}}")})

    assert "braces that aren't quoted" in faults[0].message
    assert faults[0].help.startswith("Quote the value")


def test_any_method_is_one_star() -> None:
    """`"*"` stands beside explicit ones."""
    assert policy(route("{methods: ['*', GET], path: /a}")).routes[0].methods == ("*", "GET")


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("    candidate: {allow: {user: {}}}\n", "key-missing"),
        ('    candidate: {allow: {user: {}}, until: "tomorrow"}\n', "value-invalid"),
        ("    route_to: x\n", "key-planned"),
        ("    alow: x\n", "key-unknown"),
        ("    identity: {headers: {}}\n", "list-empty"),
        ("    identity: {header: {x-a: b}}\n", "key-unknown"),
        ("    identity: {credential: keep}\n", "value-invalid"),
        ("    identity: {headers: {x-a: 1}}\n", "value-type"),
        ("    identity: {headers: {x-a: {user.sub}}}\n", "value-type"),
        ("    identity: {headers: {x-a: '{request.header.y}'}}\n", "reference-invalid"),
        *[
            (f"    identity: {{headers: {{'{name}': v}}}}\n", "identity-header")
            for name in (
                "email",
                "X-Email",
                "x_email",
                "x-é",
                "x-",
                "x-authz-subject",
                "x-forwarded-for",
                "x-envoy-x",
                "x-request-id",
                "x-original-url",
                "x-http-method-override",
                "x-method-override",
                "x-http-method",
                "x-rewrite-url",
                "x-a ",
            )
        ],
    ],
)
def test_what_a_route_cant_say_is_a_fault(extra: str, code: str) -> None:
    """Unknown keys, header names that upstreams believe or that we set, later parts of the language."""
    assert codes(with_route(ALLOW, extra)) == [code]


def test_identity_headers_hold_text_and_references() -> None:
    """In the order that they were written."""
    found = policy(
        with_route(ALLOW, "    identity: {headers: {x-b: 'u:{user.claims.email}', x-a: fix}, credential: remove}\n")
    )

    headers = [(name.value, value) for name, value in found.routes[0].identity_headers]
    assert [(name, value.literal, value.reference, value.prefix) for name, value in headers] == [
        ("x-b", None, UserClaim("email"), "u:"),
        ("x-a", "fix", None, ""),
    ]
    assert found.routes[0].credential is Credential.REMOVE


def test_ids_of_routes_are_their_own() -> None:
    """The second of two is named with the first's place; the preflight's own name is taken."""
    twice = with_route(ALLOW) + "  - {id: orders.read, match: {methods: [GET], path: /b}, allow: x}\n"
    taken = (
        with_route(ALLOW)
        .replace("id: orders.read", "id: orders.preflight")
        .replace("service: {", "service: {preflight: {public: asked first}, ")
    )

    assert codes(twice) == ["name-duplicate"]
    assert codes(taken) == ["name-duplicate"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("{name: orders}", "{}", "key-missing"),
        ("{name: orders}", "{name: 'a b'}", "name-invalid"),
        ("{name: orders}", "{name: ''}", "value-invalid"),
        ("{name: orders}", "{name: -x}", "name-invalid"),
        ("{name: orders}", '{name: "a\\n"}', "value-invalid"),
        ("{name: orders}", "{name: 7}", "value-type"),
        ("{name: orders}", f"{{name: {'a' * 129}}}", "value-invalid"),
        ("{name: orders}", "{name: a, labels: {}}", "key-unknown"),
        ("{name: orders}", "{name: a, owner: }", "value-type"),
        ("{hosts: [", "{preflight: {}, hosts: [", "key-missing"),
        ("{hosts: [", "{preflight: {public: ' '}, hosts: [", "value-invalid"),
        ("{hosts: [", "{by_name: 1, hosts: [", "value-type"),
        ("{hosts: [", "{at: [], hosts: [", "list-empty"),
        ("{hosts: [orders.shop.example]}", "{hosts: [a, a]}", "name-duplicate"),
        ("routes:\n", "requirements: {}\nroutes:\n", "list-empty"),
        ("routes:\n", "requirements: {any: {user: {}}}\nroutes:\n", "name-invalid"),
        ("routes:\n", "ask: x\nroutes:\n", "key-planned"),
    ],
)
def test_what_a_policy_cant_say_is_a_fault(old: str, new: str, code: str) -> None:
    """Each change alone makes the policy faulty, with its name where it is readable."""
    assert codes(with_route(ALLOW).replace(old, new, 1)) == [code]


def test_a_route_without_its_keys_is_three_faults() -> None:
    """Nothing is left to a default that would decide."""
    assert codes(POLICY + "routes: [{}]\n") == ["key-missing"] * 3


def test_references_of_a_path_variable_are_kept_for_linking() -> None:
    """Whether the route has the variable is settled there."""
    found = policy(with_route("{user: {scopes: {any: ['{path.tenant}:admin']}}}")).routes[0].allow

    assert isinstance(found, UserRequirement) and found.scopes is not None
    value = found.scopes.values[0]
    assert (value.reference, value.prefix, value.suffix) == (PathVariable("tenant"), "", ":admin")
