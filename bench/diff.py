"""What comparing two directories of 2,000 routes of fifty teams costs.

Run: `python -m bench.diff`. Prints seconds for loading both and for the comparison, for a change of one team, of every
route, and of a guardrail that covers them all.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping

from authz.cli.witness import read_user
from authz.policy.difference import compare
from authz.policy.lint import lint
from authz.policy.load import load
from authz.policy.meaning import Side

TEAMS = 50
ROUTES = 40
NOW = 1_800_000_000.0
LIMIT = 10.0
"""Seconds for one comparison, loading included."""
LINT_LIMIT = 2.0
"""Seconds for loading and linting one directory."""

PLATFORM = """\
apiVersion: authz/v1
kind: Issuers
issuers:
  corp: {issuer: https://idp.shop.example, audiences: [shop-api], keys: {jwks_uri: https://idp.shop.example/keys}}
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains: {shop.example: {bundle: {file: bundles/shop.json}}}
peers: {verified_by: envoy}
---
apiVersion: authz/v1
kind: Guardrails
bind: destination
guardrails:
  - {id: quarantined, deny: {workload: {spiffe: "spiffe://shop.example/ns/legacy/**"}}}
  - {id: fresh-admins, for: {path: "/admin/**"}, require: {user: {auth_age: {max: MAX_AGE}}}}
"""


def directory(*, scope: str = "read", teams: int = 0, age: str = "15m", deny: str = "legacy") -> Mapping[str, bytes]:
    """Fifty teams of forty routes; the first `teams` of them ask for another scope."""
    platform = PLATFORM.replace("MAX_AGE", age).replace("legacy", deny)
    files = {"platform.yaml": platform.encode()}
    for team in range(TEAMS):
        lines = [
            "apiVersion: authz/v1",
            "kind: RoutePolicy",
            f"metadata: {{name: team{team}}}",
            "service:",
            f"  hosts: [team{team}.shop.example, '{{tenant}}.team{team}.shop.example']",
            f"  at: [spiffe://shop.example/ns/shop/sa/team{team}]",
            "routes:",
        ]
        for route in range(ROUTES):
            asked = scope if team < teams else "read"
            area = "admin" if route % 10 == 0 else "v1"
            lines += [
                f"- id: r{route}",
                f"  match: {{methods: [GET, POST], path: '/{area}/kind{route}/{{id}}'}}",
                "  allow:",
                "    any:",
                f"    - all: [{{user: {{scopes: {{all: ['kind{route}:{asked}']}}, "
                "claims: {ids: {contains: '{path.id}'}}}}, "
                f"{{workload: {{spiffe: 'spiffe://shop.example/ns/shop/sa/*'}}}}]",
                f"    - {{user: {{groups: {{any: [team{team}, support]}}}}}}",
            ]
        files[f"team{team}.yaml"] = "\n".join(lines).encode()
    return files


def side(files: Mapping[str, bytes]) -> tuple[Side, float]:
    start = time.perf_counter()
    loaded = load(files)
    assert loaded.policy is not None, loaded.faults[:3]
    return Side(loaded.policy, loaded.parsed), time.perf_counter() - start


def print_lint(files: Mapping[str, bytes]) -> None:
    """What loading and linting one such directory takes."""
    start = time.perf_counter()
    loaded = load(files)
    between = time.perf_counter()
    findings = lint(loaded.parsed, {})
    end = time.perf_counter()
    verdict = "held" if end - start < LINT_LIMIT else "EXCEEDED"
    print(
        f"{TEAMS * ROUTES} routes: loaded in {between - start:.2f} s, linted in {end - between:.2f} s, "
        f"{len(findings)} findings (limit {LINT_LIMIT:.0f} s: {verdict})"
    )


def main() -> None:
    print_lint(directory())
    slowest = 0.0
    for name, changed in (
        ("nothing changed", directory()),
        ("one team changed", directory(scope="write", teams=1)),
        ("every route changed", directory(scope="write", teams=TEAMS)),
        ("a guardrail of some changed", directory(age="10m")),
        ("a guardrail of all changed", directory(deny="old")),
    ):
        old, first = side(directory())
        new, second = side(changed)
        gc.freeze()
        start, used = time.perf_counter(), time.process_time()
        difference = compare(old, new, read_user, NOW)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        gc.unfreeze()
        slowest = max(slowest, first + second + seconds)
        print(
            f"{TEAMS * ROUTES} routes, {name}: loaded twice in {first + second:.2f} s, compared in {seconds:.2f} s "
            f"(CPU {used:.2f} s), "
            f"{len(difference.findings)} findings, {len(difference.unproven)} not proven"
        )
    print(f"slowest in all: {slowest:.2f} s (limit {LIMIT:.0f} s: {'held' if slowest < LIMIT else 'EXCEEDED'})")


if __name__ == "__main__":
    main()
