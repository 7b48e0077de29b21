"""The forms of keys and tokens that are known by sight, in one table.

The redactor takes out whatever comes near one (`loose`, "" where another form's covers it), as too
much costs nothing there. Leaks are judged by the exact form (`strict`), and by a checksum or an
inner structure where there is one (`check`), as a false alarm there stops honest work. Patterns are
RE2's. Those of `strict` have one group, the secret, and settle by what comes before its end, so
that a stream can be judged as it comes; none needs more than SPAN bytes. Each names the words by
which it is found (`anchors`). Tokens that only renew others are no part of it: their own programs
send them in bodies.

Sources: GitHub's "Behind GitHub's new authentication token formats" (2021) and npm's announcement
of the same scheme: the last six characters are the CRC32 of those between in base62; AWS's "IAM
identifiers"; RFC 7519 (JSON Web Tokens), RFC 7468 and openssh's PROTOCOL.key (private keys);
pymacaroons' binary format; Azure Storage's connection strings; Telegram's Bot API; and for lengths
and alphabets the rules of gitleaks (config/gitleaks.toml) and trufflehog (pkg/detectors).
"""

import base64
import binascii
import json
import math
import re
import string
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

SPAN = 256
"""Bytes of the longest thing that a strict pattern can match."""

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VARIED = 10
"""Different characters that a random key of 20 or more has; what people make up has fewer."""
_BITS = 3.6
"""Bits a character (Shannon) of 20 random ones: 4.0 in the mean; words and names stay below 3.5."""

_LEAD = r"(?:^|[^A-Za-z0-9]|\\[nrt])"
"""What may stand before a key: also JSON's escaped line break."""
_AUTHORIZATION = ("header authorization",)
_REGISTRIES = (*_AUTHORIZATION, "header x-nuget-apikey")
"""NuGet's clients push with a header of their own (NuGet server API, package publish)."""
_SESSIONS = (
    *_AUTHORIZATION, "header cookie", "header apikey", "header x-api-key", "header x-auth-token",
    "header x-access-token", "header x-csrf-token", "header sec-websocket-protocol",
)  # fmt: skip

type Check = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """One form. `name` is what policies call it (several forms of one owner share it), `what` what
    people call it. `homes` are the hosts (`*.` for all below) where it may stand in `places` of a
    request's head: "header NAME", "query NAME", "path". A POST to one of the paths `exchanges` may
    hold it in its body: they give a short-lived token for it, and publish nothing. `confidence` as
    in requests.Finding."""

    name: str
    what: str
    loose: str
    strict: str
    anchors: tuple[str, ...]
    check: Check
    confidence: Literal["certain", "likely", "suspicious"] = "likely"
    homes: tuple[str, ...] = ()
    places: tuple[str, ...] = _AUTHORIZATION
    exchanges: tuple[str, ...] = ()


def is_home(host: str, homes: Iterable[str]) -> bool:
    """Whether a host is one of these, or below one that is written `*.name`; `*` is every host."""
    return any(host.endswith(each[1:]) if each[0] == "*" else host == each for each in homes)


def crc_holds(token: bytes) -> bool:
    """GitHub's and npm's checksum: prefix_, 30 characters, 6 of checksum."""
    body = token.partition(b"_")[2]
    number = zlib.crc32(body[:-6])
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return body[-6:] == digits.rjust(6, "0").encode()


def _varied(token: bytes) -> bool:
    """Whether it may be random, and is no example such as sk_live_xxxxxxxxxxxx."""
    if len(set(token)) < _VARIED:
        return False
    return token not in _PUBLISHED and not _MADE_UP.search(token)


_MADE_UP = re.compile(rb"(?i)example|placeholder|your[-_]|xxxx|12345678|abcdefgh")


_PUBLISHED = frozenset({
    b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    b"C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
})  # fmt: skip
"""Keys that everybody has: those of the emulators of Azure's storage (Azurite's README) and Cosmos
DB ("Develop locally using the emulator")."""


def _access_key(token: bytes) -> bool:
    """AWS's own examples end in EXAMPLE."""
    return len(set(token)) >= 8 and not token.endswith(b"EXAMPLE")


def _secret_key(token: bytes) -> bool:
    """40 characters of base64, which a digest in hex is not; AWS's examples end in EXAMPLEKEY."""
    kinds = (rb"[a-z]", rb"[A-Z]", rb"[0-9]")
    return all(re.search(each, token) for each in kinds) and _varied(token)


def _macaroon(token: bytes) -> bool:
    """Version 2, a location that is a host's name, then an identifier (pymacaroons, binary)."""
    data = _decoded(token.partition(b"-")[2])
    end = 3 + data[2]
    return data[:2] == b"\x02\x01" and data[end : end + 1] == b"\x02" and b"." in data[3:end]


def _signed(token: bytes) -> bool:
    """Whether the header of a JSON Web Token names its algorithm (RFC 7515, 4.1.1)."""
    try:
        header = json.loads(_decoded(token.partition(b".")[0]))
    except ValueError:
        return False
    return isinstance(header, dict) and "alg" in header


