"""Judges requests by a policy written in a test: parse, compile and evaluate for real, one route, no matching."""

from __future__ import annotations

from dataclasses import dataclass, field

from authz.model.decision import Decision
from authz.model.principal import NOBODY, Principals
from authz.model.request import AuthzRequest
from authz.policy.compile import PolicyCompiler
from authz.policy.compiled import CompiledRoute, Matched
from authz.policy.document import ParsedDirectory, RoutePolicyDocument
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.faults import Fault, Faults, Severity
from authz.policy.guardrails import check_denies, check_exemptions, check_forbids, compile_guardrails
from authz.policy.parse import parse
from authz.policy.templates import parse_template
from tests.mint import principals

PLATFORM = """
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    keys: {jwks_file: keys/corp.json}
    claims: {tenant: ["https://shop.example/tenant"]}
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {bundle: {file: bundles/shop.json}}
roles:
  order-caller: [spiffe://shop.example/ns/shop/sa/frontend]
peers:
  verified_by: envoy
  forwarded: {trusted_proxies: [spiffe://shop.example/ns/edge/sa/gateway]}
"""
PARTNER = """
  partner:
    issuer: https://partner.example
    audiences: [shop-api]
    keys: {jwks_file: keys/partner.json}
"""


def with_partner() -> str:
    """The platform with a second issuer."""
    return PLATFORM.replace("---\n", PARTNER.lstrip("\n") + "---\n", 1)


@dataclass
class Judge:
    """`allow` is a requirement in YAML; `extra` are further lines of the route, `guardrails` of their document."""

    allow: str
    path: str = "/orders/{order_id}"
    extra: str = ""
    policy_extra: str = ""
    guardrails: str = ""
    requirements: str = ""
    platform: str = PLATFORM
    methods: str = "[GET]"
    faults: tuple[Fault, ...] = field(init=False)
    route: CompiledRoute | None = field(init=False)

    def __post_init__(self) -> None:
        faults = Faults()
        parsed = parse({"platform.yaml": self._platform().encode(), "orders.yaml": self._policy().encode()}, faults)
        self._guardrails = compile_guardrails(parsed, faults)
        self.route = self._compile(parsed, faults)
        check_exemptions(parsed, faults, None)
        self.faults = faults.sorted()

    @property
    def codes(self) -> list[str]:
        return [fault.code for fault in self.faults]

    @property
    def errors(self) -> list[str]:
        return [str(fault) for fault in self.faults if fault.severity is Severity.ERROR]

    def judge(
        self,
        who: Principals = NOBODY,
        request: AuthzRequest | None = None,
        *,
        now: float = 1_000_000.0,
        trace: bool = False,
        removable: frozenset[str] = frozenset(),
        preflight: bool = False,
        **variables: str,
    ) -> Decision:
        """The decision on a request that matched the route with these path variables."""
        assert not self.errors, self.errors
        assert self.route is not None
        request = request or principals.request()
        matched = Matched(
            route=self.route,
            path_variables=variables or {"order_id": "42"},
            host_variables={"tenant": "acme"},
            preflight=preflight,
        )
        _, covering = usage_of(matched, request)
        return evaluate(removable, matched, covering, request, who, now, trace=trace)

    def _compile(self, parsed: ParsedDirectory, faults: Faults) -> CompiledRoute | None:
        if not parsed.policies:
            return None
        document: RoutePolicyDocument = parsed.policies[0]
        compiler = PolicyCompiler(
            document, parsed, host_variables=frozenset({"tenant"}), guardrails=self._guardrails, faults=faults
        )
        route = compiler.route(document.routes[0], parse_template(self.path))
        if route is not None:
            check_forbids(document, route, parsed, faults)
            check_denies(document, route, parsed, faults)
        compiler.finish()
        return route

    def _platform(self) -> str:
        parts = [self.platform]
        if self.guardrails:
            parts.append("apiVersion: authz/v1\nkind: Guardrails\nguardrails:\n" + self.guardrails)
        if self.requirements:
            parts.append(
                "apiVersion: authz/v1\nkind: Requirements\nmetadata: {name: shared}\nrequirements:\n"
                + self.requirements
            )
        return "---\n".join(part.rstrip("\n") + "\n" for part in parts)

    def _policy(self) -> str:
        allow = "\n".join(" " * 6 + line for line in self.allow.strip("\n").split("\n"))
        return f"""apiVersion: authz/v1
kind: RoutePolicy
metadata: {{name: orders}}
service:
  hosts: [orders.shop.example, "{{tenant}}.orders.shop.example"]
{self.policy_extra}
routes:
  - id: orders.read
    match: {{methods: {self.methods}, path: "{self.path}"}}
    allow:
{allow}
{self.extra}
"""
