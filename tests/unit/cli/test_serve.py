"""`firewall serve` where it cannot be served."""

import socket
from pathlib import Path

import pytest

from firewall.cli.plan import Options
from firewall.cli.serve import serve_proxy


def test_a_taken_port_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = "{}:{}".format(*taken.getsockname())
        assert serve_proxy(Options("base", tmp_path / "audit"), place) != 0
    told = capsys.readouterr().err
    assert f"--listen {place} cannot be served: Address already in use" in told
    assert "name another" in told