def _private(token: bytes) -> bool:
    """The start of a private key that no passphrase protects: OpenSSH's, or DER with a version
    (PKCS #1, PKCS #8, SEC 1)."""
    data = _decoded(token.replace(b"\\/", b"/"))
    if data.startswith(b"openssh-key-v1\0"):
        return data[15:23] == b"\0\0\0\x04none"
    return bool(_DER_KEY.match(data))


_DER_KEY = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]", re.DOTALL)


def _random(token: bytes) -> bool:
    """Entropy alone, of letters and digits mixed: a reason to look."""
    size = len(token)
    bits = -sum(n / size * math.log2(n / size) for n in Counter(token).values())
    return bits >= _BITS and bool(re.search(rb"[0-9]", token)) and _varied(token)


def _decoded(text: bytes) -> bytes:
    """Base64 of either alphabet without its end; as far as whole groups go."""
    whole = text[: len(text) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(whole, validate=True)
    except binascii.Error:
        return b""


_GITHUB_HOMES = (
    "github.com", "*.github.com", "*.githubusercontent.com", "ghcr.io", "*.ghe.com",
    "*.githubcopilot.com", "models.github.ai", "models.inference.ai.azure.com",
)  # fmt: skip
_AWS_KEY = r"((?:[A-Za-z0-9/+]|\\/|\\u002[bBfF]){40})(?:[^A-Za-z0-9/+=]|\z)"
"""Its signs as some writers of JSON escape them (PHP's and .NET's)."""
_EXCHANGE = ("/token",)
"""Where registries of images take a password for a token in a POST (Docker's "Token Authentication
using OAuth2"), as BuildKit and containerd do."""
_WORDS = ("secret", "SECRET", "token", "TOKEN", "password", "PASSWORD", "api_key", "API_KEY")

FORMATS: tuple[Format, ...] = (
    Format(
        "github", "a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{20,}",
        r"(gh[pous]_[A-Za-z0-9]{36})", ("ghp_", "gho_", "ghu_", "ghs_"), crc_holds,
        "certain", _GITHUB_HOMES, _REGISTRIES, _EXCHANGE,
    ),
    Format(
        "github", "a GitHub fine-grained token", r"\bgithub_pat_[A-Za-z0-9_]{22,}",
        r"(github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})", ("github_pat_",), _varied,
        homes=_GITHUB_HOMES, places=_REGISTRIES, exchanges=_EXCHANGE,
    ),
    Format(
        "gitlab", "a GitLab token", r"\bgl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{16,}",
        _LEAD + r"(gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20})",
        ("glpat-", "gldt-", "glrt-", "glptt-"), _varied,
        homes=("gitlab.com", "*.gitlab.com"),
        places=(
            *_REGISTRIES, "header private-token", "header job-token", "header deploy-token",
            "query private_token", "query access_token", "query job_token",
        ),
        exchanges=("/jwt/auth",),
    ),
    Format(
        "aws", "an AWS secret key beside its key's number", "",
        r"(?:AKIA|ASIA)[A-Z2-7]{16}[^A-Za-z0-9/+](?s:.{0,100}?[^A-Za-z0-9/+])?" + _AWS_KEY,
        ("AKIA", "ASIA"), _secret_key,
    ),
    Format(
        "aws", "an AWS secret key", "",
        r"(?i:secret_?access_?key)[\"'\s:=\\>|]{1,8}" + _AWS_KEY,
        ("secret_access_key", "SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey"),
        _secret_key,
    ),
    Format(
        "aws-key-id", "the number of an AWS key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        _LEAD + r"((?:AKIA|ASIA)[A-Z2-7]{16})", ("AKIA", "ASIA"), _access_key, "suspicious",
        ("*",),
        (
            *_AUTHORIZATION, "query X-Amz-Credential", "query x-amz-credential",
            "query AWSAccessKeyId",
        ),
    ),
    Format(
        "openai", "an OpenAI key", r"\bsk-[A-Za-z0-9_-]{16,}",
        _LEAD + r"(sk-[A-Za-z0-9_-]{20,100}?T3BlbkFJ[A-Za-z0-9_-]{20})", ("T3BlbkFJ",), _varied,
        homes=("*.openai.com", "chatgpt.com"),
        places=(*_AUTHORIZATION, "header sec-websocket-protocol"),
    ),
    Format(
        "anthropic", "an Anthropic key", "",
        _LEAD + r"(sk-ant-(?:api|admin|oat)[0-9]{2}-[A-Za-z0-9_-]{93}AA)",
        ("sk-ant-api", "sk-ant-admin", "sk-ant-oat"), _varied,
        homes=("*.anthropic.com", "claude.ai", "*.claude.com"),
        places=(*_AUTHORIZATION, "header x-api-key"),
    ),
    Format(
        "huggingface", "a Hugging Face token", r"\bhf_[A-Za-z0-9]{20,}",
        _LEAD + r"(hf_[A-Za-z0-9]{34})", ("hf_",), _varied,
        homes=("huggingface.co", "*.huggingface.co", "hf.co", "*.hf.co", "*.hf.space",
               "*.endpoints.huggingface.cloud"),
        places=(*_AUTHORIZATION, "header x-hf-authorization"),
    ),
    Format(
        "nvidia", "an NVIDIA API key", r"\bnvapi-[A-Za-z0-9_-]{20,}",
        _LEAD + r"(nvapi-[A-Za-z0-9_-]{64})", ("nvapi-",), _varied,
        homes=("*.nvidia.com", "nvcr.io"), exchanges=("/proxy_auth",),
    ),
    Format(
        "slack", "a Slack token", r"\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}",
        _LEAD + r"(xox[abops]-(?:[0-9]{10,13}-){1,3}[A-Za-z0-9]{24}"
        r"|xapp-[0-9]-[A-Z0-9]{9,13}-[0-9]{10,14}-[a-f0-9]{64})",
        ("xoxa-", "xoxb-", "xoxo-", "xoxp-", "xoxs-", "xapp-"), _varied,
        homes=("slack.com", "*.slack.com"), places=(*_AUTHORIZATION, "query token"),
    ),
    Format(
        "google", "a Google API key", r"\bAIza[A-Za-z0-9_-]{30,}",
        _LEAD + r"(AIza[A-Za-z0-9_-]{35})", ("AIza",), _varied, "suspicious",
        ("*.googleapis.com",), (*_AUTHORIZATION, "query key", "header x-goog-api-key"),
    ),
    Format(
        "google-oauth", "a Google access token", r"\bya29\.[A-Za-z0-9_-]{20,}",
        _LEAD + r"(ya29\.[A-Za-z0-9_-]{40})", ("ya29.",), _varied,
        homes=("*.googleapis.com", "*.google.com", "*.pkg.dev", "gcr.io", "*.gcr.io"),
        places=(*_AUTHORIZATION, "query access_token", "query token"),
        exchanges=("/v2/token", "/v1/token", "/token", "/revoke"),
    ),
    Format(
        "stripe", "a Stripe secret key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
        _LEAD + r"([rs]k_live_[A-Za-z0-9]{24})", ("sk_live_", "rk_live_"), _varied,
        homes=("api.stripe.com", "files.stripe.com", "mcp.stripe.com"),
    ),
    Format(
        "npm", "an npm token", r"\bnpm_[A-Za-z0-9]{30,}", r"(npm_[A-Za-z0-9]{36})", ("npm_",),
        crc_holds, "certain",
    ),
    Format(
        "pypi", "a PyPI token", r"\bpypi-[A-Za-z0-9_-]{40,}",
        _LEAD + r"(pypi-AgE[A-Za-z0-9_-]{82})", ("pypi-AgE",), _macaroon,
    ),
    Format(
        "digitalocean", "a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{40,}",
        _LEAD + r"(do[opr]_v1_[a-f0-9]{64})", ("dop_v1_", "doo_v1_", "dor_v1_"), _varied,
        homes=("api.digitalocean.com", "registry.digitalocean.com"),
    ),
    Format(
        "sendgrid", "a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        _LEAD + r"(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})", ("SG.",), _varied,
        homes=("api.sendgrid.com", "api.eu.sendgrid.com"),
    ),
    Format(
        "telegram", "a Telegram bot's token", r"\b(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
        r"(?:^|[^A-Za-z0-9]|\\[nrt]|bot)([0-9]{8,10}:AA[A-Za-z0-9_-]{33})", (":AA",), _varied,
        homes=("api.telegram.org",), places=("path",),
    ),
    Format(
        "azure-storage", "an Azure storage account's key", r"\bAccountKey=[A-Za-z0-9+/]{86}==",
        r"AccountKey=([A-Za-z0-9+/]{86}==)", ("AccountKey=",), _varied,
    ),
    Format(
        "jwt", "a JSON Web Token",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",
        _LEAD + r"(eyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{9})", ("eyJ",), _signed,
        "suspicious", ("*",), _SESSIONS,
    ),
    Format(
        "private-key", "a private key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*-----|\z)",
        r"-----BEGIN (?:[A-Z]{2,9} )?PRIVATE KEY-----(?:\s|\\{1,4}[nr]){1,20}"
        r"((?:[A-Za-z0-9+/]|\\/){64})",
        ("PRIVATE KEY-----",), _private,
    ),
    Format(
        "entropy", "a random text behind a secret's name", "",
        r"(?i:secret|token|password|api_key)[\"'\\]{0,2}\s{0,3}[:=]\s{0,3}[\"'\\]{0,2}"
        r"([A-Za-z0-9+/_.=-]{20})",
        _WORDS, _random, "suspicious",
    ),
)  # fmt: skip

ENTROPY = "entropy"
"""The format that only has to look random, and is looked for only where the policy says so."""
NAMES = tuple(sorted({each.name for each in FORMATS} - {ENTROPY}))
"""What policies call the formats."""
