"""`authz fmt`: one form, the same meaning, every comment still there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from authz.cli import main
from authz.cli.fmt import format_text

STORE = sorted((Path(__file__).parents[3] / "examples" / "store" / "policy").rglob("*.yaml"))

UNTIDY = """\
# orders belong to team-orders
metadata:   {owner: team-orders,   name: orders}
kind: RoutePolicy
apiVersion: authz/v1
service:
    at: ["spiffe://shop.example/orders"]   # the sidecar
    hosts: [orders.shop.example]
routes:
- allow: {user: {}}
  match: {path: "/a/{x}", methods: [GET]}
  id: a
"""


def comments(text: str) -> list[str]:
    return sorted(re.findall(r"#.*", text))


@pytest.mark.parametrize("file", STORE, ids=lambda file: file.name)
def test_the_store_is_in_the_stable_form(file: Path) -> None:
    """What is formatted stays as it is."""
    text = file.read_text("utf-8")

    assert format_text(text) == text


def test_an_untidy_policy_becomes_tidy_and_stays_so() -> None:
    """Keys in order where no comment stands between them, indentation, one final line feed."""
    tidy = format_text(UNTIDY)

    assert '  - id: a\n    match: {methods: [GET], path: "/a/{x}"}\n    allow: {user: {}}\n' in tidy
    assert comments(tidy) == comments(UNTIDY)
    assert format_text(tidy) == tidy


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2\n", "a: &x 1\nb: *x\n", "a: !!str 1\n"])
def test_what_the_loader_refuses_is_left_alone(text: str) -> None:
    """Formatting isn't the place to repair a file."""
    with pytest.raises(ValueError, match=r"\w"):
        format_text(text)


def test_files_are_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` and `--diff` change nothing; without them the file is replaced whole."""
    file = tmp_path / "orders.yaml"
    file.write_text(UNTIDY)

    assert main(["fmt", "--check", str(tmp_path)]) == 1
    assert main(["fmt", "--diff", str(tmp_path)]) == 1
    assert file.read_text() == UNTIDY
    assert main(["fmt", str(tmp_path)]) == 0
    assert file.read_text() == format_text(UNTIDY)
    assert main(["fmt", "--check", str(tmp_path)]) == 0
    assert "written" in capsys.readouterr().out


def test_a_broken_file_is_said_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3; others are formatted all the same."""
    (tmp_path / "broken.yaml").write_text("a: [1")
    (tmp_path / "orders.yaml").write_text(UNTIDY)

    assert main(["fmt", str(tmp_path)]) == 3
    assert "left as it is" in capsys.readouterr().err
    assert (tmp_path / "broken.yaml").read_text() == "a: [1"
    assert (tmp_path / "orders.yaml").read_text() == format_text(UNTIDY)
