"""Compilers, builders and package managers: what their arguments make them run."""

import itertools
import re

from firewall.commands.wrappers.inner import Hidden, Inner, Run, Shell, Words
from firewall.commands.wrappers.options import Grammar, read_options
from firewall.commands.wrappers.settings import values

_TOOL = re.compile(
    r"(?:(?:CC|CXX|CPP|LD|AR|FC|SHELL|CONFIG_SHELL)|"
    r"-DCMAKE_(?:\w+_COMPILER(?:_LAUNCHER)?|LINKER|AR|MAKE_PROGRAM))(?::\w+)?=(.+)"
)
_STREAM = re.compile(r"-\Z|/dev/|/proc/")


def make_runs(words: Words) -> list[Inner]:
    named = [each for option in ("-f", "--file", "--makefile") for each in values(option, words)]
    found: list[Inner] = []
    if any(each is None or _STREAM.match(each) for each in named):
        found.append(Hidden("make rules from standard input"))
    for word in words[1:]:
        name, equals, value = (word or "").partition("=")
        if equals and name.rstrip(":?+") in {
            "SHELL",
            ".SHELLFLAGS",
            "CC",
            "CXX",
            "MAKE",
            "LD",
            "AR",
        }:
            found.append(Shell(value, f"make {name}"))
        if equals and ("$(shell" in value or "!=" in (word or "")):
            found.append(Hidden("a command that make puts together"))
    found += [
        _make_eval(value)
        for value in read_options(words[1:], Grammar("E:", "eval=")).values("E", "eval")
    ]
    return found


def _make_eval(value: str | None) -> Inner:
    inner = re.search(r"\$\(shell ([^)]*)\)", value or "")
    return Shell(inner[1], "make --eval") if inner else Hidden("make rules given as an argument")


def configure_runs(words: Words) -> list[Inner]:
    """Tools that a build is told to use: CC=..., -DCMAKE_C_COMPILER_LAUNCHER=..."""
    told = [_TOOL.match(word) for word in words[1:] if word]
    return [Shell(each[1], words[0] or "") for each in told if each]


def gcc_runs(words: Words) -> list[Inner]:
    return [
        Run(after.split(","), "gcc -wrapper")
        for word, after in itertools.pairwise(words)
        if word == "-wrapper" and after
    ]


def rpm_runs(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word in words[1:]:
        found += [
            Shell(each, "rpm %()") for each in re.findall(r"%\((.*)\)", word or "", re.DOTALL)
        ]
        if word and "%{lua:" in word:
            found.append(Hidden("code inside a macro of rpm"))
    return found


def apt_runs(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word in words[1:]:
        key, equals, value = (
            (word or "").removeprefix("-o").removeprefix("--option=").partition("=")
        )
        if (
            equals
            and re.search(
                r"invoke|post-|pre-|dpkg::|command|proxy-auto|::bin::|pager|solver",
                key,
                re.IGNORECASE,
            )
            and not (key.lower().startswith("dpkg::options") and value.startswith("--force-"))
        ):
            found.append(Shell(value, f"apt {key}"))
    return found


def npm_runs(words: Words) -> list[Inner]:
    at = next((i for i, word in enumerate(words) if word in {"exec", "x", "dlx"}), 0)
    return [Run([words[0], *words[at:]], words[0] or "")] if at > 1 else []


def cargo_runs(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word, after in zip(words, [*words[1:], None], strict=True):
        value = after if word == "--config" else (word or "").partition("--config=")[2]
        if value and re.search(r"runner|linker|rustc|wrapper|credential", value):
            quoted = re.findall(r"'([^']*)'|\"([^\"]*)\"", value.partition("=")[2])
            found.append(
                Run([a or b for a, b in quoted], "cargo --config")
                if quoted
                else Hidden("a program that cargo is told to run")
            )
        elif value and "alias" in value:
            found.append(Hidden("an alias that cargo is told"))
    if words[1:2] == ["watch"]:
        found.append(Run(["cargo-watch", *words[2:]], "cargo"))
    return found + _cargo_program(words)


def _cargo_program(words: Words) -> list[Inner]:
    """cargo run --bin NAME -- ARGUMENTS (cargo-run(1)), for a package of one's own or another's."""
    at = next((at for at, word in enumerate(words) if word in {"run", "r"}), len(words))
    own = list(words[at + 1 : words.index("--") if "--" in words else len(words)])
    options = read_options(own, Grammar("p:j:F:Z:vqr", "bin= example= package= features="))
    names = [*options.values("bin", "example"), *options.values("p", "package")]
    return [Run([names[0], *words[at + len(own) + 2 :]], "cargo run")] if names else []


def go_runs(words: Words) -> list[Inner]:
    """go run MODULE/PATH@VERSION ARGUMENTS: the program is called as the path's last folder is."""
    if words[1:2] != ["run"]:
        return []
    rest = read_options(words[2:], _GO_RUN).rest
    path = ((rest[0] if rest else "") or "").partition("@")[0].split("/")
    if "." not in path[0] or len(path) < 2:
        return []  # a folder or files of one's own
    name = path[-2] if re.fullmatch(r"v[0-9]+", path[-1]) else path[-1]
    return [Run([name, *rest[1:]], "go run")]


_GO_RUN = Grammar(
    "anvxp:C:",
    "exec= asmflags= buildmode= buildvcs= compiler= gccgoflags= gcflags= installsuffix= ldflags= "
    "mod= modfile= overlay= pgo= pkgdir= tags= toolexec= covermode= coverpkg= race msan asan cover "
    "work linkshared modcacherw trimpath",
    single=True,
)
"""`go help build`: long options with one dash or two."""


def nix_runs(words: Words) -> list[Inner]:
    """nix run INSTALLABLE -- ARGUMENTS, and nix develop or shell -c COMMAND (nix3-run(1))."""
    at = next((at for at, word in enumerate(words) if word in {"-c", "--command"}), None)
    found: list[Inner] = [] if at is None else [Run(words[at + 1 :], "nix -c")]
    if "run" not in words[1:]:
        return found
    own = list(words[words.index("run") + 1 :])
    arguments = own[own.index("--") + 1 :] if "--" in own else []
    wanted = next((word for word in own if not (word or "").startswith("-")), "")
    if wanted is None:
        return [*found, Hidden("what nix runs is only known when it runs")]
    name = re.split(r"[#/:.]", wanted.partition("?")[0])[-1]
    return [*found, Run([name, *arguments], "nix run")] if name else found


def behind_dashes(words: Words) -> list[Inner]:
    """guix shell PACKAGES -- COMMAND (Invoking guix shell)."""
    rest = list(words[words.index("--") + 1 :]) if "--" in words else []
    return [Run(rest, words[0] or "")] if rest else []
