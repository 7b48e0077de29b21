"""The same requests and answers, well-formed and hostile, through the lane and through depth.

Both let the same through, refuse the same, and say the same about it.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from firewall.requests import HttpRequest, Message, Request
from firewall.verdict import Verdict
from tests.unit.proxy.http.stage import ALLOW, DENY, HOST, read_all
from tests.unit.proxy.lane import corpus
from tests.unit.proxy.lane.corpus import LAST, ask, post
from tests.unit.proxy.lane.origin import Origin
from tests.unit.proxy.lane.stage import LaneStage

STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")
REST: corpus.Asked = ("GET", "/last", b"")


@dataclass
class Seen:
    """What came of a conversation; `findings` are those of its blocked messages."""

    origin: Origin
    received: bytes
    rules: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def statuses(self) -> list[int]:
        return [int(each) for each in STATUS.findall(self.received)]

    @property
    def content(self) -> bytes:
        """The first answer's."""
        head, _, rest = self.received.partition(b"\r\n\r\n")
        body = rest.partition(b"HTTP/1.1 ")[0]
        return b"".join(body.split(b"\r\n")[1:2]) if b"chunked" in head else body


def decide(request: Request) -> Verdict:
    denied = isinstance(request, HttpRequest) and (
        request.path == "/denied" or request.authority != HOST or request.authority_port == 1
    )
    return DENY if denied or isinstance(request, Message) else ALLOW


@pytest.fixture(scope="module")
def stage() -> Iterator[LaneStage]:
    with LaneStage(decide) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["lane", "depth"])
