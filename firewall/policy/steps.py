"""Requests as a person writes them: "POST https://host/path", "git@host ls", "host:port"."""

from dataclasses import replace
from typing import Literal, get_args
from urllib.parse import urlsplit

from firewall.apis.bodies import read_body
from firewall.policy.addresses import parse_address
from firewall.policy.errors import Fault
from firewall.policy.hosts import is_name, no_name, normalise
from firewall.policy.suggest import closest
from firewall.requests import Connect, HttpRequest, Request, Resolve, SshChannel, SshKind

_KINDS: tuple[SshKind, ...] = get_args(SshKind.__value__)
_BODIES = '{"query": "{ viewer { login } }"} or {"jsonrpc": "2.0", "method": "ping"}'


def http_steps(text: str) -> list[Request]:
    """The connection and the request of "METHOD URL". Raises Fault."""
    method, _, url = text.partition(" ")
    try:
        parts = urlsplit(url)
        host, port = normalise(parts.hostname or ""), parts.port
    except ValueError:
        raise Fault(f"{url!r} is not a URL", "POST https://example.com/path") from None
    if parts.scheme not in ("https", "http") or not host or not method.isupper():
        raise Fault(f"{text!r} is not a request", '"POST https://example.com/path"')
    _must_be_host(host)
    scheme: Literal["https", "http"] = "https" if parts.scheme == "https" else "http"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    number = port or (443 if scheme == "https" else 80)
    sni = host if scheme == "https" and is_name(host) else None
    protocol: Literal["tls", "http"] = "tls" if scheme == "https" else "http"
    return [
        Connect(host, number, protocol=protocol, sni=sni),
        HttpRequest(method, scheme, host, number, path, authority=host, sni=sni),
    ]


def ssh_steps(text: str) -> list[Request]:
    """The connection, the login and the command of "user@host[:port] [command]". Raises Fault."""
    place, _, command = text.partition(" ")
    user, _, address = place.rpartition("@")
    host, port = _host_port(address, "22", '"git@example.com git-upload-pack o/r"')
    steps: list[Request] = [Connect(host, port, protocol="ssh")]
    if user:
        steps.append(SshChannel(host, port, user, "login", user))
    if command.strip():
        steps.append(SshChannel(host, port, user, "exec", command.strip()))
    return steps


def ssh_channel(text: str) -> tuple[SshKind, str]:
    """The kind and the detail of "local-forward db:5432", "env LANG", "shell"... Raises Fault."""
    kind, _, detail = text.partition(" ")
    found = next((each for each in _KINDS if each == kind), None)
    if found is None:
        raise Fault(f"{kind!r} is not asked for inside SSH", closest(kind, _KINDS))
    return found, detail.strip()


def tcp_steps(text: str) -> list[Request]:
    """The connection of "host:port", whose client speaks first and nothing known. Raises Fault."""
    host, port = _host_port(text, "", '"db.example.com:5432"')
    return [Connect(host, port, protocol="unknown")]


def dns_steps(text: str) -> list[Request]:
    """The question of "name" or "name TYPE". Raises Fault."""
    name, _, kind = text.partition(" ")
    if not name or " " in kind:
        raise Fault(f"{text!r} is not a question", '"example.com TXT"')
    if not is_name(normalise(name)):
        raise no_name(name)
    return [Resolve(normalise(name), kind or "A")]


STEPS = {
    "https": http_steps,
    "http": http_steps,
    "ssh": ssh_steps,
    "tcp": tcp_steps,
    "dns": dns_steps,
}


def with_body(steps: list[Request], body: str) -> list[Request]:
    """The steps of an HTTP request that has this JSON text as its body. Raises Fault where that is
    nothing that a rule could judge."""
    *before, last = steps
    if not isinstance(last, HttpRequest):
        raise Fault("only a request over HTTP has a body", 'https: "POST https://host/path"')
    if last.method in ("GET", "HEAD"):
        raise Fault(f"the body of a {last.method} is not judged, its URL is", "no body, or POST")
    calls = read_body(last.path, "application/json", body.encode(errors="surrogateescape"))
    if calls.unread:
        what = f"the body says nothing that a rule could judge: {calls.unread}"
        raise Fault(what, f"{_BODIES}; no body stands for one that cannot be read")
    return [*before, replace(last, calls=calls)]


def _url(scheme: str, text: str) -> str:
    if not text.partition(" ")[2].startswith(f"{scheme}://"):
        raise Fault(f"{text!r} is not a request over {scheme}", f'"GET {scheme}://example.com/"')
    http_steps(text)
    return text


def checked_https(text: str) -> str:
    return _url("https", text)


def checked_http(text: str) -> str:
    return _url("http", text)


def checked_ssh(text: str) -> str:
    ssh_steps(text)
    return text


def checked_channel(text: str) -> str:
    ssh_channel(text)
    return text


def checked_tcp(text: str) -> str:
    tcp_steps(text)
    return text


def checked_dns(text: str) -> str:
    dns_steps(text)
    return text


def _host_port(text: str, usual: str, example: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, port = text, usual
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Fault(f"{text!r} is not a destination", example)
    _must_be_host(normalise(host))
    return normalise(host), int(port)


def _must_be_host(host: str) -> None:
    if not is_name(host) and parse_address(host) is None:
        raise no_name(host)
