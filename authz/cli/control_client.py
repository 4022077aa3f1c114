"""A running service's own door, from the command line: over its Unix socket, or over mTLS from elsewhere.

Owns: connecting, making sure of who answers, one request. Must not: know what is asked. Over mTLS the service is known
by its SPIFFE ID: its certificate bears no host name, so the ID is checked instead, before anything is sent.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from authz.cli.exit_codes import ENVIRONMENT, USAGE
from authz.cli.failure import CommandFailed

TIMEOUT: Final = 15.0
"""Seconds; a long list may take the service a while to read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON object."""

    status: int
    document: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whom to ask."""
    parser.add_argument(
        "--socket", metavar="PATH", type=Path, help="Unix socket of the service; default: the setting revocation.socket"
    )
    parser.add_argument("--server", metavar="HOST:PORT", help="the service's revocation.listen, over mTLS")
    parser.add_argument("--server-id", metavar="SPIFFE_ID", help="with --server: the ID that the service must show")
    for name, what in (("cert", "our certificate chain"), ("key", "our private key"), ("ca", "the CA certificates")):
        parser.add_argument(f"--{name}", metavar="FILE", type=Path, help=f"with --server: {what} (PEM)")


def ask(arguments: argparse.Namespace, method: str, target: str, body: dict[str, Any] | None = None) -> Answer:
    """One request; raises `CommandFailed` when there is no answer."""
    connection = _connection(arguments)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, target, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        document = json.loads(answer.read())
        return Answer(answer.status, document if isinstance(document, dict) else {})
    except ssl.SSLError as error:
        raise CommandFailed(ENVIRONMENT, f"{_place(arguments)}: TLS: {error.reason or 'it failed'}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or "the service hung up: it isn't there, or doesn't let this caller in"
        raise CommandFailed(ENVIRONMENT, f"{_place(arguments)}: {why}") from error
    finally:
        connection.close()


def _connection(arguments: argparse.Namespace) -> http.client.HTTPConnection:
    if arguments.server is None:
        return _Local(arguments.socket or _configured())
    files = (arguments.cert, arguments.key, arguments.ca)
    if None in files or not arguments.server_id:
        raise CommandFailed(USAGE, "--server needs --server-id, --cert, --key and --ca")
    host, _, port = arguments.server.rpartition(":")
    if not host or not port.isdigit():
        raise CommandFailed(USAGE, "--server is HOST:PORT")
    return _Remote(host.strip("[]"), int(port), files, arguments.server_id)


def _configured() -> Path:
    """The socket that a service with the settings of this environment listens on."""
    from authz.config.load import load_settings

    environ = {name: value for name, value in os.environ.items() if name != "AUTHZ_DEBUG"}
    address = load_settings(environ=environ).settings.revocation.socket
    if address is None:
        raise CommandFailed(
            USAGE, "name the service: --socket PATH, --server HOST:PORT or the setting revocation.socket"
        )
    return Path(address.path)


def _place(arguments: argparse.Namespace) -> str:
    return str(arguments.server or arguments.socket or "revocation.socket")


class _Local(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Remote(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, files: tuple[Path, Path, Path], server_id: str) -> None:
        super().__init__(host, port, timeout=TIMEOUT)
        self._files = files
        self._server_id = server_id

    def connect(self) -> None:
        certificate, key, ca = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(cafile=ca)
        super().connect()
        self.sock = context.wrap_socket(self.sock)
        names: Any = (self.sock.getpeercert() or {}).get("subjectAltName", ())
        uris = [value for kind, value in names if kind == "URI"]
        if uris != [self._server_id]:
            raise CommandFailed(ENVIRONMENT, f"{self.host}:{self.port}: another SPIFFE ID answers than --server-id")
