"""Far ends by their URLs."""

import pytest

from firewall.audit.ship import Settings, open_sink
from firewall.audit.ship.stream import subject
from tests.unit.audit.ship.far import item


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "/tmp/x", "http://", "syslog+tls://", "otlp+http://:x", "syslog://h"]
)
def test_what_is_none(url: str) -> None:
    with pytest.raises(ValueError):
        open_sink(url, Settings("h"))


def test_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    sink = open_sink("-", Settings("h"))
    given = item()
    assert sink.send([given]) == 0
    assert capsys.readouterr().out.encode() == given.line


def test_events_do_not_go_where_records_are_verified() -> None:
    with pytest.raises(ValueError, match="as they were written"):
        open_sink("nats://127.0.0.1", Settings("h", ocsf=True))


def test_subjects() -> None:
    assert subject("host-1", "gate.0") == "firewall.audit.host-1.gate%2E0"
    for source in ("a.b", "", ">", "*", "a b", "é"):
        with pytest.raises(ValueError, match="letters, digits"):
            subject(source, "gate-0")
