"""Which file would run, and under which name its arguments are read."""

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from firewall.sandbox.execgate.calls import CallError, ExecCall
from firewall.sandbox.execgate.describe import Names, execute
from firewall.sandbox.execgate.files import Files, Program

ME = os.getpid()


def find(path: str, *argv: str, folder: int | None = None, flags: int = 0) -> Program:
    words = tuple(each.encode() for each in (argv or (path,)))
    return Files().find(ME, ExecCall(path.encode(), words, folder, flags))


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/bin/true")
    found = find(str(tmp_path / "link"))
    assert found.path == os.path.realpath("/bin/true")
    assert len(found.digest) == 64
    assert found.directory == os.getcwd()


def test_a_path_starts_from_the_folder_that_is_given() -> None:
    folder = os.open("/usr", os.O_PATH)
    assert Path(find("bin/env", folder=folder).path).name == "env"
    os.close(folder)


def test_a_descriptor_is_a_file(tmp_path: Path) -> None:
    handle = os.open("/bin/true", os.O_RDONLY)
    for path, folder, flags in (("", handle, 0x1000), (f"/proc/self/fd/{handle}", None, 0)):
        assert find(path, "x", folder=folder, flags=flags).path == os.path.realpath("/bin/true")
    os.close(handle)


def test_a_pipe_without_a_writer_holds_up_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o777)
    handle = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    codes: list[int] = []

    def look() -> None:
        with pytest.raises(CallError) as caught:
            find(f"/proc/self/fd/{handle}", "x")
        codes.append(caught.value.code)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(10)
    os.close(handle)
    assert codes == [errno.EACCES], "a pipe is no program, and looking at it must not wait"


def test_a_script_is_its_interpreter_with_arguments(tmp_path: Path) -> None:
    path = script(tmp_path, "s", "#! /bin/sh  -e x \n")
    found = find(str(path), "name", "one")
    assert Path(found.path).name == Path(os.path.realpath("/bin/sh")).name
    assert found.script == str(path)
    assert found.argv == ("/bin/sh", "-e x", str(path), "one")


def test_scripts_of_scripts_end_somewhere(tmp_path: Path) -> None:
    first = script(tmp_path, "0", "#!/bin/sh\n")
    for number in range(1, 8):
        script(tmp_path, str(number), f"#!{tmp_path}/{number - 1}\n")
    assert find(str(tmp_path / "3")).script == str(first)
    with pytest.raises(CallError):
        find(str(tmp_path / "7"))


@pytest.mark.parametrize("text", ["#!\n", "#! \t\n", "#!/no/such\n"])
def test_a_script_without_an_interpreter_cannot_run(tmp_path: Path, text: str) -> None:
    with pytest.raises(CallError):
        find(str(script(tmp_path, "s", text)))


@pytest.mark.parametrize("path", ["/proc/1/exe", "/proc/self/root", "/proc/self/cwd/x"])
def test_ways_that_cannot_be_followed_are_refused(path: str) -> None:
    with pytest.raises(CallError, match="cannot be followed"):
        find(path)


def test_the_loaders_program_is_what_counts(tmp_path: Path) -> None:
    loader = next(iter(Path("/lib64").glob("ld-linux-*.so.*")), None)
    if loader is None:
        pytest.skip("no glibc here")
    plain = tmp_path / "copy"
    shutil.copyfile("/bin/true", plain)
    found = find(str(loader), str(loader), "--library-path", "/lib", str(plain), "one")
    assert (found.path, found.argv) == (str(plain), (str(plain), "one"))
    assert found.image.path == os.path.realpath(loader)


def test_a_copy_is_read_under_its_usual_name(tmp_path: Path) -> None:
    source, copy = tmp_path / "bin" / "ssh", tmp_path / "quiet"
    source.parent.mkdir()
    shutil.copy("/bin/true", source)
    shutil.copy("/bin/true", copy)
    files = Files()
    names = Names(files, [str(source.parent)])
    words = (b"quiet", b"-R", b"1:h:2", b"host.test")
    request = execute(files.find(ME, ExecCall(str(copy).encode(), words)), names)
    assert request.path == str(copy)
    assert request.argv[0] == "quiet"
    assert request.commands[0].words[0] == "ssh"
    assert "ssh.forward-remote" in [each.name for each in request.commands[0].intents]
    assert request.findings == (), "the gateway judges what becomes of it"


def test_a_digest_follows_the_content(tmp_path: Path) -> None:
    path = script(tmp_path, "p", "\x7fELF one")
    files = Files()
    call = ExecCall(str(path).encode(), (b"p",))
    first = files.find(ME, call).digest
    assert files.find(ME, call).digest == first
    path.write_text("\x7fELF two")
    assert files.find(ME, call).digest != first


def test_a_copied_loader_is_one(tmp_path: Path) -> None:
    loader = next(iter(Path("/lib64").glob("ld-linux-*.so.*")), None)
    if loader is None:
        pytest.skip("no glibc here")
    tool = tmp_path / "tool"
    shutil.copy(os.path.realpath(loader), tool)
    found = find(str(tool), str(tool), "/bin/true")
    assert found.path == os.path.realpath("/bin/true")
    assert found.words == (str(tool), "/bin/true")
