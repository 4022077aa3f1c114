"""Shell completion: what bash offers where the cursor stands, asked of bash itself."""

from __future__ import annotations

import subprocess

import pytest

from authz.cli import main, parser
from authz.cli.grammar import commands


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def offered(completion: str, *words: str) -> list[str]:
    """What bash offers for the last word."""
    line = " ".join(f"'{word}'" for word in words)
    at = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}"
    asked = f'{completion}\n{at}; _authz; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-euc", asked], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("authz", "exp"), ["explain-code", "explain"]),
        (("authz", "lint", "--out"), ["--output"]),
        (("authz", "lint", "--output", ""), ["text", "json", "sarif", "github"]),
        (("authz", "lint", "--output", "s"), ["sarif"]),
        (("authz", "lint", "policy", "--st"), ["--strict"]),
        (("authz", "config", "s"), ["show"]),
        (("authz", "config", "show", "--conf"), ["--config"]),
        (("authz", "revoke", "to"), ["token"]),
        (("authz", "schema", "Route"), ["RoutePolicy", "RoutePolicyTest"]),
        (("authz", "--v"), ["--version"]),
        (("authz", "lint", "pol"), []),
        (("authz", "lint", "--now", "2"), []),
        (("authz", "test", "-k", "lint", "--mu"), ["--mutate"]),
    ],
    ids=" ".join,
)
def test_bash_offers_what_fits(words: tuple[str, ...], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Commands, options after a dash, values of closed lists; nothing (so that bash offers files) elsewhere."""
    assert offered(script("bash", capsys), *words) == expected


def test_bash_offers_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of the grammar is left out."""
    completion = script("bash", capsys)

    for command in commands(parser()):
        names = {name for option in command.options for name in option.names}
        assert names <= set(offered(completion, "authz", *command.path, "-")), command.name
        assert set(command.words) <= set(offered(completion, "authz", *command.path, "")), command.name


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_know_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same grammar, in each shell's own words."""
    completion = script(shell, capsys)

    for command in commands(parser()):
        for option in command.options:
            for name in option.names:
                assert f"-l {name[2:]}" in completion or f"-s {name[1:]}" in completion or name in completion
        assert all(word in completion for word in command.words)
