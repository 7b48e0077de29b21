"""Interpreters that are given their code on the command line."""

import re
from collections.abc import Sequence

from firewall.commands.programs.files import FILES
from firewall.commands.programs.told import NOTHING, Told, is_url
from firewall.requests import Finding, Intent, IntentName

_CODE_OPTIONS = {
    "python": ("-c",),
    "pypy": ("-c",),
    "perl": ("-e", "-E"),
    "ruby": ("-e",),
    "node": ("-e", "--eval", "-p", "--print"),
    "nodejs": ("-e", "--eval", "-p", "--print"),
    "deno": ("eval",),
    "bun": ("-e", "--eval"),
    "php": ("-r",),
    "lua": ("-e",),
    "luajit": ("-e",),
    "rscript": ("-e",),
    "osascript": ("-e",),
    "tclsh": (),
    "julia": ("-e", "-E"),
    "guile": ("-c",),
    "pwsh": ("-c", "-Command", "-EncodedCommand"),
    "powershell": ("-c", "-Command", "-EncodedCommand", "-enc"),
}
_CLUSTER = re.compile(r"-[a-zA-Z]*[ceEr]")
_CONNECTS = re.compile(
    r"socket|TCPSocket|fsockopen|pfsockopen|net\.connect|require\([\"']net[\"']\)|net\.Socket|createConnection|IO::Socket"
    r"|/inet/tcp/|TCPClient|socket\.tcp|require\([\"']socket[\"']\)|Net::"
)
_GIVES_SHELL = re.compile(
    r"dup2|pty\.spawn|subprocess|os\.system|exec\b|exec\(|spawn|proc_open|shell_exec|popen|system\("
    r"|/bin/(?:ba|z|da|k)?sh|open\s*STDIN|os\.execute|getline"
)
_SHELL_NAMED = re.compile(r"/bin/(?:ba|z|da|k)?sh|[\"'](?:ba|z|da|k)?sh[\"' ]|cmd\.exe|powershell")
_FETCHES = re.compile(
    r"urlopen|urlretrieve|requests\.get|httpx\.get|https?\.get|fetch\(|URI\.open|LWP::Simple|Net::HTTP|open-uri"
    r"|file_get_contents\(\s*[\"']https?|DownloadString|Invoke-WebRequest|\biwr\b"
)
_EXECUTES = re.compile(
    r"\bexec\b|\bexec\(|\beval\b|\beval\(|os\.system|subprocess|runpy|\bIEX\b|Invoke-Expression"
    r"|child_process|system\(|new Function"
)


def base_name(name: str) -> str:
    """python3.12 and the like without their version."""
    return re.sub(r"[0-9.]+$", "", name)


def is_interpreter(name: str) -> bool:
    return base_name(name) in _CODE_OPTIONS


def interpreter(name: str, arguments: Sequence[str]) -> Told:
    """What the code on the command line does, as far as its words tell."""
    code = _code(base_name(name), arguments)
    if code is None:
        return _remote_script(name, arguments)
    excerpt = " ".join(code.split())[:200]
    inline = Intent("inline-code", name, excerpt)
    if _CONNECTS.search(code) and _GIVES_SHELL.search(code) and _SHELL_NAMED.search(code):
        evidence = "code that connects and gives a shell to the other end"
        found = Finding("tunnel", "reverse-shell", evidence, "code on the command line", "likely")
        return Told((Intent("reverse-shell", "", excerpt), inline), findings=(found,))
    if _FETCHES.search(code) and _EXECUTES.search(code):
        return Told((Intent("remote-code", "", excerpt), inline))
    return Told((inline,))


def _remote_script(name: str, arguments: Sequence[str]) -> Told:
    """`deno run URL`: the script itself is fetched."""
    runs = name == "deno" and list(arguments[:1]) == ["run"]
    url = next((each for each in arguments if not each.startswith("-") and is_url(each)), None)
    return Told((Intent("remote-code", url),)) if runs and url else NOTHING


def awk(arguments: Sequence[str]) -> Told:
    """gawk's /inet: a program that talks to the network, and runs what it hears as commands."""
    files = FILES["awk"](arguments)
    code = next((each for each in arguments if "/inet/" in each), "")
    if not code:
        return files
    excerpt = " ".join(code.split())[:200]
    runs = "|getline" in re.sub(r"\s", "", code) and re.search(r"\|&|print", code)
    name: IntentName = "reverse-shell" if runs else "tunnel"
    return Told((Intent(name, "", excerpt),), files.reads)


def _code(name: str, arguments: Sequence[str]) -> str | None:
    """The code after -c, -e and the like, also in a cluster ("-lne CODE")."""
    options = _CODE_OPTIONS.get(name, ())
    for at, word in enumerate(arguments):
        if word in options and word[:1] != "-":
            return " ".join(arguments[at + 1 :])
        if word in options or (_CLUSTER.fullmatch(word) and f"-{word[-1]}" in options):
            return arguments[at + 1] if at + 1 < len(arguments) else None
        glued = next((each for each in options if len(each) == 2 and word.startswith(each)), None)
        if glued:
            return word[2:]
        if not word.startswith("-"):
            return None
    return None
