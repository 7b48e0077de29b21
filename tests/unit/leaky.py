"""Keys of every known format, made here: valid by their form, and worth nothing."""

import base64
import random
import string
import zlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_CHANCE = random.Random(20)
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def text(size: int, alphabet: str = _BASE62) -> str:
    return "".join(_CHANCE.choices(alphabet, k=size))


def checked(prefix: str) -> str:
    """A token with the checksum that GitHub's and npm's have."""
    body, number, digits = text(30), 0, ""
    number = zlib.crc32(body.encode())
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return f"{prefix}_{body}{digits.rjust(6, '0')}"


def private_key(passphrase: bytes = b"") -> str:
    """A private key as ssh-keygen writes it."""
    encryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    key = Ed25519PrivateKey.generate()
    openssh = serialization.PrivateFormat.OpenSSH
    return key.private_bytes(serialization.Encoding.PEM, openssh, encryption).decode()


def _macaroon() -> str:
    data = b"\x02\x01\x0aindex.test\x02\x10" + _CHANCE.randbytes(120)
    return "pypi-" + base64.urlsafe_b64encode(data).decode().rstrip("=")


_DIGITS = string.digits
_SECRET = "wJ9" + text(37)

KEYS = {
    "github": checked("ghp"),
    "gitlab": f"glpat-{text(20)}",
    "aws": f"AKIA{text(16, string.ascii_uppercase + '234567')},{_SECRET}\n",
    "aws-key-id": f"ASIA{text(16, string.ascii_uppercase + '234567')}",
    "openai": f"sk-proj-{text(60)}T3BlbkFJ{text(60)}",
    "anthropic": f"sk-ant-api03-{text(93)}AA",
    "huggingface": f"hf_{text(34)}",
    "nvidia": f"nvapi-{text(64)}",
    "slack": f"xoxb-{text(12, _DIGITS)}-{text(12, _DIGITS)}-{text(24)}",
    "google": f"AIza{text(35)}",
    "google-oauth": f"ya29.a0{text(80)}",
    "stripe": f"sk_live_{text(24)}",
    "npm": checked("npm"),
    "pypi": _macaroon(),
    "digitalocean": f"dop_v1_{text(64, '0123456789abcdef')}",
    "sendgrid": f"SG.{text(22)}.{text(43)}",
    "telegram": f"{text(9, _DIGITS)}:AA{text(33)}",
    "azure-storage": f"AccountKey={text(86)}==",
    "jwt": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + text(43),
    "private-key": private_key(),
}  # fmt: skip
"""By the format's name."""
