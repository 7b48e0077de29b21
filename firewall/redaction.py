"""Secrets taken out of what is recorded, shown or told, before any of it is written.

What counts as a secret: the values of headers, query parameters, options, variables and JSON
members whose names say so, the passwords in URLs, and whatever has the form of a known key. Each
is replaced by a mark, `[redacted:1f0c9ab2]`: HMAC-SHA256 of the secret under a key that is kept
apart from the log, cut to 32 bits. So two uses of one secret can be told to be the same one. Who
has both the log and that key can try guesses of a weak secret; with the log alone nobody can.

Too much is taken out rather than too little: `pad_token=x` is redacted as well. Patterns are RE2's
(github.com/google/re2/wiki/Syntax), which take time linear in the text, whatever an agent writes.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from firewall.frozen import frozen
from firewall.keyformats import FORMATS as KEYS

HEADERS = (
    "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key",
    "x-auth-token", "x-access-token", "x-goog-api-key", "x-amz-security-token", "x-vault-token",
    "private-token", "job-token", "x-github-token", "x-csrf-token",
)  # fmt: skip
"""Headers whose values are always redacted."""

QUERY = (
    "key", "sig", "signature", "auth", "jwt", "pass", "apikey", "x-amz-signature",
    "x-amz-credential", "x-amz-security-token", "x-goog-signature", "x-goog-credential",
)  # fmt: skip
"""Query parameters that are always redacted, besides names that end in one of _WORDS."""

FORMATS = tuple(each.loose for each in KEYS if each.loose)
"""What is redacted by its form alone, as RE2 patterns."""

CACHED = 1024
"""Characters of the longest text whose redaction is remembered."""

NAMES = 64
"""Characters of the longest name that is looked at."""

ENDS = 32
"""Characters at the end of a known secret by which it is found, so that long ones cost no more."""
LITERALS_MEMORY = 64 << 20
"""Bytes that RE2 may use at most for secrets that are known; those of a few keys take one MiB."""

_NUMBERS = frozenset({int, float, bool, type(None)})
_TEXTS = frozenset({str})
MARK = "[redacted:"
"""How every mark begins that stands for a secret."""
_WORDS = (
    r"(?:token|secret|password|passwd|passphrase|pwd|credentials?|signature|api[-_]?key|access[-_]?key"
    r"|secret[-_]?key|private[-_]?key|auth[-_]?key)"
)
_NAME = rf"[A-Za-z0-9_.-]*{_WORDS}"
_SCHEME = r"(?:(?:bearer|basic|digest|token|negotiate|apikey)(?:\\?\s)+)?"
_QUOTED = r"""'([^']+)|"((?:\\.|[^"\\])+)"""
_BARE = r"""(?:\\.|[^\s'"\\&#;])(?:\\.|[^\s'"\\&#;])*"""
_HTTP_USERS = frozenset({"-u", "--user", "-U", "--proxy-user"})


@frozen
class Terms:
    """What a policy wants redacted besides: names of headers and of query parameters, patterns.

    `literals` are secrets that are known, each in the forms in which it may be written.
    """

    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    literals: tuple[str, ...] = field(default=(), repr=False)


class Redactor:
    """Takes the secrets out of texts, command lines and whole events. Any thread may use it."""

    def __init__(self, terms: Terms, key: bytes) -> None:
        import re2  # 25 ms, for processes that judge

        headers = _any_of((*HEADERS, *terms.headers))
        names = _any_of((*QUERY, *terms.query))
        patterns = [*_texts(headers, names), *(f"({each})" for each in (*FORMATS, *terms.patterns))]
        self._key = key
        self._patterns = [re2.compile(each) for each in patterns]
        options = re2.Options()
        options.never_capture = True  # so that a text without secrets costs one linear scan
        self._any = re2.compile("|".join(patterns), options)
        options.never_capture = False
        options.max_mem = LITERALS_MEMORY
        self._literals = sorted(terms.literals, key=lambda each: (-len(each), each))
        ends = sorted(
            {each[-ENDS:] for each in self._literals}, key=lambda each: (-len(each), each)
        )
        self._known = re2.compile(f"({'|'.join(map(_quoted, ends))})", options) if ends else None
        self._option = re2.compile(rf"(?i)--?(?:{_NAME}|{names})")
        self._named = re2.compile(rf"(?i)(?:{_NAME}|{headers})")
        self._scheme = re2.compile(f"(?i){_SCHEME}")
        self._short = lru_cache(8192)(self._redacted)
        self._line = lru_cache(4096)(self._words)
        self._is_secret = lru_cache(4096)(lambda name: _fits(self._named, name))

    def text(self, text: str) -> str:
        """A text without its secrets."""
        return self._short(text) if len(text) <= CACHED else self._redacted(text)

    def words(self, words: Sequence[str]) -> list[str]:
        """The words of a command line without their secrets."""
        return list(self._line(tuple(words)))

    def value(self, value: Any) -> Any:
        """What JSON can hold, without its secrets; members named like one are hidden whole."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind in _NUMBERS:
            return value
        if kind is dict or isinstance(value, Mapping):
            return {
                key: self._member(key, each) if each and type(each) not in _NUMBERS else each
                for key, each in value.items()
            }
        if kind is list or kind is tuple:
            if value and _TEXTS.issuperset(map(type, value)):
                return self.words(value)
            return [each if type(each) in _NUMBERS else self.value(each) for each in value]
        return value

    def _member(self, name: Any, value: Any) -> Any:
        if type(value) is str and type(name) is str and value:
            named = len(name) <= NAMES and self._is_secret(name)
            if not named and len(value) <= CACHED:
                return self._short(value)
            return self._hidden(value) if named else self._redacted(value)
        return self.value(value)

    def _redacted(self, text: str) -> str:
        try:
            if self._known is not None and self._known.search(text) is not None:
                for literal in self._literals:
                    text = text.replace(literal, self._hidden(literal))
                text = self._known.sub(self._mark, text)  # what is left of a text that was cut
            if not text or self._any.search(text) is None:
                return text
        except UnicodeEncodeError:  # bytes that were no text, as in an argument
            return self._redacted(text.encode("utf-8", "backslashreplace").decode())
        if text[0] in "{[" and (inner := self._json(text)) is not None:
            return inner
        for pattern in self._patterns:
            text = pattern.sub(self._mark, text)
        return text

    def _json(self, text: str) -> str | None:
        """JSON without its secrets; None for what is none."""
        try:
            value = json.loads(text)
            return json.dumps(self.value(value), ensure_ascii=False)
        except (ValueError, RecursionError):
            return None

    def _words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        cleaned = [self.text(each) for each in words]
        if len(words) == 2 and len(words[0]) <= NAMES and self._is_secret(words[0]):
            cleaned[1] = self._hidden(words[1])  # a header as a pair
        program = PurePath(words[0]).name if words else ""
        for place, (before, word) in enumerate(pairwise(words), 1):
            if before in _HTTP_USERS and ":" in word:
                user, _, secret = word.partition(":")
                cleaned[place] = f"{user}:{self._hidden(secret)}"
            elif self._takes_secret(before, program) and not word.startswith("-"):
                cleaned[place] = self._hidden(word)
        return tuple(cleaned)

    def _takes_secret(self, option: str, program: str) -> bool:
        if option == "-p" and program == "sshpass":
            return True
        return option.startswith("-") and len(option) <= NAMES and _fits(self._option, option)

    def _mark(self, match: Any) -> str:
        whole = str(match[0])
        secret = next((each for each in match.groups() if each), "")
        if not secret:
            return whole
        head, _, tail = whole.rpartition(secret)
        return f"{head}{self._hidden(secret)}{tail}"

    def _hidden(self, secret: str) -> str:
        """The mark of a secret; what only refers to one ($TOKEN), or is a mark, stays."""
        scheme = self._scheme.match(secret)
        start = scheme.end() if scheme else 0
        bare = secret[start:]
        if not bare or bare[0] == "$" or bare.startswith(MARK):
            return secret
        digest = hmac.digest(self._key, bare.encode("utf-8", "backslashreplace"), "sha256")
        return f"{secret[:start]}{MARK}{digest[:4].hex()}]"


@lru_cache(8)
def redactor(terms: Terms, key: bytes) -> Redactor:
    """The redactor of a policy's terms, made once."""
    return Redactor(terms, key)


def _texts(headers: str, names: str) -> list[str]:
    """Where secrets stand in a text; the one group that matches is the secret."""
    value = rf"(?:{_QUOTED}|({_BARE}))"
    return [
        rf"(?im)^[ \t]*{headers}[ \t]*:[ \t]*{_SCHEME}([^\r\n]+)",
        rf"(?i)'{headers}\s*:\s*{_SCHEME}([^'\n]+)",
        rf'(?i)"{headers}\s*:\s*{_SCHEME}((?:\\.|[^"\\\n])+)',
        rf"""(?i)\b{headers}\s*[:=]\s*{_SCHEME}((?:\\.|[^\s'"\\])+(?:;\s*[^\s'";=]+=[^\s'";]*)*)""",
        rf"""(?i)\b(?:{_NAME}|{headers})\\?["']\s*[:=,]\s*\\?["']{_SCHEME}([^"'\\\n]+)""",
        r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{8,})",
        r"""(?i)[a-z][a-z0-9+.-]*://[^\s/?#'"@:[]*:([^\s/?#'"]+)@""",
        r"""(?i)https?://([^\s/?#'"@:[]{16,})@""",
        rf"""(?i)[?&;]{names}=([^&#\s'"]+)""",
        rf"(?i)\b{_NAME}={value}",
        rf"""(?i)(?:^|[\s'"])--?{_NAME}\s+(?:{_QUOTED}|([^\s'"\\&#;-]{_BARE}))""",
        r"""(?i)\bcurl\s[^\n|;]*?\s(?:-u|--user|-U|--proxy-user)[ =]*['"]?[^\s'":]+:([^\s'"]+)""",
        rf"(?i)\bsshpass\s+-p\s*{value}",
    ]


def _any_of(names: Sequence[str]) -> str:
    """A group of names, longest first, in which `-` and `_` are alike."""
    ordered = sorted({each.lower() for each in names}, key=lambda each: (-len(each), each))
    return f"(?:{'|'.join('[-_]'.join(map(_quoted, _parts(each))) for each in ordered)})"


def _parts(name: str) -> list[str]:
    return name.replace("_", "-").split("-")


def _quoted(text: str) -> str:
    import re2

    return str(re2.escape(text))


def _fits(pattern: Any, text: str) -> bool:
    try:
        return pattern.fullmatch(text) is not None
    except UnicodeEncodeError:
        return False
