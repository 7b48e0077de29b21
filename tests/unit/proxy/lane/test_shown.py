"""What the server's certificate says is kept for the record of an inspected flow, on every road."""

import pytest

from tests.unit.proxy.http.stage import HOST, answering
from tests.unit.proxy.lane.stage import LaneStage


@pytest.mark.parametrize("road", ["lane", "depth", "http2"])
def test_the_certificate_of_the_server_is_in_the_record(road: str) -> None:
    with LaneStage() as stage:
        door = stage.door(stage.upstream(answering()).port, deep=road != "lane")
        assert stage.ask(door, http2=road == "http2").status_code == 200
        traffic = stage.wait_ended()
    shown = traffic.certificate
    assert shown is not None
    assert HOST in shown.names
    assert not shown.self_signed
    assert traffic.facts(0.0)["certificate"]["sha256"] == shown.sha256


@pytest.mark.parametrize("deep", [False, True])
def test_a_flow_without_tls_tells_of_none(deep: bool) -> None:
    with LaneStage() as stage:
        server = stage.upstream(answering(), tls=False)
        door = stage.door(server.port, deep=deep, protocol="http")
        assert stage.ask(door, scheme="http").status_code == 200
        traffic = stage.wait_ended()
    assert traffic.certificate is None
    assert "certificate" not in traffic.facts(0.0)
