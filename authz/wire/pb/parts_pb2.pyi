from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckRequestParts(_message.Message):
    __slots__ = ("attributes",)
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    attributes: AttributeParts
    def __init__(self, attributes: _Optional[_Union[AttributeParts, _Mapping]] = ...) -> None: ...

class AttributeParts(_message.Message):
    __slots__ = ("source", "destination", "request", "context_extensions", "tls_session")
    class ContextExtensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    TLS_SESSION_FIELD_NUMBER: _ClassVar[int]
    source: _containers.RepeatedScalarFieldContainer[bytes]
    destination: _containers.RepeatedScalarFieldContainer[bytes]
    request: RequestParts
    context_extensions: _containers.ScalarMap[str, str]
    tls_session: TlsSessionParts
    def __init__(self, source: _Optional[_Iterable[bytes]] = ..., destination: _Optional[_Iterable[bytes]] = ..., request: _Optional[_Union[RequestParts, _Mapping]] = ..., context_extensions: _Optional[_Mapping[str, str]] = ..., tls_session: _Optional[_Union[TlsSessionParts, _Mapping]] = ...) -> None: ...

class TlsSessionParts(_message.Message):
    __slots__ = ("sni",)
    SNI_FIELD_NUMBER: _ClassVar[int]
    sni: str
    def __init__(self, sni: _Optional[str] = ...) -> None: ...

class RequestParts(_message.Message):
    __slots__ = ("http",)
    HTTP_FIELD_NUMBER: _ClassVar[int]
    http: HttpRequestParts
    def __init__(self, http: _Optional[_Union[HttpRequestParts, _Mapping]] = ...) -> None: ...

class HttpRequestParts(_message.Message):
    __slots__ = ("method", "headers", "path", "host", "scheme", "protocol", "header_map")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HEADER_MAP_FIELD_NUMBER: _ClassVar[int]
    method: str
    headers: _containers.RepeatedScalarFieldContainer[bytes]
    path: str
    host: str
    scheme: str
    protocol: str
    header_map: HeaderMapParts
    def __init__(self, method: _Optional[str] = ..., headers: _Optional[_Iterable[bytes]] = ..., path: _Optional[str] = ..., host: _Optional[str] = ..., scheme: _Optional[str] = ..., protocol: _Optional[str] = ..., header_map: _Optional[_Union[HeaderMapParts, _Mapping]] = ...) -> None: ...

class HeaderMapParts(_message.Message):
    __slots__ = ("headers",)
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    headers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, headers: _Optional[_Iterable[bytes]] = ...) -> None: ...
