"""`authz envoy cluster`: the part of Envoy's configuration that follows from our own settings."""

from __future__ import annotations

import argparse
import ipaddress
from typing import TYPE_CHECKING, Final

from authz.cli import serve
from authz.cli.exit_codes import USAGE, YES
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.config.listen import ListenAddress
    from authz.envoy.cluster import Endpoint

NAME: Final = "envoy"
HELP: Final = "print what Envoy has to be told about this service"
DESCRIPTION: Final = (
    "Prints the cluster for the addresses that `authz serve` with the same flags listens on: one endpoint for each "
    "worker's address, health checks and HTTP/2, and the retry policy of the filter as a comment."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`cluster` and the flags of `serve`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    cluster = actions.add_parser("cluster", help="the cluster that checks go to", description=DESCRIPTION)
    cluster.add_argument("--name", default="authz", help="the cluster's name; default: authz")
    cluster.add_argument(
        "--address", metavar="IP", help="where Envoy reaches us, for addresses like 0.0.0.0 that stand for all"
    )
    serve.add_arguments(cluster)


def run(arguments: argparse.Namespace) -> int:
    """Print the cluster."""
    from authz.config.workers import check_addresses
    from authz.envoy.cluster import cluster_text

    settings = serve.load(arguments).settings
    endpoints = [_endpoint(each, arguments.address) for each in check_addresses(settings)]
    # Unix sockets are plaintext whatever tls says, and one cluster has one transport socket.
    kinds = {settings.tls.enabled and not each.path for each in endpoints}
    if len(kinds) > 1:
        raise CommandFailed(USAGE, "listen: a Unix socket and addresses with mTLS need a cluster each; name one kind")
    print(cluster_text(endpoints, name=arguments.name, tls=kinds == {True}), end="")
    return YES


def _endpoint(address: ListenAddress, instead: str | None) -> Endpoint:
    from authz.envoy.cluster import Endpoint

    if address.is_unix:
        return Endpoint(path=address.path)
    if not address.port:
        raise CommandFailed(USAGE, f"listen: {address}: a free port isn't known before the service runs")
    endpoint = Endpoint(host=address.host, port=address.port)
    if not endpoint.anywhere:
        return endpoint
    if instead is None:
        raise CommandFailed(USAGE, f"listen: {address} stands for every address; --address says where Envoy reaches us")
    try:
        return Endpoint(host=str(ipaddress.ip_address(instead)), port=address.port)
    except ValueError as error:
        raise CommandFailed(USAGE, f"--address: {instead} is no IP address") from error
