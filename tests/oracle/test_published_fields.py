"""Our messages against the published ones, in a process that has nothing else of Envoy's on its path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.install_xds_protos import MARK, TARGET

ROOT = Path(__file__).resolve().parents[2]
MISSING = (
    "The published Envoy stubs are not installed, so no field number was compared: "
    "run `python tests/oracle/install_xds_protos.py` (a pinned xds-protos goes to .cache/xds-protos)."
)


def _run(code_or_script: list[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(TARGET), str(ROOT)))
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, *code_or_script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(autouse=True)
def _published() -> None:
    if not MARK.exists():
        pytest.fail(MISSING, pytrace=False)


def test_every_field_of_ours_is_a_published_one() -> None:
    """Number, name, type, cardinality and presence agree for each field, and enumerations know ours."""
    done = _run(["tests/oracle/compare_fields.py"])

    assert done.returncode == 0, done.stdout + done.stderr


_READ_BACK = """
from envoy.service.auth.v3 import external_auth_pb2 as published
from authz.model.decision import Denial, Permit
from authz.model.reason import Reason
from authz.model.request import Transport
from authz.wire.encode import encode
from google.protobuf.unknown_fields import UnknownFieldSet

common = dict(decision_id="d-1", revision="r", transport=Transport.MTLS, grpc=False)
permit = Permit(route="r", policy="p", alternative=0, set_headers=(("x-authz-subject", ""),),
                remove_headers=("x-old",))
allowed = published.CheckResponse.FromString(encode(permit, **common))
assert allowed.status.code == 0 and allowed.WhichOneof("http_response") == "ok_response", allowed
option = allowed.ok_response.headers[0]
assert option.HasField("append") and option.append.value is False and option.keep_empty_value
assert option.append_action == option.OVERWRITE_IF_EXISTS_OR_ADD
assert list(allowed.ok_response.headers_to_remove) == ["x-old"]
denied = published.CheckResponse.FromString(encode(Denial(reason=Reason.TOKEN_EXPIRED), **common))
assert denied.status.code == 16 and denied.denied_response.status.code == 401, denied
assert not len(UnknownFieldSet(allowed)) and not len(UnknownFieldSet(denied))
"""


def test_the_published_messages_read_what_we_write() -> None:
    """An allow and a denial of ours mean the same to the published messages, nothing is left over."""
    done = _run(["-c", _READ_BACK])

    assert done.returncode == 0, done.stdout + done.stderr


_WRITE = """
from envoy.service.auth.v3 import external_auth_pb2 as published
from envoy.config.core.v3 import base_pb2
from authz.model.request import Limits
from authz.wire.decode import decode

check = published.CheckRequest()
a = check.attributes
a.source.principal, a.source.certificate = "spiffe://shop.example/a", "PEM"
a.source.address.socket_address.address = "10.1.2.3"
a.destination.principal = "spiffe://shop.example/b"
a.context_extensions["authz.service"] = "orders"
a.tls_session.sni = "shop.example"
h = a.request.http
h.id, h.method, h.path, h.host, h.scheme, h.protocol = "1", "GET", "/x?y", "shop.example", "https", "HTTP/2"
h.body, h.raw_body, h.size = "text", b"octets", 4
h.headers["accept"] = "*/*"
a.metadata_context.filter_metadata["x"]["y"] = 1
raw = decode(check.SerializeToString(), Limits())
assert (raw.method, raw.target, raw.authority, raw.scheme, raw.protocol) == (
    "GET", "/x?y", "shop.example", "https", "HTTP/2"), raw
assert raw.source.principal == "spiffe://shop.example/a" and raw.source.address == "10.1.2.3"
assert raw.source.certificate == "PEM" and raw.destination.principal == "spiffe://shop.example/b"
assert raw.service == "orders" and raw.tls and raw.headers.get_all("accept") == ("*/*",)
h.header_map.headers.append(base_pb2.HeaderValue(key="accept", raw_value=b"text/html"))
assert decode(check.SerializeToString(), Limits()).headers.get_all("accept") == ("text/html",)
"""


def test_we_read_what_the_published_messages_write() -> None:
    """A request made with the published messages, fields that we skip included, decodes to the same facts."""
    done = _run(["-c", _WRITE])

    assert done.returncode == 0, done.stdout + done.stderr
