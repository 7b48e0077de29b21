"""scp: which commands it is, every name judged before its data, and nobody out of turn."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.protocols import ProtocolError
from firewall.protocols.files import FileRequest, Packet
from firewall.protocols.scp import Scp, ScpCommand, parse_command
from tests.unit.protocols import transfers

COMMANDS: dict[str, ScpCommand] = {
    "scp -t /up/f": ScpCommand("write", ("/up/f",)),
    "scp -v -r -p -d -t -- -f": ScpCommand("write", ("-f",), recursive=True, directory=True),
    "scp -prt .": ScpCommand("write", (".",), recursive=True),
    "scp -pf a": ScpCommand("read", ("a",)),
    "scp -q -r -f a b/c": ScpCommand("read", ("a", "b/c"), recursive=True),
    "scp -t ~": ScpCommand("write", (".",)),
    "scp -t ~//a": ScpCommand("write", ("a",)),
    "scp -f /d/*.txt ~/[ab]?": ScpCommand("read", ("/d/*.txt", "[ab]?")),
}


@pytest.mark.parametrize(("command", "expected"), list(COMMANDS.items()), ids=list(COMMANDS))
def test_commands(command: str, expected: ScpCommand) -> None:
    assert parse_command(command.split()) == expected


@pytest.mark.parametrize(
    "command",
    [
        "",
        "scp",
        "scp -t",
        "scp -f",
        "scp a b",
        "scp a h:b",
        "scp -t -f a",
        "scp -t a b",
        "/tmp/scp -t a",
        "scp -S evil -t a",
        "scp -oProxyCommand=id -f a",
        "scp -D x -t a",
        "scp -t a*",
        "scp -f */a",
        "scp -f {a,b}",
        "scp -f $x",
        "scp -f `id`",
        "scp -f a; id",
        "scp -t ~bob/a",
        "scp -f a|b",
        "rsync --server . a",
        "scp a -t b",
        "scp -f a -t b",
        "scp -f a -- b",
        "scp -t -",
    ],
)
def test_other_commands(command: str) -> None:
    assert parse_command(command.split()) is None


def upload(command: str = "scp -r -t /up") -> Scp:
    scp = start(command)
    assert scp.feed_server(b"\0") == [Packet(b"\0")]
    return scp


def start(command: str) -> Scp:
    parsed = parse_command(command.split())
    assert parsed
    return Scp(parsed)


def download(command: str = "scp -r -f /down/*") -> Scp:
    scp = start(command)
    assert scp.feed_client(b"\0") == [Packet(b"\0")]
    return scp


def paths(packets: list[Packet]) -> list[str]:
    (packet,) = packets
    return [request.path for request in packet.requests]


def enter(scp: Scp, line: bytes) -> list[str]:
    """Let a record of the client pass; the server accepts it."""
    packets = scp.feed_client(line)
    if packets[0].requests:
        scp.allow(packets[0])
    scp.feed_server(b"\0")
    return paths(packets)


def test_an_upload() -> None:
    scp = upload("scp -r -p -d -t /up")
    assert enter(scp, b"T1700000000 0 1700000000 0\n") == []
    assert enter(scp, b"D0755 0 dir\n") == ["/up/dir"]
    (entry,) = scp.feed_client(b"C0644 5 file\n")
    assert entry == Packet(
        b"C0644 5 file\n", requests=(FileRequest("write", "scp", "/up/dir/file"),)
    )
    scp.allow(entry)
    assert scp.feed_server(b"\0") == [Packet(b"\0")]
    assert scp.feed_client(b"he") == [Packet(b"he", size=2)]
    assert scp.feed_client(b"llo\0") == [Packet(b"llo", size=3), Packet(b"\0")]
    assert scp.feed_server(b"\0") == [Packet(b"\0")]
    assert enter(scp, b"C0644 0 empty\n") == ["/up/dir/empty"]
    assert scp.feed_client(b"\0") == [Packet(b"\0")]
    scp.feed_server(b"\0")
    assert enter(scp, b"E\n") == []
    assert enter(scp, b"D0755 0 next\n") == ["/up/next"]


def test_a_download() -> None:
    scp = download("scp -r -f /down/dir")
    (entry,) = scp.feed_server(b"D0755 0 dir\n")
    assert entry.requests == (FileRequest("read", "scp", "/down/dir"),)
    scp.allow(entry)
    scp.feed_client(b"\0")
    (entry,) = scp.feed_server(b"C0644 5 file\n")
    assert entry.requests == (FileRequest("read", "scp", "/down/dir/file"),)
    scp.allow(entry)
    scp.feed_client(b"\0")
    assert [packet.size for packet in scp.feed_server(b"hello\0")] == [5, 0]


TARGETS: dict[str, tuple[str, bytes, list[str]]] = {
    "perhaps a directory": ("scp -t /up", b"C0644 1 f\n", ["/up", "/up/f"]),
    "a directory for sure": ("scp -d -t /up", b"C0644 1 f\n", ["/up/f"]),
    "no file ends with a slash": ("scp -t /up/", b"C0644 1 f\n", ["/up/f"]),
    "but mkdir takes it": ("scp -r -t /up/", b"D0755 0 d\n", ["/up/", "/up/d"]),
    "home": ("scp -t .", b"C0644 1 f\n", ["./f"]),
    "root": ("scp -t /", b"C0644 1 f\n", ["/f"]),
    "not UTF-8": ("scp -t /", b"C0644 1 \xff\n", ["/\udcff"]),
}


@pytest.mark.parametrize(("command", "line", "expected"), list(TARGETS.values()), ids=list(TARGETS))
def test_targets(command: str, line: bytes, expected: list[str]) -> None:
    assert paths(upload(command).feed_client(line)) == expected


def test_both_meanings_of_a_target_go_down_the_tree() -> None:
    scp = upload("scp -r -t /up")
    enter(scp, b"D0755 0 d\n")
    assert enter(scp, b"D0755 0 e\n") == ["/up/e", "/up/d/e"]
    assert paths(scp.feed_client(b"C0644 1 f\n")) == ["/up/e/f", "/up/d/e/f"]


SOURCES: dict[str, tuple[str, bytes, list[str]]] = {
    "one": ("scp -f /down/f", b"C0644 1 f\n", ["/down/f"]),
    "a pattern": ("scp -f /down/*.txt", b"C0644 1 a.txt\n", ["/down/a.txt"]),
    "two that it may be": ("scp -f a/f b/*", b"C0644 1 f\n", ["a/f", "b/f"]),
    "brackets in a name": ("scp -f a[1]", b"C0644 1 a[1]\n", ["a[1]"]),
    "a slash at the end": ("scp -r -f /down/d/", b"D0755 0 d\n", ["/down/d"]),
}


@pytest.mark.parametrize(("command", "line", "expected"), list(SOURCES.values()), ids=list(SOURCES))
def test_sources(command: str, line: bytes, expected: list[str]) -> None:
    assert paths(download(command).feed_server(line)) == expected


@pytest.mark.parametrize("name", [b".bashrc", b"a.sh", b"xa.txt.sh"])
def test_a_server_sends_only_what_was_asked_for(name: bytes) -> None:
    with pytest.raises(ProtocolError, match="which was not asked for"):
        download("scp -f /down/*.txt").feed_server(b"C0644 1 " + name + b"\n")


def test_a_denied_upload_leaves_the_next_alone() -> None:
    scp = upload("scp -d -t /up")
    (entry,) = scp.feed_client(b"C0644 5 secret\n")
    denial = scp.deny(entry, "rule 1\nforbids it")
    assert (denial.to_client, denial.to_server) == (b"\x01scp: rule 1 forbids it\n", b"")
    assert enter(scp, b"T1700000000 0 1700000000 0\n") == []
    assert enter(scp, b"C0644 5 other\n") == ["/up/other"]


def test_a_denied_download_is_left_out_by_the_server() -> None:
    scp = download()
    (entry,) = scp.feed_server(b"C0644 5 secret\n")
    denial = scp.deny(entry, "x" * 5000)
    assert denial.to_client == denial.to_server == b"\x01scp: " + b"x" * 1024 + b"\n"
    assert paths(scp.feed_server(b"C0644 5 other\n")) == ["/down/other"]


def test_a_directory_that_the_server_refuses_is_not_entered() -> None:
    scp = upload("scp -r -d -t /up")
    (entry,) = scp.feed_client(b"D0755 0 d\n")
    scp.allow(entry)
    assert scp.feed_server(b"\x01no such") == []
    assert scp.feed_server(b" thing\n") == [Packet(b"\x01no such thing\n")]
    assert paths(scp.feed_client(b"C0644 5 f\n")) == ["/up/f"]


def test_trouble_of_the_sender_takes_a_records_place() -> None:
    scp = download()
    trouble = b"\x01scp: x: No such file\n"
    assert scp.feed_server(trouble + trouble) == [Packet(trouble)] * 2


BAD_SENDERS: dict[str, tuple[bytes, str]] = {
    "a parent": (b"C0644 1 ..\n", "no plain name"),
    "itself": (b"D0755 0 .\n", "no plain name"),
    "no name": (b"C0644 1 \n", "no plain name"),
    "a path": (b"C0644 1 a/b\n", "no plain name"),
    "an escape": (b"C0644 1 \x1b[2J\n", "no plain name"),
    "a NUL": (b"C0644 1 a\0b\n", "no plain name"),
    "a negative size": (b"C0644 -1 a\n", "malformed"),
    "an endless size": (b"C0644 9999999999999999999 a\n", "malformed"),
    "an odd mode": (b"C9999 1 a\n", "malformed"),
    "no size": (b"C0644\n", "malformed"),
    "bad times": (b"T1 2\n", "malformed or misplaced"),
    "the end of nothing": (b"E\n", "malformed or misplaced"),
    "noise": (b"welcome\n", "expected a record of the sender"),
    "an ack": (b"\0", "expected a record of the sender"),
    "an endless line": (b"C0644 1 " + b"a" * 9000, "expected a record"),
    "a long name": (b"C0644 1 " + b"a" * 4097 + b"\n", "a path of 4097"),
    "data before the ack": (b"C0644 1 a\nx", "sender of an scp speaks where a judgement"),
}


@pytest.mark.parametrize(("data", "reason"), list(BAD_SENDERS.values()), ids=list(BAD_SENDERS))
def test_refuses_of_senders(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        upload().feed_client(data)
    with pytest.raises(ProtocolError, match=reason):
        download().feed_server(data)


def test_refuses_a_directory_without_r_and_a_tree_without_end() -> None:
    with pytest.raises(ProtocolError, match="directory without -r"):
        upload("scp -t /up").feed_client(b"D0755 0 d\n")
    scp = upload("scp -r -t /up")
    for _ in range(256):
        enter(scp, b"D0755 0 d\n")
    with pytest.raises(ProtocolError, match="nested too deep"):
        scp.feed_client(b"D0755 0 d\n")


def test_refuses_a_long_path_of_short_names() -> None:
    scp = upload("scp -r -t /up")
    for _ in range(4):
        enter(scp, b"D0755 0 " + b"d" * 1000 + b"\n")
    with pytest.raises(ProtocolError, match="at most 4096"):
        scp.feed_client(b"D0755 0 " + b"d" * 1000 + b"\n")


def test_data_that_the_receiver_refused_is_not_taken_for_records() -> None:
    """A server that refuses a file would read its data as records: nobody speaks too early."""
    scp = upload()
    (entry,) = scp.feed_client(b"C0644 17 a\n")
    scp.allow(entry)
    with pytest.raises(ProtocolError, match="sender of an scp speaks where an ack"):
        scp.feed_client(b"C0644 1 other\nx\0")


@pytest.mark.parametrize("early", [b"\0", b"\x01no\n"])
def test_refuses_an_ack_of_nothing(early: bytes) -> None:
    with pytest.raises(ProtocolError, match="receiver of an scp speaks where a record"):
        upload().feed_server(early)


def test_refuses_an_ack_before_the_judgement() -> None:
    scp = upload()
    scp.feed_client(b"C0644 1 a\n")
    with pytest.raises(ProtocolError, match="speaks where a judgement"):
        scp.feed_server(b"\0")


def test_refuses_an_ack_that_is_none() -> None:
    with pytest.raises(ProtocolError, match="expected an ack of the receiver"):
        start("scp -t /up").feed_server(b"Last login: today\n")


SENDS = [
    b"C0644 3 a\n",
    b"C0644 0 b\n",
    b"D0755 0 d\n",
    b"E\n",
    b"T1 0 1 0\n",
    b"abc",
    b"ab",
    b"\0",
    b"\x01odd\n",
    b"C0644 1 ../a\n",
    b"\n",
]
ANSWERS = [b"\0", b"\0", b"\0", b"\x01no\n", b"\x02no\n", b"x"]
talks = st.lists(
    st.one_of(
        st.tuples(st.just(True), st.sampled_from(SENDS)),
        st.tuples(st.just(False), st.sampled_from(ANSWERS)),
        st.tuples(st.booleans(), st.binary(max_size=4)),
    ),
    max_size=12,
)


def talk(command: str, steps: list[tuple[bool, bytes]], size: int) -> tuple[object, ...]:
    """What passes in all, and whether an error ends it, when cut into pieces of `size`."""
    scp = start(command)
    feeds = [scp.feed_server, scp.feed_client]
    packets: list[Packet] = []
    fault = False
    for sender, data in steps:
        feed = feeds[sender is (" -t " in command)]
        for at in range(0, len(data), size):
            try:
                read = feed(data[at : at + size])
            except ProtocolError:
                fault = True
                break
            for each in read:
                if each.requests:
                    scp.allow(each)
            packets += read
        if fault:
            break
    requests = [each.requests for each in packets if each.requests]
    raw = b"".join(each.raw for each in packets)
    return fault, requests, sum(each.size for each in packets), b"" if fault else raw


@given(st.sampled_from(["scp -r -t /up", "scp -r -f *"]), talks, st.integers(2, 9))
def test_whole_equals_pieces(command: str, steps: list[tuple[bool, bytes]], size: int) -> None:
    start = [(False, b"\0"), *steps]
    whole, bytewise = talk(command, start, 1 << 20), talk(command, start, 1)
    assert whole[0] == bytewise[0] == talk(command, start, size)[0]
    assert whole[0] or whole == bytewise == talk(command, start, size)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=6))
def test_garbage_raises_nothing_else(steps: list[tuple[bool, bytes]]) -> None:
    scp = upload()
    for sent, data in steps:
        try:
            (scp.feed_client if sent else scp.feed_server)(data)
        except ProtocolError:
            return


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What to copy: a file, and a tree with a secret in it."""
    folder = tmp_path / "files"
    (folder / "tree" / "sub").mkdir(parents=True)
    (folder / "one").write_bytes(bytes(range(256)) * 4000)
    (folder / "tree" / "two").write_text("two")
    (folder / "tree" / "empty").touch()
    (folder / "tree" / "secret").write_text("secret")
    (folder / "tree" / "sub" / "three").write_text("three")
    return folder


