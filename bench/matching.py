"""What a match costs as routes grow, and what loading 10,000 routes costs.

Run: `python -m bench.matching`. Prints microseconds per match at each size, their ratio to the smallest, seconds
and resident megabytes of a load, so that a change of shape (a linear matcher, a tree built per host) shows at once.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Mapping

from authz.model.headers import Headers
from authz.model.host import Authority
from authz.model.path import parse_path
from authz.model.request import AuthzRequest, Peer, Transport
from authz.policy.compiled import Matched
from authz.policy.link import PolicySet
from authz.policy.load import load

SIZES = (10, 100, 1_000, 10_000)
ROUTES_PER_POLICY = 2_000
MATCHES = 50_000


def directory(routes: int) -> Mapping[str, bytes]:
    """Policies of up to 2,000 routes, each with three host entries."""
    files = {"guardrails.yaml": b"apiVersion: authz/v1\nkind: Guardrails\nbind: host\n"}
    for number, first in enumerate(range(0, routes, ROUTES_PER_POLICY)):
        lines = [
            "apiVersion: authz/v1",
            "kind: RoutePolicy",
            f"metadata: {{name: p{number}}}",
            f"service: {{hosts: [p{number}.example, '*.p{number}.example', '{{t}}.q{number}.example']}}",
            "routes:",
        ]
        for route in range(first, min(first + ROUTES_PER_POLICY, routes)):
            lines += [
                f"- id: r{route}",
                f"  match: {{methods: [GET], path: '/area{route % 40}/v1/kind{route}/{{id}}'}}",
                "  allow: {public: 'a benchmark asks nobody'}",
            ]
        files[f"p{number}.yaml"] = "\n".join(lines).encode()
    return files


def request(route: int) -> AuthzRequest:
    return AuthzRequest(
        method="GET",
        path=parse_path(f"/area{route % 40}/v1/kind{route}/4711", 8192),
        authority=Authority.parse("p0.example"),
        headers=Headers(),
        scheme="https",
        protocol="",
        source=Peer(),
        destination=Peer(),
        service="",
        transport=Transport.TLS,
        grpc=False,
        upgrade="",
    )


def microseconds(policy: PolicySet, asked: AuthzRequest) -> float:
    assert isinstance(policy.match(asked), Matched)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(MATCHES // 5):
            policy.match(asked)
        best = min(best, time.perf_counter() - start)
    return best / (MATCHES // 5) * 1e6


def main() -> None:
    smallest = 0.0
    for size in SIZES:
        files = directory(size)
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        loaded = load(files)
        seconds = time.perf_counter() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert loaded.policy is not None, loaded.faults[:3]
        cost = microseconds(loaded.policy, request(min(size, ROUTES_PER_POLICY) - 1))
        smallest = smallest or cost
        print(
            f"{size:>6} routes: {cost:.2f} us per match (x{cost / smallest:.2f}), "
            f"loaded in {seconds:.2f} s, peak memory grew by {grown:.0f} MB"
        )


if __name__ == "__main__":
    main()
