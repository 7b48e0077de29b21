"""What the commands on the audit log share: where it lies, and how they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from firewall.cli.places import LOG_HELP, state_directory

EXIT_UNREADABLE = 2

Log = Annotated[Path | None, typer.Option("--log", help=LOG_HELP)]


def log_directory(log: Path | None) -> Path:
    """The log asked for, or the firewall's own."""
    return log if log is not None else state_directory() / "audit"


@contextmanager
def readable(directory: Path) -> Iterator[None]:
    """Turn what keeps the log from being read into a message and exit status 2."""
    try:
        yield
    except BrokenPipeError:
        raise  # Whoever read the output has seen enough; typer ends quietly.
    except OSError as error:
        fail(f"the audit log in {directory} cannot be read: {error}")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def fail(message: str) -> NoReturn:
    """End with a message and exit status 2."""
    typer.echo(message, err=True)
    raise typer.Exit(EXIT_UNREADABLE)
