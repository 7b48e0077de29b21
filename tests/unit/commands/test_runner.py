"""Files that a text writes and then runs are read as the scripts and the code that they are."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firewall.commands import Reading, read_shell
from tests.unit.commands.test_shell import COMMANDS, WRAPS, names

SHELL = [
    "cd a && echo 'inner x' > f; cd ..; sh a/f", "(cd a; echo inner > f); echo ls > f; cd a; sh f",
    "cd /tmp/x; echo inner > f; sh /tmp/x/f", "echo inner > f; cd a; ../f",
    'echo inner > f; "$PWD/f"', "echo inner > f; bash /proc/self/cwd/f", "echo inner >> f; sh f",
    "echo ls > f; echo inner >> f; sh f", "printf inn > f; printf er >> f; ./f",
    "if x; then echo inner > f; else echo ls > f; fi; sh f", "echo ls > f; echo inner > f; . ./f",
    "{ echo ls; echo inner; } > f; sh f", "( echo inner ) > f && bash f", "cat > f <<< inner; sh f",
    "cat <<E > f; sh f\ninner\nE", "cat > f <<E\ninner\nE\nchmod +x f; ./f",
    "tee f <<E >/dev/null\ninner\nE\nsh f", "echo inner | sudo tee f; sudo sh f",
    "base64 -d <<< aW5uZXIK > f; sh f", "echo aW5uZXIK | base64 --decode | tee f; chmod +x f; ./f",
    "echo inner > a; cp a b; mv b d/; ln -s d/b e; ./e", "echo inner > a; cat a > b; sh b",
    "echo inner > a; echo ls > b; cat b a > c; sh c", "echo inner > ~/.local/bin/foo; foo",
    "cat > f <<'A'\ncat > g <<'B'\ninner\nB\nA\nsh f; sh g", "f() { echo inner > $1; }; f g; sh g",
    'f() { echo inner > "$1"; }; f g; sh g', 'x=g; echo inner > "$x"; sh "$x"',
    "echo inner > /usr/local/bin/foo; foo x", "sh -c 'echo inner > f'; sh f",
    "echo inner > f.py; sh f.py", "echo inner > t; sh t",
    "echo inner > f.py; env ./f.py", "echo inner >> ~/.bashrc; bash -i",
    "echo inner > f; parallel -a f", "echo inner > f; parallel :::: f",
    "echo inner > .profile; sh -lc ls",
    "echo inner >| f; ./f",
]  # fmt: skip
CODE = [
    "echo 'import os; os.system(\"inner x\")' > f.py; {}",
    'cat > f.py <<\'E\'\nimport subprocess\nsubprocess.run(["inner", "x"])\nE\n{}',
]
RUNS_CODE = [
    "python f.py", "python3.12 ./f.py", "python -m f", "python -c 'import f'", "pytest -q",
    "uv run pytest", "chmod +x f.py; python a.py",
    "torchrun --nproc_per_node=2 f.py", "cd a; python ../f.py",
]  # fmt: skip
OTHER_CODE = [
    'echo \'require("child_process").execSync("inner x")\' > f.js; node -r ./f.js g.js',
    'echo \'require("child_process").execSync("inner x")\' > f.ts; npx tsx f.ts',
    "echo 'system(\"inner x\")' > f.rb; ruby -r./f -e 1",
    "echo 'int main(){system(\"inner x\");}' > a.c; gcc a.c -o a && ./a",
    'echo \'int main(){execlp("inner","inner",0);}\' > a.c; make a; ./a',
    "echo 'fn main(){std::process::Command::new(\"inner\");}' > src/main.rs; cargo run",
    "echo 'func main(){exec.Command(\"inner\").Run()}' > a.go; go run a.go",
    'echo \'{"scripts": {"postinstall": "inner x"}}\' > package.json; npm ci',
    "echo '\\! inner' > a.sql; psql -f a.sql",
]


@pytest.mark.parametrize("text", SHELL)
def test_a_script_is_read_as_it_was_written(text: str) -> None:
    reading = read_shell(text)
    assert "inner" in names(reading)
    assert not reading.opaque


@pytest.mark.parametrize("run", RUNS_CODE)
@pytest.mark.parametrize("written", CODE)
def test_code_is_read_whether_it_is_run_or_loaded(written: str, run: str) -> None:
    reading = read_shell(written.format(run))
    assert "inner" in names(reading)
    assert not reading.opaque


@pytest.mark.parametrize("text", OTHER_CODE)
def test_code_of_other_languages_is_read_too(text: str) -> None:
    assert "inner" in names(read_shell(text))


@pytest.mark.parametrize(
    "text",
    [
        "echo $x > f; sh f", "echo $x | tee f; ./f", "curl -so f https://h/; sh f",
        "sh a > f; sh f",
        "echo ls > f; curl -so f https://h/; sh f", "echo ls > f; sed -i s/l/x/ f; sh f",
        "curl -so f https://h/; echo ls >> f; sh f", "echo ls > f; vim f; sh f",
        'echo inner > "$d/f"; cd "$d"; sh f', "echo inner > $PWD/f; ./f",
        "echo $x > a; cp a b; ./b",
        "{ echo a; b; } > f; sh f", "cat b > f; sh f", "base64 -d b > f; sh f",
        "echo $x > f; parallel -a f",
        "echo $x > f.py; ./f.py",
    ],
)  # fmt: skip
def test_a_script_whose_text_is_not_known_is_not_understood(text: str) -> None:
    assert any("whose text is only known" in each.why for each in read_shell(text).opaque)


@pytest.mark.parametrize("text", ['"$d/run.sh"', 'bash "${d}/run.sh" x', '. "$d/run.sh"'])
def test_a_script_whose_folder_is_not_known_goes_by_its_name(text: str) -> None:
    reading = read_shell(text)
    assert reading.commands[-1].words[0] == "run.sh"  # no path, which a rule might match
    assert "run.sh" not in reading.commands[0].words[1:]
    assert not reading.opaque
    assert "inner" in names(read_shell(f"echo inner > x/run.sh; {text}"))


@pytest.mark.parametrize(
    "text", ["$d/run.sh", 'fish "$d/run.sh"', 'python "$d/run.py"', '"$d/"*', '"$d/cd" a']
)
def test_what_may_be_more_than_a_name_is_not_understood(text: str) -> None:
    assert read_shell(text).opaque


@pytest.mark.parametrize(
    "text",
    [
        "echo ls > f; sh g", "x completion > /etc/x/x", "sed -i s/a/b/ a.py && pytest -q",
        "echo $x >> ~/.bashrc; bash a.sh", "echo a=1 >> .env; . ./.env",
        "touch a.sh; chmod +x a.sh; ./a.sh",
        "sh a > a.log; cat a.log",
    ],
)  # fmt: skip
def test_what_was_there_before_is_the_projects_own(text: str) -> None:
    assert not read_shell(text).opaque


WRITES = st.sampled_from(
    [
        "cat > f <<'END'\n{}\nEND\n", "cat <<'END' | tee f\n{}\nEND\n",
        "tee f >/dev/null <<'END'\n{}\nEND\n",
        "cat > g <<'END'\n{}\nEND\ncp g f\n", "cat >> f <<'END'\n{}\nEND\n",
        "{{ cat; }} > f <<'END'\n{}\nEND\n", "mkdir d; cat > d/f <<'END'\n{}\nEND\ncd d\n",
    ]
)  # fmt: skip
RUNS = st.sampled_from(["sh f", "bash ./f", "chmod +x f; ./f", "sudo sh f", "env A=1 bash -x f"])


def told(reading: Reading) -> tuple[set[tuple[str | None, ...]], set[str]]:
    """Its commands and what is opaque, but for those that write and start the script."""
    started = re.compile(r"cat|tee|cp|mkdir|cd|chmod|sudo|env|bash|sh|\./f|f|g")
    words = {each.words for each in reading.commands if each.words}
    return {each for each in words if not started.fullmatch(each[0] or "")}, {
        each.why for each in reading.opaque
    }


@settings(max_examples=200)
@given(COMMANDS, st.lists(WRAPS, max_size=4), WRITES, RUNS)
def test_a_script_runs_what_its_text_runs(
    command: str, wraps: list[str], write: str, run: str
) -> None:
    script = command
    for wrap in wraps:
        script = wrap.format(script)
    quoted = script.replace("'", "'\\''")
    assert told(read_shell(write.format(script) + run)) == told(read_shell(f"bash -c '{quoted}'"))


@given(st.text(alphabet="ab'\"\\$`!*?{}#~ \t\n", min_size=1, max_size=20))
def test_a_quoted_word_is_what_was_quoted(text: str) -> None:
    single = "'" + text.replace("'", "'\\''") + "'"
    double = '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'
    for word in (single, double):
        reading = read_shell(f"x {word}")
        assert reading.commands[-1].words == ("x", text)
        assert not reading.opaque
