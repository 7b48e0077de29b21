"""`firewall hook install` and `uninstall`: files, backups, and what is told."""

import json
import sysconfig
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from firewall.cli.main import app
from firewall.toolcalls.install import EVERYONE, TARGETS

FILES = {
    "claude-code": ".claude/settings.json",
    "codex": ".codex/hooks.json",
    "gemini": ".gemini/settings.json",
    "cursor": ".cursor/hooks.json",
    "copilot": ".github/hooks/agent-firewall.json",
    "openhands": ".openhands/hooks.json",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for target in TARGETS.values():
        if target.home:
            monkeypatch.delenv(target.home, raising=False)
    return tmp_path / "home"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["hook", *words])


@pytest.mark.parametrize(("agent", "file"), FILES.items())
def test_it_is_written_shown_and_taken_out_again(agent: str, file: str) -> None:
    path = Path(file)
    result = run("install", agent)
    assert result.exit_code == 0
    assert f"hook {agent} || exit 2" in path.read_text()
    assert f"+++ {path.resolve()}" in result.stdout
    assert result.stdout.endswith(f"{TARGETS[agent].limits}\n{EVERYONE}\n")
    assert "nothing to change" in run("install", agent).stdout
    assert run("uninstall", agent).exit_code == 0
    assert not path.exists()
    assert "nothing to change" in run("uninstall", agent).stdout


@pytest.mark.parametrize(
    ("agent", "file"),
    [("claude-code", FILES["claude-code"]), ("copilot", ".copilot/hooks/agent-firewall.json")],
)
def test_the_users_own_file_is_another(home: Path, agent: str, file: str) -> None:
    run("install", agent, "--user")
    assert (home / file).exists()
    assert not Path(FILES[agent]).exists()


def test_the_agents_variable_says_where_the_users_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "elsewhere"))
    run("install", "codex", "--user")
    assert (tmp_path / "elsewhere/hooks.json").exists()


def test_a_dry_run_shows_and_changes_nothing() -> None:
    result = run("install", "cursor", "--dry-run")
    assert '+        "failClosed": true' in result.stdout
    assert list(Path().iterdir()) == []


def test_the_old_file_is_kept_and_so_are_its_link_and_mode(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text('{"theme": "dark"}')
    real.chmod(0o600)
    Path(".claude").mkdir()
    Path(FILES["claude-code"]).symlink_to(real)
    result = run("install", "claude-code")
    backup = tmp_path / "dotfiles.json.bak"
    assert f"the old file is kept as {backup}" in result.stdout
    assert backup.read_text() == '{"theme": "dark"}'
    assert json.loads(real.read_text())["theme"] == "dark"
    assert Path(FILES["claude-code"]).is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    run("uninstall", "claude-code")
    assert (tmp_path / "dotfiles.json.bak1").exists(), "no backup is lost"
    assert json.loads(real.read_text()) == {"theme": "dark"}


@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize("text", ["{", "[]", '{"hooks": {"PreToolUse": 1}}', "\udcff"])
def test_a_file_that_cannot_be_read_is_left_as_it_is(verb: str, text: str) -> None:
    path = Path(FILES["claude-code"])
    path.parent.mkdir()
    path.write_text(text, errors="surrogateescape")
    before = path.read_bytes()
    result = run(verb, "claude-code")
    assert result.exit_code == 1
    assert str(path.resolve()) in result.stderr
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_codexs_hooks_stay_in_the_file_where_they_are() -> None:
    toml = Path(".codex/config.toml")
    toml.parent.mkdir()
    toml.write_text("# mine\n[[hooks.Stop]]\n")
    assert run("install", "codex").exit_code == 0
    assert toml.read_text().startswith("# mine\n[[hooks.Stop]]\n# begin: agent-firewall")
    assert not Path(FILES["codex"]).exists()
    run("uninstall", "codex")
    assert toml.read_text() == "# mine\n[[hooks.Stop]]\n"
    toml.write_text("[")
    result = run("install", "codex")
    assert (result.exit_code, "it is no TOML" in result.stderr) == (1, True)


def test_an_agent_that_is_not_known_is_answered_with_those_that_are() -> None:
    result = run("install", "clippy")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "there is no hook for 'clippy'; write one of claude-code, codex"
    )


def test_a_folder_that_cannot_be_written_is_said() -> None:
    Path(".cursor").write_text("a file")
    result = run("install", "cursor")
    assert result.exit_code == 1
    assert "Not a directory" in result.stderr


def test_without_a_script_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("install", "cursor")
    assert (result.exit_code, "install the package" in result.stderr) == (1, True)
