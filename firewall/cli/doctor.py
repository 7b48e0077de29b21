"""`firewall doctor`: what this machine can and cannot do, and what to do about it."""

import os
import platform
import select
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console
from rich.text import Text

from firewall.frozen import frozen
from firewall.gpu.backend import Nvml, UnavailableError
from firewall.places import state_directory
from firewall.sandbox import Authority, Sandbox, SandboxError, SandboxSpec
from firewall.sandbox.execgate import notify
from firewall.sandbox.linux import LANDLOCK_WITH_SCOPES, landlock_version
from firewall.sandbox.seccomp import supported
from firewall.sandbox.support import refusals
from firewall.sandbox.trust import bundles_found

type Level = Literal["ok", "warn", "fail"]

_KERNEL = (5, 12)
_PATIENCE_S = 10
_NOBODY = (65534, 65534)
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_CLIENTS = ("ssh", "git", "curl")


@frozen
class Finding:
    """One line of the report. With "fail", `firewall run` cannot work here."""

    level: Level
    subject: str
    text: str


def doctor() -> None:
    """Print the report; exit with 1 if `firewall run` cannot work on this machine."""
    console = Console(highlight=False, emoji=False)
    failed = False
    for finding in examine():
        failed = failed or finding.level == "fail"
        style = _COLOURS[finding.level]
        level = Text(f"{finding.level:<5}", style)
        console.print(level, f"{finding.subject}: {finding.text}", soft_wrap=True, markup=False)
    raise typer.Exit(1 if failed else 0)


def examine() -> Iterator[Finding]:
    """Every finding, the sandbox's trial among them."""
    for check in (
        _kernel,
        _processor,
        _namespaces,
        _exec_gate,
        _sandbox,
        _landlock,
        _ipv6,
        _bundles,
        _state,
        _cores,
        _gpu,
        *(_client(name) for name in _CLIENTS),
    ):
        yield check()


def _kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if sys.platform != "linux" or numbers < _KERNEL:
        return Finding("fail", "kernel", f"{release}: Linux 5.12 or later is needed")
    return Finding("ok", "kernel", f"Linux {release}")


def _processor() -> Finding:
    machine = platform.machine()
    if supported(machine):
        return Finding("ok", "system call filter", f"known for {machine}")
    return Finding("fail", "system call filter", f"none for {machine}; use x86_64 or aarch64")


def _namespaces() -> Finding:
    found = refusals()
    if found:
        return Finding("fail", "user namespaces", "; ".join(found))
    return Finding("ok", "user namespaces", "no setting of this machine forbids them")


def _sandbox() -> Finding:
    """The proof: a sandbox is made and a program runs in it."""
    user = _NOBODY if os.geteuid() == 0 else None
    try:
        with tempfile.TemporaryDirectory() as directory:
            pem = Authority.ensure(Path(directory) / "authority").pem
            spec = SandboxSpec(("true",), "/", dict(os.environ), user, pem)
            status = _try(Sandbox.launch(spec))
    except (SandboxError, OSError) as error:
        return Finding("fail", "sandbox", str(error))
    if status != 0:
        return Finding("fail", "sandbox", f"the program `true` ended there with status {status}")
    return Finding("ok", "sandbox", "a program ran in one, with no way out")


def _try(sandbox: Sandbox) -> int | None:
    try:
        listener = sandbox.start()
        if listener is not None:
            threading.Thread(target=notify.let_all_go_on, args=(listener,), daemon=True).start()
            select.select([sandbox], [], [], _PATIENCE_S)
        return sandbox.poll()
    finally:
        sandbox.close()


def _exec_gate() -> Finding:
    if notify.supported():
        return Finding("ok", "exec gate", "every program that an agent starts can be judged")
    return Finding(
        "fail",
        "exec gate",
        "this kernel cannot tell of the programs that an agent starts (seccomp user notification);"
        " Linux 5.12 or later can, unless a container runtime forbids it",
    )


def _landlock() -> Finding:
    version = landlock_version()
    if version >= LANDLOCK_WITH_SCOPES:
        return Finding("ok", "Landlock", f"version {version} confines the agent's signals")
    return Finding(
        "warn",
        "Landlock",
        f"version {version} cannot confine signals: an agent of the same user could stop its own"
        " firewall, which ends the agent too; Linux 6.12 or later can",
    )


def _ipv6() -> Finding:
    if os.path.exists("/proc/sys/net/ipv6"):
        return Finding("ok", "IPv6", "captured like IPv4")
    return Finding("warn", "IPv6", "this kernel has none, so agents have none either")


def _bundles() -> Finding:
    found = bundles_found()
    if found:
        return Finding("ok", "trusted certificates", ", ".join(found))
    return Finding(
        "warn",
        "trusted certificates",
        "no bundle of the system was found; install your distribution's ca-certificates",
    )


def _state() -> Finding:
    directory = state_directory()
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return Finding("ok", "logs and keys", str(directory))
    text = f"{directory} cannot be written; set FIREWALL_STATE to a directory of your own"
    return Finding("fail", "logs and keys", text)


def _cores() -> Finding:
    """A firewall judges on one core; what it leaves idle, workers can use."""
    cores = len(os.sched_getaffinity(0))
    if cores == 1:
        return Finding("ok", "cores", "1: --workers would bring nothing here")
    several = "a shared `firewall serve`, a node, or hundreds of connections a second"
    text = f"{cores}, of which a firewall uses 1; --workers {cores} uses all, for {several}"
    return Finding("ok", "cores", text)


def _gpu() -> Finding:
    backend = Nvml()
    try:
        backend.open()
        with closing(backend):
            devices = backend.devices()
    except UnavailableError as error:
        return Finding("warn", "GPU", f"records will say that none was read: {error}")
    return Finding("ok", "GPU", f"{len(devices)} seen by NVML")


def _client(name: str) -> Callable[[], Finding]:
    def check() -> Finding:
        path = shutil.which(name)
        if path:
            return Finding("ok", name, path)
        return Finding("warn", name, "not installed; agents that need it will miss it")

    return check
