"""`authz explain` with real tokens, and how it reads what it is asked."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from authz.cli import main
from authz.cli.failure import CommandFailed
from authz.cli.moment import moment
from authz.model.request import split_url
from tests.mint import tokens
from tests.mint.keys import jwk_set, signing_key

ISSUERS = """\
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    keys: {keys}
    claims: {{level: [https://shop.example/level]}}
"""
POLICY = """\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders}
service: {hosts: [orders.shop.example]}
routes:
  - id: read
    match: {methods: [GET], path: "/orders/{id}"}
    allow: {user: {subjects: {any: ["{path.id}"]}, scopes: {all: ["orders:read"]}}}
  - id: level
    match: {methods: [GET], path: /level}
    allow: {user: {kind: client, claims: {level: {equals: 3}}}}
  - id: step-up
    match: {methods: [GET], path: /step-up}
    allow: {user: {acr: {any: [gold]}, amr: {all: [otp]}, auth_age: {max: 15m}}}
"""
TIME = str(int(tokens.NOW))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path, "{jwks_file: corp.json}")


def write(directory: Path, keys: str) -> Path:
    (directory / "issuers.yaml").write_text(ISSUERS.format(keys=keys))
    (directory / "orders.yaml").write_text(POLICY)
    (directory / "corp.json").write_bytes(jwk_set(signing_key("RS256")))
    return directory


def explain(directory: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON report."""
    target = arguments[0] if arguments and arguments[0].startswith("/") else "/orders/alice"
    code = main(
        [
            "explain",
            str(directory),
            "GET",
            f"orders.shop.example{target}",
            "--output",
            "json",
            "--now",
            TIME,
            *(argument for argument in arguments if argument != target),
        ]
    )
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, report


def test_a_token_is_verified_for_real(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the directory's keys; a changed octet isn't accepted."""
    token = tokens.mint()

    assert explain(directory, capsys, "--token", token)[0] == 0
    code, report = explain(directory, capsys, "--token", token[:-8] + "AAAAAAAA")
    assert (code, report["reason"]) == (1, "token_signature_invalid")


def test_a_token_may_come_from_a_file_or_standard_input(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it doesn't end in the shell's history."""
    (directory / "token").write_text(tokens.mint() + "\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(tokens.mint() + "\n"))

    assert explain(directory, capsys, "--token", f"@{directory / 'token'}")[0] == 0
    assert explain(directory, capsys, "--token", "-")[0] == 0


def test_an_expired_token_is_denied_as_of_now(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--now` moves the whole decision."""
    code = main(
        [
            "explain",
            str(directory),
            "GET",
            "orders.shop.example/orders/alice",
            "--token",
            tokens.mint(),
            "--now",
            str(int(tokens.NOW) + 7200),
            "--output",
            "json",
        ]
    )

    assert (code, json.loads(capsys.readouterr().out)["reason"]) == (1, "token_expired")


def test_network_keys_are_undecided_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is fetched: 503 and exit code 6, unless the key set is given."""
    directory = write(tmp_path, "discovery")
    token = tokens.mint()

    code, report = explain(directory, capsys, "--token", token)
    assert (code, report["reason"]) == (6, "keys_unavailable")

    assert explain(directory, capsys, "--token", token, "--keys", str(directory / "corp.json"))[0] == 0
    assert explain(directory, capsys, "--token", token, "--keys", f"corp={directory / 'corp.json'}")[0] == 0
    assert explain(directory, capsys, "--token", token, "--keys", f"other={directory / 'corp.json'}")[0] == 6


def test_an_asserted_user_meets_the_same_conditions(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Subject and scopes as a token would have them."""
    scope = ("--scope", "orders:read")

    assert explain(directory, capsys, "--as", "corp:alice", *scope)[0] == 0
    assert explain(directory, capsys, "--as", "corp:alice")[1]["reason"] == "scope_missing"
    assert explain(directory, capsys, "--as", "corp:bob", *scope)[1]["reason"] == "subject_not_permitted"


def test_claims_are_typed_and_placed_by_alias(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON where it can be read as such, through the issuer's alias; the kind can be told."""
    asserted = ("/level", "--as", "corp:batch", "--kind", "client", "--claim")

    assert explain(directory, capsys, *asserted, "level=3")[0] == 0
    assert explain(directory, capsys, *asserted, 'level="3"')[1]["reason"] == "claim_mismatch"
    person = explain(directory, capsys, "/level", "--as", "corp:batch", "--claim", "level=3")
    assert person[1]["reason"] == "subject_not_permitted"


def test_a_step_up_shows_the_challenge(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the client would be asked for."""
    recent = str(int(tokens.NOW) - 60)

    code, report = explain(directory, capsys, "/step-up", "--as", "corp:alice", "--amr", "otp", "--auth-time", recent)
    assert (code, report["reason"]) == (1, "acr_insufficient")
    assert "insufficient_user_authentication" in report["client"]["www_authenticate"]

    fresh = ("--acr", "gold", "--amr", "otp", "--auth-time", recent)
    assert explain(directory, capsys, "/step-up", "--as", "corp:alice", *fresh)[0] == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/x", ("http", "a.example", "/x")),
        ("https://a.example:8443/x?y=/z", ("https", "a.example:8443", "/x?y=/z")),
        ("a.example/x", ("http", "a.example", "/x")),
        ("a.example", ("http", "a.example", "/")),
        ("http://a.example?q=1", ("http", "a.example", "/?q=1")),
        ("http://a.example/a/../b//c%2e;d", ("http", "a.example", "/a/../b//c%2e;d")),
        ("http://a.example/x#y", ("http", "a.example", "/x#y")),
        ("http://u@a.example/x@y", ("http", "u@a.example", "/x@y")),
        ("http://[::1]:80/", ("http", "[::1]:80", "/")),
    ],
)
def test_a_url_is_split_and_nothing_in_it_repaired(url: str, expected: tuple[str, str, str]) -> None:
    """The path reaches the service's own parser octet for octet."""
    assert split_url(url) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1790000000", 1790000000.0), ("2026-11-21T10:00:00Z", 1795255200.0), ("2026-11-21T11:00:00+01:00", 1795255200.0)],
)
def test_times_are_numbers_or_rfc_3339(text: str, expected: float) -> None:
    """Always with an offset: a local time would mean something else elsewhere."""
    assert moment(text) == expected


@pytest.mark.parametrize("text", ["2026-11-21T10:00:00", "noon", "", "nan", "inf", "1e9"])
def test_other_times_are_a_usage_error(text: str) -> None:
    """Said with an example."""
    with pytest.raises(CommandFailed):
        moment(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--as", "alice"],
        ["--as", "corp:"],
        ["--claim", "x", "--as", "corp:a"],
        ["--token", "@/nonexistent"],
        ["--keys", "/nonexistent"],
        ["--claim", "sub.x=1", "--as", "corp:a"],
    ],
)
def test_unusable_arguments_are_said(directory: Path, arguments: list[str]) -> None:
    """Usage (2) or environment (5), never a bug (70)."""
    assert main(["explain", str(directory), "GET", "orders.shop.example/orders/1", *arguments]) in (2, 5)
