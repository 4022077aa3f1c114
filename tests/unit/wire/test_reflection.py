"""What reflection shows, and that it disturbs no other descriptor in the process."""

from __future__ import annotations

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2

from authz.wire.pb import check_pb2 as pb
from authz.wire.reflection import METHOD_PATH, SERVICE, reflection_pool


def test_the_service_can_be_described() -> None:
    """Its one method takes and gives our messages."""
    service = reflection_pool().FindServiceByName(SERVICE)
    method = service.methods_by_name["Check"]

    assert method.input_type.full_name == "authz.wire.v1.CheckRequest"
    assert method.output_type.full_name == "authz.wire.v1.CheckResponse"
    assert METHOD_PATH == "/envoy.service.auth.v3.Authorization/Check"


def test_the_file_and_all_that_it_imports_can_be_found() -> None:
    """A reflection client asks for the file that holds the symbol, then for its imports."""
    pool = reflection_pool()
    waiting = [pool.FindFileContainingSymbol(SERVICE)]
    names = set()
    while waiting:
        file = waiting.pop()
        names.add(file.name)
        waiting.extend(file.dependencies)

    assert {pb.DESCRIPTOR.name, "google/protobuf/struct.proto", "google/protobuf/wrappers.proto"} < names


def test_further_services_can_be_shown() -> None:
    """The health service stands beside ours."""
    pool = reflection_pool([health_pb2.DESCRIPTOR])

    assert pool.FindServiceByName("grpc.health.v1.Health").name == "Health"


def test_the_pool_of_the_process_stays_free_for_envoys_own_messages() -> None:
    """Another library can declare the published service beside us."""
    reflection_pool()
    published = FileDescriptorProto(name="envoy/service/auth/v3/test.proto", package="envoy.service.auth.v3")
    published.service.add(name="Authorization")

    descriptor_pool.Default().Add(published)

    assert descriptor_pool.Default().FindServiceByName(SERVICE).name == "Authorization"
