"""The command line itself."""

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
