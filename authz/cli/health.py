"""`authz health`: asks a running service's gRPC health check, for container probes without an extra tool."""

from __future__ import annotations

import argparse
from typing import Final

from authz.cli.exit_codes import ENVIRONMENT, NO, YES
from authz.cli.failure import CommandFailed

_DEFAULT_ADDRESS: Final = "127.0.0.1:9000"
_TIMEOUT: Final = 3.0
"""Seconds."""


NAME: Final = "health"
HELP: Final = "ask a running service whether it serves"
DESCRIPTION: Final = "Asks the gRPC health check of a running service. Exit code 0 serving, 1 not, 5 unreachable."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whom to ask, and about what."""
    parser.add_argument("--address", default=_DEFAULT_ADDRESS, metavar="ADDR",
                        help=f"HOST:PORT or unix:PATH, plaintext; default {_DEFAULT_ADDRESS}")
    parser.add_argument("--service", default="", metavar="NAME", help="a gRPC service name; default: the whole server")


def run(arguments: argparse.Namespace) -> int:
    """Ask once and print the status."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(arguments.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=arguments.service), timeout=_TIMEOUT)
        except grpc.RpcError as error:
            raise CommandFailed(ENVIRONMENT, f"{arguments.address}: {error.code().name}") from error
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(name)
    return YES if name == "SERVING" else NO
