"""Files that tell a program what to run, by their usual names or the options that name them.

One that was there before is the project's own. One that the same shell text has just written says
what that text runs: it is read where its text and its language are known, and leaves the shell text
not understood where they are not.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import translate
from functools import cache

from firewall.commands.wrappers.code import handed_out
from firewall.commands.wrappers.formats import cmakelists, dockerfile, package
from firewall.commands.wrappers.inner import Inner, Shell, Words
from firewall.commands.wrappers.makefile import justfile, makefile
from firewall.commands.wrappers.settings import in_language, values
from firewall.commands.wrappers.shells import is_shell

_TABLE = """
make gmake bmake: Makefile makefile GNUmakefile BSDmakefile *.mk *.mak -f --file --makefile
ninja samu: build.ninja *.ninja -f
just: [jJ]ustfile .justfile *.just -f --justfile
task go-task: [tT]askfile*.y*ml -t --taskfile
npm npx yarn pnpm bun: package.json .npmrc .yarnrc*
docker buildah: *[dD]ockerfile* *Containerfile* *compose*.y*ml -f --file
docker-compose podman-compose: *compose*.y*ml -f --file
ansible ansible-playbook: *.yml *.yaml ansible.cfg -i
cmake ctest: CMakeLists.txt *.cmake CMake*Presets.json -P -C
meson: meson.build
scons: SConstruct SConscript -f
rake: [rR]akefile *.rake -f
ant: build.xml -f -file -buildfile
mvn mvnw: pom.xml -f --file
gradle gradlew: *.gradle *.gradle.kts -b -I
bazel: BUILD* WORKSPACE* MODULE.bazel *.bzl
terraform tofu: *.tf *.tf.json
vagrant: Vagrantfile
packer: *.hcl *.json
foreman honcho overmind: Procfile* .foreman -f
supervisord: *.conf -c
systemctl systemd-run: *.service *.timer *.socket *.path
tox: tox.ini pyproject.toml setup.cfg -c
poe pdm hatch: pyproject.toml
pre-commit: .pre-commit-config.yaml -c
act: *.yml *.yaml
mise direnv: *mise.toml .envrc
tup redo: Tupfile *.do
snakemake: Snakefile *.smk -s --snakefile
dvc: dvc.yaml
bats: *.bats
expect: *.exp *.expect -f
gdb: .gdbinit *.gdb -x --command -ix
tmux: *tmux*.conf *.tmux -f
screen: .screenrc -c
psql: .psqlrc *.sql -f --file
mysql mariadb sqlite3: *.sql
lftp: .lftprc -f
python pypy ipython pytest coverage nox tox uv: *.py
pip: setup.py
node nodejs bun deno ts-node tsx jest vitest mocha npm npx: *.js *.mjs *.cjs *.ts *.tsx
ruby rspec rake: *.rb
perl prove: *.pl *.pm *.t
php phpunit: *.php
lua luajit: *.lua
gcc g++ cc c++ clang clang++ tcc nvcc make gmake cmake: *.c *.h *.cc *.cpp *.cxx *.hpp *.cu
rustc cargo: *.rs
go: *.go
java javac mvn gradle: *.java
bash sh dash zsh ksh: .bashrc .bash_profile .bash_login .profile .zshrc .zshenv .zprofile
vim vi nvim ex vimdiff: .vimrc .exrc init.vim
run-parts: *
logrotate: *.conf *logrotate*
git: */hooks/* .gitconfig .gitattributes .gitmodules */.git/config
ssh slogin autossh scp sftp sshfs rsync mosh ssh-copy-id git: */.ssh/config
"""
_CODE = {
    "py": "python",
    "rb": "ruby",
    "php": "php",
    "lua": "lua",
    **dict.fromkeys(("pl", "pm", "t"), "perl"),
    **dict.fromkeys(("js", "mjs", "cjs", "ts", "tsx"), "node"),
    **dict.fromkeys(("c", "h", "cc", "cpp", "cxx", "hpp", "cu", "rs", "go", "java"), ""),
}
"""The language of files of code by how their names end; "" for those that are compiled."""
_PATTERNS: dict[str, list[str]] = {}
_OPTIONS: dict[str, list[str]] = {}
for _line in _TABLE.split("\n")[1:-1]:
    _programs, _, _names = _line.partition(":")
    for _program in _programs.split():
        for _name in _names.split():
            (_OPTIONS if _name[0] == "-" else _PATTERNS).setdefault(_program, []).append(_name)


_STARTUP = re.compile(r"-\w*[il]\w*|--login")
_SHELL_SIGN = re.compile(r"[^\w./=:,+@%-]")
_EDITORS = frozenset(
    ["ed", "red", "ex", "vi", "vim", "nvim", "emacs", "patch", "sponge", "split", "csplit", "xxd"]
)
_IN_PLACE = re.compile(r"-[A-Za-z]*i")
_DIFFERS = re.compile(r"^\+\+\+ (?:[bw]/)?([^\t\n]+)", re.MULTILINE)


def edited(name: str, words: Words, stdin: str | None) -> Iterator[str]:
    """The files that a program may change, though no option or redirection says that it writes."""
    known = [word for word in words[1:] if word]
    if name in _EDITORS or (name in {"perl", "ruby"} and any(map(_IN_PLACE.match, known))):
        yield from known
    if name in {"patch", "git"} and stdin:
        yield from _DIFFERS.findall(stdin)


def recipes(name: str, words: Words, written: Collection[str]) -> list[str]:
    """The files among those `written` by the same text that may tell a program what to run.

    Where only running can tell which file it is, it may be any of them.
    """
    name = name if name in _PATTERNS else name.rstrip("0123456789.")
    if name not in _PATTERNS or not written or (is_shell(name) and not _asks_startup(words)):
        return []
    named = [value for option in _OPTIONS.get(name, ()) for value in values(option, words)]
    if None in named:
        return sorted(written)
    bases = {_base(value or "") for value in named}
    usual, placed = _usual(name)
    return sorted(
        file
        for file in written
        if (base := _base(file)) in bases or usual.match(base) or placed.match(f"/{file}")
    )


def _asks_startup(words: Words) -> bool:
    """Whether a shell's options have it read its startup files."""
    return any(_STARTUP.fullmatch(word) for word in words if word)


