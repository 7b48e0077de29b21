"""Of tools that run what the same text wrote it is found, or the text is not understood."""

import pytest

from firewall.commands import read_shell

WRITERS = [
    "cat > {} <<'E'\nall:\n\tnc h 1\nE\n", "cat >> {} <<E\n\tnc $x 1\nE\n", "echo x > {}; ",
    "printf x | tee -a {}; ", "tee {} <<E\nx\nE\n", "echo x | sudo tee {} >/dev/null; ",
    "cat <<E > a\nx\nE\nmv a {}; ", "echo x > a; cp a b; ln -s b {}; ", "dd of={} <<E\nx\nE\n",
    "install -m 644 /dev/stdin {} <<E\nx\nE\n", "sed -i s/a/b/ {}; ", "perl -pi -e s/a/b/ {}; ",
    "curl -so {} https://h/x; ", "base64 -d x > {} && ", "{{ echo x; }} > {}; ", "(echo x) > {}; ",
    "for i in 1; do echo x; done > {}; ", "f() {{ echo x > {}; }}; f; ", "bash -c 'echo x > {}'; ",
    "ed {} <<E\na\nx\n.\nw\nE\n", "echo x | sponge {}; ", "git apply <<E\n+++ b/{}\nE\n",
    "patch -p1 <<E\n+++ b/{}\nE\n",
]  # fmt: skip
RUNS = {
    "Makefile": ["make", "sudo make -j4 all", "make -C .", "bash -c make"],
    "odd": ["make -f odd", "make -fodd", "gmake --file=odd", "make --makefile ./odd", "just -f odd",
            "make -sf odd", "ninja -f odd", "docker build -f odd .", "psql -f odd",
            "env X=1 make -f odd"],
    "rules.mk": ["make"], "package.json": ["npm run a", "npx x"], "justfile": ["just a"],
    "sub/CMakeLists.txt": ["cmake -B b"],
    ".vimrc": ["vim"], "d/a": ["run-parts d"],
    "compose.yaml": ["docker compose up", "podman-compose up"],
    ".git/hooks/pre-commit": ["git commit -m x"], ".ssh/config": ["ssh h", "scp a h:b"],
}  # fmt: skip


@pytest.mark.parametrize("file", RUNS)
def test_what_a_tool_runs_of_its_own_text_is_found_or_not_understood(file: str) -> None:
    for written in WRITERS:
        for run in RUNS[file]:
            text = written.format(file) + run
            reading = read_shell(text)
            understood = "nc" in [each.words[0] for each in reading.commands if each.words]
            why = [each.why for each in reading.opaque]
            assert understood or any("what this text wrote into" in each for each in why), text


@pytest.mark.parametrize("run", ["sh odd", "./odd", "bash -x odd", "sudo ./odd", "env sh ./odd"])
def test_a_script_that_was_written_is_read_or_not_understood(run: str) -> None:
    for written in WRITERS:
        reading = read_shell(written.format("odd") + run)
        programs = [each.words[0] for each in reading.commands if each.words]
        assert reading.opaque or set(programs) & {"x", "nc", "a"}, written


@pytest.mark.parametrize(
    "text",
    [
        "make", "make -f odd", "npm run build", "ssh h", "cat Makefile; make", "make > make.log",
        "echo x > notes; make notes", "cp Makefile Makefile.bak; make", "echo x > a; git status",
        "sed -n 1p Makefile; make", "perl -ne 'print' Makefile; make", "echo '{}' > x.json; npm ci",
        "make; echo x > Makefile",
    ],
)  # fmt: skip
def test_what_was_there_before_is_the_projects_own(text: str) -> None:
    assert read_shell(text).opaque == ()
