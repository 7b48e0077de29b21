"""Which replies each SFTP request may have, and how each is read (filexfer-02 section 7)."""

from firewall.protocols.sftp.requests import EXTENSIONS
from firewall.protocols.sftp.wire import VERSION, Fields, Kind, packet

EXPECTED: dict[int, tuple[Kind, ...]] = {
    Kind.OPEN: (Kind.STATUS, Kind.HANDLE),
    Kind.OPENDIR: (Kind.STATUS, Kind.HANDLE),
    Kind.READ: (Kind.STATUS, Kind.DATA),
    Kind.READDIR: (Kind.STATUS, Kind.NAME),
    Kind.REALPATH: (Kind.STATUS, Kind.NAME),
    Kind.READLINK: (Kind.STATUS, Kind.NAME),
    Kind.STAT: (Kind.STATUS, Kind.ATTRS),
    Kind.LSTAT: (Kind.STATUS, Kind.ATTRS),
    Kind.FSTAT: (Kind.STATUS, Kind.ATTRS),
    Kind.EXTENDED: (Kind.STATUS, Kind.NAME, Kind.EXTENDED_REPLY),
}
"""All other requests are answered with a status only."""


def read_reply(fields: Fields) -> int:
    """Check a reply, no handle, behind its id; returns how many bytes of file data it carries."""
    size = 0
    match fields.kind:
        case Kind.STATUS:
            _skip_status(fields)
        case Kind.DATA:
            size = fields.skip_string()
        case Kind.NAME:
            _skip_names(fields)
        case Kind.ATTRS:
            fields.skip_attributes()
        case Kind.EXTENDED_REPLY:
            fields.skip_rest()
    fields.end()
    return size


def first_name(raw: bytes) -> str:
    """The first path in a NAME packet; "" where there is none."""
    fields = Fields(raw)
    fields.number()
    return fields.path() if fields.number() else ""


def filter_extensions(fields: Fields) -> bytes:
    """A server's VERSION packet with those extensions only that are understood here."""
    kept: list[bytes] = []
    while fields.more():
        name, version = fields.string(), fields.string()
        if name in EXTENSIONS and EXTENSIONS[name][0] == version:
            kept += [name, version]
    return packet(Kind.VERSION, VERSION, *kept)


def _skip_status(fields: Fields) -> None:
    """A code; old servers leave out its text, or the text's language."""
    fields.skip(4)
    for _ in range(2):
        if fields.more():
            fields.skip_string()


def _skip_names(fields: Fields) -> None:
    for _ in range(fields.number()):
        fields.skip_string()
        fields.skip_string()
        fields.skip_attributes()
