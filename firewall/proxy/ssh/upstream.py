"""The gateway's own connection to the server: the right server, and the login the policy names."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import asyncssh
from asyncssh.connection import SSHClientConnectionOptions

from firewall.policy.ssh import Certificate, Login
from firewall.protocols.ssh import hassh
from firewall.proxy.refusal import FAILED, sentence
from firewall.proxy.ssh.visit import BlockedError, Visit
from firewall.requests import Finding

DIAL_SECONDS = 15
LOGIN_SECONDS = 30
KEEPALIVE_SECONDS = 30
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
"""Fastest first: with AES instructions GCM is more than twice as fast as ChaCha20."""
HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""OpenSSH's order (ssh_config(5), HostKeyAlgorithms), so that a host shows the key that ssh shows.
Where keys are known, theirs come first."""
_CLOCK_SKEW = 60


class UnreachableError(Exception):
    """An allowed login that leads nowhere; the text is what the agent is told."""


@dataclass
class KnownHosts:
    """Host keys known upstream: `text` as sshd(8) lays them out, and those learnt since, in a
    file of the firewall's own."""

    text: str
    learnt: Path

    def bytes(self) -> bytes:
        own = self.learnt.read_text() if self.learnt.exists() else ""
        return f"{self.text}\n{own}".encode()

    def knows(self, host: str, address: str, port: int) -> bool:
        """Whether there is any key for the host, right or wrong."""
        listed = asyncssh.import_known_hosts(self.bytes().decode())
        return any(asyncssh.match_known_hosts(listed, host, address, port)[:3])

    def learn(self, host: str, port: int, key: asyncssh.SSHKey) -> None:
        name = host if port == 22 else f"[{host}]:{port}"
        with self.learnt.open("a") as file:
            file.write(f"{name} {key.export_public_key().decode().strip()}\n")


@dataclass
class Verifier(asyncssh.SSHClient):
    """Decides about a host key that known_hosts does not list."""

    visit: Visit
    hosts: KnownHosts
    shown: str = ""
    problem: str = field(default="", init=False)

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.shown = key.get_fingerprint()
        policy = self.visit.terms.host_keys
        if isinstance(policy, tuple):
            self.problem = f"it shows {self.shown}, and rule {self.visit.rule} names other keys"
            return self.shown in policy
        if self.hosts.knows(host, addr, port):
            self.problem = f"it shows {self.shown}, and another key is known for it"
            return False
        if policy == "learn":
            self.hosts.learn(host, port, key)
            return True
        self.problem = (
            f"no key is known for it; it shows {self.shown}. If that is right, add to rule"
            f' {self.visit.rule}: host-keys: ["{self.shown}"]'
        )
        return False


async def connect(visit: Visit, hosts: KnownHosts) -> asyncssh.SSHClientConnection:
    """Connect and log in. Raises UnreachableError, or BlockedError where the host is another."""
    verifier = Verifier(visit, hosts)
    try:
        connection = await _connect(visit, verifier)
    except asyncssh.HostKeyNotVerifiable as error:
        await _refuse_host(visit, verifier.problem or str(error))
        raise AssertionError("a host that is not verified is refused") from error
    except asyncssh.PermissionDenied as error:
        raise UnreachableError(
            f"{FAILED}: {visit.host} does not let {visit.user} in: {error.reason}. Name a key that"
            f" it knows in login of rule {visit.rule}"
        ) from error
    except (asyncssh.Error, OSError, TimeoutError, ValueError) as error:
        raise UnreachableError(f"{FAILED}: {visit.host}: {error or 'no answer in time'}") from error
    visit.known |= _described(connection)
    return connection


async def _connect(visit: Visit, verifier: Verifier) -> asyncssh.SSHClientConnection:
    async with contextlib.AsyncExitStack() as until_logged_in:
        credentials = await _credentials(visit.terms.login, visit, until_logged_in)
        return await _log_in(visit, verifier, credentials)


async def _log_in(
    visit: Visit, verifier: Verifier, credentials: dict[str, Any]
) -> asyncssh.SSHClientConnection:
    # Before the dial: what is wrong with the login's files is then told without a socket to close.
    options = await _options(visit, verifier, credentials)
    end = await _dial(_address(visit), visit.port)
    async with asyncio.timeout(LOGIN_SECONDS):
        return await asyncssh.connect(
            visit.host, visit.port, sock=end, config=None, options=options
        )


