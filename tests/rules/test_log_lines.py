"""Log lines: independent of how the bytes come, complete, and in constant memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.execution.log_lines import PIECE_BYTES, LogLines


def lines_of(*chunks: bytes) -> list[str]:
    lines = LogLines()
    return [line for chunk in chunks for line in lines.add(chunk)] + lines.rest()


def test_lines_come_without_their_ends() -> None:
    assert lines_of(b"one\ntwo\r\n\nthree\n") == ["one", "two", "", "three"]


def test_a_last_line_without_an_end_comes_when_nothing_more_does() -> None:
    lines = LogLines()
    assert lines.add(b"one\ntw") == ["one"]
    assert lines.add(b"o") == []
    assert lines.rest() == ["two"]
    assert lines.rest() == []


def test_a_line_is_given_as_soon_as_it_is_complete() -> None:
    lines = LogLines()
    assert lines.add(b"now") == []
    assert lines.add(b"\n") == ["now"]


def test_an_end_that_is_cut_in_two_is_one_end() -> None:
    assert lines_of(b"one\r", b"\ntwo") == ["one", "two"]


def test_a_carriage_return_within_a_line_stays() -> None:
    assert lines_of(b"10%\r20%\n") == ["10%\r20%"]


def test_a_character_that_is_cut_in_two_is_one_character() -> None:
    assert lines_of(*[bytes([byte]) for byte in "Größe 🙂\n".encode()]) == ["Größe 🙂"]


def test_bytes_that_are_no_utf_8_are_written_as_such() -> None:
    assert lines_of(b"caf\xe9 \xff\n") == ["caf\\xe9 \\xff"]


def test_nothing_gives_no_line() -> None:
    assert lines_of() == []
    assert lines_of(b"") == []


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("more", [-1, 0, 1, 2, PIECE_BYTES])
def test_a_long_line_comes_in_pieces_none_of_them_empty(more: int, end: bytes) -> None:
    line = b"x" * (PIECE_BYTES + more)
    pieces = lines_of(line + end)
    assert "".join(pieces) == line.decode()
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
    assert len(pieces) == -(-len(line) // PIECE_BYTES)


def test_pieces_come_before_the_line_has_ended() -> None:
    lines = LogLines()
    assert lines.add(b"x" * (3 * PIECE_BYTES)) == ["x" * PIECE_BYTES] * 2


def test_no_character_is_cut_by_a_piece() -> None:
    text = "a" + "🙂" * (PIECE_BYTES // 2)
    pieces = lines_of(text.encode() + b"\n")
    assert "".join(pieces) == text
    assert len(pieces) == 3


CHUNKS = st.lists(
    st.binary(max_size=40) | st.sampled_from([b"\n", b"\r", b"\r\n", "🙂".encode(), b"x" * 70_000]), max_size=8
)


@given(CHUNKS, st.integers(1, 9))
def test_the_lines_do_not_depend_on_where_the_chunks_are_cut(chunks: list[bytes], size: int) -> None:
    data = b"".join(chunks)
    expected = lines_of(data)
    assert lines_of(*chunks) == expected
    if len(data) < 1000:
        assert lines_of(*(data[at : at + size] for at in range(0, len(data), size))) == expected


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_short_lines_are_what_decoding_each_gives(lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b"").rstrip(b"\r") for line in lines]
    assert lines_of(b"".join(line + b"\n" for line in lines)) == [
        line.decode("utf-8", "backslashreplace") for line in lines
    ]


@given(st.binary(max_size=80), st.integers(0, 70))
def test_pieces_joined_are_the_line(ending: bytes, back: int) -> None:
    line = (b"x" * (PIECE_BYTES - back) + ending).replace(b"\n", b"").rstrip(b"\r")
    assert "".join(lines_of(line + b"\n")) == line.decode("utf-8", "backslashreplace")
