"""The Workload API over a real socket: bundles, our own certificate, rotation, an agent that goes and comes back."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from authz.model.request import Limits
from authz.model.spiffe import SpiffeId
from authz.server.front import ListenError
from authz.server.grpcio_front import GrpcioFront, GrpcioOptions, MutualTls
from authz.server.service import CheckService, Deadlines
from authz.server.tls import WorkloadMaterial
from authz.sources.background import Surroundings
from authz.sources.schedule import RefreshRules
from authz.sources.state import Freshness
from authz.sources.workload_api import WorkloadApi
from authz.wire.reflection import METHOD_PATH
from tests.fakes.deciders import FixedDecider, ListRecorder, permit
from tests.fakes.processes import RunningService
from tests.fakes.waiting import until
from tests.fakes.workload_agent import WorkloadAgent
from tests.mint.certificates import TRUST_DOMAIN, Issued, make_authority, svid
from tests.mint.check_messages import check_message, read_answer
from tests.mint.keys import signing_key

AUTHZ = "spiffe://shop.example/ns/authz/sa/authz"
GATEWAY = "spiffe://shop.example/ns/edge/sa/gateway"
PARTNER = "partner.example"
NOW = datetime.now(UTC)
TIMES: dict[str, Any] = {"begin": NOW - timedelta(hours=1), "end": NOW + timedelta(hours=1)}
ROOT, NEXT = make_authority(**TIMES), make_authority(name="next", **TIMES)
PARTNERS = make_authority(trust_domain=PARTNER, **TIMES)


def leaf(spiffe_id: str, issuer: Issued = ROOT) -> Issued:
    """For TLS by name too: a client of gRPC's wants one."""
    return svid(spiffe_id, issuer=issuer, dns=["localhost"], **TIMES)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[WorkloadAgent]:
    agent = WorkloadAgent(tmp_path / "agent.sock")
    agent.hand_out((AUTHZ, leaf(AUTHZ)), authorities={TRUST_DOMAIN: [ROOT]})
    yield agent
    agent.stop()


@pytest.fixture
def api(agent: WorkloadAgent) -> Iterator[WorkloadApi]:
    around = Surroundings(
        rules=RefreshRules(refresh=1.0, max_stale=60.0),
        clock=time.monotonic,
        random=lambda: 0.0,
        report=lambda event: None,
    )
    api = WorkloadApi(agent.address, around)
    api.start()
    yield api
    api.close()
    assert [thread for thread in threading.enumerate() if thread.name == "workload-api"] == []


def _size(api: WorkloadApi, domain: str = TRUST_DOMAIN) -> int:
    bundle = api.bundle(domain)
    return 0 if bundle is None else len(bundle.authorities)


