"""`authz serve`: runs the service until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import ENVIRONMENT, NO, POLICY_INVALID, YES
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.config.load import LoadedSettings
    from authz.config.settings import Settings
    from authz.policy.faults import Fault
    from authz.server.lifecycle import Events

NAME: Final = "serve"
HELP: Final = "run the service"
DESCRIPTION: Final = (
    "Runs the service. SIGTERM and SIGINT drain and exit; a second one exits at once. SIGHUP reloads the policy "
    "directory and opens the audit file again. With `--workers` several processes do, each at addresses of its own; "
    "one that dies is started again, and they drain in turn. Settings come from flags, AUTHZ_… variables, the file "
    "and defaults, in this order; `authz config show` prints each with its origin."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--config` and a flag for every setting."""
    from authz.config.flags import add_flags

    parser.add_argument("--config", metavar="FILE", type=Path, help="settings file; default: AUTHZ_CONFIG, authz.yaml")
    parser.add_argument(
        "--policy", dest="setting:policy_dir", default=argparse.SUPPRESS, metavar="DIR", help="the policy directory"
    )
    add_flags(parser)


def load(arguments: argparse.Namespace) -> LoadedSettings:
    """The settings in force; raises `SettingsError`."""
    from authz.config.flags import given_flags
    from authz.config.load import load_settings

    environ = {name: value for name, value in os.environ.items() if name != "AUTHZ_DEBUG"}
    return load_settings(file=arguments.config, environ=environ, flags=given_flags(arguments))


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    # gRPC's core writes a line of its own for each failed handshake, which anybody can cause, between our JSON lines.
    # GRPC_VERBOSITY=INFO brings them back, for finding out why an Envoy can't connect.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from authz.observe import logs
    from authz.server.lifecycle import Events

    settings = load(arguments).settings
    logs.configure(level=settings.log.level, form=settings.log.format)
    events = Events()
    events.install()
    if settings.workers > 1:
        return _supervise(settings, events)
    return _serve(settings, events, lambda: None)


def _supervise(settings: Settings, events: Events) -> int:
    """Several processes. Nothing of the service is imported here: a fork must find no thread and no gRPC."""
    from authz import cli
    from authz.config.workers import for_worker
    from authz.observe import logs
    from authz.server.workers import Supervisor

    def run_worker(index: int, orders: Events, started: Callable[[], None]) -> int:
        logs.configure(level=settings.log.level, form=settings.log.format, worker=index)
        return cli.outcome(lambda: _serve(for_worker(settings, index), orders, started))

    limit = settings.health_wait + settings.drain_grace
    return Supervisor(settings.workers, run_worker, events, failed=ENVIRONMENT, cut_short=NO, drain_limit=limit).serve()


def _serve(settings: Settings, events: Events, started: Callable[[], None]) -> int:
    from authz import app
    from authz.model.errors import SettingsError
    from authz.server.front import ListenError
    from authz.sources.reload import PolicyRefused

    try:
        clean = app.serve(settings, events, started=started)
    except PolicyRefused as refused:
        for line in _fault_lines(settings.policy_dir, refused.faults):
            print(line, file=sys.stderr)
        text = f"the policy directory {settings.policy_dir} can't be served"
        raise CommandFailed(_code_of(refused.faults), text) from refused
    except (ListenError, SettingsError) as error:
        raise CommandFailed(ENVIRONMENT, str(error)) from error
    except OSError as error:
        raise CommandFailed(ENVIRONMENT, f"{error.filename or 'system'}: {error.strerror}") from error
    if clean:
        return YES
    # A check that is stuck holds its thread, and the interpreter would wait for it for ever.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(NO)


def _fault_lines(directory: Path, faults: tuple[Fault, ...]) -> Iterator[str]:
    from authz.cli.fault_report import as_text
    from authz.sources.directory import DirectoryError, read_policy_directory

    try:
        files = read_policy_directory(directory)
    except DirectoryError:
        files = {}
    yield from as_text(faults, files)


def _code_of(faults: tuple[Fault, ...]) -> int:
    from authz.cli.policy_directory import is_unreadable

    return ENVIRONMENT if is_unreadable(faults) else POLICY_INVALID
