"""What a client may say after it was judged without, whole and byte by byte."""

import time

import pytest

from firewall.protocols import Watch
from firewall.proxy.late import Late

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 505
SPOKEN = {
    "late-http": b"GET /" + b"a" * 500 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "late-http-connect": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "late-http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "late-ssh": b"SSH-2.0-OpenSSH_9.2" + b"x" * 100 + b"\r\n",
    "late-tls": HELLO,
}
HONEST = (
    b"EHLO mail.test\r\n" + b"GET is a word\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f" + HELLO,  # PostgreSQL asks first, then speaks TLS
    b"USER GET\r\nGET / HTTP/1.1\r\n",
    b"\x00" * 70_000,
)


def _late() -> Late:
    return Late(Watch("tcp stream", "sent"))


def _names(late: Late, pieces: list[bytes]) -> list[str]:
    found = [finding for piece in pieces for finding in late.feed(piece)]
    return [each.name for each in found if each.kind == "protocol-mismatch"]


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("size", [1, 7, 70, 10_000])
def test_what_has_rules_of_its_own_is_found_once(name: str, size: int) -> None:
    data = SPOKEN[name]
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert _names(_late(), pieces) == [name]


@pytest.mark.parametrize("data", HONEST)
@pytest.mark.parametrize("size", [1, 10_000])
def test_other_talk_is_none_of_it(data: bytes, size: int) -> None:
    data = data[: 2_000 * size]
    assert _names(_late(), [data[at : at + size] for at in range(0, len(data), size)]) == []


def test_mining_is_found_as_ever() -> None:
    (finding,) = _late().feed(b'{"id":1,"method":"mining.subscribe","params":[]}\n')
    assert (finding.kind, finding.name) == ("mining", "stratum")


def test_a_line_that_never_ends_costs_little() -> None:
    late = _late()
    started = time.thread_time()
    for _ in range(20_000):
        late.feed(b"A")
    assert time.thread_time() - started < 5
