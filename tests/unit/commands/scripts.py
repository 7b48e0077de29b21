"""Random shell scripts that run only stub programs, and what bash really runs of them."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

STUBS = ("alpha", "beta", "gamma", "delta")
_TOOLS = (
    "bash", "sh", "env", "xargs", "cat", "tr", "rev", "base64", "timeout", "nice", "nohup", "find",
    "stdbuf", "setsid", "tee", "tac", "cut", "wc", "ln", "seq", "true",
    "mkdir", "cp", "mv", "chmod", "rm",
)  # fmt: skip
_SYMBOL = re.compile(r"%(\w+)%")

_GRAMMAR = {
    "script": ["%statement%", "%statement%; %statement%", "%statement%\n%statement%"],
    "statement": [
        "%simple%", "%simple%", "%wrapped%", "%wrapped%", "%compound%", "%compound%", "%value%",
        "%value%", "%fed%", "%joined%", "%writes%; %runs%",
    ],
    "simple": ["%program%", "%program% %word%", "%program% %word% %word%", "%program% %redirect%"],
    "program": ["%spelled%"],
    "word": [
        "-x", "a=b", "'p q'", "'$(alpha)'", '"$(%simple%)"', "$v", '"$@"', "$*", "`%stub%`", "\\;",
        "${v:-$(%simple%)}", "${v#q}", "${v[$(%stub%)]}", "$(( $(%stub% | wc -l) + 1 ))", "{a,b}",
        "{01..03}", "{a,{b,c}}", "{1..5..2}", "<(%simple%)", "$'a\\'b'", '"a\\"b"', "#c", "a#b",
        "${v:-'}'}", '"${v:-"}"}"', "$[ 1 ]", "~", "b*n", "'a\\\nb'", "fi", "{", "$#", "in",
    ],
    "redirect": [
        ">f1", "2>&1", "<<< $v", "<<< $(%stub%)", ">f$(%stub%)", "< <(%simple%)", "> >(%simple%)",
        "&>f2", ">|f1", "{fd}>f3", "2>&-",
    ],
    "wrapped": [
        "command %simple%", "env A=1 %simple%", "nice -n 1 %simple%", "timeout 5 %simple%",
        "nohup %simple%", "eval %quoted%", "exec %simple%", "(exec -a q %simple%)", "! %simple%",
        "bash -c %quoted%", "sh -c %quoted% a b", "bash <<< %quoted%", "xargs %simple% <<< 'a b'",
        "time -p %simple%", "builtin eval %quoted%", "source <(echo %quoted%)", "coproc %simple%",
        "bash <(echo %quoted%)", "trap %quoted% EXIT", "env -S %quoted%", "sh -c '$1' _ %simple%",
        "find . -maxdepth 0 -exec %simple% \\;", "bash -c '\"$@\"' _ %simple%",
        "setsid -w %simple%",
        "alias q=%quoted%; shopt -s expand_aliases\nq x", "a=1 b=`%stub%` %simple%",
    ],
    "compound": [
        "if %script%; then %script%; else %script%; fi", "for v in a b; do %script%; done",
        "while %simple%; do %script%; break; done", "{ %script%; }", "( %script% )",
        "case x in *) %script%;; esac", "f() { %script%; }; f %word%", "%simple% | %simple%",
        "%simple% && %simple%", "%simple% || %simple%", "[[ $(%stub%) == %stub% ]] && %simple%",
        "[[ a =~ <(%stub%) ]]", "(( $(%stub% | wc -l) ))", "%simple% &\nwait",
        "cat <<E\n$(%stub%)\nE", "cat <<'E'\n$(%stub%)\nE\n%simple%",
        "cat <<-E && %stub%\n\t`%stub%`\n\tE",
        "f() { while [ $# -gt 0 ]; do $1; shift; done; }; f %stub% %stub%", "$( ( %stub% ) )",
        "f() { local v=$1; shift; $v; \"$@\"; }; f %stub% %stub%", "# %stub% ' \" $( `\n%simple%",
        "echo $(case x in x) %stub%;; esac)", "echo $(# )\n%stub%)", "echo ${v:-'}'$(%stub%)}",
    ],
    "value": [
        "v=%stub%; $v", "v=(x %stub%); ${v[1]}", "v=q%stub%; ${v#q}", "read v <<< %stub%; $v",
        "printf -v v %stub%; $v", "v=beta; %changes%; $v", "v=beta; (%changes%); $v",
        "v=beta; true && %changes%; $v", "if true; then %changes%; fi; $v", "v=al; v+=pha; $v",
        "v=beta; for i in 1 2; do $v; %changes%; done", "f() { %changes%; }; v=beta; f; $v",
        "v=beta; while $v; do %changes%; $v; break; done", "set -- %stub% x; $1",
        "v=beta; bash -c '$v %stub%'",
        "env() { :; }; command env %stub%", "v=beta; trap '$v %stub%' EXIT; v=",
        "readonly v=%stub%; declare v=beta; $v", "REPLY=beta; read <<< %stub%; $REPLY",
        "_=beta; echo %stub%; $_",
        "v=beta; echo '$v %stub%' | sh", "v=beta; echo '$v %stub%' > s; sh s",
        "f() { $*; }; f '%stub% x' y", "set -- '%stub% x'; $@",
        "f() { %stub% $* \"$*\"; }; f 'p q' r",
        'set %stub%; "$@"',
        "v=beta; for i in 1; do %changes%; done; $v", "f() { $v; }; v=beta; f; %changes%; f",
        "set -- beta; true && set -- %stub%; \"$@\"", "v=%stub% eval '$v'", "$(echo %stub%)",
        'v=%stub%; "$v" "$v" "${v}x"', 'v=s; echo %stub% > "$v"; sh "$v"',
        'v=(%stub% x); "${v[@]}"', 'v=(beta); v+=(%stub%); set -- "${v[@]}"; $2',
        'v=(beta); %changes%; "${v[@]}"', 'v=(beta); (%changes%); "${v[@]}" x',
        'v=(); "${v[@]}" beta',
        'v=(beta); for i in 1 2; do "${v[@]}"; %changes%; done', 'v=(sh -c %quoted%); "${v[@]}"',
        'w=(%stub% "p q"); v=("${w[@]}" x); env "${v[@]}"',
        'v=(beta); true && %changes%; "${v[@]}"',
        "IFS=q; v=q%stub%; set -- $v; $2", "IFS=q read v <<< %stub%; $v", "v='%stub% x'; IFS=; $v",
        "v=a%stub%; IFS=a eval 'set -- $v'; $2", "v=beta; v=%stub% read w <<< x; $v",
        "v=beta; v=%stub% unset w; $v", "IFS=$w; v=beta; $v", "set -- a%stub%; IFS=a; $*",
        "v='a[$(%stub%)]'; (( v ))", "v='a[$(%stub%)]'; [[ v -eq 0 ]]", "v='a[$(%stub%)]'; let v",
        "v='a[$(%stub%)]'; w=v; (( w ))", "declare -i v='a[$(%stub%)]'", "test -v 'a[$(%stub%)]'",
    ],
    "changes": [
        "v=%stub%", "eval v=%stub%", "v=(%stub%)", "v[0]=%stub%", "v+=(%stub%)",
        "read -a v <<< %stub%",
        "unset 'v[0]'; v=%stub%", "read v <<< %stub%", "declare v=%stub%", ": ${v:=%stub%}",
        "unset v; v=%stub%", "declare -n v=w; w=%stub%", "mapfile -t v <<< %stub%",
        "local v=%stub%",
        "declare -l v=ALPHA", "printf -v v %stub%", "for v in %stub%; do :; done",
    ],
    "fed": [
        "echo %quoted% | bash", "echo %quoted% | base64 | base64 -d | sh", "echo %stub% | tac | sh",
        "cat <<E | sh\n%stub%\nE", "bash <<'E'\n%simple%\nE", "echo %stub% | tee >(sh) >f1",
        "echo %stub% | while read z; do $z; done", "echo %stub% | xargs -I{} {}", "%stub% | sh",
        "sh -c \"$(cat <<E\n%stub%\nE\n)\"", "exec < <(echo %stub%); sh", "{ echo %stub%; } | sh",
        "echo q%stub% | cut -c2- | sh", "echo %quoted% > s; sh s", "echo %quoted% > s; . ./s",
        "f() { echo %stub%; }; f | sh", "$(f() { echo %stub%; }; f)",
        "while read l; do $l; done <<E\n%stub%\nE",
    ],
    "writes": [
        "echo %quoted% > s", "cat > s <<'E'\n%simple%\nE\n:", "cat > s <<E\n%stub%\nE\n:",
        "echo %quoted% | tee s", "{ echo %stub%; echo %quoted%; } > s", "(echo %quoted% >> s)",
        "%writes%; %writes%", "%writes%; cp s t; mv t s",
        "if true; then %writes%; else %writes%; fi",
        "%writes%; false && %writes%", "sh -c 'echo %stub% > s'",
        "f() { echo %quoted% > $1; }; f s",
        "mkdir d; cd d; %writes%; cd ..; ln -s d/s s", "printf %stub% > s; printf ' x' >> s",
        "base64 -d > s <<< $(echo %stub% | base64)", "for s in s; do %writes%; done",
        "rm -f s; %writes%",
        "echo x > s; %writes%", "%writes%; (mkdir d; cd d; %writes%)", "cat <<< %stub% > s",
    ],
    "runs": [
        "sh s", ". ./s", "chmod +x s; ./s", "cat s | sh", "sh < s", "eval \"$(cat s)\"",
        "bash -e ./s",
        "sh -c 'sh s'", "mkdir e; cd e; sh ../s", "cat s s > t; sh t", "sh <(cat s)", "$(cat s)",
        "exec sh s", "while read l; do $l; done < s", "%writes%; sh s", "nice ./s; sh s",
        "sh d/s; sh s",
    ],
    "joined": [
        "%stub%;%stub%", "%stub%&%stub%", "%stub%|%stub%", "%stub%||%stub%", "%stub%\n\\%stub%",
        "!%stub%", "(%stub%)|(%stub%)", "((%stub%); %stub%)", "$((%stub%); %stub%)",
        "{ %stub%;};%stub%",
        ">f1 %stub%", "2>&1 %stub%", "%stub% )", "%stub% ;; %stub%", "time ( %stub% )",
        "\\\n%stub%",
        "v=1 >f1 %stub%", "echo `echo \\`%stub%\\``", "echo \"`%stub% \\`%stub%\\``\"",
        "1a=x %stub%",
    ],
}  # fmt: skip
"""Symbols between percent signs. Every program in it is a stub, a builtin or one of `_TOOLS`."""


def _octal(text: str) -> str:
    return "".join(f"\\{ord(char):03o}" for char in text)


def _spelled(name: str, random: Random) -> str:
    at = random.randrange(1, len(name))
    head, tail = name[:at], name[at:]
    return random.choice(
        [
            name, f"\\{name}", f"{head}''{tail}", f"'{name}'", f"$'{_octal(name)}'", f'$"{name}"',
            f"{head}\\\n{tail}", f"{head}$no{{{tail},q}}", f"{{{name},}}", f"$(echo {name})",
            f"`echo {name}`", f"$(printf '{_octal(name)}')", f"{head}$(echo {tail})",
            f"${{no:-{name}}}", f"$(rev <<< {name[::-1]})", f"{head}${{no}}{tail}",
            f"{head}$(:){tail}",
            f"`echo '{head}\\\n{tail}'`", f"$(tr A-Z a-z <<< {name.upper()})",
        ]
    )  # fmt: skip


def script(random: Random, depth: int = 3) -> str:
    """A script of stubs in random spellings."""
    return _generate("script", random, depth)


def _generate(symbol: str, random: Random, depth: int) -> str:
    special: dict[str, Callable[[], str]] = {
        "stub": lambda: random.choice(STUBS),
        "spelled": lambda: _spelled(random.choice(STUBS), random),
        "quoted": lambda: _quoted(_generate("simple", random, depth - 1)),
    }
    if symbol in special:
        return special[symbol]()
    if depth <= 0 and symbol not in {"program", "changes"}:
        return random.choice(STUBS)
    template = random.choice(_GRAMMAR[symbol])
    return _SYMBOL.sub(lambda found: _generate(found[1], random, depth - 1), template)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


class Stage:
    """A folder in which bash finds stubs, which write down how they are called, and few tools."""

    def __init__(self, folder: Path) -> None:
        self.work, self._bin = folder / "work", folder / "bin"
        self._logs = (folder / f"log{number}" for number in itertools.count())
        self._bin.mkdir()
        for name in STUBS:
            stub = self._bin / name
            stub.write_text('#!/bin/sh\nprintf "%s\\0" "${0##*/}" "$@" "\n" >> "$STUB_LOG"\n')
            stub.chmod(0o755)
        for name in _TOOLS:
            if found := shutil.which(name):
                (self._bin / name).symlink_to(found)

    def run(self, text: str) -> list[tuple[str, ...]]:
        """The command lines of the stubs that bash runs of a text.

        Each run has a log of its own, as what it leaves in the background may write later.
        """
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        log = next(self._logs)
        log.touch()
        environment = {"PATH": str(self._bin), "STUB_LOG": str(log), "HOME": "/nonexistent"}
        bash = ["/bin/bash", "-c", text]
        subprocess.run(
            bash, cwd=self.work, env=environment, timeout=20, check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        calls = log.read_text().split("\0\n\0")
        return [tuple(call.split("\0")) for call in calls if call]