def steps(
    name: str, words: Words, file: str, text: str | None, given: Collection[str]
) -> list[Inner] | None:
    """What a program runs because of a file's text; None where that is not understood.

    `given` are variables that were assigned before, which its environment may have.
    Code that it only may load, and that was edited by a program, is left to the project.
    """
    base = _base(file)
    kind = base.partition(".")[1] and base.rpartition(".")[2]
    if text is None:
        named = any(word and word.endswith(file) for word in words)
        return None if named or kind not in _CODE else []
    if kind in _CODE:
        return list(handed_out(_CODE[kind], text))
    if kind == "sql" or is_shell(name):
        return list(in_language(text, name)) if kind == "sql" else [Shell(text, name)]
    if name in {"make", "gmake"}:
        signs = any(word is None or _SHELL_SIGN.search(word) for word in words)
        return None if signs else makefile(text, given)
    reader = next((read for mark, read in _READERS.items() if mark in base.lower()), None)
    return reader(text) if reader else None


_READERS: dict[str, Callable[[str], list[Inner] | None]] = {
    "package.json": package,
    "cmakelists.txt": cmakelists,
    "justfile": justfile,
    "dockerfile": dockerfile,
    "containerfile": dockerfile,
}
"""By what stands in the name of a file."""


@cache
def _usual(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The usual files of a program: by their names, and by where they are as well."""
    patterns = _PATTERNS[name]
    return _any(each for each in patterns if "/" not in each), _any(
        each for each in patterns if "/" in each
    )


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or "(?!)")


def _base(path: str) -> str:
    return path.rpartition("/")[2]