def deep(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def talk(
    stage: LaneStage, said: list[bytes], *, deep: bool, answers: dict[str, bytes] | None = None
) -> Seen:
    """Send this piece by piece to a server that answers so."""
    stage.log.events.clear()
    origin = Origin(answers or {})
    with stage.tls(stage.door(stage.upstream(origin.serve).port, deep=deep)) as client:
        for piece in said:
            client.sendall(piece)
        seen = Seen(origin, read_all(client))
    for each in stage.log.events:
        seen.rules.append(each["verdict"]["rule"])
        seen.findings += [found["evidence"] for found in each["request"].get("findings", ())]
    assert not origin.broken, "no server is sent what it cannot read"
    return seen


@pytest.mark.parametrize("name", corpus.PASSED)
def test_a_sound_request_passes(stage: LaneStage, name: str, deep: bool) -> None:
    said, asked = corpus.PASSED[name]
    seen = talk(stage, [said + LAST], deep=deep)
    assert seen.statuses == [200, 200]
    assert seen.origin.asked == [asked, REST]
    assert seen.rules == ["test-allow"] * 2
    names = {key.lower() for key, _ in seen.origin.fields[0]}
    assert names.isdisjoint(corpus.HOP), "what is for one hop goes no further"


@pytest.mark.parametrize("name", corpus.DENIED)
def test_a_denied_request_leaves_the_connection_as_it_was(
    stage: LaneStage, name: str, deep: bool
) -> None:
    seen = talk(stage, [corpus.DENIED[name] + LAST], deep=deep)
    assert seen.statuses == [403, 200]
    assert seen.origin.asked == [REST]
    assert seen.rules == ["test-deny", "test-allow"]


@pytest.mark.parametrize("name", corpus.REFUSED)
def test_what_two_parsers_could_read_differently_is_refused(stage: LaneStage, name: str) -> None:
    said = [corpus.REFUSED[name] + LAST]
    fast, slow = talk(stage, said, deep=False), talk(stage, said, deep=True)
    for seen in (fast, slow):
        assert seen.statuses == [400], seen.received
        assert b"guards.protocol-mismatch" in seen.received
        assert seen.origin.asked == []
        assert seen.rules[-1] == "test-deny"
    assert fast.rules == slow.rules
    assert fast.findings == slow.findings != []


@pytest.mark.parametrize("name", corpus.UNSPEAKABLE)
def test_what_is_no_http_is_closed(stage: LaneStage, name: str, deep: bool) -> None:
    seen = talk(stage, [corpus.UNSPEAKABLE[name] + LAST], deep=deep)
    assert (seen.received, seen.origin.asked, seen.rules) == (b"", [], ["test-deny"])
    assert "the client speaks unknown, not HTTP" in seen.findings


def test_a_head_that_is_too_long_is_a_431(stage: LaneStage, deep: bool) -> None:
    seen = talk(stage, [ask(b"/a", b"X: " + b"a" * 70_000)], deep=deep)
    assert seen.statuses == [431]
    assert seen.findings == ["the request head is longer than 65536 bytes"]


def test_mining_in_a_body_is_refused(stage: LaneStage, deep: bool) -> None:
    seen = talk(stage, [corpus.MINING], deep=deep)
    assert seen.statuses in ([403], [])
    assert seen.origin.asked == []
    assert seen.rules == ["test-allow", "test-deny"]


@pytest.mark.parametrize("name", corpus.ANSWERS)
def test_a_sound_answer_passes_alone(stage: LaneStage, name: str, deep: bool) -> None:
    raw, status, content = corpus.ANSWERS[name]
    seen = talk(stage, [ask() + LAST], deep=deep, answers={"/a": raw})
    assert seen.statuses == [status, 200]
    assert seen.content == content
    assert seen.origin.asked == [("GET", "/a", b""), REST]


@pytest.mark.parametrize("raw", [corpus.HELLO, corpus.IN_CHUNKS, corpus.ANSWERS["two answers"][0]])
def test_an_answer_to_head_has_no_content(stage: LaneStage, raw: bytes, deep: bool) -> None:
    seen = talk(stage, [ask(method=b"HEAD") + LAST], deep=deep, answers={"/a": raw})
    assert (seen.statuses, seen.content) == ([200, 200], b"")


@pytest.mark.parametrize("name", corpus.BROKEN)
def test_nothing_of_a_broken_answer_arrives(stage: LaneStage, name: str, deep: bool) -> None:
    seen = talk(stage, [ask() + LAST], deep=deep, answers={"/a": corpus.BROKEN[name]})
    assert seen.statuses == [502, 200]
    assert b"The firewall could not reach the server" in seen.received
    assert seen.received.count(b"hello") == 1, "that of the second answer"


@pytest.mark.parametrize("name", corpus.TORN)
def test_a_torn_answer_is_not_mended(stage: LaneStage, name: str, deep: bool) -> None:
    seen = talk(stage, [ask() + LAST], deep=deep, answers={"/a": corpus.TORN[name]})
    assert seen.statuses in ([200], [502, 200])
    assert b"0\r\n\r\n" not in seen.received.partition(b"hello")[2]


PIPELINE = {
    "get": (ask(b"/get"), 200),
    "denied": (ask(b"/denied"), 403),
    "post": (post(b"Content-Length: 4"), 200),
    "chunked": (post(corpus.CHUNKED, body=b"4\r\nbody\r\n0\r\n\r\n", target=b"/chunked"), 200),
}


@pytest.mark.parametrize("size", [1, 50, 10_000])
@pytest.mark.parametrize("deep", [False, True], ids=["lane", "depth"])
def test_requests_sent_ahead_are_judged_each_for_itself(
    stage: LaneStage, size: int, deep: bool
) -> None:
    """In every order of three, in one segment or cut anywhere."""
    for names in itertools.permutations(PIPELINE, 3):
        whole = b"".join(PIPELINE[name][0] for name in names) + LAST
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        seen = talk(stage, pieces, deep=deep)
        assert seen.statuses == [*(PIPELINE[name][1] for name in names), 200], names
        served = [f"/{name}".replace("post", "up") for name in names if name != "denied"]
        assert seen.origin.paths == [*served, "/last"]


@pytest.mark.parametrize("framed", [b"Content-Length: 4", corpus.CHUNKED])
@pytest.mark.parametrize("asks", [False, True])
def test_behind_a_denied_body_nothing_is_misread(
    stage: LaneStage, framed: bytes, asks: bool, deep: bool
) -> None:
    body = b"body" if b"4" in framed else b"4\r\nbody\r\n0\r\n\r\n"
    expect = [b"Expect: 100-continue"] if asks else []
    said = post(framed, *expect, body=body, target=b"/denied") + LAST
    seen = talk(stage, [said], deep=deep)
    assert seen.statuses in ([403], [403, 200])
    assert seen.statuses == [403] or not asks
    assert seen.origin.paths == ["/last"][: len(seen.statuses) - 1]
