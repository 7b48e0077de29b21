"""Known secrets in bytes, as they are and in the forms in which they are usually written.

A secret is found raw, in base64 and base32 wherever in the encoded text it begins (RFC 4648), in
hex, percent-encoded, and escaped as in JSON. Line breaks count for nothing, as base64 has them
anywhere. Patterns are RE2's, which take time linear in the bytes.
"""

import base64
import json
import string
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

_BREAKS = b"\r\n"
_UNRESERVED = frozenset(b"-._~" + (string.ascii_letters + string.digits).encode())
"""RFC 3986, 2.3."""
ENDS = 32
"""Bytes at the end of a form by which it is found, so that long secrets cost no more."""
MEMORY = 64 << 20
"""Bytes that RE2 may use at most; a few keys take one MiB."""
BEGINNING = 6
"""Bytes by which the beginning of a form is known; fewer end many a harmless piece."""
SHORTEST = 8
"""Characters of a secret that can be told from ordinary text."""


class Needles:
    """What is looked for: secrets by the name that people know them by."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._names: dict[bytes, str] = {}
        self._forms: dict[bytes, None] = {}
        for name, secret in secrets.items():
            for form in forms(secret.encode()):
                self._forms[form] = None
                self._names.setdefault(form[-ENDS:], name)

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is looked for, whole and as text."""
        return tuple(each.decode("latin-1") for each in self._forms)

    def find(self, data: bytes) -> tuple[str, ...]:
        """The names of the secrets in a piece of data, each once."""
        if not self._names:
            return ()
        found = self._pattern.finditer(data.translate(None, _BREAKS))
        return tuple(dict.fromkeys(self._names[match[0]] for match in found))

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest form."""
        return max(map(len, self._forms), default=0)

    def begun(self, data: bytes) -> bool:
        """Whether a secret may have begun at the end of the data, which has no line breaks."""
        return any(_ends_within(data, form) for form in self._forms)

    def find_in_name(self, name: str) -> tuple[str, ...]:
        """Those in a name of DNS, in which case and dots may be anybody's choice."""
        if not self._names:
            return ()
        return self._folded.find(name.lower().replace(".", "").encode("utf-8", "replace"))

    @cached_property
    def _pattern(self) -> Any:
        import re2  # 25 ms, for processes that hold secrets

        longest_first = sorted(self._names, key=lambda each: (-len(each), each))
        options = re2.Options()
        options.max_mem = MEMORY
        return re2.compile(b"|".join(re2.escape(each) for each in longest_first), options)

    @cached_property
    def _folded(self) -> "Needles":
        """The same in lower case, without dots."""
        folded = Needles({})
        folded._names = {_folded(form): name for form, name in self._names.items()}
        return folded


class Search:
    """Follows a stream: names each secret once, however the stream is cut up."""

    def __init__(self, needles: Needles) -> None:
        self._needles = needles
        self._tail = b""
        self._told: set[str] = set()

    def feed(self, data: bytes) -> tuple[str, ...]:
        """The names of the secrets that these bytes complete."""
        if not self._needles or not data:
            return ()
        text = self._tail + data.translate(None, _BREAKS)
        self._tail = text[1 - self._needles.longest :]
        found = [each for each in self._needles.find(text) if each not in self._told]
        self._told.update(found)
        return tuple(found)

    @property
    def begun(self) -> bool:
        """Whether what was fed ends within what may be a secret."""
        return self._needles.begun(self._tail)


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret in every form that it is looked for in; some may be equal."""
    secret = secret.translate(None, _BREAKS)
    yield secret
    yield from (quote(secret, safe="").encode(), quote(secret).encode())
    yield b"".join(
        b"%%%02x" % each if each not in _UNRESERVED else bytes([each]) for each in secret
    )
    yield from (b"".join(form % each for each in secret) for form in (b"%%%02x", b"%%%02X"))
    yield json.dumps(secret.decode("utf-8", "replace"))[1:-1].encode()
    yield from (secret.hex().encode(), secret.hex().upper().encode())
    for encode, bits in ((base64.b64encode, 6), (base64.urlsafe_b64encode, 6)):
        yield from _aligned(encode, bits, 3, secret)
    for text in _aligned(base64.b32encode, 5, 5, secret):
        yield from (text, text.lower())


def _ends_within(data: bytes, form: bytes) -> bool:
    """Whether data ends in the beginning of a form, but not in all of it."""
    start = data.find(form[:BEGINNING], max(0, len(data) - len(form) + 1))
    while start >= 0 and not form.startswith(data[start:]):
        start = data.find(form[:BEGINNING], start + 1)
    return start >= 0


def _aligned(encode: Any, bits: int, period: int, secret: bytes) -> Iterator[bytes]:
    """The part of an encoded text that a secret alone decides, wherever it begins in it."""
    for offset in range(period):
        text: bytes = encode(bytes(offset) + secret)
        yield text[-(-offset * 8 // bits) : (offset + len(secret)) * 8 // bits]


def _folded(form: bytes) -> bytes:
    return form.lower().replace(b".", b"")
