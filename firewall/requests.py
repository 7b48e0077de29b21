"""What an agent can ask for.

Every connection, DNS question, HTTP request, message, SSH channel, program execution and tool
call becomes one of these frozen values before anything is decided. They say what was asked, never
what is allowed, and import nothing of ours, so that every room can speak of them.
"""

from typing import Literal

from firewall.frozen import frozen

type FindingKind = Literal[
    "mining", "tunnel", "ssh-reverse-forwarding", "protocol-mismatch", "secret"
]
type Direction = Literal["sent", "received"]
type SshKind = Literal[
    "login",
    "host-key",
    "exec",
    "shell",
    "subsystem",
    "pty",
    "env",
    "local-forward",
    "remote-forward",
    "cancel-remote-forward",
    "unix-local-forward",
    "unix-remote-forward",
    "tun",
    "x11",
    "agent",
    "read-file",
    "write-file",
    "limit",
    "unknown",
]
type IntentName = Literal[
    "ssh.login",
    "ssh.exec",
    "ssh.copy",
    "ssh.forward-local",
    "ssh.forward-remote",
    "ssh.forward-dynamic",
    "ssh.forward-stdio",
    "ssh.forward-agent",
    "ssh.forward-x11",
    "ssh.tunnel-device",
    "download",
    "upload",
    "package.install",
    "package.publish",
    "git.fetch",
    "git.push",
    "mining",
    "tunnel",
    "reverse-shell",
    "scan",
    "remote-code",
    "inline-code",
]
type Confidence = Literal["certain", "likely", "suspicious"]
type Protocol = Literal[
    "tls", "http", "http2", "ssh", "socks", "http-connect", "json-rpc", "dns", "unknown", "silent",
    "quic", "dtls", "stun", "wireguard", "openvpn",
]  # fmt: skip


@frozen
class Finding:
    """Something the bytes or the program gave away, which a guard of the policy judges.

    `name` is the dialect or tool ("stratum-v1", "chisel"), `evidence` says what matched in words a
    person can check, `where` says in which bytes, message or argument it stood.

    `confidence`: "certain" where nothing else speaks so, "likely" where something honest would have
    to be very odd to. "suspicious" is a reason to look, not to block: honest traffic may well look
    the same.
    """

    kind: FindingKind
    name: str
    evidence: str
    where: str
    confidence: Confidence = "certain"


@frozen
class Connect:
    """Open a flow to `host`:`port`.

    `host` is the name the agent asked for (lower case, no trailing dot) or an IP address as text.
    `protocol` is what the first bytes speak ("silent" when the client waits for the server).
    `address` is the IP address that would be dialled; None until the name is resolved, which
    happens only after the name itself is allowed. `sni` and `alpn` come from a TLS ClientHello.
    """

    host: str
    port: int
    transport: Literal["tcp", "udp"] = "tcp"
    protocol: Protocol = "unknown"
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    address: str | None = None
    findings: tuple[Finding, ...] = ()

    def to(self, address: str) -> "Connect":
        """The same to this address; `dataclasses.replace` costs each flow three times as much."""
        return Connect(
            self.host, self.port, self.transport, self.protocol, self.sni, self.alpn, address,
            self.findings,
        )  # fmt: skip


@frozen
class Resolve:
    """Ask for the DNS records of a name. `kind` is the type in the question: "A", "TXT"..."""

    name: str
    kind: str
    findings: tuple[Finding, ...] = ()


@frozen
class Carried:
    """The placeholder of a secret in the head of an HTTP request.

    `place` is "header NAME" (lower case), "query NAME", or "path".
    """

    name: str
    place: str


@frozen
class Act:
    """One thing that a request asks of an API: what it `does` ("fetch", "mutation", "tools/call"),
    to what `subject` (a repository, an operation's name, a tool), with which top-level `fields`."""

    does: str
    subject: str
    fields: tuple[str, ...] = ()


@frozen
class Calls:
    """What a body asks, read as GraphQL and as JSON-RPC; None where it is not that, or only in
    part. `unread` says why it is neither."""

    graphql: tuple[Act, ...] | None = None
    rpc: tuple[Act, ...] | None = None
    unread: str = ""


@frozen
class Override:
    """A `header` (lower case) that asks a server to take another method, or another path with its
    query, than the request's line says; "" for the one of them that it does not name."""

    header: str
    method: str = ""
    path: str = ""


