"""Files that a policy marks as secret, and the texts in them that must not leave.

Of a private key these are lines of its secret half; of anything else the values of what is named
(`NAME=value`, YAML, INI, JSON) and lines that can only be secrets. Values that everybody may see
(hosts, paths, plain words, addresses without a password) are left out: honest requests hold them.
"""

import glob
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from itertools import islice
from urllib.parse import urlsplit

from firewall.frozen import frozen

FILES = 64
"""Files that are read at most."""
SIZE = 64 << 10
"""Bytes of the largest file that is read."""
VALUES = 256
"""Texts that are looked for at most."""
LONGEST = 512
"""Characters of a text that are looked for; of longer ones the end."""

_NAMED = re.compile(r"""\s*(?:export\s+|-\s+)?["']?([\w.-]{1,64})["']?\s*[=:]\s*(.+?)\s*""")
_SECRET = re.compile(
    r"(?i)token|secret|passw|passphrase|pwd|credential|key|auth|private|signature|salt|cookie|dsn"
)
_HIDDEN = re.compile(r"(?i)token|secret|passw|passphrase|pwd|credential")
"""Names whose words may be a person's password; behind others, such as AUTH_MODE, they are none."""
_PUBLIC = re.compile(
    r"(?i)(?:key|client|project|tenant|account|app|org)[._-]?id$|public|publishable|anon[._-]|author"
)
"""Names of what is sent in clear by design: whose a key is, and what is printed in pages."""
_DEFAULTS = frozenset({
    "password", "changeme", "changeit", "postgres", "postgresql", "rabbitmq", "minioadmin",
    "mysecretpassword", "localhost", "development", "production", "disabled", "required",
    "optional",
})  # fmt: skip
"""What stands behind names of secrets in examples and in ordinary requests as well."""
_SEPARATORS = re.compile(r"[ _.:/-]+")
_LONGEST_WORD = 16
_SHORTEST_NAMED = 8
_SHORTEST = 16
_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n)(.*?)-----END", re.DOTALL
)
_BODY = re.compile(r"[A-Za-z0-9+/=]{32,}")
_HOST = re.compile(r"(?:[\w.+-]+@)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?")
_NUMBER = re.compile(r"[0-9.:-]+")

type Stamp = tuple[str, int, int, int]


@frozen
class Marked:
    """The texts of marked files by what people call them, and the files as they were then.

    What was read once is looked for until the end, whatever an agent does to the file. `first` is
    what was there before any agent ran, `troubles` what could not be read, and why.
    """

    texts: dict[str, str] = field(default_factory=dict, repr=False)
    first: dict[str, str] = field(default_factory=dict, repr=False)
    stamps: tuple[Stamp, ...] = ()
    troubles: tuple[str, ...] = ()

    def read(self, patterns: Iterable[str]) -> "Marked":
        """The files' texts now, and all before. A pattern that fits no file is told, as it may be
        a mistake, and looked at again later."""
        patterns = tuple(patterns)
        stamps, texts = tuple(stamps_of(patterns)), dict(self.texts)
        troubles = [f"no file is marked by {each} yet" for each in patterns if not _paths([each])]
        for path, *_ in stamps:
            try:
                _add(texts, path, secrets_in(_content(path)))
            except (OSError, ValueError) as error:
                troubles.append(f"the marked file {path} cannot be read: {_reason(error)}")
        if len(texts) > VALUES:
            texts = dict(islice(texts.items(), VALUES))
            troubles.append(f"marked files hold more than {VALUES} secrets; the others pass")
        return Marked(texts, self.first or texts, stamps, tuple(troubles))


NOTHING = Marked()


def stamps_of(patterns: Iterable[str]) -> Iterator[Stamp]:
    """The files that are marked now, and what tells whether one has changed."""
    for path in _paths(patterns):
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield path, status.st_ino, status.st_mtime_ns, status.st_size


def _add(texts: dict[str, str], path: str, found: Iterable[tuple[str, str]]) -> None:
    known = set(texts.values())
    for where, text in found:
        name = f"{path} ({where})"
        while name in texts and text not in known:
            name += ", later"
        if text not in known:
            texts[name] = text
            known.add(text)


def secrets_in(content: str) -> Iterator[tuple[str, str]]:
    """The texts in a file that must not leave, each with where it stands ("line 3", a name)."""
    keys = list(_KEY.finditer(content))
    for number, key in enumerate(keys, 1):
        yield from _lines_of_key(number, key[1])
    if keys and not content.lstrip().startswith("{"):
        return
    try:
        yield from _members(json.loads(content), "")
    except (ValueError, RecursionError):
        yield from _lines(content)


def _lines_of_key(number: int, body: str) -> Iterator[tuple[str, str]]:
    """Lines of the second half, which is secret in every form; in the first stands the public key,
    which may go anywhere. The last is short, and padding."""
    lines = [each for each in body.replace("\\n", "\n").split() if _BODY.fullmatch(each)]
    for place, line in enumerate(lines[len(lines) // 2 : -1][:16], 1):
        yield f"private key {number}, part {place}", line


def _members(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _members(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _members(each, name)
    elif isinstance(value, str) and "PRIVATE KEY" not in value:
        yield from _kept(name[:64] or "a text", name, value)


def _lines(content: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(content.splitlines(), 1):
        if line.lstrip().startswith(("#", ";", "//")):
            continue
        named = _NAMED.fullmatch(line)
        name, value = (named[1], named[2]) if named else ("", line)
        yield from _kept(f"line {number}", name, value)


def _kept(where: str, name: str, value: str) -> Iterator[tuple[str, str]]:
    """The value if it must not leave; of an address with a password only that."""
    value = value.strip().strip("\"'")
    if "://" in value:
        try:
            value, name = urlsplit(value).password or "", "password"
        except ValueError:
            return
    least = _SHORTEST_NAMED if _SECRET.search(name) else _SHORTEST
    if len(value) >= least and value.isprintable() and not _is_public(value, name):
        yield where, value[-LONGEST:]


def _is_public(value: str, name: str) -> bool:
    """Whether it is a host, an address of mail, a path, words or a number, as in any request."""
    if value.startswith(("/", "~", "./", "$")) or _HOST.fullmatch(value):
        return True
    if _PUBLIC.search(name) or value.lower() in _DEFAULTS:
        return True
    if _HIDDEN.search(name):
        return bool(_NUMBER.fullmatch(value)) and "passw" not in name.lower()
    return all(map(_is_plain, _SEPARATORS.split(value)))


def _is_plain(piece: str) -> bool:
    """Whether it is a word, a number, or as short as in the names of versions and models."""
    return (piece.isalpha() and len(piece) <= _LONGEST_WORD) or piece.isdigit() or len(piece) <= 4


def _paths(patterns: Iterable[str]) -> list[str]:
    """Public halves of keys are no secrets."""
    found: dict[str, None] = {}
    for pattern in patterns:
        for path in sorted(glob.iglob(os.path.expanduser(pattern), include_hidden=True)):
            if len(found) < FILES and not path.endswith(".pub"):
                found[os.path.abspath(path)] = None
    return list(found)


def _content(path: str) -> str:
    """An agent may put anything in its place, such as a pipe that never ends."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no file")
        data = file.read(SIZE + 1)
    if len(data) > SIZE:
        raise ValueError(f"it has more than {SIZE} bytes")
    return data.decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    return (error.strerror or "it failed") if isinstance(error, OSError) else str(error)
