"""What an allow holds, and which permits are never sent."""

from __future__ import annotations

import pytest

from authz.model.decision import Permit
from authz.wire import allow as module
from authz.wire.allow import allow
from authz.wire.fields import field, tag
from authz.wire.grammar import NotSendable
from authz.wire.pb import check_pb2 as pb

ID = "01JD3W8Z5Q"


def permit(*headers: tuple[str, str], remove: tuple[str, ...] = ()) -> Permit:
    return Permit(route="orders.read", policy="orders", alternative=0, set_headers=headers, remove_headers=remove)


def allowed(given: Permit, metadata: bytes = b"") -> pb.CheckResponse:
    return pb.CheckResponse.FromString(allow(given, metadata, ID))


def test_an_allow_is_an_ok_response_with_an_explicit_status() -> None:
    """The status is written out although its code is the default."""
    response = allowed(permit())

    assert response.HasField("status") and response.status.code == 0
    assert response.WhichOneof("http_response") == "ok_response"


def test_each_header_says_three_times_that_it_replaces() -> None:
    """`append` is present and false, the action overwrites or adds, an empty value is kept."""
    response = allowed(permit(("x-authz-subject", "alice"), ("x-authz-scopes", "")))

    for option in response.ok_response.headers:
        assert option.HasField("append") and option.append.value is False
        assert option.append_action == pb.HeaderValueOption.APPEND_ACTION_OVERWRITE_OR_ADD
        assert option.keep_empty_value
        assert option.header.raw_value == b""
    assert [(option.header.key, option.header.value) for option in response.ok_response.headers] == [
        ("x-authz-subject", "alice"),
        ("x-authz-scopes", ""),
        ("x-authz-decision-id", ID),
    ]


def test_headers_are_removed_but_never_one_that_is_set() -> None:
    """Envoy would remove what is both; what is set overwrites anyway, also the decision id."""
    response = allowed(
        permit(
            ("x-authz-subject", "alice"), remove=("x-authz-subject", "x_authz_subject", "x-authz-decision-id", "x-old")
        )
    )

    assert list(response.ok_response.headers_to_remove) == ["x_authz_subject", "x-old"]


def test_long_values_are_written_whole() -> None:
    """Lengths over one octet are encoded right."""
    value = "v" * 20_000
    response = allowed(permit(("x-a", value)))

    assert response.ok_response.headers[0].header.value == value


def test_what_a_client_writes_at_length_is_not_kept() -> None:
    """Headers come again and their bytes are kept, but not sixty thousand octets of one request for each place."""
    before = (module._set.cache_info().currsize, module._removals.cache_info().currsize)
    for number in range(3):
        odd = f"x-authz-{number}-" + "a" * 60_000
        response = allowed(permit(("x-tenant", f"{number}" + "v" * 60_000), remove=("x-old", odd)))
        assert list(response.ok_response.headers_to_remove) == ["x-old", odd]

    assert (module._set.cache_info().currsize, module._removals.cache_info().currsize) == before


@pytest.mark.parametrize(
    "name",
    [
        "",
        "X-Upper",
        "x y",
        "x:y",
        ":path",
        "x\n",
        "x\r\ny",
        "x\0",
        "xü",
        "x\u212a",
        "content-length",
        "transfer-encoding",
        "connection",
        "host",
    ],
)
def test_a_name_outside_the_grammar_is_not_sent(name: str) -> None:
    """Neither to set nor to remove."""
    with pytest.raises(NotSendable):
        allow(permit((name, "1")), b"", ID)
    with pytest.raises(NotSendable):
        allow(permit(remove=(name,)), b"", ID)


@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "a\0b", "a\tb", "\x7f", "ü", "\u2028", " a", "a ", " ", "\ud800"])
def test_a_value_outside_the_grammar_is_not_sent(value: str) -> None:
    """Only visible ASCII and inner blanks are."""
    with pytest.raises(NotSendable):
        allow(permit(("x-a", value)), b"", ID)


def test_a_header_that_is_set_twice_is_not_sent() -> None:
    """It can't be known which was meant."""
    with pytest.raises(NotSendable):
        allow(permit(("x-a", "1"), ("x-a", "1")), b"", ID)


@pytest.mark.parametrize("decision_id", ["", "a b", "a\n", "a" * 65, 'a"', "ü"])
def test_without_a_decision_id_nothing_is_allowed(decision_id: str) -> None:
    """A client's own `x-authz-decision-id` must never stand in for ours."""
    with pytest.raises(NotSendable):
        allow(permit(), b"", decision_id)


def test_a_permit_can_replace_no_decision_id() -> None:
    """The header's value is the id of this decision, whatever the permit says."""
    response = allowed(permit(("x-authz-decision-id", "other")))

    assert [option.header.value for option in response.ok_response.headers] == [ID]


def test_the_field_numbers_are_those_of_the_messages() -> None:
    """The bytes that are put together by hand name the fields that the descriptors have."""
    response, ok = pb.CheckResponse.DESCRIPTOR, pb.OkHttpResponse.DESCRIPTOR
    option, header = pb.HeaderValueOption.DESCRIPTOR, pb.HeaderValue.DESCRIPTOR
    written = {
        module._OK_RESPONSE: response.fields_by_name["ok_response"],
        module._DYNAMIC_METADATA: response.fields_by_name["dynamic_metadata"],
    }

    assert all(tag(described.number) == given for given, described in written.items())
    assert tag(ok.fields_by_name["headers"].number) == module._HEADERS
    assert tag(ok.fields_by_name["headers_to_remove"].number) == module._HEADERS_TO_REMOVE
    assert tag(option.fields_by_name["header"].number) == module._HEADER
    assert tag(header.fields_by_name["key"].number) == module._KEY
    assert tag(header.fields_by_name["value"].number) == module._VALUE
    assert field(tag(response.fields_by_name["status"].number), b"") == module._STATUS_OK
