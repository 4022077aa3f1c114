"""Decision records as the check service makes them."""

from __future__ import annotations

from authz.model.decision import Decision, Denial, Permit
from authz.model.principal import PrincipalKind, User, Via, Workload
from authz.model.reason import Reason
from authz.model.record import DecisionRecord
from authz.model.request import RequestView, Transport
from authz.model.spiffe import SpiffeId


def alice(subject: str = "alice") -> User:
    return User(
        issuer="corp",
        issuer_url="https://idp.shop.example",
        subject=subject,
        kind=PrincipalKind.PERSON,
        client="spa",
        scopes=frozenset(),
        groups=None,
        roles=None,
        acr=None,
        amr=None,
        auth_time=None,
        expires_at=2e9,
        audiences=frozenset({"shop"}),
        claims={"email": "alice@shop.example"},
        aliases={},
        subject_hash="ab12",
    )


def permit() -> Permit:
    workload = Workload(id=SpiffeId.parse("spiffe://shop.example/ns/shop/sa/frontend"), via=Via.MTLS)
    return Permit(
        route="orders.read",
        policy="orders",
        alternative=0,
        set_headers=(),
        remove_headers=(),
        user=alice(),
        workload=workload,
    )


def denial(reason: Reason = Reason.SCOPE_MISSING, *, policy: str = "orders", detail: str = "") -> Denial:
    return Denial(reason=reason, route="orders.read", policy=policy, detail=detail)


def record(decision: Decision, *, path: str = "/orders/42", duration: float = 0.0004) -> DecisionRecord:
    return DecisionRecord(
        decision_id="d-1",
        time=1_795_255_200.25,
        duration=duration,
        decision=decision,
        view=RequestView(method="GET", host="orders.shop.example", path=path),
        transport=Transport.MTLS,
        revision="r1",
        source_address="10.1.2.3",
        destination="spiffe://shop.example/ns/shop/sa/orders",
    )
