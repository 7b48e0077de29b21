"""Which file would run: found as the caller would find it, and told by what is in it."""

import errno
import glob
import hashlib
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

from firewall.frozen import frozen
from firewall.sandbox import linux
from firewall.sandbox.execgate.calls import (
    AT_EMPTY_PATH,
    AT_SYMLINK_NOFOLLOW,
    PATH_MAX,
    CallError,
    ExecCall,
)

SCRIPTS_LIMIT = 4
"""Scripts whose interpreters are scripts in turn: fs/exec.c allows as many."""
HEAD_BYTES = 256
"""Of a file the kernel looks at these for "#!" (BINPRM_BUF_SIZE)."""
DIGESTS = 4096
DIGEST_LIMIT = 512 << 20
"""Bytes of a file that are read for its digest, at 1 to 2 GB/s; a larger one has none."""
_LOADERS = ("/lib*/ld-linux*.so*", "/lib/*/ld-linux*.so*", "/lib/ld-musl-*.so*")
_MAGICAL = (b"/proc/", b"/dev/fd/")
_OWN_DESCRIPTOR = re.compile(rb"/(?:proc/(?:self|thread-self)/fd|dev/fd)/([0-9]{1,9})")
_OWN_IMAGE = re.compile(rb"/proc/(?:self|thread-self)/exe")
_MAGIC = re.compile(rb"/proc/(?:[^/]+/task/)?[^/]+/(?:fd|exe|root|cwd|map_files)(?:/|$)")
_LOADER = re.compile(r"ld(?:-linux[a-z0-9_-]*|-musl-[a-z0-9_]+|64|-[0-9.]+)?\.so(?:\.[0-9]+)?")
_LOADER_VALUES = {"--library-path", "--inhibit-rpath", "--audit", "--preload", "--argv0",
                  "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask"}  # fmt: skip


type Version = tuple[int, ...]
"""One content of one file: device, inode, when it was changed, and its size."""


def version(found: os.stat_result) -> Version:
    """What a file cannot keep when it changes."""
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


@frozen
class Image:
    """The file that would run: its path as the sandbox sees it, and what tells it from others."""

    path: str
    version: Version
    digest: str
    size: int

    def is_same(self, other: "Image") -> bool:
        """Whether both are one file with one content: links to it and modes may change."""
        return (self.version[:2], self.digest) == (other.version[:2], other.digest)


@frozen
class Program:
    """What would run. `image` is what the kernel loads; `path` the program that it runs in turn,
    where the image is the dynamic loader; `script` the script that `image` interprets. `words` is
    the command line that the kernel sets up."""

    image: Image
    path: str
    argv: tuple[str, ...]
    digest: str
    size: int
    directory: str
    words: tuple[str, ...]
    script: str = ""


