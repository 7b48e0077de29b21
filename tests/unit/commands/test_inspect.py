"""inspect_argv: every kind of finding, with its evidence, and honest commands."""

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.commands import inspect_argv

CASES: list[tuple[str, list[tuple[str, str]]]] = [
    (
        "/usr/bin/ssh -fNR 2222:localhost:22 u@h",
        [("ssh-reverse-forwarding", "remote forwarding 2222:localhost:22 at h")],
    ),
    (
        "ssh -PR1:a:2 h",
        [("ssh-reverse-forwarding", "remote forwarding 1:a:2 at h")],
    ),
    (
        "autossh -M 0 -R 1:a:2 -L 3:b:4 h",
        [
            ("ssh-reverse-forwarding", "remote forwarding 1:a:2 at h"),
            ("tunnel", "local forwarding 3:b:4 through h"),
        ],
    ),
    ("ssh -D 1080 h", [("tunnel", "dynamic forwarding 1080 through h")]),
    ("ssh -W db:5432 bastion", [("tunnel", "stdio forwarding to db:5432 through bastion")]),
    ("ssh -w any h", [("tunnel", "tunnel devices any through h")]),
    ("kitty +kitten ssh -D 9 h", [("tunnel", "dynamic forwarding 9 through h")]),
    ("plink -R 1:a:2 h", [("ssh-reverse-forwarding", "plink -R opens a port on the far side")]),
    ("dbclient -B db:5432 h", [("tunnel", "dbclient -B asks for a forwarded connection")]),
    ("chisel client http://h R:80:a:80", [("tunnel", "chisel reverse tunnel R:80:a:80")]),
    ("C:\\tools\\FRPC.exe -c f.toml", [("tunnel", "tunnel tool frpc")]),
    ("python3.12 -m sshuttle -r h 0/0", [("tunnel", "tunnel tool sshuttle")]),
    ("cloudflared tunnel --url x", [("tunnel", "tunnel tool cloudflared tunnel")]),
    ("ngrok http 80", [("tunnel", "tunnel tool ngrok http")]),
    ("./xmrig-6.21.0 -c config.json", [("mining", "mining program xmrig-6.21.0")]),
    (
        "./x -o stratum+tcp://p.example:3333 -u w",
        [("mining", "mining pool address stratum+tcp://")],
    ),
    ("./x --url=stratum+ssl://p.example:443", [("mining", "mining pool address stratum+ssl://")]),
    (
        "./worker -o p.example:3333 -u w --algo=rx/0",
        [("mining", "options for a pool, an account and the algorithm rx/0")],
    ),
]


@pytest.mark.parametrize(("command", "expected"), CASES)
def test_finds(command: str, expected: list[tuple[str, str]]) -> None:
    argv = command.split(" ")
    assert [(finding.kind, finding.evidence) for finding in inspect_argv(argv)] == expected


WALLET = "4" + "8" * 94
RENAMED = [
    f"./kworker -o p.example:443 -u {WALLET} -p x --tls",
    f"./kworker -o p.example:443 -u {WALLET}.rig+5000 -p x",
    "./kworker --donate-level=1 --cpu-max-threads-hint 50 -c /tmp/c.json",
    f"./miner --algo unheard-of --server p.example:2020 --user 0x{'a' * 40}.w",
    "./miner --algo unheard-of --server p.example:2020 --user me",
    "./a --algorithm unheard-of --pool p.example:3035 --wallet me",
    f"./a -pool p.example:4444 -wal 0x{'b' * 40}",
    f"./a -epool p.example:4444 -ewal 0x{'c' * 40} -eworker r",
    f"./a --pool p.example:2125 --user bc1q{'a' * 38}.w",
    f"./a --pool p.example:2125 --user kaspa:{'q' * 62}",
    "./a -o p.example:3333 -u w -p x --nicehash",
    "kdevtmpfsi", "hellminer -c x", "miniz --url w@p.example:1234",
    f"docker run -e POOL=p.example:3333 -e WALLET={WALLET} some/image",
    r"echo '[Service]\nExecStart=/opt/ethminer -U -P stratum://w@p.example:20\n[Install]'",
]  # fmt: skip