def test_bundles_and_token_keys_come_and_change(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """As they are pushed, each for its own trust domain."""
    agent.start()
    until(lambda: _size(api) == 1)

    agent.hand_out(
        (AUTHZ, leaf(AUTHZ)),
        authorities={TRUST_DOMAIN: [ROOT, NEXT], PARTNER: [PARTNERS]},
        token_keys={TRUST_DOMAIN: [signing_key("ES256", "k").jwk(use="jwt-svid")]},
    )

    until(lambda: _size(api) == 2 and _size(api, PARTNER) == 1)
    until(lambda: len(api.bundle(TRUST_DOMAIN).jwt_keys) == 1)  # type: ignore[union-attr] # it was there a line above


def test_an_agent_that_comes_later_or_goes_away(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """No socket at first; then a connection; then none, while what is known stays; then one again."""
    until(lambda: api.svid_state().error == "there is no such socket")
    agent.start()
    until(lambda: api.svid() is not None)

    agent.stop()
    until(lambda: api.svid_state().freshness is Freshness.STALE)
    assert _size(api) == 1

    agent.hand_out((AUTHZ, leaf(AUTHZ)), authorities={TRUST_DOMAIN: [ROOT, NEXT]})
    agent.start()
    until(lambda: _size(api) == 2)
    assert api.svid_state().error == ""


def test_a_process_without_an_entry_is_told_so(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """The commonest mistake has words of its own."""
    agent.refuse = grpc.StatusCode.PERMISSION_DENIED
    agent.start()

    until(lambda: api.svid_state().error == "no identity is registered for this process")


def test_a_trust_domain_that_cant_be_read_takes_no_other_away(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """One without X.509 authorities is sound, one with nonsense isn't; both leave ours alone."""
    agent.federated = {"tokens.example": b"", "broken.example": b"nonsense"}
    agent.hand_out(
        (AUTHZ, leaf(AUTHZ)),
        authorities={TRUST_DOMAIN: [ROOT]},
        token_keys={
            "tokens.example": [signing_key("ES256", "k").jwk(use=None), {"kty": "unheard-of", "kid": "x"}],
            "broken.example": [],
        },
    )
    agent.start()
    until(lambda: _size(api) == 1)

    tokens = api.bundle("tokens.example")
    assert tokens is not None
    assert [key.kid for key in tokens.jwt_keys] == ["k"]
    assert api.bundle("broken.example") is None
    assert api.bundle_state("broken.example").error == "the authorities can't be read"
    assert api.bundle_state(TRUST_DOMAIN).error == ""


def test_an_agent_without_token_keys_will_do(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """JWT-SVIDs are optional (SPIFFE Workload API §3); the other stream goes on."""
    agent.refuse_tokens = grpc.StatusCode.UNIMPLEMENTED
    agent.start()
    until(lambda: _size(api) == 1)

    agent.hand_out((AUTHZ, leaf(AUTHZ)), authorities={TRUST_DOMAIN: [ROOT, NEXT]})

    until(lambda: _size(api) == 2)
    assert api.svid_state().freshness is Freshness.FRESH


def test_the_service_shows_and_renews_what_the_agent_hands_out(agent: WorkloadAgent, tmp_path: Path) -> None:
    """`authz serve` with the socket alone: mTLS, readiness in detail, a new certificate without a restart."""
    agent.start()
    (tmp_path / "policies").mkdir()
    service = RunningService(
        "--policy",
        str(tmp_path / "policies"),
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--tls-workload-api",
        agent.address,
        "--tls-may-connect",
        GATEWAY,
    )
    try:
        admin = service.event("admin")["port"]
        assert service.event("listening")["tls"] == "mtls"
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz?verbose", timeout=5) as answer:
            shown = json.load(answer)["certificates"][AUTHZ]
        assert (shown["state"], shown["source"]) == ("fresh", f"workload API {agent.address}")

        agent.hand_out((AUTHZ, leaf(AUTHZ, NEXT)), authorities={TRUST_DOMAIN: [NEXT]})

        assert service.event("svid_updated")["name_of"] == AUTHZ
    finally:
        service.end()


# --- the listener ---


class Listener:
    """The service with our SVID, and callers with theirs."""

    def __init__(self, api: WorkloadApi, *allowed: str, patience: float = 10.0) -> None:
        service = CheckService(
            FixedDecider(permit()), (ListRecorder(),), limits=Limits(), deadlines=Deadlines(), on_fatal=lambda: None
        )
        tls = MutualTls(
            material=WorkloadMaterial(api, patience=patience),
            allowed=tuple(SpiffeId.parse(each) for each in allowed or (GATEWAY,)),
        )
        self.front = GrpcioFront(service, GrpcioOptions(addresses=("127.0.0.1:0",), tls=tls))
        self.port = self.front.start()[0].port

    def channel(self, shown: Issued, root: Issued) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(root.pem.encode(), shown.private_pem, shown.pem.encode())
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(f"localhost:{self.port}", credentials, options=options)

    def close(self) -> None:
        self.front.stop(0)(5)
        self.front.close()


def ask(channel: grpc.Channel) -> int:
    answer = read_answer(channel.unary_unary(METHOD_PATH)(check_message(), timeout=5))
    return int(answer.status.code)


def test_a_rotation_drops_no_connection(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """What stands goes on; the next handshake shows the new certificate and knows the new authority only."""
    agent.start()
    listener = Listener(api)
    standing = listener.channel(leaf(GATEWAY), ROOT)
    assert ask(standing) == 0

    agent.hand_out((AUTHZ, leaf(AUTHZ, NEXT)), authorities={TRUST_DOMAIN: [NEXT]})
    until(lambda: api.svid() is not None and NEXT.pem.encode() in api.svid().authorities)  # type: ignore[union-attr] # just seen

    assert ask(standing) == 0
    with listener.channel(leaf(GATEWAY, NEXT), NEXT) as fresh:
        assert ask(fresh) == 0
    with listener.channel(leaf(GATEWAY, ROOT), NEXT) as old, pytest.raises(grpc.RpcError):
        ask(old)
    standing.close()
    listener.close()


def test_a_federated_authority_names_no_proxy_of_ours(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """It stands in the bundles, and not among those that the listener asks."""
    agent.hand_out((AUTHZ, leaf(AUTHZ)), authorities={TRUST_DOMAIN: [ROOT], PARTNER: [PARTNERS]})
    agent.start()
    listener = Listener(api)
    until(lambda: _size(api, PARTNER) == 1)

    with listener.channel(leaf(GATEWAY, PARTNERS), ROOT) as channel, pytest.raises(grpc.RpcError):
        ask(channel)
    listener.close()


def test_without_an_agent_the_start_says_why(api: WorkloadApi) -> None:
    """After some patience, in a sentence."""
    with pytest.raises(ListenError, match="there is no such socket"):
        Listener(api, patience=0.1)


def test_proxies_of_another_trust_domain_are_refused_at_start(agent: WorkloadAgent, api: WorkloadApi) -> None:
    """Nobody of theirs could be verified."""
    agent.start()

    with pytest.raises(ListenError, match=r"of our own trust domain shop\.example"):
        Listener(api, "spiffe://partner.example/gateway")
