"""Literal command lines inside the code of other languages, found by simple means.

Code itself is not read: that a program runs code given on its command line is an intent of its
own. What is found here is what such code plainly hands to a shell or to execve.
"""

import ast
import itertools
import re
from collections.abc import Iterator

from firewall.commands.bash.expand import Pattern
from firewall.commands.wrappers.inner import Hidden, Inner, Run, Shell, Words
from firewall.commands.wrappers.shells import is_shell

_LANGUAGES = re.compile(
    r"(python|pypy|perl|ruby|node|nodejs|ts-node|tsx|deno|bun|php|lua|luajit|tclsh|Rscript|R|julia|irb|"
    r"ipython|groovy|osascript|"
    r"expect|wish|guile|scala|elixir|erl|jruby|jshell|micropython)[0-9.]*w?"
)
_CODE_OPTIONS = {
    "python": "c",
    "pypy": "c",
    "ipython": "c",
    "micropython": "c",
    "perl": "eEMm",
    "ruby": "e",
    "irb": "e",
    "node": "ep",
    "nodejs": "ep",
    "bun": "ep",
    "ts-node": "ep",
    "tsx": "ep",
    "php": "rBRE",
    "lua": "e",
    "luajit": "e",
    "Rscript": "e",
    "R": "e",
    "julia": "eE",
    "groovy": "e",
    "osascript": "e",
    "expect": "c",
    "guile": "c",
    "elixir": "e",
    "jruby": "e",
    "scala": "e",
}
_LONG = frozenset({"--eval", "--print", "--exec", "--run", "-eval", "-exec"})
_CALL = re.compile(
    r"(?:system|popen[234]?e?|capture[23]e?|getoutput|getstatusoutput|execSync|exec|passthru|shell_exec|"
    r"proc_open|spawn(?:Sync|lp|vp|l|v)?|"
    r"execl[pe]?|execv[pe]*|execFile(?:Sync)?|run|call|check_call|check_output|Popen|execute|"
    r"exec_command|create_subprocess_(?:exec|shell)|cmd|Command(?:::new)?|sh|do\s+shell\s+script)"
    r"\s*[(\[ "
    r"]\s*(?:args\s*=\s*)?\[?\s*[brfu]*(?P<quote>['\"])(?P<text>(?:\\.|"
    r"(?!(?P=quote)).)*)(?P=quote)(?P<more>[^)\]]*)",
    re.DOTALL,
)
_QUOTED = re.compile(r"[brfu]*(['\"])((?:\\.|(?!\1).)*)\1", re.DOTALL)
_BACKTICKS = re.compile(r"`([^`]*)`|(?:\bqx|%x)\s*([/{(\[|!])(.*?)[/})\]|!]", re.DOTALL)
_WORDS = re.compile(r"\b(?:system|exec)\s*\(?\s*(?:qw|qq?|%[qQ]?)\s*[({\[/|]([^)}\]/|]*)")
_PIPES = re.compile(
    r"\bopen\b[^;'\"]*['\"](?:(?:\||-\|['\"]\s*,\s*['\"]|\|-['\"]\s*,\s*['\"])([^'\"]+)|"
    r"([^'\"|]+)\|)\s*['\"]"
)
"""Perl and Ruby: quotes of their own, and pipes that are opened like files."""
_BACKTICK_LANGUAGES = frozenset({"perl", "ruby", "php", "jruby", "julia"})
_BUN_SHELL = re.compile(r"\$`([^`]*)`")
_TCL = frozenset({"tclsh", "wish", "expect"})
_TCL_RUNS = re.compile(r"\b(?:exec|spawn)\s+(?:-\w+\s+)*([^\]\n;]+)")
_AWK = frozenset({"awk", "gawk", "mawk", "nawk", "original-awk", "goawk"})
_SED = frozenset({"sed", "gsed", "ssed"})
_SCRIPT_OPTION = re.compile(r"-[a-zA-Z]*f|--file")
_STDIN = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_AWK_RUNS = re.compile(
    r'system\s*\(\s*"((?:\\.|[^"\\])*)"|"((?:\\.|[^"\\])*)"\s*\|&?\s*getline|\|&?\s*"((?:\\.|'
    r'[^"\\])*)"'
)
_AWK_HIDDEN = re.compile(
    r'system\s*\((?!\s*"(?:\\.|[^"\\])*"\s*\))|[^"|\s]\s*\|&?\s*getline|\|&?\s*[A-Za-z_$(]'
)
_SED_RUNS = re.compile(r"(?:^|[;{}\n0-9$/!,])\s*e(?:[ \t]+([^\n]*))?(?=$|[\n;}])")
_SED_FLAG = re.compile(r"(?:^|[;{}\n0-9$/!, ])s([^\w\s\\]).*?\1.*?\1[gpiImM0-9]*e", re.DOTALL)
LENGTH = 65_536
SED_LENGTH = 1024
"""Longer scripts of sed count as not understood: finding its flags takes quadratic time."""


