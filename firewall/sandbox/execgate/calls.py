"""What an execve asks for, read from the caller's memory."""

import errno
import os
import struct
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class ExecCall:
    """An execve as asked. `folder` is the descriptor that `path` starts from, None for the cwd."""

    path: bytes
    argv: tuple[bytes, ...]
    folder: int | None = None
    flags: int = 0


def read_call(notice: Notice) -> ExecCall:
    """Read a call. Raises CallError where it cannot succeed, or cannot be read."""
    try:
        memory = os.open(f"/proc/{notice.thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
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
        os.close(memory)


def _read(memory: int, address: int, size: int) -> bytes:
    """What can be read at an address, up to `size` bytes and no further than is mapped."""
    try:
        return os.pread(memory, size, address)
    except (OSError, OverflowError):
        raise CallError(errno.EFAULT) from None


def _string(memory: int, address: int, limit: int) -> bytes:
    """A string that ends with a zero byte. It may end just before memory that is not mapped."""
    found = b""
    while len(found) <= limit:
        size = _PAGE - (address + len(found)) % _PAGE
        piece = _read(memory, address + len(found), size)
        head, end, _ = piece.partition(b"\0")
        found += head
        if end:
            return found
        if not piece:
            raise CallError(errno.EFAULT)
    raise CallError(errno.ENAMETOOLONG if limit == PATH_MAX else errno.E2BIG)


def _words(memory: int, address: int) -> tuple[bytes, ...]:
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


def _pointers(memory: int, address: int) -> list[int]:
    pointers: list[int] = []
    while len(pointers) <= WORDS_LIMIT:
        data = _read(memory, address, min(_POINTERS * 8, _PAGE - address % _PAGE or _PAGE))
        if len(data) < 8:
            data += _read(memory, address + len(data), 8 - len(data))
        if len(data) < 8:
            raise CallError(errno.EFAULT)
        for (pointer,) in struct.iter_unpack("=Q", data[: len(data) // 8 * 8]):
            if not pointer:
                return pointers
            pointers.append(pointer)
        address += len(data) // 8 * 8
    raise CallError(errno.E2BIG, f"it has more than {WORDS_LIMIT} arguments")
