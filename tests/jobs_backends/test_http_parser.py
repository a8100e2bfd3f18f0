"""The parser of HTTP under pymesos: whatever way the bytes are cut, the same comes out."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.backends.http_parser import HttpParser

HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 2022 08:49:37 GMT\r\n"
    b"mesos-stream-id: 130ae4e3-6b13\r\nContent-Type: application/json\r\n"
)
EVENTS = (b'6\n{"a":1', b"}3\n[4]", b"x" * 300)
BODY = b"".join(EVENTS)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body + end


def feed(parser: HttpParser, *pieces: bytes) -> bytes:
    """All of the body that comes of the pieces, taken as pymesos takes it."""
    body = b""
    for piece in pieces:
        assert parser.execute(piece, len(piece)) == len(piece)
        if parser.is_partial_body():
            body += parser.recv_body()
    return body


def cut(whole: bytes, *places: int) -> list[bytes]:
    edges = [0, *places, len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges)]


def test_a_chunked_answer() -> None:
    parser = HttpParser()
    assert feed(parser, chunked(*EVENTS)) == BODY
    assert parser.get_status_code() == 200
    assert parser.is_headers_complete()
    assert parser.is_chunked()
    assert parser.is_message_complete()
    assert parser.get_headers()["Mesos-Stream-Id"] == "130ae4e3-6b13"
    assert parser.get_errno() == 0


@pytest.mark.parametrize(
    "answer",
    [
        chunked(*EVENTS),
        chunked(*EVENTS, end=b"0;last\r\nTrailer: 1\r\nOther: 2\r\n\r\n"),
        HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    ],
    ids=["chunked", "trailer", "length"],
)
def test_cut_in_two_at_every_byte(answer: bytes) -> None:
    for place in range(len(answer) + 1):
        parser = HttpParser()
        assert feed(parser, *cut(answer, place)) == BODY
        assert parser.is_message_complete()


@given(places=st.lists(st.integers(0, len(chunked(*EVENTS))), max_size=30))
def test_cut_anywhere(places: list[int]) -> None:
    parser = HttpParser()
    assert feed(parser, *cut(chunked(*EVENTS), *sorted(places))) == BODY
    assert parser.is_message_complete()


def test_byte_by_byte_nothing_is_known_too_early() -> None:
    answer = chunked(*EVENTS)
    head = answer.index(b"\r\n\r\n") + 4
    parser = HttpParser()
    for at in range(len(answer)):
        assert parser.is_headers_complete() == (at >= head)
        assert parser.get_status_code() == (200 if at >= head else 0)
        assert not parser.is_message_complete()
        feed(parser, answer[at : at + 1])
    assert parser.is_message_complete()


def test_a_chunk_is_handed_out_when_it_is_whole() -> None:
    parser = HttpParser()
    answer = chunked(b"first", b"second", end=b"")
    assert feed(parser, answer[:-4]) == b"first"
    assert feed(parser, answer[-4:-2]) == b"second"
    assert not parser.is_message_complete()


def test_a_body_of_known_length_needs_no_more() -> None:
    parser = HttpParser()
    answer = HEAD.replace(b"200 OK", b"401 Unauthorized") + b"Content-Length: 2\r\n\r\nno"
    assert feed(parser, answer) == b"no"
    assert parser.get_status_code() == 401
    assert not parser.is_chunked()
    assert parser.is_message_complete()


def test_a_body_until_the_connection_is_closed() -> None:
    parser = HttpParser()
    assert feed(parser, HEAD + b"\r\n", b"a", b"b") == b"ab"
    assert not parser.is_message_complete()


@pytest.mark.parametrize("more", [b"Content-Length: 0\r\n\r\n", b"\r\n"])
def test_no_body_at_all(more: bytes) -> None:
    parser = HttpParser()
    assert feed(parser, HEAD.replace(b"200 OK", b"204 No Content") + more) == b""
    assert parser.is_headers_complete()
    assert parser.is_message_complete()
    assert not parser.is_partial_body()


def test_a_status_line_without_words() -> None:
    parser = HttpParser()
    feed(parser, b"HTTP/1.1 307\r\nLocation: //127.0.0.1:5051/api\r\nContent-Length: 0\r\n\r\n")
    assert parser.get_status_code() == 307
    assert parser.get_headers()["Location"] == "//127.0.0.1:5051/api"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 fine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
        chunked(end=b"five\r\n"),
        chunked(end=b"-5\r\n"),
        chunked(end=b"1_0\r\n"),
        chunked(end=b"\r\n"),
        chunked(end=b"5\nhello"),
        chunked(end=b"3\r\nabcd\r\n"),
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20),
        chunked(end=b"1;" + b"a" * (1 << 20)),
    ],
)
def test_what_is_not_http_is_refused_for_good(answer: bytes) -> None:
    parser = HttpParser()
    assert parser.execute(answer, len(answer)) == 0
    assert parser.get_errno() == 1
    assert parser.execute(HEAD, len(HEAD)) == 0


def test_only_the_given_length_counts() -> None:
    parser = HttpParser()
    answer = chunked(b"a")
    assert parser.execute(answer + b"rubbish", len(answer)) == len(answer)
    assert parser.recv_body() == b"a"


def seconds_for(size: int, piece: int) -> float:
    """One chunk of `size` bytes, read as pymesos reads: in small pieces."""
    answer = chunked(b"x" * size)
    parser = HttpParser()
    start = time.process_time()
    got = feed(parser, *(answer[at : at + piece] for at in range(0, len(answer), piece)))
    assert len(got) == size
    return time.process_time() - start


def test_a_large_body_in_small_pieces_takes_time_in_proportion() -> None:
    small = min(seconds_for(1 << 20, 64) for _ in range(3))
    large = min(seconds_for(8 << 20, 64) for _ in range(2))
    # Quadratic, it would be 64 times.
    assert large < 24 * small
