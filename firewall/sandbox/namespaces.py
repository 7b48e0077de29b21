"""The processes between the firewall and the agent, and the namespaces they live in.

firewall -> keeper (makes the namespaces, waits) -> broker (PID 1 of the sandbox) -> agent. The
keeper is needed because only a child of whoever unshared a PID namespace is in it. Each is killed
with its parent.
"""

import gc
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

from firewall.sandbox import channel, privileges
from firewall.sandbox.broker import Broker
from firewall.sandbox.mounts import View
from firewall.sandbox.privileges import Identity

_NAMESPACES = (
    os.CLONE_NEWUSER | os.CLONE_NEWNET | os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWIPC
)
_FROM_TERMINAL = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


def fork(run: Callable[[], None]) -> int:
    """Fork; `run` is the child's whole life. Returns the child's pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run()
            status = 0
        finally:
            os._exit(status)
    return pid


def map_user(pid: int, identity: Identity) -> None:
    """Map the agent's user, and no other, into the user namespace of a process. Raises OSError."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{identity.uid} {identity.uid} 1"),
        ("gid_map", f"{identity.gid} {identity.gid} 1"),
    ):
        with open(f"/proc/{pid}/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def keep(
    broker: Broker,
    view: View,
    identity: Identity,
    requests: socket.socket,
    news: socket.socket,
) -> None:
    """The keeper's life: make the namespaces, start the broker in them, wait for its end."""
    _detach({requests.fileno(), news.fileno()})
    step = "make its namespaces"
    try:
        if identity.change:
            os.setgroups([])
        os.unshare(_NAMESPACES)
        channel.send(news, "unshared")
        channel.receive(requests)
        step = f"become user {identity.uid}"
        _settle(identity)
    except OSError as error:
        channel.send(news, "failed", step, error.errno, str(error))
        return
    pid = fork(lambda: _live(broker, view, requests, news))
    channel.send(news, "broker", pid)
    requests.close()
    news.close()
    os.waitpid(pid, 0)


def _detach(kept: set[int]) -> None:
    """Let go of everything of the firewall's, and leave the terminal's signals to the agent."""
    gc.disable()
    _close_others(kept)
    for number in _FROM_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    privileges.die_with_parent()


def _close_others(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))


def _settle(identity: Identity) -> None:
    privileges.become(identity)
    privileges.die_with_parent()
    privileges.hide_from_debuggers()


def _live(broker: Broker, view: View, requests: socket.socket, news: socket.socket) -> None:
    """The broker's life."""
    privileges.die_with_parent()
    os.umask(0o022)
    with suppress(EOFError):
        channel.receive(requests)
        try:
            broker.prepare(view)
        except Exception as error:
            code = error.errno if isinstance(error, OSError) else None
            channel.send(news, "failed", broker.step, code, str(error))
            return
        broker.serve()
