"""Text signed by keys that have names (C2SP signed-note v1.0.0), with Ed25519.

A note is its text, an empty line, and a line for each signature:

    — NAME base64(key id || signature)

where the key id is the first four bytes of SHA-256(NAME || 0x0A || 0x01 || public key). Keys are
written as golang.org/x/mod/sumdb/note writes them, `NAME+ID+base64(0x01 || public key)` and
`PRIVATE+KEY+NAME+ID+base64(0x01 || seed)`, so that other tools read both.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from typing import Literal

from firewall.frozen import frozen

ED25519 = b"\x01"
_SIGNATURES = 16
"""Signatures looked at in one note: what a verifier must accept at least."""
_DASH = "— "
_PRIVATE = "PRIVATE+KEY+"
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")

type Standing = Literal["valid", "missing", "invalid"]


@frozen
class Key:
    """The public half of a key: what signatures are checked with."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Tells keys of the same name apart; it is no proof of anything."""
        named = self.name.encode() + b"\n" + ED25519 + self.public
        return hashlib.sha256(named).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read NAME+ID+KEY. Raises ValueError that says what is wrong with it."""
        name, raw = _fields(text)
        key = cls(name, raw)
        if text != str(key):
            raise ValueError(f"{_short(text)}: the key's id does not fit its name and bytes")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.public)}"


@frozen
class SigningKey:
    """A whole key. `repr` and logs show the public half alone."""

    public: Key
    seed: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """A new key from the system's randomness."""
        return cls._from_seed(name, os.urandom(32))

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read PRIVATE+KEY+NAME+ID+SEED. Raises ValueError, which never shows the seed."""
        if not text.startswith(_PRIVATE):
            raise ValueError(f"this is no private key: it must begin with {_PRIVATE}")
        try:
            key = cls._from_seed(*_fields(text.removeprefix(_PRIVATE)))
        except ValueError:
            raise ValueError("the private key is damaged") from None
        if text != key.text():
            raise ValueError("the private key is damaged: its id does not fit")
        return key

    @classmethod
    def _from_seed(cls, name: str, seed: bytes) -> "SigningKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
        return cls(Key(name, public.public_bytes_raw()), seed)

    def text(self) -> str:
        """The whole key as it is kept in its file."""
        return f"{_PRIVATE}{self.public.name}+{self.public.id.hex()}+{_base64(ED25519 + self.seed)}"

    def sign(self, text: str) -> str:
        """The line that signs a text."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return f"{_DASH}{self.public.name} {_base64(self.public.id + signature)}\n"


@frozen
class Note:
    """A text and its signatures: the key's name, its id, the signature's bytes."""

    text: str
    signatures: Sequence[tuple[str, bytes, bytes]]

    @classmethod
    def parse(cls, note: str) -> "Note":
        """Take a note apart without believing it. Raises ValueError where it is none."""
        text, separator, rest = note.rpartition("\n\n")
        lines = rest.split("\n")
        if not separator or not text or lines[-1] or len(lines) == 1:
            raise ValueError("this is no signed note: text, an empty line, signatures")
        return cls(text + "\n", [_signature(line) for line in lines[:-1][:_SIGNATURES]])

    def standing(self, key: Key) -> Standing:
        """Whether the text is signed by this key."""
        known = [each for name, id_, each in self.signatures if (name, id_) == (key.name, key.id)]
        if not known:
            return "missing"
        return "valid" if all(_holds(key, each, self.text) for each in known) else "invalid"


def sign(text: str, *keys: SigningKey) -> str:
    """A note of this text, which must end with a newline, signed by each key."""
    return text + "\n" + "".join(key.sign(text) for key in keys)


def _holds(key: Key, signature: bytes, text: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_DASH).rpartition(" ")
    raw = decode(encoded)
    if not line.startswith(_DASH) or not _NAME.fullmatch(name) or len(raw) < 5:
        raise ValueError(f"{_short(line)}: this is no signature line of a note")
    return name, raw[:4], raw[4:]


def _fields(text: str) -> tuple[str, bytes]:
    """The name and the 32 bytes of a key; its id is checked by those who make a key of them."""
    name, _, rest = text.partition("+")
    raw = decode(rest.partition("+")[2])
    if not _NAME.fullmatch(name) or len(raw) != 33 or raw[:1] != ED25519:
        raise ValueError(f"{_short(text)}: this is no Ed25519 key written as NAME+ID+KEY")
    return name, raw[1:]


def decode(text: str) -> bytes:
    """Base64 (RFC 4648 section 4); nothing where it is not written in its one right way."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if _base64(raw) == text else b""


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
