"""Code that connects somewhere and hands a shell to the other end, in any language.

The shapes are those of public collections of one-liners: a socket becomes a shell's standard
streams, or what comes in over it is run.
"""

import re

from firewall.requests import Confidence

_CONNECTS = re.compile(
    r"\.connect\s*\(|:connect\s*\(|\bconnect\s*\(|create_connection|TCPSocket|UDPSocket|TCPClient|"
    r"f?p?fsockopen|stream_socket_client|socket_connect|net\.(?:connect|Socket|createConnection)|"
    r"createConnection|IO::Socket|/inet/(?:tcp|udp)/|\bztcp\b|\bsocket\s+[\w.$-]+\s+[0-9$]|"
    r"\bsocket\s*\(\s*[A-Z]\w*\s*,|net\.Dial|new\s+(?:java\.net\.)?Socket\s*\("
)
_RUNS = re.compile(
    r"\bexec|spawn|system|popen|subprocess|passthru|proc_open|child_process|`|\bpty\b|\bCommand\b|"
    r"\brun\s*\(|ProcessBuilder|\bsh\b|invoke-expression|\biex\b|\|&?\s*getline",
    re.IGNORECASE,
)
_BECOMES_STREAMS = re.compile(
    r"\bdup2\b|pty\.spawn|[<>]&\s*(?:%|[3-9S#$])|\bfdopen\b|reopen|proc_open|"
    r"open\s{0,9}\(?\s{0,9}STD(?:IN|OUT)|\.pipe\s*\(\s*\w+\.stdin|\bstd(?:in|out)\s*=\s*(?:s|c|f|so|sock\w*|conn\w*)\b|"
    r":in\s*,\s*:out"
)
_CALLS = (
    r"(?:popen|system|exec|execute|run|call|check_output|getoutput|iex|invoke-expression|eval|spawn|"
    r"shell_exec|passthru|Popen)"
)
_RUNS_WHAT_CAME = re.compile(
    rf"\b{_CALLS}\s{{0,9}}\(?\s{{0,9}}\$?[A-Za-z_]\w{{0,99}}\s{{0,9}}(?:[,)}}|;]|\Z)|\bsystem\s*\$_|\(\s{{0,9}}\w{{1,99}}\s{{0,9}}\|&?\s*getline",
    re.IGNORECASE,
)
_RUNS_A_SHELL = re.compile(
    rf"\b{_CALLS}\s{{0,9}}\(\s{{0,9}}\[?[\"'](?:/\w{{1,20}}){{0,9}}/?(?:ba|z|da|k|c)?sh(?:\s-i)?[\"']\s{{0,9}}[\])]"
)
"""A shell of which nothing is asked: it takes its commands from somewhere."""
_RECEIVES = re.compile(
    r"recv|receive|\bgets\b|getline|\bread\b|read\s*\(|GetStream|<>|on\(\s*.data"
)
_SHELL_COMMANDS = re.compile(
    r"\bnc(?:at)?\b[^\"'\n;|]{0,200}\s-[a-z]{0,9}[ec]\s{0,9}[\"']?(?:/\w{1,20}){0,9}/?(?:ba|z|da|k|c)?sh\b|"
    r"sh\s{1,9}-i[^\n]{0,200}/dev/(?:tcp|udp)/"
)


def gives_shell(code: str) -> Confidence | None:
    """How sure it is that the code gives a shell to the other end of a connection; None: not."""
    if _SHELL_COMMANDS.search(code):
        return "certain"
    if not (_CONNECTS.search(code) and _RUNS.search(code)):
        return None
    if _BECOMES_STREAMS.search(code):
        return "certain"
    if _RUNS_A_SHELL.search(code):
        return "likely"
    received = _RECEIVES.search(code) and _RUNS_WHAT_CAME.search(code)
    return "likely" if received else None
