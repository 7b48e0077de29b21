"""Words of one simple command: as a shell reads them, or opaque."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.words import simple_words

ONE = {
    "git-upload-pack 'o/r'": ("git-upload-pack", "o/r"),
    "/usr/bin/git  upload-pack\to/r ": ("/usr/bin/git", "upload-pack", "o/r"),
    'echo "a b" c\\ d': ("echo", "a b", "c d"),
    "echo ''": ("echo", ""),
    "a\"b\"'c'": ("abc",),
    'echo "a\\"b"': ("echo", 'a"b'),
    "make CC=gcc a#b": ("make", "CC=gcc", "a#b"),
    "rsync --server -vlogDtpre.iLsfxC . ~/x*": (
        "rsync",
        "--server",
        "-vlogDtpre.iLsfxC",
        ".",
        "~/x*",
    ),
}
OPAQUE = [
    "",
    " ",
    "git-upload-pack 'o/r'; id",
    "git-upload-pack 'o/r' && id",
    "a | b",
    "a & b",
    "a\nb",
    "a $(b)",
    "a `b`",
    'a "$b"',
    "a ${b}",
    "a > b",
    "a <b",
    "(a)",
    "{ a; }",
    "a {b,c}",
    "a b{c,d}",
    "A=1 a",
    "! a",
    "if a",
    "time a",
    "'if' a",
    "a 'b",
    'a "b',
    "a b\\\nc",
    "a #b",
    "a\0b",
    "$a",
    "*",
    "a " + "b" * (64 << 10),
]


@pytest.mark.parametrize("text", ONE)
def test_one_command(text: str) -> None:
    assert simple_words(text) == ONE[text]


@pytest.mark.parametrize("text", OPAQUE)
def test_opaque(text: str) -> None:
    assert simple_words(text) is None


@given(st.text("ab '\"\\$;|&(){}#!=\n\t~*-", max_size=20))
def test_whatever_it_reads_a_shell_reads_alike(text: str) -> None:
    words = simple_words(f"printf {text}")
    if words is None or shutil.which("dash") is None:
        return
    script = f'set -f; HOME=\\~; set -- {text}\nprintf \'%s\\0\' "$#" "$@"'
    done = subprocess.run(["dash", "-c", script], capture_output=True, check=True)
    count, *read = done.stdout.decode().split("\0")[:-1]
    assert tuple(read) == words[1:]
    assert int(count) == len(words) - 1
