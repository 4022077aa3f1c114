"""Makes requests, routes and policy files for tests of matching and linking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from authz.model.decision import Denial
from authz.model.headers import Headers
from authz.model.host import Authority
from authz.model.path import RequestPath, parse_path
from authz.model.request import AuthzRequest, Peer, Transport
from authz.policy.compiled import CompiledRoute, Matched, Usage
from authz.policy.templates import parse_template

GUARDRAILS_BY_HOST = "apiVersion: authz/v1\nkind: Guardrails\nbind: host\n"


def request(
    target: str = "/",
    method: str = "GET",
    host: str = "a.example",
    *,
    at: str = "",
    service: str = "",
    upgrade: str = "",
    headers: Iterable[tuple[str, str]] = (),
) -> AuthzRequest:
    """A request as `parse_request` would make it."""
    return AuthzRequest(
        method=method,
        path=parse_path(target, 8192),
        authority=Authority.parse(host),
        headers=Headers(headers),
        scheme="https",
        protocol="",
        source=Peer(),
        destination=Peer(principal=at),
        service=service,
        transport=Transport.TLS,
        grpc=False,
        upgrade=upgrade,
    )


def path(*segments: str) -> RequestPath:
    return RequestPath(segments, "/" + "/".join(segments))


def route(template: str, *methods: str, name: str = "", policy: str = "p", upgrade: str = "") -> CompiledRoute:
    """A route that nothing is required of."""
    return CompiledRoute(
        id=name or template,
        policy=policy,
        methods=methods or ("GET",),
        upgrade=upgrade,
        template=parse_template(template),
        plan=None,
        usage=Usage(),
    )


def policy(
    name: str,
    *paths: str,
    hosts: str = "a.example",
    at: str = "",
    extra: str = "",
    allow: str = "{public: open to all}",
) -> bytes:
    """A RoutePolicy: one GET route for each path, with the path as its id."""
    lines = [
        "apiVersion: authz/v1",
        "kind: RoutePolicy",
        f"metadata: {{name: {name}}}",
        "service:",
        f"  hosts: [{hosts}]",
        *([f"  at: [{at}]"] if at else []),
        *([f"  {extra}"] if extra else []),
        "routes:",
    ]
    for number, text in enumerate(paths):
        lines += [f"- id: r{number}", f"  match: {{methods: [GET], path: '{text}'}}", f"  allow: {allow}"]
    return ("\n".join(lines) + "\n").encode()


def guardrails(text: str = "") -> bytes:
    """A Guardrails document that binds by host, or says `text`."""
    return ("apiVersion: authz/v1\nkind: Guardrails\n" + (text or "bind: host\n")).encode()


def files(**contents: bytes) -> Mapping[str, bytes]:
    return {f"{name}.yaml": content for name, content in contents.items()}


def answer(found: Matched | Denial) -> str:
    """`POLICY/ROUTE`, or the code of the reason."""
    return found.reason.code if isinstance(found, Denial) else f"{found.route.policy}/{found.route.id}"
