"""What each SFTP request asks for (draft-ietf-secsh-filexfer-02 section 6, OpenSSH's PROTOCOL).

One reader a request type, in two tables: READERS and EXTENSIONS. What a table does not name is
never sent on.
"""

import posixpath
from collections.abc import Callable

from firewall.frozen import frozen
from firewall.protocols.files import FileRequest, Operation, plain_path
from firewall.protocols.sftp.wire import Fields, Kind

_READ, _WRITE = 1, 2


@frozen
class Use:
    """A handle that a request works through, and what the handle must have been opened for."""

    handle: bytes
    verb: str
    operation: Operation | None


@frozen
class Asked:
    """What one request asks for: paths that it names, handles that it uses, bytes it writes."""

    requests: tuple[FileRequest, ...] = ()
    uses: tuple[Use, ...] = ()
    size: int = 0


type Reader = Callable[[Fields], Asked]


def _by_path(operation: Operation, verb: str, *, attributes: bool = False) -> Reader:
    """A request that names one path, perhaps with attributes behind it."""

    def read(fields: Fields) -> Asked:
        request = FileRequest(operation, verb, fields.path())
        if attributes:
            fields.skip_attributes()
        return Asked((request,))

    return read


def _by_handle(verb: str, operation: Operation | None = None, *, skip: int = 0) -> Reader:
    """A request through one handle, with `skip` bytes of numbers behind it."""

    def read(fields: Fields) -> Asked:
        use = Use(fields.string(), verb, operation)
        fields.skip(skip)
        return Asked(uses=(use,))

    return read


def _rename(verb: str) -> Reader:
    """Both names change. The old one need not be readable, so that uploads can be renamed."""

    def read(fields: Fields) -> Asked:
        return Asked(tuple(FileRequest("write", verb, fields.path()) for _ in range(2)))

    return read


def _open(fields: Fields) -> Asked:
    """Every flag but READ may create or change the file; without WRITE it can be read."""
    path, flags = fields.path(), fields.number()
    fields.skip_attributes()
    operations: list[Operation] = []
    if flags & _READ or not flags & _WRITE:
        operations.append("read")
    if flags & ~_READ:
        operations.append("write")
    return Asked(tuple(FileRequest(operation, "open", path) for operation in operations))


def _write(fields: Fields) -> Asked:
    use = Use(fields.string(), "write", "write")
    fields.skip(8)
    return Asked(uses=(use,), size=fields.skip_string())


def _fsetstat(fields: Fields) -> Asked:
    use = Use(fields.string(), "fsetstat", "write")
    fields.skip_attributes()
    return Asked(uses=(use,))


def _realpath(fields: Fields) -> Asked:
    return _resolve("realpath", fields.path())


def _expand(fields: Fields) -> Asked:
    """As realpath, but a shell's tilde is understood: "~/x" is "x" of the login's home."""
    path = fields.path()
    return _resolve("expand-path@openssh.com", path[2:] if path[:2] in ("~", "~/") else path)


def _home(fields: Fields) -> Asked:
    user = fields.path()
    return _resolve("home-directory", f"~{user}" if user else "")


def _resolve(verb: str, path: str) -> Asked:
    """Where the login's home is may be known by all: clients ask before anything else."""
    return Asked() if plain_path(path) == "." else Asked((FileRequest("read", verb, path),))


def _hardlink(fields: Fields) -> Asked:
    return _link("hardlink@openssh.com", fields.path(), fields.path())


def _symlink(fields: Fields) -> Asked:
    """OpenSSH sends the target first, the draft the link: both readings are asked for.

    A relative target starts where its link stands.
    """
    first, second = fields.path(), fields.path()
    meant = [posixpath.join(posixpath.dirname(second), first)]
    meant += [posixpath.join(posixpath.dirname(first), second)]
    return _link("symlink", first, second, *meant)


def _link(verb: str, *paths: str) -> Asked:
    """A link makes one file both readable and writable under another's name."""
    operations: tuple[Operation, ...] = ("read", "write")
    distinct = dict.fromkeys(paths)
    return Asked(tuple(FileRequest(each, verb, path) for path in distinct for each in operations))


def _copy_data(fields: Fields) -> Asked:
    source = Use(fields.string(), "copy-data", "read")
    fields.skip(16)
    target = Use(fields.string(), "copy-data", "write")
    fields.skip(8)
    return Asked(uses=(source, target))


def _limits(fields: Fields) -> Asked:
    return Asked()


def _names_by_id(fields: Fields) -> Asked:
    fields.skip_string()
    fields.skip_string()
    return Asked()


READERS: dict[int, Reader] = {
    Kind.OPEN: _open,
    Kind.CLOSE: _by_handle("close"),
    Kind.READ: _by_handle("read", "read", skip=12),
    Kind.WRITE: _write,
    Kind.LSTAT: _by_path("read", "lstat"),
    Kind.FSTAT: _by_handle("fstat"),
    Kind.SETSTAT: _by_path("write", "setstat", attributes=True),
    Kind.FSETSTAT: _fsetstat,
    Kind.OPENDIR: _by_path("read", "opendir"),
    Kind.READDIR: _by_handle("readdir", "read"),
    Kind.REMOVE: _by_path("write", "remove"),
    Kind.MKDIR: _by_path("write", "mkdir", attributes=True),
    Kind.RMDIR: _by_path("write", "rmdir"),
    Kind.REALPATH: _realpath,
    Kind.STAT: _by_path("read", "stat"),
    Kind.RENAME: _rename("rename"),
    Kind.READLINK: _by_path("read", "readlink"),
    Kind.SYMLINK: _symlink,
}

EXTENSIONS: dict[bytes, tuple[bytes, Reader]] = {
    b"posix-rename@openssh.com": (b"1", _rename("posix-rename@openssh.com")),
    b"statvfs@openssh.com": (b"2", _by_path("read", "statvfs@openssh.com")),
    b"fstatvfs@openssh.com": (b"2", _by_handle("fstatvfs@openssh.com")),
    b"hardlink@openssh.com": (b"1", _hardlink),
    b"fsync@openssh.com": (b"1", _by_handle("fsync@openssh.com")),
    b"lsetstat@openssh.com": (b"1", _by_path("write", "lsetstat@openssh.com", attributes=True)),
    b"limits@openssh.com": (b"1", _limits),
    b"expand-path@openssh.com": (b"1", _expand),
    b"copy-data": (b"1", _copy_data),
    b"home-directory": (b"1", _home),
    b"users-groups-by-id@openssh.com": (b"1", _names_by_id),
}
"""By name: the version that the server must announce, and the reader of the request."""
