"""A workplace for end-to-end tests: servers, policies, and the real `firewall` command."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from firewall.audit import read
from tests.e2e.servers import Certificates, GitServer, Nginx, RawServer
from tests.waiting import PATIENCE

FIREWALL = (sys.executable, "-m", "firewall.cli")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip, with the reason, where a program is not installed."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [each for each in programs if shutil.which(each, path=path) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@dataclass
class Result:
    """What a run left behind."""

    status: int
    out: str
    err: str
    records: list[dict[str, Any]]

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return [each for each in self.records if each["kind"] == "verdict"]

    def denied(self, rule: str | None = None) -> list[dict[str, Any]]:
        """The records of blocked requests, of one rule or of all."""
        return [
            each
            for each in self.verdicts
            if each["verdict"]["action"] == "deny" and rule in (None, each["verdict"]["rule"])
        ]

    def allowed(self, kind: str) -> list[dict[str, Any]]:
        """The records of allowed requests of one type."""
        return [
            each
            for each in self.verdicts
            if each["verdict"]["action"] == "allow" and each["request"]["type"] == kind
        ]


@dataclass
class Workplace:
    """A folder that every user may read, a policy, and a state directory of its own."""

    folder: Path
    certificates: Certificates
    environment: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.log = self.folder / "state" / "audit"
        self.work = self.folder / "work"
        self.work.mkdir()
        self.work.chmod(0o777)
        self.environment = {
            **os.environ,
            "FIREWALL_STATE": str(self.folder / "state"),
            "SSL_CERT_FILE": str(self.certificates.authority),
        }

    def policy(self, text: str, **values: object) -> Path:
        """Write the policy, with {NAME} replaced by the values."""
        path = self.folder / "policy" / "policy.yaml"
        path.parent.mkdir(exist_ok=True)
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        path.write_text(text)
        return path

    def command(self, policy: Path, *agent: str, user: str | None = None) -> list[str]:
        as_user = ["--user", user] if user and os.geteuid() == 0 else []
        return [
            *FIREWALL, "run", "--policy", str(policy), *as_user, *self.options, "--", *agent
        ]  # fmt: skip

    def run(
        self,
        policy: Path,
        *agent: str,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 2 * PATIENCE,
        stdin: str | None = None,
    ) -> Result:
        """Run an agent to its end."""
        done = subprocess.run(  # noqa: PLW1510 (the status is the result)
            self.command(policy, *agent, user=user),
            cwd=self.work,
            env={**self.environment, **(environment or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Result(done.returncode, done.stdout, done.stderr, self.records())

    def start(
        self, policy: Path, script: str, says: str, user: str | None = None
    ) -> subprocess.Popen[str]:
        """Start a bash script as the agent and wait until it says a line."""
        process = subprocess.Popen(
            self.command(policy, "bash", "-c", script, user=user),
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == says + "\n"
        return process

    def shell(self, policy: Path, script: str, **more: Any) -> Result:
        """Run a bash script as the agent."""
        return self.run(policy, "bash", "-c", script, **more)

    def records(self) -> list[dict[str, Any]]:
        return list(read(self.log)) if self.log.exists() else []

    def policies(self) -> int:
        """How often another policy took force."""
        return [each["kind"] for each in self.records()].count("policy")


TELLS = "trap 'echo told' USR1; "
"""Begins a script for `load_again`."""


def load_again(process: subprocess.Popen[str]) -> None:
    """Ask for the policy to be loaded again, and return when that is over.

    The firewall takes its signals in order, and the agent's script tells when the second came.
    """
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    with tempfile.TemporaryDirectory(prefix="fw-certificates-") as folder:
        yield Certificates(Path(folder))


@pytest.fixture
def workplace(certificates: Certificates) -> Iterator[Workplace]:
    with tempfile.TemporaryDirectory(prefix="fw-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield Workplace(folder, certificates)


@pytest.fixture(scope="session")
def nginx(certificates: Certificates) -> Iterator[Nginx]:
    with tempfile.TemporaryDirectory(prefix="fw-nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Nginx(folder, certificates)
        yield server
        server.close()


@pytest.fixture
def git_server(certificates: Certificates) -> Iterator[GitServer]:
    with tempfile.TemporaryDirectory(prefix="fw-git-") as folder:
        server = GitServer(Path(folder), certificates)
        yield server
        server.close()


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()
