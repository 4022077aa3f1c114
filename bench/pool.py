"""A million tokens that nobody has seen: Ed25519, signed once on every core, kept in the cache outside the tree.

Of the algorithms that are accepted Ed25519 signs fastest (about 20 µs a token, RS256 takes thirty times as long), and
a signature has 64 octets: a million are a file of 64 MB, made in about half a minute. Tokens differ in eight digits of
`jti` and so in the signature, and are as long as each other. They live as long as a token may (a day), so the file is
made anew after half of that. The key beside it is trusted by nothing but this benchmark.

Owns: the file, and making a token from it in about 2 µs. Must not: be read by others than its user.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import cores
from bench.contenders import build
from bench.material import claims
from tests.mint import tokens
from tests.mint.keys import SigningKey, base64url

MILLION: Final = 1_000_000
ALGORITHM: Final = "EdDSA"
_LIFETIME: Final = 23 * 3600
_KEPT: Final = 12 * 3600
"""Seconds after which the file is made anew."""
_SIGNATURE: Final = 64
_PIECE: Final = 20_000
_SERIAL: Final = "########"


@dataclass(frozen=True, slots=True)
class Pool:
    """`token(number)` for every number below `size`."""

    key: SigningKey
    size: int
    _head: str
    _before: str
    _after: str
    _signatures: bytes

    def token(self, number: int) -> bytes:
        """The token as it stands behind `Bearer `."""
        place = number * _SIGNATURE
        signature = base64url(self._signatures[place : place + _SIGNATURE])
        return f"{_signed(self._head, self._before, self._after, number)}.{signature}".encode()

    @property
    def first(self) -> str:
        return self.token(0).decode()


def pool(size: int = MILLION, *, directory: Path | None = None, say: Callable[[str], None] = print) -> Pool:
    """From the cache if it is there, fresh, large enough and true; otherwise made."""
    where = directory or build.cache()
    path = where / "tokens"
    found = _read(path)
    if found is None or found.size < size:
        say(f"signing {size:,} tokens on {len(cores.ALL)} cores, once: {path} keeps them for half a day")
        where.mkdir(parents=True, exist_ok=True)
        _write(path, size)
        found = _read(path)
    assert found is not None
    return found


def _write(path: Path, size: int) -> None:
    private, now = os.urandom(32), int(time.time())
    key = _key(private)
    text = json.dumps(tokens.claims(**claims(now, _LIFETIME), sub="user-0", jti=_SERIAL))
    before, _, after = text.partition(_SERIAL)
    header = {
        "made": now,
        "size": size,
        "key": private.hex(),
        "head": base64url(json.dumps(tokens.header(key)).encode()),
        "before": before,
        "after": after,
    }
    pieces = [(header, first, min(first + _PIECE, size)) for first in range(0, size, _PIECE)]
    fresh = path.with_suffix(f".{os.getpid()}")
    with (
        os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        ProcessPoolExecutor(len(cores.ALL), mp_context=get_context("fork"), initializer=cores.unpin) as workers,
    ):
        file.write(json.dumps(header).encode() + b"\n")
        for signatures in workers.map(_sign, pieces):
            file.write(signatures)
    fresh.replace(path)


def _sign(piece: tuple[dict[str, str], int, int]) -> bytes:
    header, first, end = piece
    key = _key(bytes.fromhex(header["key"]))
    parts = header["head"], header["before"], header["after"]
    return b"".join(key.sign(_signed(*parts, number).encode()) for number in range(first, end))


def _signed(head: str, before: str, after: str, number: int) -> str:
    return f"{head}.{base64url(f'{before}{number:08x}{after}'.encode())}"


def _key(private: bytes) -> SigningKey:
    return SigningKey(ALGORITHM, Ed25519PrivateKey.from_private_bytes(private), "key-0")


def _read(path: Path) -> Pool | None:
    try:
        head, _, signatures = path.read_bytes().partition(b"\n")
        header = json.loads(head)
        key = _key(bytes.fromhex(header["key"]))
        found = Pool(key, header["size"], header["head"], header["before"], header["after"], signatures)
        if time.time() - header["made"] > _KEPT or len(signatures) != found.size * _SIGNATURE:
            return None
        assert isinstance(key.private, Ed25519PrivateKey)
        for number in (0, found.size - 1):
            signed = found.token(number).rpartition(b".")[0]
            key.private.public_key().verify(signatures[number * _SIGNATURE :][:_SIGNATURE], signed)
    except (OSError, ValueError, KeyError, TypeError, InvalidSignature):
        return None
    return found