@frozen
class HttpRequest:
    """One HTTP request on a flow whose bytes the firewall can read.

    `host` and `port` are the flow's destination as the agent asked for it; `authority` is what the
    request itself names (Host header or :authority, without its port) and `sni` what the TLS
    handshake named: all must agree, and so must `authority_port`, the port that the request names,
    if it names one. `path` includes the query. `upgrade` is the protocol that the
    request wants to switch to ("websocket"), lower case. `carries` are the placeholders in it,
    `calls` is what its body asks, where a rule needed it to be read, `copies` where a store like S3
    is to copy from, as its header says it. Servers may heed `overrides` or not.
    """

    method: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    authority: str
    sni: str | None = None
    version: str = "HTTP/1.1"
    upgrade: str | None = None
    findings: tuple[Finding, ...] = ()
    authority_port: int | None = None
    carries: tuple[Carried, ...] = ()
    calls: Calls | None = None
    copies: str = ""
    overrides: tuple[Override, ...] = ()


@frozen
class Message:
    """A piece of an open flow in which a recogniser found something.

    `carrier` names what carried it: "http body", "websocket", "tls stream", "tcp stream", "ssh
    session", "ssh stream", or "encrypted stream" for what was only counted. `request` is the HTTP
    request to which a body or WebSocket belongs.
    """

    host: str
    port: int
    carrier: str
    direction: Direction
    findings: tuple[Finding, ...]
    request: HttpRequest | None = None


@frozen
class SshChannel:
    """One thing asked for inside an SSH connection to `host`:`port` as `user` (RFC 4254).

    `detail` is what it is asked for: the command of an exec, the name of a subsystem or variable,
    "host:port" of a forward, a path, the type of an unknown request.
    """

    host: str
    port: int
    user: str
    kind: SshKind
    detail: str = ""
    findings: tuple[Finding, ...] = ()


@frozen
class Intent:
    """What a command line is about to do, in a word that a rule can name.

    `target` is where it leads: a host ("github.com"), a URL, a package, a remote; "" where the
    words do not tell. `detail` is the rest that people need: a forward, the file that a download
    writes.
    """

    name: IntentName
    target: str = ""
    detail: str = ""


@frozen
class Command:
    """One simple command that a shell text or a command line can run.

    `words` are the program and its arguments; None stands for a word that only running can tell.
    `via` says through what it is run, outermost first: ("pipeline", "bash -c", "xargs"). `reads`
    and `writes` are the files that its redirections and known arguments name.
    """

    words: tuple[str | None, ...]
    via: tuple[str, ...] = ()
    directory: str = ""
    intents: tuple[Intent, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


@frozen
class Opaque:
    """A piece of shell text that could not be read, and why. `text` is an excerpt of it."""

    why: str
    text: str = ""


@frozen
class Execute:
    """Run a program, as execve(2) would see it.

    `path` is the file that would run, links resolved; `script` the script where that file is its
    interpreter; `digest` the SHA-256 (hex) of the file, "" where it was not read. `commands` is
    what the arguments say is run, the program itself first.
    """

    path: str
    argv: tuple[str, ...]
    directory: str
    findings: tuple[Finding, ...] = ()
    script: str = ""
    digest: str = ""
    commands: tuple[Command, ...] = ()


@frozen
class ToolCall:
    """Call a tool of the agent, as the model asked for it. `arguments` is JSON text.

    `agent` names who reports it ("claude-code", "mcp", "anthropic-messages"), `server` the MCP
    server that offers the tool. Where the arguments hold shell text, `commands` is what it can run
    and `opaque` what in it could not be read.
    """

    tool: str
    arguments: str
    call_id: str | None = None
    findings: tuple[Finding, ...] = ()
    agent: str = ""
    server: str = ""
    session: str = ""
    directory: str = ""
    commands: tuple[Command, ...] = ()
    opaque: tuple[Opaque, ...] = ()


type Request = Connect | Resolve | HttpRequest | Message | SshChannel | Execute | ToolCall

RECURRING = 1024
"""Characters of the longest path of a request that is remembered."""


def recurs(request: object) -> bool:
    """Whether it is of those that programs repeat, and small: what is made of it is remembered."""
    if isinstance(request, HttpRequest):
        small = len(request.path) <= RECURRING and len(request.authority) <= RECURRING
        plain = not (request.findings or request.calls or request.copies or request.overrides)
        return small and plain
    return isinstance(request, Connect)
