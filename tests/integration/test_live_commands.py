"""`authz issuer check` and `authz bundle show` against real servers: every step, every verdict, every exit code."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authz.cli import main
from tests.fakes.web_server import answer, serving
from tests.fakes.workload_agent import WorkloadAgent
from tests.mint.certificates import TRUST_DOMAIN, authority, bundle, svid
from tests.mint.jwk_documents import key_set
from tests.mint.keys import signing_key
from tests.mint.tls_material import Authority, server_context

HEAD = "apiVersion: authz/v1\n"


class Provider:
    """What an issuer's server answers, by path."""

    def __init__(self) -> None:
        self.port = 0
        self.pages: dict[str, bytes] = {}

    def __call__(self, connection: socket.socket, head: bytes) -> None:
        page = self.pages.get(head.split(b" ")[1].decode())
        answer(page or b"", status="200 OK" if page is not None else "404 Not Found")(connection, head)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def publish(self, issuer: str | None = None, keys: bytes = b"", path: str = "openid-configuration") -> None:
        metadata = {"issuer": issuer or self.url, "jwks_uri": f"{self.url}/jwks"}
        self.pages = {f"/.well-known/{path}": json.dumps(metadata).encode(), "/jwks": keys or key_set("k1", "k2")}


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    with serving(provider) as port:
        provider.port = port
        yield provider


def policy(directory: Path, *documents: str) -> str:
    (directory / "platform.yaml").write_text("---\n".join(HEAD + document for document in documents))
    return str(directory)


def issuers(url: str, keys: str = "discovery") -> str:
    return f"kind: Issuers\nissuers: {{corp: {{issuer: '{url}', audiences: [shop], keys: {keys}}}}}\n"


def domains(origin: str) -> str:
    entries = f"trustDomains: {{shop.example: {{bundle: {origin}}}}}\n"
    return f"kind: TrustDomains\n{entries}peers: {{verified_by: certificate}}\n"


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


# --- issuer check ---


def test_a_sound_issuer_is_shown_step_by_step(
    tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was fetched, that the name matches, and each key."""
    provider.publish()

    assert main(["issuer", "check", policy(tmp_path, issuers(provider.url))]) == 0

    lines = said(capsys)
    assert lines[0] == "corp: ok"
    assert [line.split()[0] for line in lines[1:]] == ["ok", "ok", "ok", "ok", "key", "key"]
    assert lines[1].split()[1] == f"{provider.url}/.well-known/openid-configuration:"
    assert lines[5].split() == ["key", "k1", "ES256"]


def test_the_second_discovery_document_will_do(
    tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first one's absence is shown and is no fault."""
    provider.publish(path="oauth-authorization-server")

    assert main(["issuer", "check", policy(tmp_path, issuers(provider.url))]) == 0

    assert "no" in said(capsys)[1].split()


@pytest.mark.parametrize(
    ("publish", "step"),
    [
        ({"issuer": "http://127.0.0.1"}, "the discovery document names another issuer"),
        ({"keys": b'{"keys": []}'}, "the key set holds no usable key"),
        ({"keys": b"<html>"}, "a key set is a JSON object"),
    ],
)
def test_an_issuer_that_answers_wrongly_is_exit_code_1(
    tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str], publish: dict[str, Any], step: str
) -> None:
    """The step that failed is the last one."""
    provider.publish(**publish)

    assert main(["issuer", "check", policy(tmp_path, issuers(provider.url))]) == 1

    lines = said(capsys)
    assert lines[0] == "corp: no"
    assert step in lines[-1]


def test_an_issuer_that_is_down_is_exit_code_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says how."""
    directory = policy(tmp_path, issuers("http://127.0.0.1:9"))

    assert main(["issuer", "check", directory]) == 5

    assert "the connection was refused" in said(capsys)[-1]


def test_json_and_a_key_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For other programs; nothing is fetched for a file."""
    (tmp_path / "keys.json").write_bytes(key_set("k1"))
    directory = policy(tmp_path, issuers("https://idp.shop.example", "{jwks_file: keys.json}"))

    assert main(["issuer", "check", directory, "--output", "json"]) == 0

    found = json.loads(capsys.readouterr().out)["issuers"][0]
    assert (found["verdict"], found["keys"]) == ("ok", [{"kid": "k1", "algorithm": "ES256"}])


def test_an_unknown_issuer_and_a_broken_directory(
    tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage is 2, policy is 3."""
    provider.publish()
    directory = policy(tmp_path, issuers(provider.url))

    assert main(["issuer", "check", directory, "--issuer", "nobody"]) == 2
    assert main(["issuer", "check", policy(tmp_path, "kind: Issuers\n")]) == 3


# --- bundle show ---


def test_a_bundle_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sequence, authorities with their end, and keys for JWT-SVIDs."""
    keys = signing_key("ES256", "k9").jwk(use="jwt-svid")
    (tmp_path / "shop.json").write_bytes(bundle(authority(), keys))

    assert main(["bundle", "show", policy(tmp_path, domains("{file: shop.json}"))]) == 0

    lines = said(capsys)
    assert lines[0] == "shop.example: fresh"
    assert lines[1].split() == ["source", "file", "shop.json"]
    assert lines[2].split() == ["sequence", "1"]
    assert "CN=root.shop.example until 2026-09-22T14:13:20Z, not valid now" in lines[4]
    assert lines[6].split() == ["jwt", "key", "k9", "ES256"]


def test_a_bundle_from_an_endpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fetched under the settings' rules: the CA file, private addresses."""
    web = Authority()
    (tmp_path / "ca.pem").write_bytes(web.certificate)
    with serving(answer(bundle(authority())), server_context(tmp_path, web.leaf())) as port:
        origin = f"{{endpoint: 'https://localhost:{port}/', profile: https_web}}"
        directory = policy(tmp_path, domains(origin))
        flags = ["--keys-ca-file", str(tmp_path / "ca.pem"), "--keys-allow-private", "true"]

        assert main(["bundle", "show", directory, *flags, "--output", "json"]) == 0
        found = json.loads(capsys.readouterr().out)["bundles"][0]
        assert (found["state"], found["sequence"], len(found["authorities"])) == ("fresh", 1, 1)

        assert main(["bundle", "show", directory, "--keys-allow-private", "true"]) == 1
        assert "the server's certificate doesn't verify" in capsys.readouterr().out


def test_a_bundle_from_the_workload_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And without an agent: exit code 5."""
    agent = WorkloadAgent(tmp_path / "agent.sock")
    agent.hand_out(("spiffe://shop.example/a", svid()), authorities={TRUST_DOMAIN: [authority()]})
    directory = policy(tmp_path, domains("{workload_api: true}"))
    flags = ["--keys-workload-api", agent.address]

    assert main(["bundle", "show", directory, *flags]) == 5
    assert "there is no such socket" in capsys.readouterr().out
    agent.start()
    try:
        assert main(["bundle", "show", directory, *flags]) == 0
        assert f"workload API {agent.address}" in capsys.readouterr().out
    finally:
        agent.stop()


def test_a_bundle_file_that_cant_be_read_or_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What isn't there is 5, what is no bundle is 1; it is shown like the others."""
    directory = policy(tmp_path, domains("{file: shop.json}"))

    assert main(["bundle", "show", directory]) == 5
    assert "shop.example: absent" in capsys.readouterr().out
    (tmp_path / "shop.json").write_text("{")
    assert main(["bundle", "show", directory]) == 1
