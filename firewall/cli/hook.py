"""`firewall hook install` and `uninstall`: the hook in agents' own configuration files.

`firewall hook AGENT` itself is `toolcalls/hook.py`, which `entry` calls without this module.
"""

import difflib
import os
import shutil
import sysconfig
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from firewall.toolcalls import install as settings
from firewall.toolcalls.hook import AGENTS

app = typer.Typer(
    no_args_is_help=True,
    help="Judge an agent's tool calls before they run. `firewall hook AGENT` is what the agent"
    f" starts; AGENT is one of {', '.join(AGENTS)}.",
)

Agent = Annotated[str, typer.Argument(help=f"One of {', '.join(AGENTS)}.")]
User = Annotated[
    bool, typer.Option("--user/--project", help="For all your projects, or for this folder's.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change and make none.")]


@app.command()
def install(agent: Agent, user: User = False, dry_run: DryRun = False) -> None:
    """Have an agent ask the firewall before each tool call."""
    path = _path(agent, user=user)
    toml = path.with_name("config.toml")
    if agent == "codex" and _has_hooks(toml):
        _change(toml, lambda text: settings.installed_toml(text, _script()), dry_run=dry_run)
    else:
        _change(path, lambda text: settings.installed(agent, text, _script()), dry_run=dry_run)
    typer.echo(f"{settings.TARGETS[agent].limits}\n{settings.EVERYONE}")


@app.command()
def uninstall(agent: Agent, user: User = False, dry_run: DryRun = False) -> None:
    """Take the hook out of an agent's configuration again."""
    path = _path(agent, user=user)
    toml = path.with_name("config.toml")
    if agent == "codex" and toml.exists():
        _change(toml, settings.uninstalled_toml, dry_run=dry_run)
    _change(path, lambda text: settings.uninstalled(agent, text), dry_run=dry_run)


def _path(agent: str, *, user: bool) -> Path:
    """The agent's configuration file, behind all symbolic links."""
    if agent not in AGENTS:
        _fail(f"there is no hook for {agent!r}; write one of {', '.join(AGENTS)}")
    target = settings.TARGETS[agent]
    folder = Path(target.folder)
    if user:
        named = os.environ.get(target.home) if target.home else None
        folder = Path(named) if named else Path.home() / (target.user_folder or target.folder)
        folder /= "hooks" if target.user_folder else ""
    return (folder / target.file).resolve()


def _has_hooks(toml: Path) -> bool:
    """Whether hooks stand in Codex's config.toml, so that they belong there and not beside it."""
    try:
        return "hooks" in settings.parsed_toml(_read(toml))
    except settings.InstallError as error:
        _fail(f"{toml} is left as it is: {error}")


def _script() -> str:
    """The absolute path of the `firewall` script of this installation."""
    beside = Path(sysconfig.get_path("scripts")) / "firewall"
    found = str(beside) if beside.exists() else shutil.which("firewall")
    if found is None:
        _fail("the firewall script is not found; install the package, with pip or uv")
    return str(Path(found).absolute())


def _change(path: Path, edit: Callable[[str], str], *, dry_run: bool) -> None:
    """Edit a file, or make or remove it; shows what changes and keeps the old file beside it."""
    old = _read(path)
    try:
        new = edit(old)
    except settings.InstallError as error:
        _fail(f"{path} is left as it is: {error}")
    if new == old:
        typer.echo(f"{path}: nothing to change")
        return
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), str(path), str(path), "", "")
    typer.echo("\n".join(line.rstrip("\n") for line in lines))
    if not dry_run:
        try:
            _replace(path, new)
        except OSError as error:
            _fail(f"{path} cannot be written: {error}")


def _replace(path: Path, text: str) -> None:
    if path.exists():
        backup = _free(path)
        shutil.copy2(path, backup)
        typer.echo(f"the old file is kept as {backup}")
    if not text:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, "utf-8")
    if path.exists():
        shutil.copymode(path, new)
    new.replace(path)


def _free(path: Path) -> Path:
    """A name beside a file that no backup has yet."""
    names = (path.with_name(f"{path.name}.bak{number or ''}") for number in count())
    return next(name for name in names if not name.exists())


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{path} cannot be read: {error}")


def _fail(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