def takes_code(name: str, words: Words) -> bool:
    """Whether an interpreter reads its code from standard input."""
    if name in _AWK or name in _SED:
        return any(
            _SCRIPT_OPTION.fullmatch(option or "") and file in _STDIN
            for option, file in itertools.pairwise(words)
        )
    return bool(_LANGUAGES.fullmatch(name)) and (len(words) == 1 or not _STDIN.isdisjoint(words))


def is_language(name: str) -> bool:
    """Whether a program interprets a language other than a shell's."""
    return bool(_LANGUAGES.fullmatch(name)) or name in _AWK or name in _SED


def given(name: str, code: str) -> Iterator[Inner]:
    """Code on standard input, or of a file that is known, as if it stood among the words."""
    language = _LANGUAGES.fullmatch(name)
    letters = _CODE_OPTIONS.get(language[1], "") if language else ""
    if letters:
        yield Run([name, f"-{letters[0]}", code], "its code")
    elif name in _AWK or name in _SED:
        yield Run([name, code], "its code")
    else:
        yield from texts_in(code)
        if name in _TCL:
            yield from (Shell(each[1], "code") for each in _TCL_RUNS.finditer(code[:LENGTH]))


def handed_out(language: str, code: str) -> Iterator[Inner]:
    """What code runs that another program loads or compiles; `language` "" for compiled ones."""
    if letters := _CODE_OPTIONS.get(language, ""):
        yield from _interpreter(language, [language, f"-{letters[0]}", code])
    else:
        yield from texts_in(code)


def interpreter_of(first: str) -> str:
    """The program that a script's first line names ("#!/usr/bin/env -S python3 -u")."""
    words = [word for word in first.removeprefix("#!").split() if not word.startswith("-")]
    return words[-1].rpartition("/")[2] if words else ""


def code_runs(name: str, words: Words) -> Iterator[Inner]:
    """What code among the words of an interpreter, awk or sed runs."""
    if language := _LANGUAGES.fullmatch(name):
        yield from _interpreter(language[1], words)
    elif name in _AWK:
        yield from _awk(words)
    elif name in _SED:
        yield from _sed(words)


def texts_in(code: str) -> Iterator[Inner]:
    """Command lines that code hands out in literal strings."""
    for found in _CALL.finditer(code[:LENGTH]):
        more = [_unescape(quoted[2]) for quoted in _QUOTED.finditer(found["more"])]
        text = _unescape(found["text"])
        yield Run([text, *more], "code") if more else Shell(text, "code")


def _backticks(code: str) -> Iterator[Inner]:
    for found in _BACKTICKS.finditer(code[:LENGTH]):
        yield Shell(found[1] if found[1] is not None else found[3], "code")
    for found in _WORDS.finditer(code[:LENGTH]):
        yield Shell(found[1], "code")
    for found in _PIPES.finditer(code[:LENGTH]):
        yield Shell(found[1] or found[2], "code")


def _interpreter(language: str, words: Words) -> Iterator[Inner]:
    script = True
    for code, is_code in _arguments(language, words):
        if is_code and code is None:
            script = False
            yield Hidden(f"the code that {language} runs is only known when it runs")
        elif is_code and code is not None:
            script = False
            yield from texts_in(code)
            yield from _backticks(code) if language in _BACKTICK_LANGUAGES else ()
            yield from (Shell(each[1], "code") for each in _BUN_SHELL.finditer(code[:LENGTH]))
        elif script and code is None:
            yield Hidden(f"the script that {language} runs is only known when it runs")
        elif script:
            script = False
            yield from () if isinstance(code, Pattern) else (Run([code], language),)


