"""A SPIFFE Workload API on a Unix socket: hands out what a test says, and pushes what it changes.

Speaks the real protocol, through the messages of the package `spiffe`.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from spiffe._proto import workload_pb2, workload_pb2_grpc

from tests.mint.certificates import TRUST_DOMAIN, Issued


class WorkloadAgent:
    """`svids` and the `authorities` of each trust domain; `token_keys` are `jwt-svid` JWKs by trust domain."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.address = f"unix:{socket}"
        self.refuse: grpc.StatusCode | None = None
        self.refuse_tokens: grpc.StatusCode | None = None
        self.federated: dict[str, bytes] = {}
        """Octets in place of a trust domain's authorities."""
        self._server: grpc.Server | None = None
        self._listeners: list[queue.SimpleQueue[bool]] = []
        self._svids: Sequence[tuple[str, Issued, Sequence[Issued]]] = ()
        self._authorities: Mapping[str, Sequence[Issued]] = {}
        self._token_keys: Mapping[str, Sequence[Mapping[str, Any]]] = {}

    def start(self) -> WorkloadAgent:
        self._server = grpc.server(ThreadPoolExecutor(8))
        workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        self._server.start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            listeners, self._listeners = self._listeners, []
            for listener in listeners:
                listener.put(False)
            self._server.stop(0).wait()
            self._server = None

    def hand_out(
        self,
        *svids: tuple[str, Issued],
        authorities: Mapping[str, Sequence[Issued]],
        token_keys: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        chain: Sequence[Issued] = (),
    ) -> None:
        """From now on this; whoever listens is told."""
        self._svids = [(spiffe_id, issued, chain) for spiffe_id, issued in svids]
        self._authorities = authorities
        self._token_keys = token_keys or dict.fromkeys(authorities, ())
        for listener in self._listeners:
            listener.put(True)

    # --- the service; names are the protocol's ---

    def FetchX509SVID(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for _ in self._turns(context):
            svids = [
                workload_pb2.X509SVID(
                    spiffe_id=spiffe_id,
                    x509_svid=b"".join(_der(each) for each in (issued, *chain)),
                    x509_svid_key=_key(issued),
                    bundle=b"".join(map(_der, self._authorities[TRUST_DOMAIN])),
                )
                for spiffe_id, issued, chain in self._svids
            ]
            federated = {
                f"spiffe://{domain}": b"".join(map(_der, authorities))
                for domain, authorities in self._authorities.items()
                if domain != TRUST_DOMAIN
            }
            octets = {f"spiffe://{domain}": given for domain, given in self.federated.items()}
            yield workload_pb2.X509SVIDResponse(svids=svids, federated_bundles=federated | octets)

    def FetchJWTBundles(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if self.refuse_tokens is not None:
            context.abort(self.refuse_tokens, "as the test says")
        for _ in self._turns(context):
            yield workload_pb2.JWTBundlesResponse(
                bundles={
                    f"spiffe://{domain}": json.dumps({"keys": list(keys)}).encode()
                    for domain, keys in self._token_keys.items()
                }
            )

    def FetchX509Bundles(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        raise AssertionError("nobody asks for this")

    FetchJWTSVID = ValidateJWTSVID = FetchX509Bundles

    def _turns(self, context: grpc.ServicerContext) -> Iterator[None]:
        assert ("workload.spiffe.io", "true") in context.invocation_metadata()
        if self.refuse is not None:
            context.abort(self.refuse, "as the test says")
        turn: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._listeners.append(turn)
        context.add_callback(lambda: turn.put(False))
        yield None
        while turn.get():
            yield None


def _der(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.DER)


def _key(issued: Issued) -> bytes:
    return issued.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
