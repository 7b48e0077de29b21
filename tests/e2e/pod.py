"""Two network namespaces: a pod with an agent and a gate, and the world with servers and a witness.

They are joined by a pair of interfaces, and the pod has routes to everywhere.
"""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from firewall.sidecar import UID
from tests.e2e import witness
from tests.e2e.conftest import FIREWALL, Workplace
from tests.waiting import PATIENCE, eventually

SERVER, SERVER6 = "203.0.113.5", "2001:db8::5"
AGENT = 1000
METRICS = 9464

_POD = """
mount --bind {folder}/resolv.conf /etc/resolv.conf
mount -t tmpfs none /run
mkdir /run/firewall-trust
mount --bind {folder}/trust /run/firewall-trust
echo ready
exec sleep 1000
"""
_WORLD = "echo ready; exec sleep 1000"
_LINKS = """
link set lo up
addr add {address}/24 dev eth0
addr add {address6}/64 dev eth0 nodad
link set eth0 up
"""
_ROUTES = """
route add default via 192.0.2.1
-6 route add default via 2001:db8:1::1
"""
_SERVERS = f"""
addr add {SERVER}/32 dev lo
addr add {SERVER6}/128 dev lo
"""
_NGINX = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 203.0.113.5:80; listen [2001:db8::5]:80;
        listen 203.0.113.5:443 ssl; listen [2001:db8::5]:443 ssl;
        ssl_certificate {chain}; ssl_certificate_key {key};
        root {root};
    }}
}}
"""


class Pod:
    """The pod, and what may be done in it."""

    def __init__(self, workplace: Workplace, pid: int, world: int, log: Path) -> None:
        self.workplace = workplace
        self.pid = pid
        self.world = world
        self.gate: subprocess.Popen[str] | None = None
        self._log = log
        self._marks = itertools.count()

    # Who is in it

    def agent(
        self, *words: str, uid: int = AGENT, capabilities: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run something as the agent: beside the gate, with what the gate left for it to trust."""
        return subprocess.run(
            [*self.enter("--mount"), *_as(uid, capabilities), *words],
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **self._trust()},
            cwd="/", timeout=PATIENCE,
        )  # fmt: skip

    def curl(self, *words: str) -> str:
        """The body, and the status after it."""
        done = self.agent("curl", "-sS", "-m", "30", "-w", "%{http_code}", *words)
        return done.stdout + done.stderr

    def init(self, *more: str, capabilities: str = "net_admin") -> subprocess.CompletedProcess[str]:
        """`firewall sidecar init`, as the manifest runs it: root, with one capability."""
        return self.with_capabilities(capabilities, *FIREWALL, "sidecar", "init", *more)

    def with_capabilities(self, capabilities: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run something as root with these capabilities alone."""
        return subprocess.run(
            [*self.enter(), *_as(0, capabilities), *words],
            check=False, capture_output=True, text=True, env=self.workplace.environment,
        )  # fmt: skip

    def start(self, policy: Path, *more: str) -> None:
        """`firewall sidecar serve`, as its user without a capability that the rules would heed."""
        self.gate = subprocess.Popen(
            [*self.serve(policy), *more],
            stderr=subprocess.PIPE, text=True, env=self.workplace.environment,
        )  # fmt: skip
        assert self.gate.stderr is not None
        assert "in force" in (said := self.gate.stderr.readline()), said

    def serve(self, policy: Path) -> list[str]:
        """The words of the gate's command."""
        return [
            *self.enter(), *_as(UID, ""), *FIREWALL, "sidecar", "serve",
            "--policy", str(policy), "--trust", str(self.workplace.folder / "trust"),
            "--metrics", f"0.0.0.0:{METRICS}",
        ]  # fmt: skip

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.gate is not None
        assert self.gate.stderr is not None
        self.gate.send_signal(number)
        status = self.gate.wait(PATIENCE)
        assert "Traceback" not in (said := self.gate.stderr.read()), said
        self.gate.stderr.close()
        self.gate = None
        return status

    def as_the_gate(self, script: str) -> str:
        """What a Python script prints, run as the gate's user."""
        with self.as_the_gate_beside(script) as process:
            said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        return said

    def as_the_gate_beside(self, script: str) -> subprocess.Popen[str]:
        """A Python script of the gate's user that runs on."""
        words = [*self.enter(), *_as(UID, ""), sys.executable, "-c", script]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)

    def enter(self, *more: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "--net", *more, "--"]

    def outside(self, *words: str) -> list[str]:
        """The words of a command in the world."""
        return ["nsenter", "-t", str(self.world), "--net", "--", *words]

    # What left it

    def left(self) -> list[str]:
        """What has left the pod since this was asked last, but for the search for neighbours and
        the rest of what the gate had opened.

        A mark, which the gate's user sends, comes after all of it.
        """
        mark = f"mark-{next(self._marks)}"
        send = f"import socket as s; s.socket(2, 2).sendto(b'{mark}', ('{SERVER}', 9))"
        self.as_the_gate(send)
        eventually(lambda: f"{mark}\n" in self._log.read_text())
        before = self._log.read_text().partition(f"{mark}\n")[0]
        lines = re.split(r"mark-\d+\n", before)[-1].splitlines()
        return [each for each in lines if each not in _EXPECTED]

    def _trust(self) -> dict[str, str]:
        path = self.workplace.folder / "trust" / "environment"
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(each.split("=", 1) for each in lines)