def _arguments(language: str, words: Words) -> Iterator[tuple[str | None, bool]]:
    """The code given by options, or the script: the first word that is no option."""
    letters, rest = _CODE_OPTIONS.get(language, ""), list(words[1:])
    while rest:
        word = rest.pop(0)
        if word is None or not word.startswith("-") or word == "-":
            if word == "eval" and language == "deno":
                yield " ".join(each or "" for each in rest), True
            elif word != "-":
                yield word, False
            return
        name, equals, value = word.partition("=")
        if name in _LONG:
            yield value if equals else (rest.pop(0) if rest else ""), True
        elif word[1:2] != "-":
            yield from _cluster(language, word, letters, rest)
            if language in {"python", "pypy"} and re.fullmatch(r"-[A-Za-z]*m", word):
                if rest[:1] == ["timeit"]:
                    yield from (
                        (code, True) for code in rest[1:] if code is None or code[:1] != "-"
                    )
                    return
                rest = _module(rest)


def _module(rest: list[str | None]) -> list[str | None]:
    """python -m MODULE: those that run another script take it after their own options."""
    runs = {
        "trace",
        "cProfile",
        "profile",
        "pdb",
        "runpy",
        "coverage",
        "debugpy",
        "doctest",
        "pyinstrument",
        "viztracer",
        "memory_profiler",
        "kernprof",
        "torch.distributed.run",
        "torch.distributed.launch",
        "scalene",
    }
    if rest[:1] and rest[0] in runs:
        return [word for word in rest[1:] if word is None or not word.startswith("-")]
    return []


def _cluster(
    language: str, word: str, letters: str, rest: list[str | None]
) -> Iterator[tuple[str | None, bool]]:
    for at, letter in enumerate(word[1:], 2):
        if letter in letters and word[at:] not in tuple(letters):  # node -pe CODE
            yield word[at:] or (rest.pop(0) if rest else ""), True
            return
        if letter in "WX" and language in {"python", "pypy"}:
            if at == len(word) and rest:
                rest.pop(0)
            return
        if letter in "ImMrd" and language not in {"python", "pypy"}:
            if letter in "Ird" and at > len(word) - 1 and rest and (rest[0] or "-")[0] != "-":
                rest.pop(0)
            return


def _unescape(text: str) -> str:
    try:
        return str(
            ast.literal_eval(
                '"' + text.replace('\\"', '"').replace('"', '\\"').replace("\n", "\\n") + '"'
            )
        )
    except (ValueError, SyntaxError):
        return text


def _awk(words: Words) -> Iterator[Inner]:
    yield from _script_files(words)
    for word in words[1:]:
        if word is None or ("|" not in word and "system" not in word):
            continue
        for found in _AWK_RUNS.finditer(word[:LENGTH]):
            yield Shell(next(_unescape(text) for text in found.groups() if text is not None), "awk")
            into = "".join((found[3] or "").split()[:1])
            if is_shell(into.rpartition("/")[2]):
                yield Hidden("what awk writes to a shell")
        if _AWK_HIDDEN.search(
            re.sub(r"\|\|", "", re.sub(r"/(?:\\.|[^/\n\\])*/", "", word[:LENGTH]))
        ):
            yield Hidden("a command that awk puts together")


def _script_files(words: Words) -> Iterator[Inner]:
    for option, file in itertools.pairwise(words):
        if option and _SCRIPT_OPTION.fullmatch(option):
            if file is None:
                yield Hidden(f"the script that {words[0]} runs is only known when it runs")
            elif file not in _STDIN:
                yield Run([file], words[0] or "")


def _sed(words: Words) -> Iterator[Inner]:
    yield from _script_files(words)
    scripts = [word for word in words[1:] if word and not re.match(r"-[a-zA-Z]*[nEriszu]+$", word)]
    for script in (each.removeprefix("-e").removeprefix("--expression=") for each in scripts[:8]):
        for found in _SED_RUNS.finditer(script[:LENGTH]):
            yield Shell(found[1], "sed e") if found[1] else Hidden("sed runs its input")
        if len(script) > SED_LENGTH or _SED_FLAG.search(script):
            yield Hidden("sed runs what it substituted")
