"""SFTP: every path is seen, every handle is the server's, and the real programs agree."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import ProtocolError
from firewall.protocols.files import FileRequest, Packet
from firewall.protocols.sftp import Session, denied
from firewall.protocols.sftp.requests import EXTENSIONS
from firewall.protocols.sftp.wire import Kind, packet
from tests.unit.protocols import transfers

INIT = packet(Kind.INIT, 3)
VERSION = packet(Kind.VERSION, 3)
NO_ATTRIBUTES = 0
READ, WRITE, APPEND, CREATE = 1, 2, 4, 8
OK = (0, b"Success", b"")

type Asked = tuple[str, str, str]


def asked(requests: tuple[FileRequest, ...]) -> list[Asked]:
    return [(each.operation, each.verb, each.path) for each in requests]


def agreed() -> Session:
    session = Session()
    assert [each.raw for each in session.feed_client(INIT)] == [INIT]
    assert [each.raw for each in session.feed_server(VERSION)] == [VERSION]
    return session


def ask(session: Session, *fields: int | bytes, kind: Kind) -> Packet:
    (read,) = session.feed_client(packet(kind, 7, *fields))
    return read


def opened(flags: int = READ, path: bytes = b"/f", handle: bytes = b"h") -> Session:
    """A session in which `path` is open with these flags, by this handle."""
    session = agreed()
    session.allow(ask(session, path, flags, NO_ATTRIBUTES, kind=Kind.OPEN))
    session.feed_server(packet(Kind.HANDLE, 7, handle))
    return session


PATHS: dict[str, tuple[bytes, list[Asked]]] = {
    "open for reading": (
        packet(Kind.OPEN, 7, b"/f", READ, NO_ATTRIBUTES),
        [("read", "open", "/f")],
    ),
    "open for writing": (
        packet(Kind.OPEN, 7, b"/f", WRITE | CREATE, 4, 0o644),
        [("write", "open", "/f")],
    ),
    "open for both": (
        packet(Kind.OPEN, 7, b"/f", READ | WRITE, NO_ATTRIBUTES),
        [("read", "open", "/f"), ("write", "open", "/f")],
    ),
    "open for nothing reads": (packet(Kind.OPEN, 7, b"/f", 0, 0), [("read", "open", "/f")]),
    "open to append only": (
        packet(Kind.OPEN, 7, b"/f", APPEND, 0),
        [("read", "open", "/f"), ("write", "open", "/f")],
    ),
    "open with a flag of the future": (
        packet(Kind.OPEN, 7, b"/f", READ | 0x40, 0),
        [("read", "open", "/f"), ("write", "open", "/f")],
    ),
    "all attributes": (
        packet(Kind.SETSTAT, 7, b"f", 0x8000000F, 0, 9, 1, 2, 3, 4, 5, 1, b"name", b"value"),
        [("write", "setstat", "f")],
    ),
    "lstat": (packet(Kind.LSTAT, 7, b"/f"), [("read", "lstat", "/f")]),
    "stat": (packet(Kind.STAT, 7, b"/f"), [("read", "stat", "/f")]),
    "opendir": (packet(Kind.OPENDIR, 7, b"/d"), [("read", "opendir", "/d")]),
    "readlink": (packet(Kind.READLINK, 7, b"/l"), [("read", "readlink", "/l")]),
    "remove": (packet(Kind.REMOVE, 7, b"/f"), [("write", "remove", "/f")]),
    "mkdir": (packet(Kind.MKDIR, 7, b"/d", 0), [("write", "mkdir", "/d")]),
    "rmdir": (packet(Kind.RMDIR, 7, b"/d"), [("write", "rmdir", "/d")]),
    "realpath": (packet(Kind.REALPATH, 7, b"/d/.."), [("read", "realpath", "/d/..")]),
    "realpath of home": (packet(Kind.REALPATH, 7, b"."), []),
    "realpath of nothing": (packet(Kind.REALPATH, 7, b""), []),
    "realpath beside home": (packet(Kind.REALPATH, 7, b".\0/a"), [("read", "realpath", ".\0/a")]),
    "rename": (
        packet(Kind.RENAME, 7, b"/a", b"/b"),
        [("write", "rename", "/a"), ("write", "rename", "/b")],
    ),
    "symlink": (
        packet(Kind.SYMLINK, 7, b"/target", b"/link"),
        [
            ("read", "symlink", "/target"),
            ("write", "symlink", "/target"),
            ("read", "symlink", "/link"),
            ("write", "symlink", "/link"),
        ],
    ),
    "not UTF-8": (packet(Kind.STAT, 7, b"/\xff"), [("read", "stat", "/\udcff")]),
    "posix-rename": (
        packet(Kind.EXTENDED, 7, b"posix-rename@openssh.com", b"/a", b"/b"),
        [
            ("write", "posix-rename@openssh.com", "/a"),
            ("write", "posix-rename@openssh.com", "/b"),
        ],
    ),
    "statvfs": (
        packet(Kind.EXTENDED, 7, b"statvfs@openssh.com", b"/"),
        [("read", "statvfs@openssh.com", "/")],
    ),
    "hardlink": (
        packet(Kind.EXTENDED, 7, b"hardlink@openssh.com", b"/a", b"/a"),
        [("read", "hardlink@openssh.com", "/a"), ("write", "hardlink@openssh.com", "/a")],
    ),
    "lsetstat": (
        packet(Kind.EXTENDED, 7, b"lsetstat@openssh.com", b"/l", 8, 1, 2),
        [("write", "lsetstat@openssh.com", "/l")],
    ),
    "limits": (packet(Kind.EXTENDED, 7, b"limits@openssh.com"), []),
    "expand-path": (
        packet(Kind.EXTENDED, 7, b"expand-path@openssh.com", b"~/d"),
        [("read", "expand-path@openssh.com", "d")],
    ),
    "expand-path of home": (packet(Kind.EXTENDED, 7, b"expand-path@openssh.com", b"~"), []),
    "expand-path of another": (
        packet(Kind.EXTENDED, 7, b"expand-path@openssh.com", b"~bob/d"),
        [("read", "expand-path@openssh.com", "~bob/d")],
    ),
    "home-directory": (packet(Kind.EXTENDED, 7, b"home-directory", b""), []),
    "home-directory of another": (
        packet(Kind.EXTENDED, 7, b"home-directory", b"bob"),
        [("read", "home-directory", "~bob")],
    ),
    "users-groups-by-id": (
        packet(Kind.EXTENDED, 7, b"users-groups-by-id@openssh.com", b"\0\0\0\0", b""),
        [],
    ),
}


@pytest.mark.parametrize(("raw", "expected"), list(PATHS.values()), ids=list(PATHS))
def test_paths(raw: bytes, expected: list[Asked]) -> None:
    (read,) = agreed().feed_client(raw)
    assert asked(read.requests) == expected
    assert (read.raw, read.request_id, read.size, read.answer) == (raw, 7, 0, b"")


@pytest.mark.parametrize(
    ("first", "second", "paths"),
    [
        (b".ssh/keys", b"/up/l", {".ssh/keys", "/up/.ssh/keys", "/up/l"}),
        (b"/up/l", b"file", {"/up/l", "/up/file", "file"}),
        (b"d/a", b"d/b", {"d/a", "d/b", "d/d/a", "d/d/b"}),
    ],
)
def test_a_relative_symlink_is_read_both_ways(first: bytes, second: bytes, paths: set[str]) -> None:
    """The first is the target to OpenSSH and the link to the draft."""
    read = ask(agreed(), first, second, kind=Kind.SYMLINK)
    wanted = {(operation, "symlink", path) for path in paths for operation in ("read", "write")}
    assert set(asked(read.requests)) == wanted


@pytest.mark.parametrize("raw", [raw for raw, _ in PATHS.values()], ids=list(PATHS))
def test_a_packet_that_is_one_byte_short_is_refused(raw: bytes) -> None:
    body = raw[4:-1]
    with pytest.raises(ProtocolError, match="ends in the middle of a field"):
        agreed().feed_client(len(body).to_bytes(4) + body)


HANDLES: dict[str, tuple[int, bytes, list[Asked]]] = {
    "close": (READ, packet(Kind.CLOSE, 7, b"h"), []),
    "read": (READ, packet(Kind.READ, 7, b"h", 0, 0, 9), []),
    "read what was opened to write": (
        WRITE,
        packet(Kind.READ, 7, b"h", 0, 0, 9),
        [("read", "read", "/f")],
    ),
    "write": (WRITE, packet(Kind.WRITE, 7, b"h", 0, 0, b"data"), []),
    "write what was opened to read": (
        READ,
        packet(Kind.WRITE, 7, b"h", 0, 0, b"data"),
        [("write", "write", "/f")],
    ),
    "fstat": (WRITE, packet(Kind.FSTAT, 7, b"h"), []),
    "fsetstat": (WRITE, packet(Kind.FSETSTAT, 7, b"h", 4, 0o600), []),
    "fsetstat of what was opened to read": (
        READ,
        packet(Kind.FSETSTAT, 7, b"h", 4, 0o777),
        [("write", "fsetstat", "/f")],
    ),
    "readdir": (READ, packet(Kind.READDIR, 7, b"h"), []),
    "fstatvfs": (READ, packet(Kind.EXTENDED, 7, b"fstatvfs@openssh.com", b"h"), []),
    "fsync": (WRITE, packet(Kind.EXTENDED, 7, b"fsync@openssh.com", b"h"), []),
    "copy-data": (
        READ | WRITE,
        packet(Kind.EXTENDED, 7, b"copy-data", b"h", 0, 0, 0, 0, b"h", 0, 9),
        [],
    ),
    "copy-data into what was opened to read": (
        READ,
        packet(Kind.EXTENDED, 7, b"copy-data", b"h", 0, 0, 0, 0, b"h", 0, 9),
        [("write", "copy-data", "/f")],
    ),
}


@pytest.mark.parametrize(("flags", "raw", "expected"), list(HANDLES.values()), ids=list(HANDLES))
def test_handles(flags: int, raw: bytes, expected: list[Asked]) -> None:
    (read,) = opened(flags).feed_client(raw)
    assert asked(read.requests) == expected
    assert read.size == (4 if raw[4] == Kind.WRITE else 0)
    (unknown,) = agreed().feed_client(raw)
    assert unknown.answer == packet(Kind.STATUS, 7, 4, b"the server gave no such handle", b"")
    assert (unknown.requests, unknown.size) == ((), 0)


def test_a_closed_handle_is_gone_at_once_and_may_be_given_again() -> None:
    session = opened()
    read = packet(Kind.READ, 8, b"h", 0, 0, 9)
    closed, late = session.feed_client(packet(Kind.CLOSE, 7, b"h") + read)
    assert (closed.answer, b"no such handle" in late.answer) == (b"", True)
    again = session.feed_client(packet(Kind.OPEN, 9, b"/other", WRITE, 0))[0]
    session.allow(again)
    session.feed_server(packet(Kind.HANDLE, 9, b"h") + packet(Kind.STATUS, 7, *OK))
    (judged,) = session.feed_client(read)
    assert asked(judged.requests) == [("read", "read", "/other")]


def test_an_open_that_failed_gives_no_handle() -> None:
    session = agreed()
    session.allow(ask(session, b"/f", READ, 0, kind=Kind.OPEN))
    session.feed_server(packet(Kind.STATUS, 7, 2, b"No such file", b""))
    assert ask(session, b"", kind=Kind.CLOSE).answer
    assert session.waiting == 0


def test_a_denied_request_waits_for_no_reply() -> None:
    session = agreed()
    denial = session.deny(ask(session, b"/f", READ, 0, kind=Kind.OPEN), "rule\x1b[0m 1")
    assert denial.to_client == packet(Kind.STATUS, 7, 3, b"rule [0m 1", b"")
    assert (denial.to_server, session.waiting) == (b"", 0)
    with pytest.raises(ProtocolError, match="answers SFTP request 7 with type 102; expected no"):
        session.feed_server(packet(Kind.HANDLE, 7, b"h"))


def test_a_reply_before_the_judgement_is_refused() -> None:
    session = agreed()
    ask(session, b"/f", READ, 0, kind=Kind.OPEN)
    with pytest.raises(ProtocolError, match="expected no reply"):
        session.feed_server(packet(Kind.HANDLE, 7, b"h"))


def test_denied_is_bounded() -> None:
    assert denied(1, "x" * 10_000) == packet(Kind.STATUS, 1, 3, b"x" * 4096, b"")


def test_unknown_extensions_are_answered_here() -> None:
    (read,) = agreed().feed_client(packet(Kind.EXTENDED, 7, b"exec@example.com", b"id"))
    assert read.requests == ()
    assert read.answer[4:13] == bytes([Kind.STATUS, 0, 0, 0, 7, 0, 0, 0, 8])
    assert b"not relayed" in read.answer


def test_the_server_offers_only_what_is_understood() -> None:
    session = Session()
    session.feed_client(INIT)
    offer = [field for name, (version, _) in EXTENSIONS.items() for field in (name, version)]
    odd = [b"exec@example.com", b"1", b"statvfs@openssh.com", b"3"]
    (read,) = session.feed_server(packet(Kind.VERSION, 3, *odd, *offer))
    assert read.raw == packet(Kind.VERSION, 3, *offer)


def test_a_newer_client_is_held_to_version_3() -> None:
    (read,) = Session().feed_client(packet(Kind.INIT, 6, b"newline", b"\n"))
    assert (read.raw, read.request_id) == (INIT, None)


REPLIES: dict[str, tuple[bytes, bytes, int]] = {
    "data": (packet(Kind.READ, 7, b"h", 0, 0, 9), packet(Kind.DATA, 7, b"data"), 4),
    "end of file": (packet(Kind.READ, 7, b"h", 0, 0, 9), packet(Kind.STATUS, 7, 1, b"", b""), 0),
    "status of old": (packet(Kind.CLOSE, 7, b"h"), packet(Kind.STATUS, 7, 0), 0),
    "status without language": (packet(Kind.CLOSE, 7, b"h"), packet(Kind.STATUS, 7, 0, b"x"), 0),
    "names": (
        packet(Kind.READDIR, 7, b"h"),
        packet(Kind.NAME, 7, 2, b".", b"long", 0, b"a", b"long", 1, 0, 9),
        0,
    ),
    "attributes": (packet(Kind.FSTAT, 7, b"h"), packet(Kind.ATTRS, 7, 4, 0o644), 0),
    "extended": (
        packet(Kind.EXTENDED, 7, b"limits@openssh.com"),
        packet(Kind.EXTENDED_REPLY, 7, 1, 2, 3),
        0,
    ),
}


@pytest.mark.parametrize(("request_", "reply", "size"), list(REPLIES.values()), ids=list(REPLIES))
def test_replies(request_: bytes, reply: bytes, size: int) -> None:
    session = opened()
    session.feed_client(request_)
    assert session.waiting == 1
    assert session.feed_server(reply) == [Packet(reply, 7, size=size)]
    assert session.waiting == 0


BAD_CLIENTS: dict[str, tuple[bytes, str]] = {
    "too long": ((262_145).to_bytes(4), "packet of 262145 bytes"),
    "empty": (bytes(4), "packet of 0 bytes"),
    "no id": (b"\0\0\0\3\3\0\0", "type 3 ends in the middle"),
    "cut string": (packet(Kind.STAT, 7, 99) + b"/f", "type 17 ends in the middle"),
    "endless string": (packet(Kind.STAT, 7, 0xFFFFFFFF), "type 17 ends in the middle"),
    "endless attributes": (packet(Kind.MKDIR, 7, b"/d", 1 << 31, 0xFFFFFFFF), "ends in the middle"),
    "odd attributes": (packet(Kind.MKDIR, 7, b"/d", 0x10), "attributes 0x10"),
    "too many bytes": (packet(Kind.STAT, 7, b"/f", b""), "type 17 has 4 bytes too many"),
    "a reply": (packet(Kind.STATUS, 7, *OK), "type 101 is not one that a client sends"),
    "unknown type": (b"\0\0\0\5\x21\0\0\0\7", "type 33 is not one that a client sends"),
    "second greeting": (INIT, "asked once"),
    "long path": (packet(Kind.STAT, 7, b"a" * 4097), "a path of 4097"),
    "id twice": (packet(Kind.EXTENDED, 7, b"limits@openssh.com") * 2, "id 7 is used again"),
}


@pytest.mark.parametrize(("data", "reason"), list(BAD_CLIENTS.values()), ids=list(BAD_CLIENTS))
def test_refuses_of_clients(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        agreed().feed_client(data)


BAD_SERVERS: dict[str, tuple[bytes, str]] = {
    "second greeting": (VERSION, "says SFTP version 3; expected 3, once"),
    "not asked": (packet(Kind.STATUS, 8, *OK), "request 8 with type 101; expected no reply"),
    "another's reply": (packet(Kind.DATA, 7, b"x"), "type 103; expected STATUS or HANDLE"),
    "a request": (packet(Kind.STAT, 7, b"/f"), "type 17; expected STATUS or HANDLE"),
    "a handle twice": (packet(Kind.HANDLE, 7, b"h"), "handle twice"),
    "a long handle": (packet(Kind.HANDLE, 7, b"x" * 257), "too long"),
    "too many bytes": (packet(Kind.HANDLE, 7, b"x", 0), "type 102 has 4 bytes too many"),
    "cut": (packet(Kind.HANDLE, 7, 99), "type 102 ends in the middle"),
    "endless": (bytes([255] * 4), "packet of 4294967295 bytes"),
}


@pytest.mark.parametrize(("data", "reason"), list(BAD_SERVERS.values()), ids=list(BAD_SERVERS))
def test_refuses_of_servers(data: bytes, reason: str) -> None:
    session = opened()
    session.allow(ask(session, b"/other", READ, 0, kind=Kind.OPEN))
    with pytest.raises(ProtocolError, match=reason):
        session.feed_server(data)


@pytest.mark.parametrize("version", [0, 2, 4, 6])
def test_no_other_version_is_agreed_on(version: int) -> None:
    session = Session()
    with pytest.raises(ProtocolError, match="before a version was agreed on"):
        session.feed_client(packet(Kind.STAT, 7, b"/f"))
    session.feed_client(INIT)
    with pytest.raises(ProtocolError, match=f"says SFTP version {version}; expected 3"):
        session.feed_server(packet(Kind.VERSION, version))


def test_refuses_a_version_before_the_greeting_and_old_clients() -> None:
    with pytest.raises(ProtocolError, match="expected 3, once"):
        Session().feed_server(VERSION)
    with pytest.raises(ProtocolError, match="SFTP version 2; version 3 is relayed"):
        Session().feed_client(packet(Kind.INIT, 2))


def test_requests_without_a_reply_are_bounded() -> None:
    session = opened()
    for number in range(1 << 16):
        session.feed_client(packet(Kind.READ, number, b"h", 0, 0, 1))
    assert session.waiting == 1 << 16
    with pytest.raises(ProtocolError, match="more than 65536 SFTP requests without a reply"):
        session.feed_client(packet(Kind.READ, 1 << 16, b"h", 0, 0, 1))


def test_open_files_are_bounded() -> None:
    session = agreed()
    for number in range(1025):
        (read,) = session.feed_client(packet(Kind.OPENDIR, number, b"/d"))
        if number < 1024:
            session.allow(read)
            session.feed_server(packet(Kind.HANDLE, number, b"%d" % number))
    with pytest.raises(ProtocolError, match="more than 1024 files open"):
        session.allow(read)


def test_no_more_than_a_packet_is_kept() -> None:
    session = opened(WRITE)
    data = packet(Kind.WRITE, 7, b"h", 0, 0, bytes(255 << 10))
    for number in range(20):
        stream = data[:5] + number.to_bytes(4) + data[9:]
        sent = [session.feed_client(stream[at : at + 999]) for at in range(0, len(stream), 999)]
        assert sum(each.size for packets in sent for each in packets) == 255 << 10
        assert len(session._from_client._held) == 0
    session.feed_client(data[:-1])
    assert len(session._from_client._held) == len(data) - 1


CLIENT_SAMPLES = [
    *(raw for raw, _ in PATHS.values()),
    *(raw for _, raw, _ in HANDLES.values()),
    packet(Kind.EXTENDED, 7, b"exec@example.com"),
]
SERVER_SAMPLES = [
    *(reply for _, reply, _ in REPLIES.values()),
    packet(Kind.HANDLE, 7, b"h"),
    packet(Kind.HANDLE, 9, b"i"),
]


@st.composite
def streams(draw: st.DrawFn, samples: list[bytes]) -> bytes:
    """A few packets in a row under a few ids, at times with a byte changed."""
    packets = draw(st.lists(st.sampled_from(samples), max_size=4))
    ids = draw(st.lists(st.integers(5, 9), min_size=4, max_size=4))
    data = bytearray(
        b"".join(
            each[:5] + number.to_bytes(4) + each[9:]
            for each, number in zip(packets, ids, strict=False)
        )
    )
    if data and draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from([0, 1, 7, 0x40, 0xFF]))
    return bytes(data)


talks = st.lists(
    st.one_of(
        st.tuples(st.just("client"), streams(CLIENT_SAMPLES)),
        st.tuples(st.just("server"), streams(SERVER_SAMPLES)),
    ),
    max_size=6,
)


def talk(steps: list[tuple[str, bytes]], size: int) -> tuple[list[Packet], str]:
    """What is read of a conversation cut into pieces of `size`, and the error that ends it."""
    session, read = opened(), list[Packet]()
    for side, data in steps:
        feed = session.feed_client if side == "client" else session.feed_server
        for at in range(0, len(data), size):
            try:
                packets = feed(data[at : at + size])
                for each in packets:
                    if each.requests:
                        session.allow(each)
            except ProtocolError as error:
                return read, str(error)
            read += packets
    return read, ""


@given(talks, st.integers(2, 40))
def test_whole_equals_pieces(steps: list[tuple[str, bytes]], size: int) -> None:
    whole, fault = talk(steps, 1 << 20)
    bytewise, bytewise_fault = talk(steps, 1)
    pieces, pieces_fault = talk(steps, size)
    assert bool(fault) == bool(bytewise_fault) == bool(pieces_fault)
    assert bytewise[: len(whole)] == whole
    assert bytewise[: len(pieces)] == pieces
    assert fault or whole == bytewise == pieces


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=80)), max_size=6), st.booleans())
def test_garbage_raises_nothing_else(steps: list[tuple[bool, bytes]], framed: bool) -> None:
    session = opened()
    for sent, data in steps:
        feed = session.feed_client if sent else session.feed_server
        whole = len(data).to_bytes(4) + data if framed and data else data
        try:
            feed(whole)
        except ProtocolError:
            return


SERVER = "/usr/lib/openssh/sftp-server"
needs_server = pytest.mark.skipif(not Path(SERVER).exists(), reason="needs OpenSSH's sftp-server")


@needs_server
def test_openssh_offers_nothing_that_is_known_in_another_version() -> None:
    with subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write(INIT)
        server.stdin.flush()
        length = server.stdout.read(4)
        offer = length + server.stdout.read(int.from_bytes(length))
        server.stdin.close()
    session = Session()
    session.feed_client(INIT)
    (kept,) = session.feed_server(offer)
    known = {name for name in EXTENSIONS if name in offer}
    assert known == {name for name in EXTENSIONS if name in kept.raw}
    assert b"posix-rename@openssh.com" in known


BATCH = """\
put {local} {remote}/a
get {remote}/a {back}
ls -l {remote}
-put {local} {remote}/secret
-put {local} {remote}/a/../b
rename {remote}/a {remote}/b
ln -s {remote}/b {remote}/soft
ln {remote}/b {remote}/hard
chmod 600 {remote}/b
df {remote}
mkdir {remote}/d
rmdir {remote}/d
cd {remote}
put -p -f {local} c
pwd
rm hard
"""


@pytest.mark.skipif(not shutil.which("sftp"), reason="needs OpenSSH's sftp")
@needs_server
def test_openssh(tmp_path: Path) -> None:
    local, back, remote = tmp_path / "local", tmp_path / "back", tmp_path / "remote"
    local.write_bytes(bytes(range(256)) * 4000)
    remote.mkdir()
    between, log = transfers.script(tmp_path, "*/secret", "sftp", SERVER)
    done = subprocess.run(
        ["sftp", "-b", "-", "-D", str(between)],
        input=BATCH.format(local=local, back=back, remote=remote),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'"{remote}/secret": Permission denied' in done.stderr
    assert f'"{remote}/a/../b": Permission denied' in done.stderr
    assert back.read_bytes() == local.read_bytes() == (remote / "c").read_bytes()
    assert {path.name for path in remote.iterdir()} == {"b", "c", "soft"}
    seen = transfers.read_log(log)
    assert (seen.sent, seen.received) == (2 * 1_024_000, 1_024_000)
    inside = f"{remote}/"
    assert {(each[0], each[1], each[2].removeprefix(inside)) for each in seen.requests} >= SEEN


SEEN = {
    ("write", "open", "a"),
    ("read", "open", "a"),
    ("write", "open", "secret"),
    ("write", "open", "a/../b"),
    ("write", "posix-rename@openssh.com", "a"),
    ("write", "posix-rename@openssh.com", "b"),
    ("write", "symlink", "b"),
    ("write", "symlink", "soft"),
    ("write", "hardlink@openssh.com", "b"),
    ("write", "hardlink@openssh.com", "hard"),
    ("write", "setstat", "b"),
    ("write", "mkdir", "d"),
    ("write", "rmdir", "d"),
    ("write", "open", "c"),
    ("write", "remove", "hard"),
}
