"""Command lines to commands."""

from random import Random

import pytest

from firewall.commands import read_argv
from firewall.commands.wrappers.loads import LOADS
from firewall.commands.wrappers.programs import PROGRAMS
from firewall.commands.wrappers.settings import TEXTS
from firewall.commands.wrappers.table import WRAPPERS

WRAPPED = """
env A=1 id
env -S id
sudo -u root id
doas id
nohup id
timeout -k 5 10 id
nice -n 5 id
ionice -c 3 id
setsid id
stdbuf -oL id
time -p id
watch -n 1 id
xargs -n 1 id
find . -exec id {} ;
fd -x id
flock x -c id
script -qc id
unshare -rn id
chroot / id
strace -f -o x id
ssh host id
ssh -oProxyCommand=id host
scp -S id a h:
rsync -e id a h:
git -c core.sshCommand=id fetch
git -c alias.x=!id x
tar cf x y --checkpoint-action=exec=id
docker run --rm alpine id
kubectl exec pod -- id
busybox id
ld.so /usr/bin/id
npx -y id
uv run id
uvx id
parallel id ::: a
vim -c !id
capsh -- -c id
bwrap --ro-bind / / id
su -c id
su root -c id
nsenter -t 1 -m id
systemd-run --user id
tmux new -d id
""".strip().splitlines()


@pytest.mark.parametrize("line", WRAPPED)
def test_a_wrapped_command_is_found(line: str) -> None:
    reading = read_argv(line.split())
    assert reading.commands[0].words[0] == line.split(maxsplit=1)[0]
    assert any((command.words[0] or "").endswith("id") for command in reading.commands[1:])


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["sudo", "--no-such-option", "id"], "an option of sudo"),
        (["awk", "BEGIN{system(x)}"], "awk puts together"),
        (["sed", "s/a/b/e"], "sed runs"),
        (["chroot", "/mnt"], "starts a shell"),
    ],
)
def test_what_the_words_do_not_tell_is_opaque(argv: list[str], why: str) -> None:
    reading = read_argv(argv)
    assert any(why in opaque.why for opaque in reading.opaque)


def test_literal_command_lines_in_code_are_found() -> None:
    reading = read_argv(["python3", "-c", "import subprocess; subprocess.run(['ssh', 'host'])"])
    assert reading.commands[1].words == ("ssh", "host")
    assert reading.commands[1].via == ("code",)


def test_no_shell_looks_at_the_words() -> None:
    assert read_argv(["echo", "$(id)", "*"]).opaque == ()


def test_an_empty_command_line_runs_nothing() -> None:
    assert not read_argv([]).opaque


NAMES = sorted({*WRAPPERS, *PROGRAMS, *TEXTS, *LOADS, "git init", "git config", "git clone -c"})
WORDS = [
    "-c",
    "-e",
    "-f",
    "--",
    "-",
    "--exec",
    "run",
    "exec",
    "a=b",
    "$x",
    "{}",
    ";",
    "@x",
    "h:x",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_program_makes_reading_fail(name: str) -> None:
    random = Random(name)
    for count in (0, 1, 1, 2, 3, 5):
        argv = [*name.split(), *random.choices(WORDS, k=count)]
        assert not any("failed" in each.why for each in read_argv(argv).opaque), argv
