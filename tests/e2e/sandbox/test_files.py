"""What an agent sees of the file system: no secret, and nothing to undo what protects it."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firewall.sandbox import Sandbox
from tests.e2e.sandbox.inside import IS_ROOT, USER, Inside
from tests.e2e.sandbox.test_escapes import LIBC, OWN_NAMESPACE
from tests.e2e.sandbox.test_sockets import CONNECT, REFUSED, listening


@pytest.fixture
def secret() -> Iterator[Path]:
    """A directory as the firewall's state: readable by the agent's user if it were seen."""
    directory = Path(tempfile.mkdtemp(prefix="sandbox-state-", dir="/var/tmp"))
    directory.chmod(0o755)
    (directory / "key").write_text("secret")
    os.chown(directory, USER, USER) if IS_ROOT else None
    yield directory
    shutil.rmtree(directory)


READ_ALL = """
import glob, os, sys
state = sys.argv[1]
def read(path):
    try:
        return open(path).read()
    except OSError as error:
        return error.strerror
print(os.path.exists(state), read(state + "/key"))
for link in glob.glob("/proc/*/root") + glob.glob("/proc/*/cwd") + glob.glob("/proc/*/fd/*"):
    print(read(link + "/" + state + "/key"), read(link + "/key"))
"""


@pytest.mark.parametrize("prelude", ["", OWN_NAMESPACE], ids=["plain", "own-namespace"])
def test_hidden_directories_cannot_be_read(inside: Inside, secret: Path, prelude: str) -> None:
    code = prelude + READ_ALL
    assert "secret" in inside.python(code, str(secret)).output, "the control sees it"
    hidden = inside.python(code, str(secret), hide=(str(secret),)).output
    assert hidden.startswith("True ")
    assert "secret" not in hidden


def test_hidden_directories_cannot_be_reached_by_a_descriptor(inside: Inside, secret: Path) -> None:
    handle = os.open(secret, os.O_RDONLY)
    os.set_inheritable(handle, True)
    try:
        code = LIBC + f"print(call(libc.openat({handle}, b'key', 0)))"
        assert inside.python(code, hide=(str(secret),)).output == "EBADF\n"
    finally:
        os.close(handle)


def test_a_directory_as_standard_input_is_refused(inside: Inside, secret: Path) -> None:
    def act() -> str:
        handle = os.open(secret, os.O_RDONLY)
        os.dup2(handle, 0)
        try:
            Sandbox.launch(inside.spec("true"))
        except Exception as error:
            return str(error)
        return "launched"

    assert "standard input is a directory" in inside.firewall(act)


UNDO = (
    OWN_NAMESPACE
    + """
import sys
path, kind, place = sys.argv[1].encode(), sys.argv[2], sys.argv[3].encode()
above = os.path.dirname(path)
print({
    "unmount": lambda: call(libc.umount2(path, 0)),
    "detach": lambda: call(libc.umount2(path, 2)),
    "detach-all": lambda: call(libc.umount2(b"/", 2)),
    "bind-above": lambda: call(libc.mount(above, place, 0, 4096, 0)),
    "move": lambda: call(libc.mount(path, place, 0, 8192, 0)),
    "writable": lambda: call(libc.mount(0, path, 0, 4096 | 32, 0)),
}[kind]())
print(call(libc.mount(b"tmpfs", place, b"tmpfs", 0, 0)))
"""
)


@pytest.fixture
def unfiltered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the system call filter, to see that the kernel's own locks hold as well."""
    monkeypatch.setattr("firewall.sandbox.linux.install_filter", lambda _: None)


@pytest.mark.parametrize("kind", ["unmount", "detach", "bind-above", "move", "writable"])
def test_mounts_cannot_be_changed_at_all(inside: Inside, secret: Path, kind: str) -> None:
    (inside.directory / "place").mkdir(mode=0o777)
    result = inside.python(UNDO, str(secret), kind, "place", hide=(str(secret),))
    assert result.output.split() == ["EPERM", "EPERM"]


@pytest.mark.usefixtures("unfiltered")
@pytest.mark.parametrize("kind", ["unmount", "detach", "detach-all", "bind-above", "move"])
def test_masks_cannot_be_lifted_from_a_namespace_of_its_own(
    inside: Inside, secret: Path, kind: str
) -> None:
    (inside.directory / "place").mkdir(mode=0o777)
    result = inside.python(UNDO, str(secret), kind, "place", hide=(str(secret),))
    first, control = result.output.split()
    assert first in ("EINVAL", "EPERM", "EBUSY")
    assert control == "worked", "it does have the capability in its own namespace"


@pytest.mark.usefixtures("unfiltered")
def test_the_masks_of_sockets_cannot_be_lifted(inside: Inside) -> None:
    path = f"{inside.directory}/host.sock"
    (inside.directory / "place").mkdir(mode=0o777)
    with listening(path):
        code = UNDO + CONNECT + f"print(connect({path!r}))"
        output = inside.python(code, path, "detach", "place").output.split("\n")
    assert output[0] == "EINVAL"
    assert output[2] in REFUSED


