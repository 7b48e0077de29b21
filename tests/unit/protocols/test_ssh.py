"""SSH: the words with which the firewall turns a client away, and what a key exchange tells."""

import hashlib
import shutil
import socket
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols.ssh import disconnect, guesses_wrong, hassh
from tests.waiting import PATIENCE


def read_packet(data: bytes) -> tuple[bytes, int]:
    """Payload and padding of the only packet after the banner."""
    banner, packet = data.split(b"\r\n", 1)
    assert banner == b"SSH-2.0-firewall"
    length, padding = int.from_bytes(packet[:4]), packet[4]
    assert len(packet) == 4 + length
    assert len(packet) % 8 == 0
    return packet[5 : 4 + length - padding], padding


@given(st.text(max_size=300))
def test_is_one_well_formed_packet(reason: str) -> None:
    payload, padding = read_packet(disconnect(reason))
    assert 4 <= padding <= 255
    assert payload[:5] == b"\x01\x00\x00\x00\x0b"
    size = int.from_bytes(payload[5:9])
    text = payload[9 : 9 + size].decode()
    assert payload[9 + size :] == bytes(4)
    assert all(character.isprintable() for character in text)


def test_a_long_reason_is_cut() -> None:
    payload, _ = read_packet(disconnect("é" * 10_000))
    assert payload[9:-4].decode() == "é" * 2048


@pytest.mark.skipif(not shutil.which("ssh"), reason="OpenSSH's client is not installed")
def test_openssh_shows_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_turn_away, args=(server,))
        thread.start()
        command = ["ssh", "-F", "none", "-p", str(server.getsockname()[1]), "127.0.0.1"]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        thread.join()
    assert result.returncode == 255
    assert "rule default: not allowed" in result.stderr


def _turn_away(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(disconnect("rule default: not allowed"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def _kexinit(*lists: str, follows: bool = False) -> bytes:
    """SSH_MSG_KEXINIT (RFC 4253 section 7.1) with the given first name-lists, the rest empty."""
    names = [*lists, *[""] * (10 - len(lists))]
    body = b"".join(len(each).to_bytes(4) + each.encode() for each in names)
    return b"\x14" + bytes(16) + body + bytes([follows]) + bytes(4)


def test_hassh_is_the_md5_of_what_a_side_sends_with() -> None:
    lists = ("kex", "hostkey", "enc-cs", "enc-sc", "mac-cs", "mac-sc", "cmp-cs", "cmp-sc")
    client = hashlib.md5(b"kex;enc-cs;mac-cs;cmp-cs").hexdigest()
    server = hashlib.md5(b"kex;enc-sc;mac-sc;cmp-sc").hexdigest()
    assert hassh(_kexinit(*lists)) == client
    assert hassh(_kexinit(*lists), server=True) == server


@given(st.binary(max_size=50))
def test_hassh_of_less_than_a_whole_message_is_empty(data: bytes) -> None:
    assert hassh(data) == ""
    assert hassh(_kexinit("kex")[: len(data)]) == ""


@pytest.mark.parametrize(
    ("client", "server", "wrong"),
    [
        (("a,b", "x"), ("a", "x"), False),
        (("a,b", "x"), ("b,a", "x"), True),
        (("a", "x,y"), ("a", "y"), True),
        (("a", "x,y"), ("a", "x"), False),
    ],
)
def test_a_guess_is_wrong_where_the_sides_prefer_another(
    client: tuple[str, str], server: tuple[str, str], wrong: bool
) -> None:
    assert guesses_wrong(_kexinit(*client, follows=True), _kexinit(*server)) is wrong
    assert guesses_wrong(_kexinit(*client), _kexinit(*server)) is False


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_no_bytes_make_it_raise(client: bytes, server: bytes) -> None:
    guesses_wrong(client, server)