def copy(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], transfers.Seen]:
    """Run the real scp at both ends, with a `Transfer` between that denies what is secret."""
    between, log = transfers.script(folder, "*secret", "scp")
    command = ["scp", "-O", "-S", str(between), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done, transfers.read_log(log)


def shape(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


needs_scp = pytest.mark.skipif(not shutil.which("scp"), reason="needs OpenSSH's scp")


@needs_scp
@pytest.mark.parametrize("up", [True, False], ids=["upload", "download"])
def test_openssh_copies_a_file(tmp_path: Path, files: Path, up: bool) -> None:
    there, here = f"host:{files}/one", f"{tmp_path}/copy"
    arguments = (f"{files}/one", f"host:{here}") if up else (there, here)
    done, seen = copy(tmp_path, "-p", *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy").read_bytes() == (files / "one").read_bytes()
    assert (seen.sent, seen.received) == ((1_024_000, 0) if up else (0, 1_024_000))
    wanted = [("write", "scp", here), ("write", "scp", f"{here}/one")]
    assert seen.requests == (wanted if up else [("read", "scp", f"{files}/one")])


@needs_scp
@pytest.mark.parametrize("up", [True, False], ids=["upload", "download"])
def test_openssh_copies_a_tree_but_what_is_denied(tmp_path: Path, files: Path, up: bool) -> None:
    (tmp_path / "copy").mkdir()
    source = f"{files}/tree" if up else f"host:{files}/tre?"
    done, seen = copy(tmp_path, "-r", source, f"{'host:' if up else ''}{tmp_path}/copy")
    assert done.returncode == 1
    assert "secret is denied by the test" in done.stderr
    expected = shape(files / "tree")
    del expected["secret"]
    assert shape(tmp_path / "copy" / "tree") == expected
    assert seen.sent + seen.received == len(b"twothree")
    where = tmp_path / "copy" if up else files
    operation = "write" if up else "read"
    for name in ("tree", "tree/two", "tree/empty", "tree/secret", "tree/sub", "tree/sub/three"):
        assert (operation, "scp", f"{where}/{name}") in seen.requests


@needs_scp
def test_openssh_tells_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    done, seen = copy(tmp_path, f"host:{tmp_path}/nothing", "copy")
    assert (done.returncode, seen.requests) == (1, [])
    assert "No such file" in done.stderr
