"""Who judges for the MCP proxy fails closed."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from firewall import judge
from firewall.actor import Actor
from firewall.judge import Judge
from firewall.policy import load_policy
from firewall.toolcalls.calls import Call
from firewall.toolcalls.mcp.checker import LocalChecker, RemoteChecker


class _Quiet:
    def append(self, event: Mapping[str, Any], done: Any = None) -> None:
        if done is not None:
            done(None)

    def fresh(self, actor: Actor, done: Any) -> None:
        done({})

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """There is no minute after."""

    def verdict(self, event: Mapping[str, Any], seconds: float) -> None:
        pass


def test_a_fault_while_judging_is_a_deny(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(point: str) -> None:
        if point == "mcp.call":
            raise OSError("broken")

    quiet = _Quiet()
    checker = LocalChecker(Judge(load_policy("base"), quiet, quiet, quiet), Actor("mcp"))
    monkeypatch.setattr(judge, "probe", broken)
    answer = asyncio.run(checker.check(Call("query")))
    assert (answer.action, answer.rule) == ("deny", "fail-closed.mcp.call")


def test_a_service_that_is_not_there_is_a_deny(tmp_path: Path) -> None:
    answer = asyncio.run(RemoteChecker(str(tmp_path / "none")).check(Call("query")))
    assert (answer.action, answer.rule) == ("deny", "fail-closed.tool-calls.client")
