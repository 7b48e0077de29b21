"""ssh's command line, with ssh itself as the oracle."""

import json
import re
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from firewall.commands import SshInvocation, parse_ssh
from firewall.commands.intents import facts_of
from tests.waiting import PATIENCE

SPELLINGS = [
    json.loads(line)
    for line in Path(__file__).with_name("ssh_spellings.jsonl").read_text().splitlines()
]

NEEDS_SSH = pytest.mark.skipif(not shutil.which("ssh"), reason="OpenSSH's client is not installed")

CASES: list[tuple[str, SshInvocation]] = [
    ("ssh", SshInvocation()),
    ("ssh u@h uptime -R x", SshInvocation(host="h", user="u", command=("uptime", "-R", "x"))),
    ("ssh h -- ls -R", SshInvocation(host="h", command=("ls", "-R"))),
    ("ssh -- h -R 1:a:2", SshInvocation(host="h", command=("-R", "1:a:2"))),
    ("ssh h -R 1:a:2 -- ls", SshInvocation(host="h", remote_forwards=("1:a:2",), command=("ls",))),
    ("ssh u@v@h", SshInvocation(host="h", user="u@v")),
    ("ssh ssh://u%40v@[::1]:2222", SshInvocation(host="::1", user="u@v", port=2222)),
    ("ssh -p1 -p2 -l a b@h", SshInvocation(host="h", user="a", port=1)),
    ("ssh -4CqNR 1:a:2 h", SshInvocation(host="h", remote_forwards=("1:a:2",))),
    ("ssh -oremoteforward='1 a:2' h", SshInvocation(host="h", remote_forwards=("1:a:2",))),
    ("ssh -o 'RemoteForward = 1080' h", SshInvocation(host="h", remote_forwards=("1080",))),
    ("ssh -o '\"LocalForward\" 1 \"a:2\"' h", SshInvocation(host="h", local_forwards=("1:a:2",))),
    ("ssh -D1080 -D 1081 h", SshInvocation(host="h", dynamic_forwards=("1080", "1081"))),
    ("ssh -NTW db:5432 h", SshInvocation(host="h", stdio_forward="db:5432")),
    ("ssh -w0:1 h", SshInvocation(host="h", tunnel="0:1")),
    ("ssh -oTunnel=ethernet h", SshInvocation(host="h", tunnel="any:any")),
    ("ssh -oTunnel=no -oForwardAgent=no h", SshInvocation(host="h")),
    ("ssh -AX h", SshInvocation(host="h", agent_forwarding=True, x11_forwarding=True)),
    ("ssh -oForwardAgent=$S h", SshInvocation(host="h", agent_forwarding=True)),
    ("ssh -oPort=22 -oUser=u h", SshInvocation(host="h", user="u", port=22)),
    ("ssh -P tag h", SshInvocation(host="h")),
    ("ssh -R", SshInvocation(remote_forwards=("",))),
    ("ssh -AaxX h", SshInvocation(host="h", x11_forwarding=True)),
    ("ssh -oForwardX11Trusted=yes h", SshInvocation(host="h")),
    ("ssh -oHostName=real -J a,b h", SshInvocation(host="h", hostname="real", jumps="a,b")),
    ("ssh -J 'a,b c' h", SshInvocation(host="h", jumps="a,b")),
    ("ssh -J 'a#b' h", SshInvocation(host="h", jumps="a")),
    ("ssh -J none -oProxyJump=a h", SshInvocation(host="h", jumps="none")),
    ("ssh -oClearAllForwardings=no -oClearAllForwardings=yes h",
     SshInvocation(host="h", cleared=False)),
    ("ssh -O forward -F c -oInclude=d h",
     SshInvocation(host="h", control="forward", configuration=("c", "d"))),
    ("ssh -GR 1:a:2 h", SshInvocation(host="h", query="-G", remote_forwards=("1:a:2",))),
    ("autossh -M 0 -R 1:a:2 h", SshInvocation(host="h", remote_forwards=("1:a:2",))),
    ("ssh -M 0 -R 1:a:2 h", SshInvocation(host="0", remote_forwards=("1:a:2",), command=("h",))),
]  # fmt: skip


@pytest.mark.parametrize(("command", "expected"), CASES)
def test_parses(command: str, expected: SshInvocation) -> None:
    assert parse_ssh(shlex.split(command)) == expected


