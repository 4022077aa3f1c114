"""`authz health`: asks a running service's gRPC health check, for container probes without an extra tool.

Without `--address` it asks where the settings say that this machine's service listens, which is what a probe inside a
container wants: a Unix socket, else a plaintext port. A port with mTLS would want a certificate of ours.
"""

from __future__ import annotations

import argparse
import os
from typing import Final

from authz.cli.exit_codes import ENVIRONMENT, NO, USAGE, YES
from authz.cli.failure import CommandFailed

_TIMEOUT: Final = 3.0
"""Seconds."""


NAME: Final = "health"
HELP: Final = "ask a running service whether it serves"
DESCRIPTION: Final = (
    "Asks the gRPC health check of a running service. Exit code 0 serving, 1 not, 5 unreachable. Without --address the "
    "settings (AUTHZ_… variables, AUTHZ_CONFIG, authz.yaml) say where: a Unix socket, else a port without TLS."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whom to ask, and about what."""
    parser.add_argument(
        "--address",
        metavar="ADDR",
        help="HOST:PORT or unix:PATH, plaintext; default: where the settings say, or 127.0.0.1:9000",
    )
    parser.add_argument("--service", default="", metavar="NAME", help="a gRPC service name; default: the whole server")


def run(arguments: argparse.Namespace) -> int:
    """Ask once and print the status."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    address = arguments.address or _configured()
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=arguments.service), timeout=_TIMEOUT)
        except grpc.RpcError as error:
            raise CommandFailed(ENVIRONMENT, f"{address}: {error.code().name}") from error
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(name)
    return YES if name == "SERVING" else NO


def _configured() -> str:
    """Where the settings say that plaintext is spoken."""
    from authz.config.load import load_settings

    environ = {name: value for name, value in os.environ.items() if name != "AUTHZ_DEBUG"}
    settings = load_settings(environ=environ).settings
    with_tls = bool(settings.tls.may_connect)
    for address in sorted(settings.listen, key=lambda each: not each.is_unix):
        if address.is_unix or not with_tls:
            return str(address)
    raise CommandFailed(USAGE, "every address of `listen` wants a certificate: add a unix: address, or give --address")
