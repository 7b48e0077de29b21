"""Interpreters that are given their code on the command line."""

import re
from base64 import b64decode
from collections.abc import Sequence

from firewall.commands.programs.files import FILES
from firewall.commands.programs.options import take
from firewall.commands.programs.reverse_shells import gives_shell
from firewall.commands.programs.told import NOTHING, Told, is_url
from firewall.requests import Finding, Intent

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
    "gdb": ("-ex", "-eval-command"),
    **dict.fromkeys(("vim", "vi", "nvim", "view", "rvim", "rview", "vimdiff"), ("-c", "--cmd")),
    "julia": ("-e", "-E"),
    "guile": ("-c",),
    **dict.fromkeys(("pwsh", "powershell"), ("-c", "-command")),
}
_CLUSTER = re.compile(r"-[a-zA-HJ-LN-Za-qs-z]*[ceEr]")
"""A cluster holds no -M, -I or -r: what follows those is a module's name."""
_FILTERS = {"perl", "ruby"}
_POWERSHELL = {"pwsh", "powershell"}
_ENCODED = "encodedcommand"
_COMMANDS = {"gdb", "vim", "vi", "nvim", "view", "rvim", "rview", "vimdiff"}
"""Programs of which every use has commands of its own language: that alone says nothing."""
_FLAKE = re.compile(
    r"(?:github|gitlab|sourcehut|(?:(?:git|hg|tarball|file)\+)?(?:https?|ssh|git)):"
)
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
    base = base_name(name)
    codes = _codes(base, arguments)
    if not codes:
        return _remote_script(name, arguments)
    code = "\n".join(codes)
    excerpt = " ".join(code[:400].split())[:200]
    inline = () if base in _COMMANDS else (Intent("inline-code", name, excerpt),)
    sure = gives_shell(code)
    if sure:
        evidence = "code that connects and gives a shell to the other end"
        found = Finding("tunnel", "reverse-shell", evidence, "code on the command line", sure)
        return Told((Intent("reverse-shell", "", excerpt), *inline), findings=(found,))
    if _FETCHES.search(code) and _EXECUTES.search(code):
        return Told((Intent("remote-code", "", excerpt), *inline))
    return Told(inline, _handled(arguments) if base in _FILTERS else ())


def _handled(arguments: Sequence[str]) -> tuple[str, ...]:
    """Files that `perl -pe CODE FILE` and its like go through: the words after all options."""
    last = max(at for at, each in enumerate(arguments) if each.startswith("-"))
    return tuple(arguments[last + 2 :])


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
    excerpt = " ".join(code[:400].split())[:200]
    sure = gives_shell(code)
    if not sure:
        return Told((Intent("tunnel", "", excerpt),), files.reads)
    evidence = "code that runs what it hears on a connection"
    found = Finding("tunnel", "reverse-shell", evidence, "code on the command line", sure)
    return Told((Intent("reverse-shell", "", excerpt),), files.reads, findings=(found,))


def _codes(name: str, arguments: Sequence[str]) -> list[str]:
    """The code after every -c, -e and the like, also in a cluster ("-lne CODE") or attached."""
    options, codes = _CODE_OPTIONS[name], list[str]()
    waiting = iter(arguments)
    for word in waiting:
        lower = word.lower() if name in _POWERSHELL else word
        if word[:1] != "-" and word in options:
            return [" ".join(waiting)]
        if name in _POWERSHELL and lower[:2] == "-e" and _ENCODED.startswith(lower[1:]):
            codes.append(_decoded(next(waiting, "")))
        elif lower in options or (_CLUSTER.fullmatch(word) and f"-{word[-1]}" in options):
            codes.append(next(waiting, ""))
        elif lower.partition("=")[0] in options and "=" in word:
            codes.append(word.partition("=")[2])
        elif any(len(each) == 2 and word.startswith(each) for each in options):
            codes.append(word[2:])
        elif word[:1] != "-" and name not in _COMMANDS:
            break
    return codes


def nix(arguments: Sequence[str]) -> Told:
    """nix run github:OWNER/REPOSITORY: what is built and run is fetched (nix3-flake(1))."""
    runs = not {"run", "shell", "develop"}.isdisjoint(arguments[:4])
    far = next((each for each in arguments if _FLAKE.match(each)), None)
    return Told((Intent("remote-code", far),)) if runs and far else NOTHING


def timed(arguments: Sequence[str]) -> Told:
    """python -m timeit: code in -s and in every word."""
    options = take(arguments, "nrsucm", frozenset({"--setup", "--number", "--repeat", "--unit"}))
    return _coded([*options.values("-s", "--setup"), *options.rest])


def debugged(arguments: Sequence[str]) -> Told:
    """python -m pdb: its commands in -c may be statements."""
    return _coded(take(arguments, "cm", frozenset({"--command"})).values("-c", "--command"))


def _coded(codes: Sequence[str]) -> Told:
    return interpreter("python", ["-c", "\n".join(codes)]) if codes else NOTHING


def _decoded(text: str) -> str:
    """What PowerShell's -EncodedCommand holds; nothing where it would not run."""
    try:
        return b64decode(text).decode("utf-16-le")
    except ValueError:
        return ""