class Files:
    """Finds programs. Remembers the digest of each version of a file."""

    def __init__(self) -> None:
        self._digests: OrderedDict[Version, str] = OrderedDict()
        self._loaders: dict[int, list[str]] = {}
        for pattern in _LOADERS:
            for path in glob.glob(pattern):
                with suppress(OSError):
                    self._loaders.setdefault(os.path.getsize(path), []).append(path)

    def find(self, thread: int, call: ExecCall) -> Program:
        """The program that a call would run. Raises CallError where it cannot run."""
        directory = text(_link(f"/proc/{thread}/cwd"))
        handle = _open(thread, call)
        words = tuple(map(text, call.argv))
        script, name = "", _name(thread, call)
        for _ in range(SCRIPTS_LIMIT + 1):
            try:
                image, head = self._image(handle), _head(handle)
            finally:
                os.close(handle)
            if not head.startswith(b"#!"):
                return self._program(thread, image, words, directory, script)
            interpreter, extra = _shebang(head)
            script = image.path
            words = (text(interpreter), *map(text, extra), text(name), *words[1:])
            name = interpreter
            handle = _open_path(thread, interpreter)
        raise CallError(errno.ELOOP)

    def running(self, pid: int) -> Image:
        """The image of a running process. Raises OSError."""
        handle = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._image(handle)
        finally:
            os.close(handle)

    def digest_of(self, path: str) -> str:
        """The digest of a file of the host; "" where it cannot be read."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            return self._digest(handle, os.fstat(handle))
        finally:
            os.close(handle)

    def _program(
        self, thread: int, image: Image, words: tuple[str, ...], directory: str, script: str
    ) -> Program:
        """Look through the dynamic loader, which runs the file that it is given (ld.so(8))."""
        if self._is_loader(image):
            place = _loaded(words)
            if place is not None:
                handle = _open_path(thread, os.fsencode(words[place]))
                try:
                    inner = self._image(handle, loaded=True)
                finally:
                    os.close(handle)
                told = (inner.path, words[place:], inner.digest, inner.size)
                return Program(image, *told, directory, words, script)
        told = (image.path, words, image.digest, image.size)
        return Program(image, *told, directory, words, script)

    def _is_loader(self, image: Image) -> bool:
        """By its name, or by its content where it was copied to another."""
        if _LOADER.fullmatch(os.path.basename(image.path)):
            return True
        alike = self._loaders.get(image.size, ()) if image.digest else ()
        return any(self.digest_of(path) == image.digest for path in alike)

    def _image(self, handle: int, *, loaded: bool = False) -> Image:
        """A file that the kernel executes, or that the loader reads, executable or not."""
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not (loaded or found.st_mode & 0o111):
            raise CallError(errno.EACCES)
        path = text(_link(f"/proc/self/fd/{handle}"))
        return Image(path, version(found), self._digest(handle, found), found.st_size)

    def _digest(self, handle: int, found: os.stat_result) -> str:
        key = version(found)
        if key in self._digests:
            self._digests.move_to_end(key)
            return self._digests[key]
        try:
            if found.st_size > DIGEST_LIMIT:
                raise OSError(errno.EFBIG, "too large to be read for each start")
            with os.fdopen(os.open(f"/proc/self/fd/{handle}", os.O_RDONLY), "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            digest = ""
        self._digests[key] = digest
        if len(self._digests) > DIGESTS:
            self._digests.popitem(last=False)
        return digest


def text(name: bytes) -> str:
    """What the agent chose, as text that every record can hold."""
    return name.decode(errors="backslashreplace")


def _link(path: str) -> bytes:
    try:
        return os.readlink(path.encode())
    except OSError as error:
        raise CallError(errno.EACCES, f"{path} cannot be read: {error.strerror}") from error


def _name(thread: int, call: ExecCall) -> bytes:
    """The script as its interpreter is told of it (fs/exec.c, bprm->filename)."""
    if call.folder is None or call.path.startswith(b"/"):
        return call.path
    return b"/dev/fd/%d" % call.folder + (b"/" + call.path if call.path else b"")


def _open(thread: int, call: ExecCall) -> int:
    """Open the file of a call as the caller would."""
    if not call.path and not call.flags & AT_EMPTY_PATH:
        raise CallError(errno.ENOENT)
    if call.folder is None or call.path.startswith(b"/"):
        return _open_path(thread, call.path, call.flags)
    if not call.path:
        return _own(f"/proc/{thread}/fd/{call.folder}")
    base = _link(f"/proc/{thread}/fd/{call.folder}")
    return _open_path(thread, base + b"/" + call.path, call.flags)


def _open_path(thread: int, path: bytes, flags: int = 0) -> int:
    """Open a path below the caller's root and, where it is relative, below its directory."""
    if not path.startswith(b"/"):
        path = _link(f"/proc/{thread}/cwd") + b"/" + path
    if len(path) >= PATH_MAX:
        raise CallError(errno.ENAMETOOLONG)
    plain = os.path.normpath(path)
    if not plain.startswith(_MAGICAL):
        return _below_root(thread, path, flags)
    if own := _OWN_DESCRIPTOR.fullmatch(plain):
        return _own(f"/proc/{thread}/fd/{int(own[1])}")
    if _OWN_IMAGE.fullmatch(plain):
        return _own(f"/proc/{thread}/exe")
    if _MAGIC.match(plain):
        raise CallError(errno.EACCES, f"{text(path)} names a file in a way that cannot be followed")
    return _below_root(thread, path, flags)


def _own(path: str) -> int:
    """A file that the caller holds open, or its own image.

    A pipe without a writer must not hold up the gate, nor a terminal become the firewall's own.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        pass
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise CallError(error.errno or errno.EBADF) from error


def _below_root(thread: int, path: bytes, flags: int) -> int:
    try:
        root = os.open(f"/proc/{thread}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CallError(errno.EACCES, f"its root cannot be read: {error.strerror}") from error
    follow = 0 if flags & AT_SYMLINK_NOFOLLOW else None
    try:
        return _readable_or_not(root, path, follow)
    except OSError as error:
        raise CallError(error.errno or errno.EACCES) from error
    finally:
        os.close(root)


def _readable_or_not(root: int, path: bytes, follow: int | None) -> int:
    """A program may be executable and not readable; then only its name tells what it is."""
    links = os.O_NOFOLLOW if follow == 0 else 0
    try:
        return linux.open_in_root(root, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | links)
    except PermissionError:
        return linux.open_in_root(root, path, os.O_PATH | os.O_CLOEXEC | links)


def _head(handle: int) -> bytes:
    try:
        return os.pread(handle, HEAD_BYTES, 0)
    except OSError:
        return b""


def _shebang(head: bytes) -> tuple[bytes, list[bytes]]:
    """The interpreter of a script and its one argument (fs/binfmt_script.c)."""
    line = head[2:].partition(b"\n")[0].partition(b"\0")[0].strip(b" \t")
    interpreter, _, extra = line.replace(b"\t", b" ").partition(b" ")
    if not interpreter:
        raise CallError(errno.ENOEXEC)
    extra = extra.strip()
    return interpreter, [extra] if extra else []


def _loaded(words: Sequence[str]) -> int | None:
    """Where in the loader's arguments the program stands (ld.so(8), OPTIONS)."""
    place = 1
    while place < len(words) and words[place].startswith("--"):
        place += 2 if words[place] in _LOADER_VALUES else 1
    return place if place < len(words) else None
