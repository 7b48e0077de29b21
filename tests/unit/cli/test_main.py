"""The command line itself."""

import pytest
from typer.testing import CliRunner

from firewall import __version__
from firewall.cli.main import app


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"firewall {__version__}\n")


def test_help_names_the_commands_and_their_purpose() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert "An egress firewall for AI agents" in result.stdout
    assert all(name in result.stdout for name in ("run", "serve", "doctor", "policy"))


@pytest.mark.parametrize(
    ("words", "better"),
    [
        (["agent", "-p", "x", "--policy", "base"], "--policy base agent -p x"),
        (["--live", "--", "agent", "--policy", "base"], "--policy base --live -- agent"),
    ],
)
def test_a_policy_among_the_words_of_the_agent_is_told_where_it_goes(
    words: list[str], better: str
) -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["run", *words])
    assert result.exit_code == 2
    assert f"It goes before the agent's command: firewall run {better}" in result.output


def test_an_agent_without_a_policy_is_not_told_so() -> None:
    result = CliRunner().invoke(app, ["run", "agent"])
    assert "Missing option '--policy'" in result.output
    assert "before the agent" not in result.output
