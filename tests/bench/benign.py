"""Honest requests, made as agents' programs make them: none of them gives a secret away.

They hold what comes near one: session tokens and signatures where they belong, digests, random and
compressed bytes, pictures in base64, documentation with the examples that vendors print.
"""

import base64
import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

type Fields = list[tuple[bytes, bytes]]


class Asked(NamedTuple):
    """A request: its kind, host, path with query, fields and body."""

    kind: str
    host: str
    path: str
    fields: Fields
    body: bytes


EXAMPLES = """
export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE
export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx  # yours
client = OpenAI(api_key="sk-...")  # or "sk-ant-api03-your-key-here"
stripe.api_key = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
password = os.environ["DB_PASSWORD"]; hf_token = "hf_your_token_here"
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo
"""


def requests(count: int, seed: int = 1) -> Iterator[Asked]:
    """So many of all kinds, in turn."""
    chance = random.Random(seed)
    kinds: Sequence[Callable[[random.Random], Asked]] = (
        _model, _picture, _telemetry, _git, _upload, _form, _session, _presigned, _protobuf,
        _search, _multipart, _javascript, _packed, _noise,
    )  # fmt: skip
    for number in range(count):
        yield kinds[number % len(kinds)](chance)


def files(folder: Path, limit: int) -> Iterator[Asked]:
    """Real files of a folder, each as the body of an upload."""
    found = sorted(each for each in folder.rglob("*") if each.is_file())
    for path in random.Random(1).sample(found, min(limit, len(found))):
        if path.stat().st_size < 8 << 20:
            yield Asked("files", "files.test", "/upload", [], path.read_bytes())


_SOURCES = [
    each.read_text(errors="replace")
    for each in sorted(Path(json.__file__).parents[1].glob("*.py"))[:150]
]


def _source(chance: random.Random, size: int) -> str:
    text = chance.choice(_SOURCES)
    start = chance.randrange(max(1, len(text) - size))
    return text[start : start + size]


def _token(chance: random.Random) -> str:
    claims = {"sub": chance.randbytes(8).hex(), "exp": 1790000000, "scope": "read write"}
    parts = [b'{"alg":"RS256","typ":"JWT"}', json.dumps(claims).encode(), chance.randbytes(256)]
    return ".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts)


def _json(kind: str, host: str, value: object, *fields: tuple[bytes, bytes]) -> Asked:
    return Asked(kind, host, "/v1/x", [*fields], json.dumps(value).encode())


def _model(chance: random.Random) -> Asked:
    texts = [_source(chance, 3000), EXAMPLES, hashlib.sha256(chance.randbytes(8)).hexdigest()]
    messages = [{"role": "user", "content": each} for each in texts]
    return _json("model API", "api.openai.com", {"model": "m", "messages": messages})


def _picture(chance: random.Random) -> Asked:
    data = base64.b64encode(chance.randbytes(60_000)).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    return _json("model API, picture", "api.anthropic.com", {"content": [{"source": source}]})


def _telemetry(chance: random.Random) -> Asked:
    line = {"step": chance.randrange(9999), "loss": chance.random(), "token_count": 512}
    ids = {"run": chance.randbytes(8).hex(), "commit": chance.randbytes(20).hex()}
    return _json("telemetry", "metrics.test", {**ids, "history": [line] * 50})


def _git(chance: random.Random) -> Asked:
    objects = [zlib.compress(_source(chance, 2000).encode()) for _ in range(10)]
    body = b"0000PACK\0\0\0\2" + b"".join(b"\xbf\x0a" + each for each in objects)
    return Asked("git push", "github.com", "/o/r/git-receive-pack", [], body)


def _upload(chance: random.Random) -> Asked:
    packed = gzip.compress((_source(chance, 20_000) + EXAMPLES).encode())
    digest = hashlib.sha256(packed).hexdigest().encode()
    body = b"--x\r\nsha256_digest\r\n" + digest + b"\r\n--x\r\ncontent\r\n\r\n" + packed
    return Asked("package upload", "index.test", "/legacy/", [], body)


def _form(chance: random.Random) -> Asked:
    pairs = {"grant_type": "password", "username": "me@a.test", "state": chance.randbytes(24).hex()}
    body = "&".join(f"{name}={quote(value)}" for name, value in pairs.items())
    return Asked("form", "login.test", "/token", [], body.encode())


def _session(chance: random.Random) -> Asked:
    token = _token(chance).encode()
    fields = [(b"authorization", b"Bearer " + token), (b"cookie", b"s=" + token + b"; t=1")]
    return _json("session", "app.test", {"query": "{ me { id } }"}, *fields)


def _presigned(chance: random.Random) -> Asked:
    number = "ASIA" + "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))
    session = quote(base64.b64encode(chance.randbytes(300)).decode(), safe="")
    signature = chance.randbytes(32).hex()
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={number}%2F20260101%2Feu-west-1%2Fs3"
        f"&X-Amz-Date=20260101T000000Z&X-Amz-Security-Token={session}&X-Amz-Signature={signature}"
    )
    return Asked("presigned URL", "b.s3.test", f"/k?{query}", [], chance.randbytes(5000))


def _protobuf(chance: random.Random) -> Asked:
    body = b"".join(
        b"\x0a\x10" + chance.randbytes(16) + b"\x12\x20" + _source(chance, 32).encode()
        for _ in range(300)
    )
    return Asked("protobuf", "otlp.test", "/v1/traces", [], body)


def _search(chance: random.Random) -> Asked:
    query = f"q={quote(_source(chance, 60))}&id={chance.randbytes(16).hex()}"
    return Asked("search", "docs.test", f"/search?{query}", [], b"")


def _multipart(chance: random.Random) -> Asked:
    text = base64.encodebytes(chance.randbytes(20_000))
    return Asked("mail", "mail.test", "/send", [], b"Content-Transfer-Encoding: base64\r\n" + text)


def _javascript(chance: random.Random) -> Asked:
    config = 'firebase({apiKey: "' + chance.randbytes(18).hex() + '", appId: "1:2:web:3"});'
    body = (config + "var a=" + json.dumps(_source(chance, 8000))).encode()
    return Asked("script", "cdn.test", "/publish", [], body)


def _packed(chance: random.Random) -> Asked:
    body = gzip.compress(json.dumps([chance.random() for _ in range(500)]).encode())
    return Asked("compressed JSON", "metrics.test", "/batch", [], body)


def _noise(chance: random.Random) -> Asked:
    return Asked("random bytes", "store.test", "/blob", [], chance.randbytes(64 << 10))
