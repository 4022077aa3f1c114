"""One authz and one Envoy before one application, as in the end-to-end tests, with the certified provider.

Owns: putting `tests.e2e.edge` and `tests.real.idp` together. Must not: send requests of its own.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from authz.model.reason import ALLOWED
from examples.store.client import Answer
from examples.store.processes import Processes
from tests.e2e.edge import Edge
from tests.real.idp import INTROSPECTION_CLIENTS, INTROSPECTION_SECRET, RealProvider
from tests.real.redis_server import RedisServer

POLICIES = Path(__file__).parent / "policies"


_Kind = TypeVar("_Kind", bound="ProviderEdge")


class ProviderEdge(Edge):
    """Made by `edge_with_provider`; `corp` is the issuer of that name in the policies."""

    def __init__(self, directory: Path, processes: Processes, corp: RealProvider) -> None:
        super().__init__(directory, processes)
        self.corp = corp
        self.of_issuer = ""
        """Lines that the issuer has beside those of `policies/issuers.yaml`."""

    def issuers(self) -> dict[str, str]:
        return {"https://idp.shop.example": self.corp.issuer}

    def put_policies(self, *names: str, replacements: Mapping[str, str] | None = None) -> None:
        """Files of `policies/`, with the provider's real address in them; each in place all at once."""
        self.policy.mkdir(exist_ok=True)
        for name in names:
            text = (POLICIES / name).read_text()
            text += self.of_issuer if name == "issuers.yaml" else ""
            for old, new in {**self.issuers(), **(replacements or {})}.items():
                text = text.replace(old, new)
            self.put(name, text.encode())

    def introspect(self, method: str = "client_secret_basic", *, cache_ttl: str = "30s") -> Path:
        """Let opaque tokens be asked about, as the client that authenticates so; the file with its credential."""
        client = INTROSPECTION_CLIENTS[method]
        credential = self.directory / "introspection-credential"
        with_key = method == "private_key_jwt"
        key = self.corp.key.as_pem(private=True)
        credential.write_bytes(key if with_key else INTROSPECTION_SECRET.encode())
        credential.chmod(0o600)
        self.of_issuer = f"""\
    introspection:
      endpoint: {self.corp.issuer}/token/introspection
      client_id: {client}
      auth_method: {method}
      {"private_key_file" if with_key else "client_secret_file"}: {credential}
      cache_ttl: {cache_ttl}
"""
        self.put_policies("issuers.yaml")
        return credential

    def put(self, name: str, content: bytes) -> None:
        """One file of the policy directory, in place all at once."""
        path = self.policy / name
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(content)
        fresh.replace(path)

    def start(self, **settings: str) -> ProviderEdge:
        """authz and its Envoy."""
        self.start_authz(**settings)
        self.start_envoy()
        return self

    def status(self, target: str, token: str, *, method: str = "GET") -> int:
        """The status of one request with a bearer token."""
        return self.send(method, target, token=token).status

    def denied(self, target: str, token: str, *, method: str = "GET") -> tuple[int, str]:
        """Status and recorded reason of one request with a bearer token."""
        answer = self.send(method, target, token=token)
        return answer.status, self.reason(answer)


class PairEdge(ProviderEdge):
    """Two authz that share nothing but Redis, each with an Envoy (`first` or not)."""

    redis: RedisServer

    def start_pair(self, **settings: str) -> None:
        """Both write one audit trail, so that a reason is found whoever decided."""
        trail = str(self.directory / "authz-0.jsonl")
        for raw in (True, False):
            own = {name: self.own(value) for name, value in settings.items()}
            self.start_authz(**{"store_url": self.redis.url, "audit_file": trail, **own})
            self.start_envoy(raw=raw)

    def own(self, value: str) -> str:
        """A setting as the next instance gets it: `{number}` is its number."""
        return value.replace("{number}", str(len(self.instances)))

    def why(self, answer: Answer) -> tuple[int, str]:
        """Status and recorded reason, whichever of the two decided."""
        decision_id = answer.headers.get("x-authz-decision-id", "")
        if answer.status == 200:
            return 200, ALLOWED
        return answer.status, str(self.instances[0].audit.find(decision_id)["reason"])

    def at_both(self, token: str, target: str = "/anyone") -> list[tuple[int, str]]:
        """What a bearer token gets at one and at the other."""
        return [self.why(self.send("GET", target, token=token, raw=raw)) for raw in (True, False)]


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose name leaves room for Unix sockets (108 bytes at most)."""
    with tempfile.TemporaryDirectory(prefix="authz-real-") as name:
        yield Path(name)


@contextlib.contextmanager
def edge_with_provider(kind: type[_Kind]) -> Iterator[_Kind]:
    """Application, policy and a provider that isn't started; no authz and no Envoy yet. `kind`: what to make."""
    with short_directory() as directory, Processes(directory) as processes:
        edge = kind(directory, processes, RealProvider(directory, processes))
        edge.put_policies("issuers.yaml", "shop.yaml")
        with edge.application:
            yield edge