def test_tags_came_late() -> None:
    argv = ["ssh", "-PR1:a:2", "h"]
    assert parse_ssh(argv).remote_forwards == ()
    assert parse_ssh(argv, tags=False).remote_forwards == ("1:a:2",)


ORACLE = [
    spelling
    for spelling in SPELLINGS
    if spelling.get("ssh_G") is not None
    and "error" not in spelling["ssh_G"]
    and not spelling["command"].startswith(("ssh -w", "ssh a ssh"))
]


@pytest.mark.parametrize("spelling", ORACLE, ids=[spelling["command"] for spelling in ORACLE])
def test_agrees_with_what_ssh_said(spelling: dict[str, dict[str, list[str]]]) -> None:
    invocation = parse_ssh(shlex.split(str(spelling["command"])))
    said = spelling["ssh_G"]
    assert len(invocation.remote_forwards) == len(said.get("remoteforward", []))
    assert len(invocation.local_forwards) == len(said.get("localforward", []))
    assert len(invocation.dynamic_forwards) == len(said.get("dynamicforward", []))
    assert (invocation.tunnel is not None) == ("tunnel" in said)


WORDS = [
    "-R", "-R80:a:80", "80:a:80", "-NL", "81:b:81", "-D", "1080", "-p2222", "-l", "me", "-A", "-X",
    "-4C", "--", "u@host", "host", "ssh://v@host:23", "-oUser=w", "-o", "Port 24",
    "-oDynamicForward=9", "-a", "-x", "-oForwardAgent=no", "-oForwardX11=yes", "-oHostName=real",
    "-o RemoteForward 82 c:82", "-vNT", "ls", "-oClearAllForwardings=yes", "-W", "a:1", "-J",
    "j1,j2",
    '-oRemote"Forward" 83 d:83', "-o=RemoteForward 84 e:84", "-oLocalForward\t'85' f:85 # x",
    "-oClearAllForwardings=no", "-oProxyJump=k", "-w", "any", "-oTunnel=no",
]  # fmt: skip


@NEEDS_SSH
@settings(max_examples=100)
@example(["-J", "ssh://v@host:23", "u@host"])
@example(["-J", "Port 24", "u@host"])
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
def test_agrees_with_ssh(words: list[str]) -> None:
    """Whatever ssh accepts, we read alike; a URI is no forward, though ssh finds ports in it."""
    taken = (b for a, b in pairwise(words) if a in ("-R", "-NL", "-D"))
    assume(not any(word.startswith("ssh://") for word in taken))
    command = ["ssh", "-F", "none", "-G", *words]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if answer.returncode:
        return
    said = [line.partition(" ")[::2] for line in answer.stdout.splitlines()]
    invocation = parse_ssh(["ssh", *words])
    assume(not str(invocation.host).isdigit())  # ssh writes 1080 as the address 0.0.4.56
    assert ("hostname", invocation.hostname or invocation.host) in said
    assert invocation.port is None or ("port", str(invocation.port)) in said
    assert invocation.user is None or ("user", invocation.user) in said
    assert (("forwardagent", "yes") in said) == invocation.agent_forwarding
    assert (("forwardx11", "yes") in said) == invocation.x11_forwarding
    # ssh writes what looks like an address, such as 1080, in brackets.
    jumps = [re.sub(r"ssh://|[][]", "", value) for key, value in said if key == "proxyjump"]
    assert ([invocation.jumps] if invocation.jumps else []) == jumps
    intents = [
        (intent.name, _digits(intent.detail)) for intent in facts_of(["ssh", *words]).intents
    ]
    for key in ("remote", "local", "dynamic"):
        told = {_digits(value) for name, value in said if name == f"{key}forward"}
        assert told == {value for name, value in intents if name == f"ssh.forward-{key}"}


def _digits(forward: str) -> str:
    """A forward's first number: its listening port."""
    found = re.search(r"[0-9]+", forward)
    return found[0] if found else ""


@given(st.lists(st.text(max_size=12), max_size=6))
def test_raises_on_nothing(arguments: list[str]) -> None:
    parse_ssh(["ssh", *arguments])


def test_a_long_command_line_takes_no_longer_than_its_words() -> None:
    """A hundred thousand options are read while a person waits; once they took nine seconds."""
    invocation = parse_ssh(["ssh", *["-R1:a:2"] * 100_000, "h", *["x"] * 100_000])
    assert len(invocation.remote_forwards) == len(invocation.command) == 100_000