async def _options(
    visit: Visit, verifier: Verifier, credentials: dict[str, Any]
) -> SSHClientConnectionOptions:
    pinned = isinstance(visit.terms.host_keys, tuple)
    known = not pinned and verifier.hosts.knows(visit.host, _address(visit), visit.port)
    made: SSHClientConnectionOptions = await SSHClientConnectionOptions.construct(
        config=None,
        client_factory=lambda: verifier,
        username=visit.user,
        known_hosts=([], [], []) if pinned else verifier.hosts.bytes(),
        server_host_key_algs=() if known else HOST_KEYS,
        encryption_algs=CIPHERS,
        compression_algs=None,
        gss_host=None,
        agent_forwarding=False,
        keepalive_interval=KEEPALIVE_SECONDS,
        **credentials,
    )
    return made


def _address(visit: Visit) -> str:
    """The address that was judged."""
    return visit.given.address or visit.host


async def _dial(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    end = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            await asyncio.get_running_loop().sock_connect(end, (address, port))
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        end.close()
        raise
    return end


async def _refuse_host(visit: Visit, problem: str) -> None:
    finding = Finding("protocol-mismatch", "host-key", problem, "SSH key exchange")
    verdict = await visit.ask("host-key", visit.host, finding)
    raise BlockedError(verdict) if not verdict.allowed else UnreachableError(sentence(verdict))


def _described(connection: asyncssh.SSHClientConnection) -> dict[str, Any]:
    key = connection.get_server_host_key()
    return {
        "server_version": connection.get_extra_info("server_version", ""),
        "server_hassh": hassh(connection._server_kexinit, server=True),  # noqa: SLF001
        "host_key": key.get_fingerprint() if key is not None else "",
    }


async def _credentials(
    login: Login, visit: Visit, until_logged_in: contextlib.AsyncExitStack
) -> dict[str, Any]:
    """What asyncssh is told to prove itself with; without any word of it, what ssh outside would:
    the agent in SSH_AUTH_SOCK and the usual files in ~/.ssh."""
    if login == Login():
        return {}
    keys: list[Any] = [str(Path(login.key).expanduser())] if login.key else []
    if login.certificate is not None:
        keys.append(_certified(login.certificate, visit))
    if login.agent is not None:
        agent = await until_logged_in.enter_async_context(_agent(login.agent))
        keys += await agent.get_keys()
    return {
        "client_keys": keys or None,
        "password": _secret(login.password) if login.password else None,
    }


@contextlib.asynccontextmanager
async def _agent(place: Literal[True] | str) -> AsyncIterator[asyncssh.SSHAgentClient]:
    """The ssh-agent at a socket of the host. asyncssh's own option for it tries ~/.ssh as well."""
    path = os.environ.get("SSH_AUTH_SOCK", "") if place is True else str(Path(place).expanduser())
    try:
        agent = await asyncssh.connect_agent(path)
    except OSError as error:
        raise UnreachableError(
            f"{FAILED}: no ssh-agent answers at {path or 'SSH_AUTH_SOCK'}"
        ) from error
    try:
        yield agent
    finally:
        agent.close()
        await agent.wait_closed()


def _certified(certificate: Certificate, visit: Visit) -> tuple[Any, Any]:
    """A new key and a certificate for it that lasts minutes and permits no forwarding at all."""
    authority = asyncssh.read_private_key(Path(certificate.authority).expanduser())
    key = asyncssh.generate_private_key("ssh-ed25519")
    now = int(time.time())
    made = authority.generate_user_certificate(
        key,
        f"agent-firewall {visit.given.actor.sandbox} flow {visit.given.flow}",
        principals=certificate.principals or [visit.user],
        valid_after=now - _CLOCK_SKEW,
        valid_before=now + 60 * certificate.minutes,
        permit_x11_forwarding=False,
        permit_agent_forwarding=False,
        permit_port_forwarding=bool(visit.terms.local_forwards),
        permit_pty=visit.terms.shell,
        permit_user_rc=False,
    )
    return key, made


def _secret(place: str) -> str:
    """The secret at env:NAME or file:PATH. Raises UnreachableError where there is none."""
    kind, _, name = place.partition(":")
    try:
        if kind == "env":
            return os.environ[name]
        return Path(name).expanduser().read_text().rstrip("\n")
    except (KeyError, OSError) as error:
        raise UnreachableError(f"{FAILED}: the secret {place} cannot be read: {error}") from error
