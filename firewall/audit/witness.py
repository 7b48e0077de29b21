"""Second places for checkpoints, out of reach of whoever could change the log.

Each is told the whole line of a checkpoint (checkpoint.py). The newest stands for all before it, so
one that was missed is made up for by the next.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from firewall.audit.checkpoint import Checkpoint

HTTP_SECONDS = 5.0
GIT_SECONDS = 10.0
"""How long one git command may take."""
GIT_PACE = 10.0
"""Seconds between two commits, at the least."""
GIT_BRANCH = "firewall-checkpoints"
GIT_FILE = "checkpoint.notes"


class Place(Protocol):
    """Where checkpoints go too. Raises OSError where one could not be left there."""

    def tell(self, checkpoint: Checkpoint) -> None: ...


def place(target: str) -> Place:
    """A place by its name: `-` for the standard output, an HTTP(S) URL, a file's path, or
    `git:REPOSITORY` or `git:REPOSITORY#BRANCH`.

    Raises ValueError for a name that is none of these.
    """
    if target == "-":
        return Output()
    if target.startswith(("http://", "https://")):
        return Url(target)
    if not target or "://" in target or target == "git:":
        what = f"{target!r} is no place for checkpoints"
        raise ValueError(f"{what}; write -, a URL, git:REPOSITORY or a file")
    if target.startswith("git:"):
        repository, _, branch = target.removeprefix("git:").partition("#")
        return Git(Path(repository).absolute(), branch or GIT_BRANCH)
    return File(Path(target).absolute())


class Output:
    """The standard output, for what collects it."""

    def tell(self, checkpoint: Checkpoint) -> None:
        sys.stdout.write(checkpoint.line().decode())
        sys.stdout.flush()


class File:
    """A file that grows, as on another machine's disk that is mounted here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(self, checkpoint: Checkpoint) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, checkpoint.line())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Url:
    """A server that takes each checkpoint by POST and answers 2xx."""

    def __init__(self, url: str) -> None:
        self._url = url

    def tell(self, checkpoint: Checkpoint) -> None:
        from urllib.request import Request, urlopen

        headers = {"Content-Type": "application/json"}
        request = Request(self._url, checkpoint.line(), headers, method="POST")  # noqa: S310 - by place()
        with urlopen(request, timeout=HTTP_SECONDS):  # noqa: S310 - http or https, see place()
            pass


class Git:
    """A branch of a git repository: a commit for each checkpoint, pushed where there is a remote.

    It must lie where no agent can write: git runs what a repository's own settings name.
    The commits are made beside the working tree, which stays as it is. Those that come too soon
    after another are left out: the next one stands for them.
    Raises ValueError where there is no such repository or branch's name.
    """

    def __init__(self, repository: Path, branch: str) -> None:
        self._repository = repository
        self._ref = f"refs/heads/{branch}"
        self._not_before = 0.0
        try:
            self._git("check-ref-format", self._ref)
            self._git("rev-parse", "--git-dir")
        except OSError as error:
            raise ValueError(
                f"git:{repository}#{branch} is no place for checkpoints: {error}; name a repository"
                " that `git init --bare` has made, and a branch"
            ) from None

    def tell(self, checkpoint: Checkpoint) -> None:
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + GIT_PACE
        self._commit(checkpoint)
        for remote in self._git("remote").split():
            self._git("push", "--quiet", remote, f"{self._ref}:{self._ref}")

    def _commit(self, checkpoint: Checkpoint) -> None:
        blob = self._git("hash-object", "-w", "--stdin", given=checkpoint.line())
        tree = self._git("mktree", given=f"100644 blob {blob}\t{GIT_FILE}\n".encode())
        before = self._git("for-each-ref", "--format=%(objectname)", self._ref)
        parent = ("-p", before) if before else ()
        message = f"Checkpoint {checkpoint.number} of {checkpoint.time}"
        commit = self._git("commit-tree", tree, *parent, "-m", message)
        self._git("update-ref", self._ref, commit, before or "0" * len(commit))

    def _git(self, *words: str, given: bytes = b"") -> str:
        who = {f"GIT_{role}_{part}": value for role in _ROLES for part, value in _SELF.items()}
        try:
            done = subprocess.run(
                ["git", "-C", str(self._repository), *words],
                input=given,
                capture_output=True,
                timeout=GIT_SECONDS,
                check=True,
                env={**os.environ, **who, "GIT_TERMINAL_PROMPT": "0"},
            )
        except subprocess.CalledProcessError as error:
            why = error.stderr.decode(errors="replace").strip()
            raise OSError(f"git {words[0]}: {why or f'status {error.returncode}'}") from None
        except subprocess.TimeoutExpired:
            raise OSError(f"git {words[0]} took more than {GIT_SECONDS:.0f} s") from None
        return done.stdout.decode().strip()


_ROLES = ("AUTHOR", "COMMITTER")
_SELF = {"NAME": "firewall", "EMAIL": "firewall@localhost"}
