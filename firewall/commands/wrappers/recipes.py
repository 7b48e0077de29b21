"""Files that tell a program what to run, by their usual names or the options that name them.

What such a file holds is not read. One that was there before is the project's own; one that the
same shell text has just written says what that text runs, and leaves it not understood.
"""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from firewall.commands.wrappers.inner import Words
from firewall.commands.wrappers.settings import values

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
git: */hooks/* .gitconfig .gitattributes .gitmodules */.git/config
ssh slogin autossh scp sftp sshfs rsync mosh ssh-copy-id git: */.ssh/config
"""
_PATTERNS: dict[str, list[str]] = {}
_OPTIONS: dict[str, list[str]] = {}
for _line in _TABLE.split("\n")[1:-1]:
    _programs, _, _names = _line.partition(":")
    for _program in _programs.split():
        for _name in _names.split():
            (_OPTIONS if _name[0] == "-" else _PATTERNS).setdefault(_program, []).append(_name)


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


def recipe(name: str, words: Words, written: Iterable[str]) -> str:
    """The file among those `written` by the same text that a program runs; "" for none.

    Where only running can tell which file it is, it may be any of them.
    """
    patterns = _PATTERNS.get(name)
    if patterns is None:
        return ""
    named = [value for option in _OPTIONS.get(name, ()) for value in values(option, words)]
    return next((file for file in sorted(written) if _runs(file, patterns, named)), "")


def _runs(file: str, patterns: Iterable[str], named: Iterable[str | None]) -> bool:
    base = _base(file)
    usual = any(fnmatchcase(f"/{file}" if "/" in each else base, each) for each in patterns)
    return usual or any(each is None or _base(each) == base for each in named)


def _base(path: str) -> str:
    return path.rpartition("/")[2]
