"""What the demo walks through: each request with the verdict, the reason and the sight of the upstream it must get.

Owns: the table, and comparing one outcome with its line. Must not: start or print anything.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from examples.store import client
from examples.store.client import Answer
from examples.store.provider import Provider, SigningKeys
from examples.store.store import PUBLIC_HOST, SERVICES

ALLOWED = "allowed"
GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One request. `to` names the gateway or a service; `caller` the workload whose SVID is shown, if any."""

    title: str
    method: str = "GET"
    target: str
    to: str = GATEWAY
    caller: str = ""
    token: str = ""
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    reason: str = ALLOWED
    by: str = ""
    """The policy that decided last, where there was one."""
    upstream: str = ""
    """The service that the request has to reach in the end; empty: none may see it."""
    sees: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    """Headers that this service must see, and those that it must not."""

    @property
    def authority(self) -> str:
        return self.host or (PUBLIC_HOST if self.to == GATEWAY else SERVICES[self.to].host)


SPOOFED = {"X-Authz-Subject": "admin", "X_Authz_Subject": "admin", "X-Authz-Workload": "spiffe://shop.example/root"}

SCENARIOS = (
    Scenario(
        title="anybody asks for the gateway's health",
        target="/healthz",
        by="gateway",
        upstream="gateway",
        lacks=("x-authz-subject",),
    ),
    Scenario(
        title="alice reads her order: gateway, frontend, orders",
        target="/orders/42",
        token="alice",
        by="orders",
        upstream="orders",
        sees={"x-authz-subject": "alice", "x-authz-workload": SERVICES["frontend"].spiffe_id},
    ),
    Scenario(
        title="alice pays: orders asks inventory and payments",
        method="POST",
        target="/orders/42/payment",
        token="alice",
        by="payments",
        upstream="payments",
        sees={"x-authz-workload": SERVICES["orders"].spiffe_id},
        lacks=("authorization", "x-authz-subject"),
    ),
    Scenario(
        title="alice reads her own profile",
        target="/profiles/alice",
        token="alice",
        by="user-profile",
        upstream="user-profile",
        sees={"x-authz-subject": "alice", "x-user-email": "alice@shop.example"},
        lacks=("authorization",),
    ),
    Scenario(
        title="alice spoofs identity headers: they don't arrive",
        target="/orders/42",
        token="alice",
        headers=SPOOFED,
        by="orders",
        upstream="orders",
        sees={"x-authz-subject": "alice"},
        lacks=("x_authz_subject",),
    ),
    Scenario(
        title="spoofed on a public route: they don't arrive either",
        target="/healthz",
        headers=SPOOFED,
        by="gateway",
        upstream="gateway",
        lacks=("x-authz-subject", "x_authz_subject", "x-authz-workload"),
    ),
    Scenario(
        title="the payment provider calls the webhook",
        method="POST",
        target="/webhooks/payment",
        by="payments",
        upstream="payments",
        sees={"x-authz-workload": SERVICES["gateway"].spiffe_id},
    ),
    Scenario(
        title="the nightly batch job settles",
        method="POST",
        target="/settlements/nightly",
        to="payments",
        caller="nightly-batch",
        token="the batch job",
        by="payments",
        upstream="payments",
        sees={"x-authz-subject": "nightly-batch"},
    ),
    Scenario(
        title="a neighbour looks at the stock",
        target="/stock/order-42",
        to="inventory",
        caller="user-profile",
        by="inventory",
        upstream="inventory",
        sees={"x-authz-workload": SERVICES["user-profile"].spiffe_id},
    ),
    Scenario(title="no token", target="/orders/42", status=401, reason="credential_missing", by="gateway"),
    Scenario(
        title="an expired token",
        target="/orders/42",
        token="alice, expired",
        status=401,
        reason="token_expired",
        by="gateway",
    ),
    Scenario(
        title="a token for another audience",
        target="/orders/42",
        token="alice, for another API",
        status=401,
        reason="audience_mismatch",
        by="gateway",
    ),
    Scenario(
        title="a token of an issuer that nobody trusts",
        target="/orders/42",
        token="alice, of an unknown issuer",
        status=401,
        reason="issuer_unknown",
        by="gateway",
    ),
    Scenario(
        title="a token with a forged signature",
        target="/orders/42",
        token="alice, forged",
        status=401,
        reason="token_signature_invalid",
        by="gateway",
    ),
    Scenario(
        title="the partner's alice is not our alice",
        target="/profiles/alice",
        token="alice, of the partner",
        status=403,
        reason="issuer_not_permitted",
        by="user-profile",
    ),
    Scenario(
        title="alice asks for bob's order",
        target="/orders/7",
        token="alice",
        status=403,
        reason="claim_mismatch",
        by="orders",
    ),
    Scenario(
        title="bob asks for alice's profile",
        target="/profiles/alice",
        token="bob",
        status=403,
        reason="subject_not_permitted",
        by="user-profile",
    ),
    Scenario(
        title="bob may read his order, not pay",
        method="POST",
        target="/orders/7/payment",
        token="bob",
        status=403,
        reason="scope_missing",
        by="orders",
    ),
    Scenario(
        title="the wrong workload calls orders",
        target="/orders/42",
        to="orders",
        caller="inventory",
        token="alice",
        status=403,
        reason="workload_not_permitted",
        by="orders",
    ),
    Scenario(
        title="the frontend calls payments itself",
        method="POST",
        target="/transaction",
        to="payments",
        caller="frontend",
        status=403,
        reason="workload_not_permitted",
        by="payments",
    ),
    Scenario(
        title="no client certificate",
        target="/orders/42",
        to="orders",
        token="alice",
        status=403,
        reason="workload_missing",
        by="orders",
    ),
    Scenario(
        title="a quarantined workload",
        target="/stock/order-42",
        to="inventory",
        caller="old-reports",
        status=403,
        reason="guardrail_denied",
        by="inventory",
    ),
    Scenario(
        title="another service's Host",
        method="POST",
        target="/transaction",
        to="orders",
        caller="frontend",
        host="payments.shop.example",
        status=403,
        reason="destination_unmatched",
    ),
    Scenario(
        title="a path with dot segments",
        target="/healthz/../orders/42",
        token="alice",
        status=400,
        reason="path_not_canonical",
    ),
    Scenario(
        title="encoded dot segments",
        target="/healthz/%2e%2e/orders/42",
        token="alice",
        status=400,
        reason="path_not_canonical",
    ),
    Scenario(
        title="a method that no route lists",
        method="PUT",
        target="/orders/42",
        token="alice",
        status=403,
        reason="method_unmatched",
        by="gateway",
    ),
    Scenario(
        title="a path without a route",
        target="/admin",
        token="alice",
        status=403,
        reason="route_unmatched",
        by="gateway",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened. `differences` is empty when all is as it should be."""

    scenario: Scenario
    status: int
    reason: str
    who: str
    saw: str
    decision_id: str
    differences: tuple[str, ...]


class Trail(Protocol):
    """Where decisions are written."""

    def find(self, decision_id: str, /) -> Mapping[str, object]: ...


class Reachable(Protocol):
    """A running store as its visitors see it, on this machine's loopback or from inside a container."""

    @property
    def web_ca_file(self) -> Path: ...

    @property
    def mesh_ca_file(self) -> Path: ...

    @property
    def audit(self) -> Trail: ...

    @property
    def providers(self) -> Mapping[str, Provider]:
        """`corp`, `partner` and `unknown`, with the keys that they sign with."""
        ...

    def door(self, service: str, /) -> tuple[str, int]:
        """Address and port of a service's Envoy."""
        ...

    def svid(self, workload: str, /) -> Path: ...

    def log_in(self, name: str, /) -> str: ...

    def batch_token(self) -> str: ...


class Walk:
    """Sends scenarios through a running store."""

    def __init__(self, store: Reachable) -> None:
        self._store = store
        self._tokens = {name: make(store) for name, make in TOKENS.items()}
        self._public = client.public(store.web_ca_file)

    def run(self, scenario: Scenario) -> Outcome:
        answer = self.send(scenario)
        end = end_of_chain(answer.document)
        decision_id = decision_of(answer, end)
        line = self._store.audit.find(decision_id) if decision_id else {"reason": "no decision"}
        return Outcome(
            scenario=scenario,
            status=answer.status,
            reason=str(line.get("reason")),
            who=who(line),
            saw=sight(end),
            decision_id=decision_id,
            differences=tuple(differences(scenario, answer.status, line, end)),
        )

    def token(self, name: str) -> str:
        return self._tokens[name]

    def send(self, scenario: Scenario) -> Answer:
        address, port = self._store.door(scenario.to)
        headers = dict(scenario.headers)
        if scenario.token:
            headers["Authorization"] = f"Bearer {self._tokens[scenario.token]}"
        if scenario.method not in ("GET", "HEAD"):
            headers["Content-Length"] = "0"
        at_gateway = scenario.to == GATEWAY
        return client.send(
            port,
            scenario.method,
            scenario.target,
            host=scenario.authority,
            headers=headers,
            address=address,
            tls=self._public if at_gateway else self._mesh(scenario.caller),
            server_name=PUBLIC_HOST if at_gateway else None,
        )

    def _mesh(self, caller: str) -> ssl.SSLContext:
        svid = self._store.svid(caller) if caller else None
        return client.mesh(self._store.mesh_ca_file, svid)


def end_of_chain(document: Mapping[str, object]) -> Mapping[str, object]:
    """The report of the last service that was called, or the denial that ended the chain."""
    calls = document.get("calls")
    if isinstance(calls, list) and calls:
        return end_of_chain(calls[-1])
    return document


def decision_of(answer: Answer, end: Mapping[str, object]) -> str:
    """The id of the last decision: from what the upstream saw, from the denial, or from the answer's headers."""
    seen = headers_of(end).get("x-authz-decision-id") or end.get("decision_id")
    return str(seen or answer.headers.get("x-authz-decision-id", ""))


def headers_of(report: Mapping[str, object]) -> Mapping[str, str]:
    headers = report.get("headers")
    return headers if isinstance(headers, dict) else {}


def who(line: Mapping[str, object]) -> str:
    """Who acted, in a few words, from the audit line."""
    user, workload_line = line.get("user"), line.get("workload")
    subject = str(user["subject"]) if isinstance(user, dict) else ""
    workload = str(workload_line["id"]).rpartition("/")[2] if isinstance(workload_line, dict) else ""
    return " via ".join(part for part in (subject, workload) if part) or "nobody"


def sight(report: Mapping[str, object]) -> str:
    """The upstream and the identity headers that it saw, in a few words."""
    if "service" not in report:
        return "nothing"
    headers = headers_of(report)
    shown = [f"subject={headers['x-authz-subject']}"] if "x-authz-subject" in headers else []
    if "x-authz-workload" in headers:
        shown.append(f"workload={headers['x-authz-workload'].rpartition('/')[2]}")
    return " ".join([f"{report['service']}:", *(shown or ["no identity"])])


def differences(scenario: Scenario, status: int, line: Mapping[str, object], end: Mapping[str, object]) -> list[str]:
    """Where the outcome isn't what the scenario says."""
    headers = headers_of(end)
    expected: list[tuple[str, object, object]] = [
        ("status", scenario.status, status),
        ("reason", scenario.reason, line.get("reason")),
        ("policy", scenario.by, line.get("policy") or ""),
        ("upstream", scenario.upstream, end.get("service", "")),
        *((name, value, headers.get(name)) for name, value in scenario.sees.items()),
        *((name, None, headers.get(name)) for name in scenario.lacks),
    ]
    return [f"{what}: expected {wanted}, got {got}" for what, wanted, got in expected if wanted != got]


def _hour_ago() -> dict[str, object]:
    now = int(time.time())
    return {"iat": now - 7200, "exp": now - 3600}


def _forged(store: Reachable) -> str:
    """Signed by a stranger's key that claims to be the provider's."""
    stranger = SigningKeys().current
    corp = store.providers["corp"]
    return corp.odd_token("alice", key=stranger, header={"kid": corp.keys.current.kid})


TOKENS: Mapping[str, Callable[[Reachable], str]] = {
    "alice": lambda store: store.log_in("alice"),
    "bob": lambda store: store.log_in("bob"),
    "the batch job": lambda store: store.batch_token(),
    "alice, expired": lambda store: store.providers["corp"].odd_token("alice", changes=_hour_ago()),
    "alice, for another API": lambda store: store.providers["corp"].odd_token("alice", changes={"aud": "hr-api"}),
    "alice, of an unknown issuer": lambda store: store.providers["unknown"].odd_token("alice"),
    "alice, of the partner": lambda store: store.providers["partner"].odd_token("alice"),
    "alice, forged": _forged,
}
"""Who shows which token; made when the demo starts."""
