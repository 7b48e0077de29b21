"""Who asked: the sandbox, the process and its ancestors."""

from firewall.frozen import frozen


@frozen
class Process:
    """One process as the host sees it. `started` is in seconds since the epoch."""

    pid: int
    started: float
    exe: str
    argv: tuple[str, ...]
    uid: int


@frozen
class Actor:
    """Who is behind a request.

    `ancestors` runs from the parent up to the sandbox's first process. `namespace` is the inode of
    the sandbox's network namespace, which tells its processes from all others on the machine.
    Where the process could not be found, `process` is None and `unknown` says why; `uid` is then
    the user of its socket, where the kernel told that.
    """

    sandbox: str
    process: Process | None = None
    ancestors: tuple[Process, ...] = ()
    namespace: int | None = None
    container: str | None = None
    tool_call: str | None = None
    unknown: str = ""
    uid: int | None = None

    def __hash__(self) -> int:
        """Of what tells actors apart: their ancestors' arguments are long."""
        return hash((self.sandbox, self.process and self.process.pid, self.tool_call, self.unknown))

    @property
    def program(self) -> str:
        """The path of the program that asked, or "" where it is not known."""
        return self.process.exe if self.process else ""
