"""An address to listen on, parsed once: `127.0.0.1:9000`, `[::1]:9000`, `unix:/run/authz.sock`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

MAX_UNIX_PATH: Final = 107
"""Bytes: what `sockaddr_un` holds on Linux, less the final NUL."""

_TCP: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)|(?P<name>localhost)):(?P<port>0|[1-9][0-9]{0,4})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Either `host` (an IP literal without brackets) and `port` (0: any free one), or `path` of a Unix
    socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it: a Unix socket or a loopback address."""
        return self.is_unix or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        """As written in settings; also the form that gRPC takes for TCP."""
        if self.is_unix:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """Raises ValueError with the broken rule. Names but `localhost` are refused: they would be resolved at
    start, and where the service listens must not depend on what a resolver says."""
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"))
    match = _TCP.fullmatch(text)
    if match is None:
        raise ValueError("it is HOST:PORT with an IP address or localhost, [IPv6]:PORT or unix:PATH")
    if int(match["port"]) > 65535:
        raise ValueError("the port is at most 65535")
    host = "127.0.0.1" if match["name"] else (match["six"] or match["four"])
    try:
        return ListenAddress(host=str(ipaddress.ip_address(host)), port=int(match["port"]))
    except ValueError:
        raise ValueError("the host is no IP address") from None


def _unix(path: str) -> ListenAddress:
    if not path or path.startswith("@") or "\0" in path:
        raise ValueError("unix: is followed by the path of a socket file")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH:
        raise ValueError(f"a Unix socket's path has at most {MAX_UNIX_PATH} bytes")
    return ListenAddress(path=path)
