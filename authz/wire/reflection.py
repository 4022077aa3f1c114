"""What gRPC reflection may tell about the service: its name, its one method, our messages.

The service bears Envoy's name, our messages bear ours, so the two can't be declared in the process-wide pool:
there Envoy's own stubs (in a test, in another library) would clash with the service. They stand in a pool of
their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from authz.wire.pb import check_pb2 as pb

PACKAGE: Final = "envoy.service.auth.v3"
SERVICE: Final = f"{PACKAGE}.Authorization"
METHOD: Final = "Check"
METHOD_PATH: Final = f"/{SERVICE}/{METHOD}"

_FILE: Final = "authz/wire/authorization.proto"


def reflection_pool(others: Iterable[FileDescriptor] = ()) -> DescriptorPool:
    """A private pool with the Authorization service; `others` are further files to show (health)."""
    pool = DescriptorPool()
    known: set[str] = set()
    for file in (pb.DESCRIPTOR, *others):
        _add(pool, file, known)
    pool.Add(_service_file())
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, known: set[str]) -> None:
    """Add a file after what it imports."""
    if file.name in known:
        return
    known.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, known)
    pool.AddSerializedFile(file.serialized_pb)


def _service_file() -> FileDescriptorProto:
    file = FileDescriptorProto(name=_FILE, package=PACKAGE, syntax="proto3", dependency=[pb.DESCRIPTOR.name])
    method = file.service.add(name="Authorization").method.add(name=METHOD)
    method.input_type = f".{pb.CheckRequest.DESCRIPTOR.full_name}"
    method.output_type = f".{pb.CheckResponse.DESCRIPTOR.full_name}"
    return file
