"""Events: what is described once for many flows says the same as what is described for each."""

from firewall.actor import Actor, Process
from firewall.events import Facts, event_of, redacted_event_of
from firewall.redaction import Terms, redactor
from firewall.requests import Connect
from firewall.verdict import Action, Verdict

SECRET = "hunter2hunter2"


def _actor(*argv: str) -> Actor:
    return Actor("run-1", Process(7, 1.0, "/usr/bin/curl", argv, 1000))


def test_an_event_without_secrets_is_the_event_redacted_whole() -> None:
    clean = redactor(Terms(), b"key")
    request = Connect("example.com", 443, protocol="tls", sni="example.com")
    verdict = Verdict(Action.ALLOW, "web", f"because token={SECRET}")
    for argv in (("curl", "--password", SECRET), ("curl", "https://example.com")):
        told = request, verdict, _actor(*argv), {"flow": 1, "note": f"token={SECRET}"}
        event = redacted_event_of(*told, clean)
        assert event == clean.value(event_of(*told))
        assert SECRET not in str(event)
        assert redacted_event_of(*told, clean) == event


def test_another_key_makes_another_mark_of_the_same_actor() -> None:
    request, verdict = Connect("a", 1), Verdict(Action.ALLOW, "r", "")
    actor = _actor("x", "--password", SECRET)
    marks = [
        redacted_event_of(request, verdict, actor, {}, redactor(Terms(), key))["actor"]["process"][
            "argv"
        ][2]
        for key in (b"one", b"two")
    ]
    assert marks[0] != marks[1]


def test_facts_are_cleaned_once_for_each_redactor() -> None:
    facts = Facts(flow=1, note=f"token={SECRET}")
    one, two = redactor(Terms(), b"one"), redactor(Terms(), b"two")
    request, verdict = Connect("a", 1), Verdict(Action.ALLOW, "r", "")
    first = redacted_event_of(request, verdict, _actor("x"), facts, one)["flow"]
    assert first == one.value(dict(facts))
    assert redacted_event_of(request, verdict, _actor("x"), facts, one)["flow"] is first
    assert redacted_event_of(request, verdict, _actor("x"), facts, two)["flow"] != first
    assert facts["note"] == f"token={SECRET}"
