"""What an execve asks for, read from the caller's memory."""

import errno
import os
import struct

from firewall.frozen import frozen
from firewall.sandbox.execgate.notify import Notice

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100
PATH_MAX = 4096
ARGUMENTS_LIMIT = 2 << 20
"""Bytes of all arguments that are read. The kernel takes more only where the stack may grow beyond
8 MiB (execve(2), "Limits on size"); such a call is refused."""
WORDS_LIMIT = 1 << 16
_PAGE = 4096
_POINTERS = 512


class CallError(Exception):
    """A call that must fail with an errno; `why` is "" where the kernel would say so itself."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(why or os.strerror(code))
        self.code = code
        self.why = why


@frozen
class ExecCall:
    """An execve as asked. `folder` is the descriptor that `path` starts from, None for the cwd."""

    path: bytes
    argv: tuple[bytes, ...]
    folder: int | None = None
    flags: int = 0


class _Memory:
    """A caller's memory. The page read last is kept: arguments stand close together."""

    def __init__(self, thread: int) -> None:
        self._handle = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
        self._start = -1
        self._page = b""

    def close(self) -> None:
        os.close(self._handle)

    def page(self, address: int) -> tuple[bytes, int]:
        """The page of an address, and where in it the address is. Raises CallError."""
        place = address % _PAGE
        if address - place != self._start:
            try:
                self._page = os.pread(self._handle, _PAGE, address - place)
            except (OSError, OverflowError):
                raise CallError(errno.EFAULT) from None
            self._start = address - place
        if place >= len(self._page):
            raise CallError(errno.EFAULT)
        return self._page, place


def read_call(notice: Notice) -> ExecCall:
    """Read a call. Raises CallError where it cannot succeed, or cannot be read."""
    try:
        memory = _Memory(notice.thread)
    except OSError as error:
        raise CallError(errno.EACCES, f"its caller cannot be read: {error.strerror}") from error
    try:
        if not notice.at:
            path, argv = notice.arguments[:2]
            return ExecCall(_string(memory, path, PATH_MAX), _words(memory, argv))
        folder, path, argv, _, flags = notice.arguments[:5]
        number = struct.unpack("=i", struct.pack("=I", folder & 0xFFFFFFFF))[0]
        return ExecCall(
            _string(memory, path, PATH_MAX),
            _words(memory, argv),
            None if number == AT_FDCWD else number,
            flags & 0xFFFFFFFF,
        )
    finally:
        memory.close()


def _string(memory: _Memory, address: int, limit: int) -> bytes:
    """A string that ends with a zero byte. It may end just before memory that is not mapped."""
    found = b""
    while len(found) <= limit:
        page, place = memory.page(address + len(found))
        end = page.find(b"\0", place)
        if end >= 0:
            return found + page[place:end]
        found += page[place:]
    raise CallError(errno.ENAMETOOLONG if limit == PATH_MAX else errno.E2BIG)


def _words(memory: _Memory, address: int) -> tuple[bytes, ...]:
    """The argument vector. A null pointer is an empty one (execve(2), NOTES)."""
    if not address:
        return ()
    words: list[bytes] = []
    size = 0
    for pointer in _pointers(memory, address):
        word = _string(memory, pointer, ARGUMENTS_LIMIT)
        size += len(word) + 1
        if size > ARGUMENTS_LIMIT or len(words) >= WORDS_LIMIT:
            raise CallError(errno.E2BIG, f"it has more than {ARGUMENTS_LIMIT} bytes of arguments")
        words.append(word)
    return tuple(words)


def _pointers(memory: _Memory, address: int) -> list[int]:
    pointers: list[int] = []
    while len(pointers) <= WORDS_LIMIT:
        page, place = memory.page(address)
        data = page[place : place + _POINTERS * 8]
        if len(data) < 8:
            data += memory.page(address + len(data))[0][: 8 - len(data)]
        for (pointer,) in struct.iter_unpack("=Q", data[: len(data) // 8 * 8]):
            if not pointer:
                return pointers
            pointers.append(pointer)
        address += len(data) // 8 * 8
    raise CallError(errno.E2BIG, f"it has more than {WORDS_LIMIT} arguments")
