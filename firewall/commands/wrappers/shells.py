"""Shells: the text after -c, the file they are given, or what they read."""

from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run, Shell, Words

_SHELLS = frozenset(
    {
        "sh",
        "bash",
        "dash",
        "zsh",
        "ksh",
        "ksh93",
        "mksh",
        "oksh",
        "pdksh",
        "ash",
        "yash",
        "posh",
        "rbash",
        "rksh",
        "rzsh",
        "hush",
        "lksh",
        "loksh",
        "osh",
        "sh.distrib",
        "brush",
        "static-sh",
        "bash-static",
    }
)
_OTHER_SHELLS = frozenset(
    {
        "fish",
        "csh",
        "tcsh",
        "xonsh",
        "rc",
        "es",
        "elvish",
        "nu",
        "pwsh",
        "powershell",
        "cmd",
        "ysh",
        "oil",
        "murex",
    }
)
_POWERSHELLS = frozenset({"pwsh", "powershell"})
_LONG_VALUES = frozenset({"--rcfile", "--init-file", "--init-command", "--features"})


def is_shell(name: str) -> bool:
    return name.lstrip("-") in _SHELLS or name in _OTHER_SHELLS


def _is_code(word: str) -> bool:
    """PowerShell takes any beginning of an option's name, and more names for some."""
    names = ("command", "encodedcommand", "file", "commandwithargs")
    option = word[1:].lower() if word[0:1] in {"-", "/"} else ""
    return option in {"cwa", "ec"} or any(option and name.startswith(option) for name in names)


def shell_runs(name: str, words: Words) -> list[Inner]:
    """What a shell runs (bash(1), "OPTIONS" and "ARGUMENTS")."""
    if name in _POWERSHELLS and any(_is_code(word) for word in words[1:] if word):
        return [Hidden(f"the language of {name}")]
    text_next, reads, rest = False, False, list(words[1:])
    found: list[Inner] = []
    while (
        rest
        and (word := rest[0]) is not None
        and word[:1] in {"-", "+"}
        and word not in {"-", "--"}
    ):
        rest.pop(0)
        if word.startswith("--"):
            rest = _long(word, rest, found)
            text_next |= word in {"--command", "--commands"}
            continue
        text_next |= word[0] == "-" and "c" in word.lower()
        reads |= word[0] == "-" and "s" in word
        rest = rest[word.count("o") + word.count("O") :]
        if name == "fish" and word[-1] == "C":
            found.append(Shell(rest.pop(0) if rest else None, "fish -C"))
    rest = rest[1:] if rest[:1] in (["--"], ["-"]) else rest
    if None in words[1 : len(words) - len(rest)] or (rest and rest[0] is None):
        return [*found, Hidden(f"what {name} runs is only known when it runs")]
    if name in _OTHER_SHELLS:
        found += _foreign(name, rest, text_next)
    if text_next:
        return [*found, Shell(rest[0] if rest else "", f"{name} -c")]
    if rest and not reads:
        return [*found, Run(rest, name)]
    return [*found, Input(name)]


def _long(word: str, rest: list[str | None], found: list[Inner]) -> list[str | None]:
    name, equals, value = word.partition("=")
    if name in _LONG_VALUES:
        file = value if equals else (rest[0] if rest else None)
        found.append(Run([file], name))
        return rest if equals else rest[1:]
    if name in {"--command", "--init-command"} and equals:
        found.append(Shell(value, name))
    return rest


def _foreign(name: str, rest: list[str | None], text: bool) -> list[Inner]:
    """Other shells' languages are not read, but for what looks the same in all of them."""
    plain = not text or not rest or all(ch.isalnum() or ch in " ./_-=:" for ch in rest[0] or "")
    return [] if plain else [Hidden(f"the language of {name}")]
