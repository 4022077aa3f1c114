"""Whatever bytes come in: exactly one well-formed answer goes out, and it allows only what was permitted.

Invariants: (1) an answer is never empty and always reads as a CheckResponse; (2) status 0 comes only from a `Permit`;
(3) each answer leaves exactly one record, and both say the same.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authz.model.decision import Decision, Permit
from authz.model.record import DecisionRecord
from authz.server.service import CheckService
from tests.fakes.deciders import FixedDecider, ListRecorder, denial, permit
from tests.mint.check_messages import check_message, read_answer

MESSAGE = check_message(headers={"accept": "*/*"}, destination="spiffe://shop.example/ns/shop/sa/orders")
MUTATIONS = st.tuples(st.integers(0, len(MESSAGE) - 1), st.integers(0, 255), st.integers(0, len(MESSAGE)))
DECISIONS = st.sampled_from([permit(), denial()])


def mutated(position: int, octet: int, length: int) -> bytes:
    """A real message with one octet changed, cut off somewhere."""
    return (MESSAGE[:position] + bytes([octet]) + MESSAGE[position + 1 :])[:length]


@given(message=st.binary(max_size=200) | MUTATIONS.map(lambda how: mutated(*how)), decision=DECISIONS)
def test_any_bytes_get_one_recorded_answer(message: bytes, decision: Decision) -> None:
    """Random octets and damaged messages alike."""
    recorder = ListRecorder()

    answer = CheckService(FixedDecider(decision), (recorder,)).answer(message, remaining=None)

    read = read_answer(answer)
    (record,) = recorder.records
    assert answer
    assert isinstance(record, DecisionRecord)
    assert (read.status.code == 0) is isinstance(record.decision, Permit)
    assert read.status.code != 0 or isinstance(decision, Permit)
    assert read.HasField("ok_response") is (read.status.code == 0)
