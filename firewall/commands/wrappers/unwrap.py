"""Look through a command: everything that its words say it runs in turn."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from firewall.commands.wrappers.code import code_runs
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run, Shell, Words
from firewall.commands.wrappers.loads import loads
from firewall.commands.wrappers.options import Options, read_options
from firewall.commands.wrappers.programs import PROGRAMS
from firewall.commands.wrappers.settings import option_runs
from firewall.commands.wrappers.shells import is_shell, shell_runs
from firewall.commands.wrappers.table import ALIASES, WRAPPERS
from firewall.commands.wrappers.wrapper import Wrapper

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.DOTALL)
_LOADER = re.compile(r"ld(?:-linux[^/]*|-musl[^/]*|-[0-9.]+)?\.so(?:\.[0-9]+)?|ld64\.so\.[0-9]")


def unwrap(words: Words) -> list[Inner]:
    """What a command runs in turn. Its program must be known."""
    name = program(words)
    found: list[Inner] = list(_wrapped(name, words))
    if is_shell(name):
        found += shell_runs(name, words)
    if reader := PROGRAMS.get(name):
        found += reader(words)
    if _LOADER.fullmatch(name):
        found += _loaded(words)
    if name.startswith("git-"):  # git's own programs, which stand apart in its folder
        found.append(Run(["git", name[4:], *words[1:]], "git"))
    found += code_runs(name, words)
    found += option_runs(name, words)
    found += loads(name, words)
    return found


def program(words: Words) -> str:
    """A program's name without its folder."""
    return _program((words[0] if words else None) or "")


@lru_cache(maxsize=256)
def _program(name: str) -> str:
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2].removesuffix(".exe")
    return ALIASES.get(name, name)


def _wrapped(name: str, words: Words) -> Iterator[Inner]:
    key, rest = _key(name, words)
    if not key:
        return
    wrapper = WRAPPERS[key]
    options = read_options(rest, wrapper.options)
    if key == "command" and options.has("v", "V"):
        return
    yield from (Shell(text, f"{key} -c") for text in options.values(*wrapper.texts))
    if key == "env":
        yield from _split_string(options)
    if key in {"su", "runuser"}:
        yield from _su(options)
    if key == "runcon" and options.given:  # the context was given by options, not by a word
        wrapper = replace(wrapper, skip=0)
    yield from _command(key, wrapper, options)


def _key(name: str, words: Words) -> tuple[str, Words]:
    """The wrapper's name in the table, with its subcommands, and the words after it."""
    for length in (3, 2, 1):
        parts = [name, *(word or "" for word in words[1:length])]
        if len(parts) == length and " ".join(parts) in WRAPPERS:
            return " ".join(parts), words[length:]
    return "", ()


def _command(key: str, wrapper: Wrapper, options: Options) -> Iterator[Inner]:
    rest = options.rest[1:] if key == "env" and options.rest[:1] == ["-"] else options.rest
    if options.unknown and not wrapper.loose:
        yield Hidden(f"an option of {key} that is not known here")
    rest = _past_assignments(rest) if wrapper.assigns else rest
    if None in rest[: wrapper.skip]:
        yield Hidden(f"what {key} runs is only known when it runs")
    rest = rest[wrapper.skip :]
    if wrapper.texts and rest[:1] in (["-c"], ["--command"]):
        yield Shell(rest[1] if len(rest) > 1 else None, f"{key} -c")
        return
    if rest[:1] == ["--"]:
        rest = rest[1:]
    rest = _past_assignments(rest) if wrapper.assigns else rest
    directory = next((value for value in options.values(*wrapper.directory) if value), None)
    if not rest:
        yield from _alone(key, wrapper, options)
    elif wrapper.joined:
        yield Shell(joined(rest), key, directory, wrapper.elsewhere)
        if key == "entr" or options.has("x", "exec"):
            yield Run(rest, key, directory)
    else:
        yield Run(rest, key, directory, wrapper.elsewhere)
    if wrapper.loose and options.unknown:
        yield from (Run(rest[at:], key, directory) for at in range(1, min(len(rest), 4)))


def _alone(key: str, wrapper: Wrapper, options: Options) -> Iterator[Inner]:
    """Without a command some start a shell, which reads standard input."""
    asked = key in {"sudo", "doas"} and options.has("s", "i", "shell", "login")
    if wrapper.starts_shell:
        yield Hidden(f"{key} starts a shell")
    elif asked or (key in {"su", "script", "newgrp"} and not options.values(*wrapper.texts)):
        yield Input(key)


def joined(words: Words) -> str | None:
    """Words as a program gives them to a shell: with spaces between them."""
    return None if None in words else " ".join(word or "" for word in words)


def _past_assignments(words: list[str | None]) -> list[str | None]:
    at = 0
    while at < len(words) and (word := words[at]) is not None and _ASSIGNMENT.match(word):
        at += 1
    return words[at:]


def _split_string(options: Options) -> Iterator[Inner]:
    """env -S splits one argument; its rules are near enough to a shell's to be read as text."""
    for text in options.values("S", "split-string"):
        if text is None or "$" in text or "\\" in text:
            yield Hidden("what env -S splits")
        elif any(ch in text for ch in ";&|<>()`\n#*?["):
            yield Run([*text.replace("'", "").replace('"', "").split(), *options.rest], "env -S")
        else:
            rest = [_requote(word) for word in options.rest]
            yield Shell(
                None if None in rest else " ".join(["env", text, *(w or "" for w in rest)]),
                "env -S",
            )


def _requote(word: str | None) -> str | None:
    return None if word is None else "'" + word.replace("'", "'\\''") + "'"


def _su(options: Options) -> Iterator[Inner]:
    """`su user ARGUMENTS` gives the arguments to the user's shell, which may be -c TEXT."""
    rest = [word for word in options.rest if word != "-"]
    if options.has("u", "user"):
        yield Run(rest, "runuser")
    elif len(rest) > 1:
        yield Run(["sh", *rest[1:]], "su")
    more = read_options(rest[1:], WRAPPERS["su"].options)
    yield from (Shell(text, "su -c") for text in more.values("c", "command", "session-command"))
    shells = [shell for shell in options.values("s", "shell") if shell]
    yield from (Run([shell, *rest[1:]], "su -s") for shell in shells)


def _loaded(words: Words) -> Iterator[Inner]:
    """The dynamic loader runs the file it is given (glibc, elf/rtld.c)."""
    rest = list(words[1:])
    while rest and (word := rest[0]) is not None and word.startswith("-"):
        takes = word in {
            "--library-path",
            "--inhibit-rpath",
            "--audit",
            "--preload",
            "--argv0",
            "--glibc-hwcaps-mask",
            "--glibc-hwcaps-prepend",
        }
        rest = rest[2 if takes else 1 :]
    if rest:
        yield Run(rest, "ld.so")