@pytest.mark.parametrize("command", RENAMED)
def test_a_miner_under_another_name(command: str) -> None:
    assert {each.kind for each in inspect_argv(shlex.split(command))} == {"mining"}


HONEST = [
    "grep stratum+tcp://p.example:3333 log", "git grep stratum+tcp://p.example:3333",
    "echo stratum+tcp://p.example:3333", "iptables -m string --string stratum+tcp://p.example:1",
    f"tool --url http://n.example:8545 --address 0x{'a' * 40}",
    f"wallet --server n.example:50001 --wallet bc1q{'a' * 38}",
    "mysql -u root -p x -P 3306", "redis-cli -u redis://h:6379 -a sha256",
    "docker run -e POOL_URL=postgres://db:5432 postgres", "docker pull a/xmrig", "pkill xmrig",
    "echo ExecStart=/usr/bin/python3 app.py", "ssh -O cancel -R 1:a:2 h", "ssh -G -R 1:a:2 h",
    "ssh u@h uptime", "ssh h ls -R", "ssh h -- grep -D skip", "ssh-keygen -L -f cert", "ssh -J a b",
"grep -rn stratum+tcp:// .",
    "pip install autossh", "apt-get install xmrig", "ngrok config check", "tailscale status",
    "code .", "cloudflared --version", "curl -o out.txt -u user https://a.example:8443/",
    "docker run -p 80:80 -u me image", "python -m http.server", "openssl dgst -a sha256",
    "plink -Raw h", "bore --help", "sha256sum miner.py",
]  # fmt: skip


@pytest.mark.parametrize("command", HONEST)
def test_honest(command: str) -> None:
    assert inspect_argv(command.split(" ")) == ()


def test_texts_about_pools_are_honest() -> None:
    assert inspect_argv(["git", "commit", "-m", "stratum+tcp://p.example:3333 is blocked"]) == ()


SPELLINGS = [
    json.loads(line)
    for line in Path(__file__).with_name("ssh_spellings.jsonl").read_text().splitlines()
]
KINDS = {
    "remote_forward": "ssh-reverse-forwarding",
    "local_forward": "tunnel",
    "dynamic_forward": "tunnel",
    "stdio_forward": "tunnel",
    "tun_device": "tunnel",
}
TOLD = [spelling for spelling in SPELLINGS if spelling["category"] in KINDS]
QUIET = [spelling for spelling in SPELLINGS if spelling["category"] == "benign_no_forward"]


@pytest.mark.parametrize("spelling", TOLD, ids=[spelling["command"] for spelling in TOLD])
def test_every_spelling_of_forwarding(spelling: dict[str, str]) -> None:
    findings = inspect_argv(shlex.split(spelling["command"]))
    assert KINDS[spelling["category"]] in {finding.kind for finding in findings}


@pytest.mark.parametrize("spelling", QUIET, ids=[spelling["command"] for spelling in QUIET])
def test_no_forwarding(spelling: dict[str, str]) -> None:
    assert inspect_argv(shlex.split(spelling["command"])) == ()


@given(
    st.lists(st.one_of(st.text(max_size=9), st.sampled_from(["ssh", "-m", "-o", "chisel", "lt"])))
)
def test_raises_on_nothing(argv: list[str]) -> None:
    inspect_argv(argv)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("docker run -d --name web pool.test/acme/xmrig:6 -o pool.test:3333", True),
        ("podman run acme/xmrig", True),
        ("docker run -d acme/web", False),
        ("docker logs acme/xmrig", False),
        ("docker run --name xmrig postgres", False),
    ],
)
def test_a_container_of_a_miner(line: str, found: bool) -> None:
    assert any(each.kind == "mining" for each in inspect_argv(line.split())) == found


def test_a_service_that_is_written_down() -> None:
    unit = "[Service]\\nExecStart=/opt/bin/xmrig -o pool.test:3333 -u w\\nRestart=always"
    (found,) = inspect_argv(["echo", "-e", unit])
    assert (found.kind, found.evidence) == ("mining", "mining program xmrig")
    assert inspect_argv(["echo", "ExecStart=/usr/sbin/nginx -g daemon"]) == ()
