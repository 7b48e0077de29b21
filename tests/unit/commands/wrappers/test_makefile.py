"""Recipes of makefiles and justfiles."""

import shutil
import subprocess
from pathlib import Path

import pytest

from firewall.commands import read_shell
from firewall.commands.wrappers.inner import Inner, Shell
from firewall.commands.wrappers.makefile import justfile, makefile


def texts(found: list[Inner] | None) -> list[str | None] | None:
    return None if found is None else [each.text for each in found if isinstance(each, Shell)]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("all: b\n\t@echo a\n\t-b $@ $<\n", ["echo a", "b all b"]),
        ("X = a\nX += b\nall:\n\t$(X) ${X}", ["a b a b"]),
        ("all: ; a\nclean:\n\t$(RM) x\n", ["a", "rm -f x"]),
        ("CFLAGS += -O2 # x\na: a.c\n\t$(CC) $(CFLAGS) -o $@ $<", ["cc -O2 -o a a.c"]),
        ("%.o: %.c\n\tcc -c $< -o $@", ["cc -c ${make_file} -o ${make_file}"]),
        (
            "all:\n\tfor i in 1; do \\\n\t  a $$i; \\\n\tdone",
            ["for i in 1; do \\\n  a $$i; \\\ndone"],
        ),
        (".PHONY: all\nifeq ($(CC),cc)\nall:\n\ta\nelse\n\tb\nendif", ["a", "b"]),
        ("X := a\nY = $(X) $(Z)\nZ = c\nall:\n\t$(Y)", ["a c"]),
    ],
)
def test_recipes_are_what_make_gives_to_the_shell(text: str, steps: list[str]) -> None:
    assert texts(makefile(text, ())) == [each.replace("$$", "$") for each in steps]


@pytest.mark.parametrize(
    "text",
    [
        "all:\n\t$(X) a", "X = a\nX = b\nall:\n\t$(X)", "X = a\nX := b\nall:\n\t$(X)",
        "X += a\nall:\n\t$(X)",
        "ifdef A\nX = a\nendif\nall:\n\t$(X) b", "X := $(Y)\nY = a\nall:\n\t$(X) b",
        "include b\nall:\n\ta",
        "all:\n\t$(shell a)", "X != a\nall:\n\tb", "SHELL = a\nall:\n\tb",
        "define X\na\nendef\nall:\n\tb",
        "\tRM = a\nall:\n\t$(RM)", "all: X = a\nall:\n\tb", ".RECIPEPREFIX = >\nall:\n>a",
        ".ONESHELL:\nall:\n\tx=a\n\t$$x", "X = a; b\nall:\n\tc", "CFLAGS = $$(a)\na: b.o", "a b\n",
        "ifeq ($(shell a),)\nendif", "all:\n\t$(wildcard *)", "$(eval X = a)\nall:\n\tb",
        "load a.so\n",
        "X = $(X)\nall:\n\t$(X)", "all:\nX = a\n\tb",
    ],
)  # fmt: skip
def test_what_make_may_read_differently_is_not_understood(text: str) -> None:
    assert makefile(text, ()) is None


def test_tools_that_rules_of_makes_own_run_are_read() -> None:
    assert texts(makefile("CC = nc h 1\na: a.c", ())) == ["nc h 1"]


@pytest.mark.parametrize(
    "run",
    [
        "make X='nc h 1'", "X='nc h 1' make", "export X='nc h 1'; make", "env X='nc h 1' make",
        "read X <<< 'nc h 1'; export X; make", "make 'a; nc h 1'", 'make "$t"', "make -f m X=y",
    ],
)  # fmt: skip
def test_what_is_given_to_make_may_change_its_recipes(run: str) -> None:
    written = "cat > Makefile <<'E'\nX ?= ls\nall:\n\t$(X)\nE\ncp Makefile m; "
    assert any("what this text wrote into" in each.why for each in read_shell(written + run).opaque)
    assert not read_shell(written + "make -j4 all").opaque


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    "text",
    [
        "X = a b\nY := $(X) c\nall: d e\n\techo $(Y) $@ $< $$HOME\nd:\n\techo $@\ne:\n\techo\n",
        "X ?= a\nX += b\nifeq (a,a)\nall: y\n\techo $(X) \\\n\t  c\nendif\ny: ; echo $(RM)\n",
        "all: x.o # y\n\techo '$$1' \"$(CFLAGS)\"\nx.o:\n\techo z\n",
    ],
)
def test_make_itself_agrees(text: str, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(text)
    command = ["make", "-Bn", "--no-print-directory", "all"]
    environment = {"PATH": "/usr/bin:/bin"}
    printed = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    found = [str(each).replace("${make_file}", "x.o") for each in texts(makefile(text, ())) or []]
    assert printed.strip()
    assert [step for step in found if step in printed]
    rest = printed
    for step in found:
        rest = rest.replace(step, "")
    assert not rest.split()


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("default: b\n  @a c\n\nb x:\n  d \\\n  e\n# f\n", ["a c", "d e"]),
        ("a:\n  b {{x}}", None), ("a:\n  #!/bin/x\n  b", None),
        ("set shell := ['a']\na:\n  b", None),
        ("x := `a`\nb:\n  c", None), ("import 'a'\nb:\n  c", None), ("a x='b':\n  c", None),
    ],
)  # fmt: skip
def test_recipes_of_a_justfile(text: str, steps: list[str] | None) -> None:
    assert texts(justfile(text)) == steps
