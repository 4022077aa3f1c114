"""`authz diff`: each witness is what `authz explain` decides, for every kind of change that a directory can have."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from authz.cli import main

PLATFORM = """\
apiVersion: authz/v1
kind: Issuers
issuers:
  corp: {issuer: https://idp.shop.example, audiences: [shop-api], keys: {jwks_uri: https://idp.shop.example/keys}}
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains: {shop.example: {bundle: {file: bundles/shop.json}}}
roles: {caller: [spiffe://shop.example/a]}
peers: {verified_by: envoy, forwarded: {trusted_proxies: [spiffe://shop.example/edge]}}
---
apiVersion: authz/v1
kind: Guardrails
bind: destination
GUARDRAILS
"""
ORDERS = """\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders}
service:
  hosts: [orders.example, "{tenant}.orders.example"]
  at: [spiffe://shop.example/orders]
routes:
  - id: read
    match: {methods: [GET], path: "/orders/{id}"}
    allow: {user: {scopes: {all: ["orders:read"]}, claims: {ids: {contains: "{path.id}"}}}}
  - id: health
    match: {methods: [GET], path: /healthz}
    allow: {public: "liveness only"}
"""
NOW = "1800000000"

CHANGES = {
    "another scope": ("orders:read", "orders:look", "", {"gained", "lost"}),
    "one more method": ('methods: [GET], path: "/orders', 'methods: [GET, HEAD], path: "/orders', "", {"gained"}),
    "any method": ('methods: [GET], path: "/orders', "methods: ['*'], path: \"/orders", "", {"gained"}),
    "a typed variable": ("/orders/{id}", "/orders/{id:int}", "", {"gained", "lost"}),
    "a trailing rest": ("path: /healthz", "path: /healthz/**", "", {"gained"}),
    "another path": ("path: /healthz", "path: /livez", "", {"gained", "lost"}),
    "a host less": (', "{tenant}.orders.example"', "", "", {"lost"}),
    "a port": ("[orders.example,", "['orders.example:8443',", "", {"gained", "lost"}),
    "another destination": ("shop.example/orders]", "shop.example/sales]", "", {"gained", "lost"}),
    "by name": ("at: [spiffe://shop.example/orders]", "by_name: true", "", {"gained", "lost"}),
    "an upgrade": ("path: /healthz}", "path: /healthz, upgrade: websocket}", "", {"gained", "lost"}),
    "preflights": ("routes:", '  preflight: {public: "browsers ask"}\nroutes:', "", {"gained"}),
    "a workload too": (
        'allow: {public: "liveness only"}',
        "allow: {workload: {spiffe: 'spiffe://shop.example/*'}}",
        "",
        {"lost"},
    ),
    "a header": ('"{path.id}"', '"{request.header.x-id}"', "", {"gained", "lost"}),
    "a host variable": ('"{path.id}"', '"{host.tenant}"', "", {"gained", "lost"}),
    "an address": (
        '{public: "liveness only"}',
        '{all: [{public: "near"}, {source: {cidrs: [10.0.0.0/8]}}]}',
        "",
        {"lost"},
    ),
    "a fresh login": ("{user: {scopes", "{user: {auth_age: {max: 15m}, scopes", "", {"lost"}),
    "a level": ("{user: {scopes", "{user: {acr: {any: [gold]}, amr: {all: [otp]}, scopes", "", {"lost"}),
    "clients only": ("{user: {scopes", "{user: {kind: client, scopes", "", {"lost"}),
    "one subject": ("{user: {scopes", "{user: {subjects: {any: [alice]}, scopes", "", {"lost"}),
    "an absent claim": ('{contains: "{path.id}"}', "{exists: false}", "", {"gained", "lost"}),
    "nobody": ('{public: "liveness only"}', '{nobody: "closed"}', "", {"lost"}),
    "an exception": (
        '{public: "liveness only"}',
        '{all: [{public: "most"}, {not: {workload: {spiffe: spiffe://shop.example/a}}}]}',
        "",
        {"lost"},
    ),
    "a required guardrail": ("", "", "[{id: g, require: {workload: {roles: {any: [caller]}}}}]", {"lost"}),
    "a denying guardrail": ("", "", "[{id: g, deny: {workload: {spiffe: spiffe://shop.example/a}}}]", {"lost"}),
    "a guardrail of a path": ("", "", "[{id: g, for: {path: /healthz}, deny: {user: {}}, absent: denies}]", {"lost"}),
    "forwarded": (
        '{public: "liveness only"}',
        "{workload: {spiffe: spiffe://shop.example/a, via: forwarded}}",
        "",
        {"lost"},
    ),
    "nothing": ("metadata: {name: orders}", "metadata: {name: orders, owner: team}", "", set()),
}


def write(directory: Path, old: str = "", new: str = "", guardrails: str = "") -> str:
    directory.mkdir()
    rules = f"guardrails: {guardrails}" if guardrails else ""
    (directory / "platform.yaml").write_text(PLATFORM.replace("GUARDRAILS", rules))
    assert old in ORDERS
    (directory / "orders.yaml").write_text(ORDERS.replace(old, new, 1) if old else ORDERS)
    return str(directory)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, capsys.readouterr().out


def compared(capsys: pytest.CaptureFixture[str], old: str, new: str, *flags: str) -> tuple[int, dict[str, Any]]:
    code, out = run(capsys, "diff", old, new, "--output", "json", "--now", NOW, *flags)
    return code, json.loads(out)


@pytest.mark.parametrize("name", CHANGES)
def test_each_witness_is_judged_as_claimed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`authz explain` allows the witness on the side that permits it and denies it on the other."""
    before, after, guardrails, expected = CHANGES[name]
    old, new = write(tmp_path / "old"), write(tmp_path / "new", before, after, guardrails)

    code, report = compared(capsys, old, new)

    assert {one["direction"] for one in report["findings"]} == expected
    assert report["unproven"] == []
    assert code == (1 if expected else 0)
    for finding in report["findings"]:
        command = shlex.split(finding["witness"]["command"])[1:]
        here, there = (new, old) if finding["direction"] == "gained" else (old, new)
        assert command[1] == here
        assert run(capsys, *command)[0] == 0, command
        command[1] = there
        assert run(capsys, *command)[0] == 1, command


@pytest.mark.parametrize("name", CHANGES)
def test_the_change_back_is_the_mirror(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is gained one way is lost the other way, route by route."""
    before, after, guardrails, _ = CHANGES[name]
    old, new = write(tmp_path / "old"), write(tmp_path / "new", before, after, guardrails)

    _, there = compared(capsys, old, new)
    _, back = compared(capsys, new, old)

    mirror = {"gained": "lost", "lost": "gained"}
    assert {(mirror[one["direction"]], one["route"]) for one in there["findings"]} == {
        (one["direction"], one["route"]) for one in back["findings"]
    }


def test_forbid_gained_passes_who_only_loses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CI may let a narrowing pass without a word."""
    old, new = write(tmp_path / "old"), write(tmp_path / "new", "{user: {scopes", "{user: {auth_age: {max: 5m}, scopes")

    assert compared(capsys, old, new, "--forbid", "gained")[0] == 0
    assert compared(capsys, new, old, "--forbid", "gained")[0] == 1


def test_an_invalid_side_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of a policy that isn't one."""
    old, new = write(tmp_path / "old"), write(tmp_path / "new", "scopes", "scoops")

    assert main(["diff", old, new]) == 3
    assert "key-unknown" in capsys.readouterr().err


def test_revisions_of_git_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without checking anything out."""
    write(tmp_path / "policy")
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@shop.example"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "policy" / "orders.yaml").write_text(ORDERS.replace("orders:read", "orders:look"))

    code, report = compared(capsys, "HEAD:policy", "policy")

    assert code == 1
    assert {one["route"] for one in report["findings"]} == {"orders/read"}


def test_a_revision_that_is_not_there_ends_with_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's fault, not the policy's."""
    monkeypatch.chdir(tmp_path)

    assert main(["diff", "nowhere:policy", "nowhere:policy"]) == 5


def test_changed_verification_is_a_difference_without_a_witness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which tokens verify can't be shown by an asserted user, and counts as a possible gain."""
    old, new = write(tmp_path / "old"), write(tmp_path / "new")
    platform = tmp_path / "new" / "platform.yaml"
    platform.write_text(platform.read_text().replace("keys: {", "algorithms: [RS256], keys: {"))

    code, report = compared(capsys, old, new, "--forbid", "gained")

    assert (code, report["settings"]) == (1, ["issuer corp: algorithms changed"])


def test_markdown_is_a_review_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table per direction, and the commands to try."""
    old, new = write(tmp_path / "old"), write(tmp_path / "new", "path: /healthz", "path: /livez")

    _, out = run(capsys, "diff", old, new, "--output", "markdown", "--now", NOW)

    assert out.startswith("### Access: 1 gained, 1 lost\n")
    assert (
        "| `orders/health` | GET /livez on any.orders.example, orders.example at spiffe://shop.example/orders |" in out
    )
    assert "authz explain" in out


LINES = (
    {
        "event": "decision",
        "id": "a",
        "time": "2027-01-15T08:00:00Z",
        "result": "allow",
        "reason": "allowed",
        "status": 200,
        "policy": "orders",
        "route": "health",
        "method": "GET",
        "host": "orders.example",
        "path": "/healthz",
        "destination": "spiffe://shop.example/orders",
    },
    {
        "event": "decision",
        "id": "b",
        "time": "2027-01-15T08:00:00Z",
        "result": "allow",
        "reason": "allowed",
        "status": 200,
        "policy": "orders",
        "route": "read",
        "method": "GET",
        "host": "orders.example",
        "path": "/orders/42",
        "destination": "spiffe://shop.example/orders",
        "user": {"issuer": "corp", "subject": "alice", "kind": "person"},
    },
    {
        "event": "decision",
        "id": "c",
        "time": "2027-01-15T08:00:00Z",
        "result": "deny",
        "reason": "token_expired",
        "status": 401,
        "policy": "orders",
        "route": "read",
        "method": "GET",
        "host": "orders.example",
        "path": "/orders/42",
        "destination": "spiffe://shop.example/orders",
    },
    {"event": "audit_dropped", "count": 3},
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("orders:read", "orders:look", {"b": "may change", "c": "not reconstructed"}),
        ("path: /healthz", "path: /livez", {"a": "changes", "c": "not reconstructed"}),
        ("{user: {scopes", "{user: {subjects: {any: [bob]}, scopes", {"b": "changes", "c": "not reconstructed"}),
        ("{user: {scopes", "{user: {subjects: {any: [alice]}, scopes", {"c": "not reconstructed"}),
    ],
)
def test_recorded_decisions_are_judged_again(
    before: str, after: str, expected: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What certainly changes, what may because claims aren't recorded, and what can't be put together again."""
    old, new = write(tmp_path / "old"), write(tmp_path / "new", before, after)
    log = tmp_path / "decisions.ndjson"
    log.write_text("".join(f"{json.dumps(line)}\n" for line in LINES))

    _, report = compared(capsys, old, new, "--replay", str(log))

    assert {one["id"]: one["verdict"] for one in report["decisions"]} == expected


WHEN = "{all: [{user: {groups: {any: [a]}}}, {when: \"request.method == 'GET'\"}]}"
PUBLIC_HEALTH = '{public: "liveness only"}'


def test_an_expression_is_opaque(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same text is the same condition; where a difference hangs on one, that is said and not guessed."""
    old = write(tmp_path / "old", PUBLIC_HEALTH, WHEN)
    same = write(tmp_path / "same", PUBLIC_HEALTH, WHEN.replace("{groups", "{issuer: corp, groups"))
    without = write(tmp_path / "without", PUBLIC_HEALTH, "{user: {groups: {any: [a]}}}")

    assert compared(capsys, old, same)[0] == 0
    code, report = compared(capsys, old, without)
    assert code == 6
    assert [one["why"] for one in report["unproven"]] == ["it hangs on what can't be compared: request.method == 'GET'"]


SHARED = """\
apiVersion: authz/v1
kind: Guardrails
bind: host
hosts: {api.example: {orders: /orders/**, profiles: SHARE}}
"""
PUBLIC = """\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: NAME}
service: {hosts: [api.example]}
routes:
  - id: all
    match: {methods: [GET], path: PATH}
    allow: {public: "a catalogue"}
"""


def test_a_share_that_moves_to_another_policy_shows_where_nobody_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A narrower share takes its part of the host away from the wider one."""
    sides = []
    for name, share, path in (("old", "/profiles/**", "/profiles/**"), ("new", "/orders/p/**", "/orders/p/{x}")):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "guardrails.yaml").write_text(SHARED.replace("SHARE", share))
        for policy, route in (("orders", "/orders/**"), ("profiles", path)):
            text = PUBLIC.replace("NAME", policy).replace("PATH", f"'{route}'")
            (directory / f"{policy}.yaml").write_text(text)
        sides.append(str(directory))

    _, report = compared(capsys, *sides)

    # /orders/p and /orders/p/a/b belong to `profiles` now, which serves only one segment below, and which
    # `authz.service: profiles` now leads to.
    assert {(one["direction"], one["route"], *one["services"]) for one in report["findings"]} >= {
        ("lost", "orders/all", "orders"),
        ("gained", "profiles/all", "profiles"),
    }
    assert report["unproven"] == []