@pytest.fixture
def policies(inside: Inside) -> Path:
    directory = inside.directory / "project" / "policies"
    directory.mkdir(parents=True)
    (directory / "base.yaml").write_text("mode: enforce")
    for path in (directory.parent, directory, directory / "base.yaml"):
        os.chown(path, USER, USER) if IS_ROOT else None
    return directory


CHANGE = """
import os, sys
policies = sys.argv[1]
def attempt(act):
    try:
        act()
        return "worked"
    except OSError as error:
        return error.strerror
print(attempt(lambda: open(policies + "/base.yaml", "w")))
print(attempt(lambda: open(policies + "/new.yaml", "w")))
print(attempt(lambda: os.rename(policies, policies + "2")))
print(attempt(lambda: os.rename(os.path.dirname(policies), "elsewhere")))
print(attempt(lambda: open(os.path.dirname(policies) + "/own.txt", "w")))
"""


def test_read_only_directories_stay_as_they_are(inside: Inside, policies: Path) -> None:
    output = inside.python(CHANGE, str(policies), read_only=(str(policies),)).output
    assert output.splitlines() == [
        "Read-only file system",
        "Read-only file system",
        "Device or resource busy",
        "Device or resource busy",
        "worked",
    ]
    assert (policies / "base.yaml").read_text() == "mode: enforce"


def test_a_folder_above_that_its_owner_may_not_write_is_held_too(
    inside: Inside, policies: Path
) -> None:
    """The owner may change the mode, and then rename what is in it."""
    policies.parent.chmod(0o555)
    code = "import os, sys; os.chmod(os.path.dirname(sys.argv[1]), 0o755)\n" + CHANGE
    below = policies / "below"
    below.mkdir()
    output = inside.python(code, str(policies), read_only=(str(below),)).output
    assert output.splitlines()[2:] == ["Device or resource busy"] * 2 + ["worked"]


def test_without_protection_they_would_change(inside: Inside, policies: Path) -> None:
    output = inside.python(CHANGE, str(policies)).output
    assert output.splitlines()[:4] == ["worked"] * 4


@pytest.mark.usefixtures("unfiltered")
def test_read_only_cannot_be_undone_from_a_namespace_of_its_own(
    inside: Inside, policies: Path
) -> None:
    (inside.directory / "place").mkdir(mode=0o777)
    spec: dict[str, Any] = {"read_only": (str(policies),)}
    output = inside.python(UNDO, str(policies), "writable", "place", **spec).output
    assert output.split() == ["EPERM", "worked"]


REPLACE = (
    OWN_NAMESPACE
    + """
import sys
policies = sys.argv[1]
above = os.open(os.path.dirname(policies), os.O_RDONLY)
os.mkdir("new"); os.mkdir("empty")
steps = [
    call(libc.mount(b"tmpfs", b"empty", b"tmpfs", 0, 0)),
    call(libc.mkdir(b"empty/old", 0o755)),
    call(libc.syscall(155, b"empty", b"empty/old")),
    call(libc.umount2(b"/old", 2)),
    call(libc.renameat(above, b"policies", above, b"away")),
]
print(*steps)
"""
)


def test_a_protected_directory_cannot_be_replaced_by_leaving_its_mounts(
    inside: Inside, policies: Path
) -> None:
    """Renaming is refused only where the folder is a mount point in the caller's own view."""
    if platform.machine() != "x86_64":
        pytest.skip("the number is that of x86_64")
    result = inside.python(REPLACE, str(policies), read_only=(str(policies),))
    mounted, _, pivoted, unmounted, renamed = result.output.split()
    assert (mounted, pivoted, unmounted, renamed) == ("EPERM", "EPERM", "EPERM", "EBUSY")
    assert (policies / "base.yaml").exists()


@pytest.mark.usefixtures("unfiltered")
def test_the_filter_is_what_keeps_it_in_place(inside: Inside, policies: Path) -> None:
    """The control: why mounts cannot be changed even in a namespace of the agent's own."""
    if platform.machine() != "x86_64":
        pytest.skip("the number is that of x86_64")
    result = inside.python(REPLACE, str(policies), read_only=(str(policies),))
    assert result.output.split() == ["worked"] * 5
    assert not policies.exists()


def test_a_directory_that_cannot_be_protected_stops_the_launch(inside: Inside) -> None:
    with pytest.raises(Exception, match="must exist and be an absolute path"):
        inside.run("true", hide=("/nowhere/at/all",))


def test_the_working_directory_is_shown_again_where_it_was_covered(inside: Inside) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("this machine has no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = Path(name)
        directory.chmod(0o777)
        (directory / "file").write_text("text")
        result = inside.run("cat", "file", directory=name)
    assert result.output == "text"


def test_names_are_asked_of_the_firewall(inside: Inside) -> None:
    assert "nameserver 198.18.0.1\n" in inside.run("cat", "/etc/resolv.conf").output
