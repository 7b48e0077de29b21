"""A record fits in one line, and nothing an agent wrote can leave it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.actor import Actor, Process
from firewall.audit import describe
from firewall.cli.lines import line, printable, styled
from firewall.requests import (
    Connect,
    Execute,
    HttpRequest,
    Message,
    Request,
    Resolve,
    SshChannel,
    ToolCall,
)
from firewall.verdict import Action, Verdict

ACTOR = Actor("s1", Process(4711, 1.0, "/usr/bin/python3", ("python3", "x.py"), 1000))
DENY = Verdict(Action.DENY, "guards.mining", "Stratum login to a mining pool")


def record(request: Request, verdict: Verdict = DENY, actor: Actor = ACTOR) -> dict[str, Any]:
    return {
        "kind": "verdict",
        "time": "2026-11-23T12:03:44.000001Z",
        "request": {"type": type(request).__name__, **describe(request)},
        "verdict": describe(verdict),
        "actor": describe(actor),
    }


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_a_whole_line() -> None:
    assert str(line(record(Connect("pool.test", 3333)))) == (
        "12:03:44 DENY   guards.mining  tcp pool.test:3333  python3[4711]  "
        "Stratum login to a mining pool"
    )


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (Connect("2001:db8::1", 53, transport="udp"), "udp [2001:db8::1]:53"),
        (Resolve("a.test", "TXT"), "dns TXT a.test"),
        (HttpRequest("GET", "https", "a.test", 443, "/p?q", "a.test"), "GET https://a.test/p?q"),
        (HttpRequest("GET", "http", "a.test", 81, "/", "a.test"), "GET http://a.test:81/"),
        (Message("a.test", 1, "websocket", "sent", ()), "websocket sent, a.test:1"),
        (SshChannel("a.test", 22, "git", "exec", "ls"), "ssh git@a.test:22 exec ls"),
        (SshChannel("a.test", 22, "git", "shell"), "ssh git@a.test:22 shell"),
        (Execute("/bin/nc", ("nc", "-l"), "/"), "exec /bin/nc -l"),
        (ToolCall("bash", '{"a":1}'), 'tool bash {"a":1}'),
    ],
)
def test_every_kind_of_request(request_: Request, what: str) -> None:
    assert line(record(request_)).what == what


def test_a_fault_says_where() -> None:
    fault = {**record(Connect("a", 1)), "request": {"type": "Fault", "point": "dns", "error": "x"}}
    assert line(fault).what == "Fault: point dns, error x"


@pytest.mark.parametrize(
    ("verdict", "word", "colour"),
    [
        (DENY, "DENY", "bold red"),
        (Verdict(Action.ALLOW, "r", "why"), "ALLOW", "green"),
        (Verdict(Action.DENY, "r", "why", enforced=False), "WOULD DENY", "yellow"),
        (Verdict(Action.ASK, "r", "why"), "ASK", "bold yellow"),
        (Verdict(Action.ASK, "r", "why", enforced=False), "WOULD ASK", "yellow"),
    ],
)
def test_the_verdict_and_its_colour(verdict: Verdict, word: str, colour: str) -> None:
    made = record(Connect("a.test", 1), verdict)
    assert line(made).verdict == word
    text = styled(made)
    (span,) = text.spans
    assert (text.plain[span.start : span.end], str(span.style)) == (word, colour)


def test_an_unknown_process_leaves_the_sandbox() -> None:
    assert line(record(Connect("a", 1), actor=Actor("s1", unknown="gone"))).who == "s1"


def test_records_of_the_log_itself() -> None:
    own = {"kind": "log.closed", "time": "2026-11-23T12:03:44Z", "seq": 3, "chain": "gate"}
    assert str(line({**own, "refused": 0})).endswith("log.closed  chain gate, refused 0")
    assert styled(own).style == "" or styled(own).spans


CLOSED = {
    "kind": "quarantine", "time": "2026-11-23T12:03:44Z", "sandbox": "run-1", "by": "the policy",
    "rule": "guards.mining", "reason": "stratum", "since": "2026-11-23T12:03:44Z",
    "state": "quarantined", "flows": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            (
                "quarantine  all egress closed by the policy, 3 flows cut  run-1  "
                "because of guards.mining: stratum"
            ),
        ),
        (
            {"state": "frozen", "processes": 5, "trouble": ""},
            (
                "quarantine  5 processes stopped by the policy  run-1  "
                "because of guards.mining: stratum"
            ),
        ),
        (
            {"processes": 5, "trouble": "new ones appear"},
            "quarantine  its processes could not all be stopped  run-1  new ones appear",
        ),
        (
            {"kind": "release", "by": "uid 0, pid 7", "was": "frozen"},
            (
                "release  egress opened again by uid 0, pid 7  run-1  "
                "it was frozen since 2026-11-23T12:03:44Z because of guards.mining"
            ),
        ),
    ],
)
def test_a_quarantine_in_words(changes: dict[str, Any], words: str) -> None:
    assert str(line({**CLOSED, **changes})) == f"12:03:44        {words}"


@pytest.mark.parametrize("kind", ["quarantine", "release"])
def test_a_damaged_quarantine_has_a_line_too(kind: str) -> None:
    assert "?" in str(line({"kind": kind, "rule": HOSTILE, "by": [HOSTILE]}))
    assert str(line({"kind": kind, "rule": HOSTILE, "by": [HOSTILE]})).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\nDENY", r"a\nDENY"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\udcff"),
        ("é漢", "é漢"),
        ("x" * 200, "x" * 159 + "…"),
    ],
)
def test_what_an_agent_wrote_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


HOSTILE = "\x1b]0;title\x07\n\r\u202e\x9b"


def test_no_field_lets_anything_through() -> None:
    requests: list[Request] = [
        Connect(HOSTILE, 1),
        Resolve(HOSTILE, HOSTILE),
        Execute(HOSTILE, (HOSTILE, HOSTILE), HOSTILE),
        ToolCall(HOSTILE, HOSTILE),
    ]
    actor = Actor(HOSTILE, Process(1, 1.0, HOSTILE, (HOSTILE,), 0))
    for each in requests:
        for who in (actor, Actor(HOSTILE)):
            shown = str(line(record(each, Verdict(Action.DENY, HOSTILE, HOSTILE), who)))
            assert shown.isprintable()


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from(["time", "kind", "verdict", "request", "actor", "type", "argv", "process"])


@given(st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON)))
def test_a_damaged_record_has_a_line_too(damaged: dict[str, Any]) -> None:
    assert str(line(damaged)).isprintable()


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (
            {"kind": "gpu-alert", "sandbox": "run-1", "rule": "gpu.unexpected-process",
             "state": "raised", "severity": "warning", "reason": "xm\x1brig uses GPU 0"},
            "gpu-alert  gpu.unexpected-process raised (warning)  run-1  xm\\x1brig uses GPU 0",
        ),
        (
            {"kind": "gpu-response", "sandbox": "", "rule": "gpu.unexpected-process",
             "respond": "freeze", "stage": "done", "processes": [2, 3], "trouble": ""},
            "gpu-response  freeze done for gpu.unexpected-process  processes [2, 3]",
        ),
        (
            {"kind": "gpu-response", "sandbox": "", "rule": "gpu.out-of-band", "respond": "freeze",
             "stage": "failed", "processes": [], "trouble": "it has ended"},
            "gpu-response  freeze failed for gpu.out-of-band  it has ended",
        ),
        (
            {"kind": "gpu-release", "sandbox": "watch-1", "by": "uid 0, pid 7", "processes": 4},
            "gpu-release  released by uid 0, pid 7  watch-1  processes 4",
        ),
    ],
)  # fmt: skip
def test_what_is_said_of_gpu_use(record: dict[str, Any], told: str) -> None:
    assert str(line({"time": "2026-11-23T12:03:44Z", **record})).split(None, 1)[1] == told
