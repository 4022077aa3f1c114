"""`authz completion SHELL`: completion for bash, zsh and fish, made from the command line's own grammar.

What is printed is fixed text: pressing Tab starts no Python. Where no closed list fits, the shell offers files.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import YES

if TYPE_CHECKING:
    from authz.cli.grammar import Command

NAME: Final = "completion"
HELP: Final = "print the completion of bash, zsh or fish"
DESCRIPTION: Final = (
    "Prints a script that completes commands, options and their values. bash: source <(authz completion bash); zsh: "
    "source <(authz completion zsh), after compinit; fish: authz completion fish | source."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument("shell", metavar="SHELL", choices=tuple(_SCRIPTS), help="bash, zsh or fish")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from authz.cli import parser
    from authz.cli.grammar import commands

    for line in _SCRIPTS[arguments.shell](tuple(commands(parser()))):
        print(line)
    return YES


def _bash(known: tuple[Command, ...]) -> Iterator[str]:
    yield "_authz() {"
    yield '  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" chosen="" index'
    yield "  COMPREPLY=()"
    yield "  for ((index = 1; index < COMP_CWORD; index++)); do"
    yield '    case "$chosen ${COMP_WORDS[index]}" in'
    yield f'      {_steps(known)}) chosen="${{chosen:+$chosen }}${{COMP_WORDS[index]}}" ;;'
    yield "    esac"
    yield "  done"
    yield from _cases(known, 'COMPREPLY=($(compgen -W "{}" -- "$current"))')
    yield "}"
    yield "complete -o default -F _authz authz"


def _zsh(known: tuple[Command, ...]) -> Iterator[str]:
    yield "#compdef authz"
    yield "_authz() {"
    yield '  local current="$words[CURRENT]" previous="$words[CURRENT-1]" chosen="" index'
    yield "  for ((index = 2; index < CURRENT; index++)); do"
    yield '    case "$chosen $words[index]" in'
    yield f'      {_steps(known)}) chosen="${{chosen:+$chosen }}$words[index]" ;;'
    yield "    esac"
    yield "  done"
    yield from _cases(known, "compadd -- {}", otherwise="_files")
    yield "}"
    yield "compdef _authz authz"


def _steps(known: Iterable[Command]) -> str:
    """The patterns of what leads from one command to a command below it."""
    return "|".join(f'"{_step(one)}"' for one in known if one.path)


def _step(command: Command) -> str:
    """The command above and the word that leads on."""
    return f"{' '.join(command.path[:-1])} {command.path[-1]}"


def _cases(known: Iterable[Command], offer: str, otherwise: str = ":") -> Iterator[str]:
    """Values of the option before the cursor; else, by the command, options after a dash and words without one."""
    yield '  case "$chosen:$previous" in'
    for one in known:
        for option in one.options:
            if option.takes_value:
                names = "|".join(f'"{one.name}:{name}"' for name in option.names)
                values = offer.format(" ".join(option.choices)) if option.choices else otherwise
                yield f"    {names}) {values}; return ;;"
    yield "  esac"
    yield '  case "$chosen:$current" in'
    for one in known:
        names = " ".join(name for option in one.options for name in option.names)
        yield f'    "{one.name}:-"*) {offer.format(names)} ;;'
        if one.words:
            files = "" if one.below else f"; {otherwise}"
            yield f'    "{one.name}:"*) {offer.format(" ".join(one.words))}{files} ;;'
    yield f"    *) {otherwise} ;;"
    yield "  esac"


def _fish(known: tuple[Command, ...]) -> Iterator[str]:
    yield "function __authz_chosen"
    yield '  set -l chosen ""'
    yield "  for word in (commandline -opc)[2..-1]"
    yield '    switch "$chosen $word"'
    for one in known:
        if one.path:
            yield f"      case {_quoted(_step(one))}"
            yield f"        set chosen {_quoted(one.name)}"
    yield "    end"
    yield "  end"
    yield "  echo $chosen"
    yield "end"
    for one in known:
        here = f'test "$(__authz_chosen)" = "{one.name}"'
        start = f"complete -c authz -n {_quoted(here)}"
        if one.words:
            yield f"{start} -f -a {_quoted(' '.join(one.words))}"
        for option in one.options:
            spelt = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = f" -x -a {_quoted(' '.join(option.choices))}" if option.choices else " -r" * option.takes_value
            yield f"{start} {spelt}{value} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: Final = {"bash": _bash, "zsh": _zsh, "fish": _fish}
