"""Frames: bytes in whatever pieces they come are the frames that were packed."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tg.common.delivery.serving.frames import ANSWER, JSON_CALL, TENSOR_CALL, Frame, FrameReader, pack

LAW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine a law holds as well, only later."""
FACTS = st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=20)), max_size=3)
FRAMES = st.lists(
    st.tuples(
        st.sampled_from([JSON_CALL, TENSOR_CALL, ANSWER]),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**16 - 1),
        FACTS,
        st.binary(max_size=300),
    ),
    max_size=5,
)


@LAW
@given(FRAMES, st.lists(st.integers(1, 200)))
def test_frames_come_out_as_they_were_packed_in_any_pieces(
    frames: list[tuple[int, int, int, dict[str, object], bytes]], sizes: list[int]
) -> None:
    sent = b"".join(
        pack(kind, number, body, status=status, facts=facts) for kind, number, status, facts, body in frames
    )
    reader = FrameReader()
    received: list[Frame] = []
    at = 0
    for size in [*sizes, len(sent) + 1]:
        received += reader.frames_of(sent[at : at + size])
        at += size
    assert [(one.kind, one.number, one.status, one.known(), one.body) for one in received] == frames


@LAW
@given(st.binary(max_size=100))
def test_a_frame_comes_out_with_its_last_byte_and_not_before(body: bytes) -> None:
    sent = pack(ANSWER, 7, body, status=200)
    reader = FrameReader()
    for at in range(len(sent) - 1):
        assert list(reader.frames_of(sent[at : at + 1])) == []
    assert list(reader.frames_of(sent[-1:])) == [Frame(7, ANSWER, 200, b"", body)]


def test_what_follows_a_whole_frame_is_kept_for_the_next() -> None:
    one, other = pack(ANSWER, 1, b"one"), pack(ANSWER, 2, b"other")
    reader = FrameReader()
    assert [frame.number for frame in reader.frames_of(one + other[:5])] == [1]
    assert [frame.body for frame in reader.frames_of(other[5:])] == [b"other"]