_NEIGHBOURS = ("icmp6 135", "icmp6 136")
_ENDING = (f"tcp {SERVER} 443 later", f"tcp {SERVER6} 443 later")
"""The gate may close at any time what it had opened as it was allowed to."""
_EXPECTED = ("ready", "frame 0806", *_NEIGHBOURS, *_ENDING)


def _as(uid: int, capabilities: str) -> list[str]:
    """A user with these capabilities; ours may also read a Python in somebody's home."""
    own = "dac_read_search" if uid != AGENT else ""
    kept = ",".join(["-all", *(f"+{each}" for each in (own, *capabilities.split(",")) if each)])
    sets = [f"--{which}={kept}" for which in ("inh-caps", "bounding-set")]
    ambient = [f"--ambient-caps={kept}"] if uid else []
    change = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return ["setpriv", "--no-new-privs", *change, *sets, *ambient, "--"]


@contextmanager
def opened(workplace: Workplace) -> Iterator[Pod]:
    """A pod with a route out and no rules yet."""
    folder = workplace.folder
    (folder / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    for name in ("trust", "state"):
        (folder / name).mkdir(mode=0o755)
        os.chown(folder / name, UID, UID)
    with ExitStack() as stack:
        world = stack.enter_context(_namespace(_WORLD))
        pid = stack.enter_context(_namespace(_POD.format(folder=folder)))
        _join(pid, world)
        log = folder / "witness.log"
        stack.enter_context(_running(world, log, sys.executable, witness.__file__, "eth0"))
        eventually(lambda: log.read_text().startswith("ready"))
        stack.enter_context(_nginx(world, workplace))
        pod = Pod(workplace, pid, world, log)
        try:
            yield pod
        finally:
            if pod.gate is not None:
                pod.stop()


@contextmanager
def _namespace(script: str) -> Iterator[int]:
    words = ["unshare", "--net", "--mount", "sh", "-ec", script]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _join(pod: int, world: int) -> None:
    pair = f"link add eth0 netns {pod} type veth peer name eth0 netns {world}"
    subprocess.run(["ip", *pair.split()], check=True)
    here = _LINKS.format(address="192.0.2.2", address6="2001:db8:1::2") + _ROUTES
    there = _LINKS.format(address="192.0.2.1", address6="2001:db8:1::1") + _SERVERS
    for pid, lines in ((world, there), (pod, here)):
        enter = ["nsenter", "-t", str(pid), "--net", "--"]
        for line in filter(None, lines.splitlines()):
            subprocess.run([*enter, "ip", *line.split()], check=True)


@contextmanager
def _running(world: int, log: Path, *words: str) -> Iterator[None]:
    enter = ["nsenter", "-t", str(world), "--net", "--"]
    with log.open("w") as file:
        process = subprocess.Popen([*enter, *words], stdout=file, stderr=file)
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


@contextmanager
def _nginx(world: int, workplace: Workplace) -> Iterator[None]:
    folder, certificates = workplace.folder / "nginx", workplace.certificates
    root = folder / "root"
    root.mkdir(parents=True)
    (root / "hello").write_text("hello from nginx\n")
    _repository(root / "r.git")
    configuration = folder / "nginx.conf"
    places = {"folder": folder, "root": root, "chain": certificates.chain, "key": certificates.key}
    configuration.write_text(_NGINX.format(**places))
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    assert program is not None
    words: Sequence[str] = (program, "-p", str(folder), "-c", str(configuration))
    with _running(world, folder / "said.log", *words):
        eventually(lambda: (folder / "nginx.pid").exists() and (folder / "nginx.pid").read_text())
        yield


def _repository(path: Path) -> None:
    """A repository that can be cloned from files alone (git-update-server-info(1))."""
    work = path.with_suffix(".work")
    author = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (
        ["init", "-q", "--initial-branch=main", str(work)],
        ["-C", str(work), *author, "commit", "-q", "--allow-empty", "-m", "first"],
        ["clone", "-q", "--bare", str(work), str(path)],
        ["-C", str(path), "update-server-info"],
    ):
        subprocess.run(["git", *words], check=True, capture_output=True)
