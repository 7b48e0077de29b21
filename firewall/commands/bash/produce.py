"""What simple programs write where their words and input are literal, to see through decoding."""

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Sequence

from firewall.commands.bash.escapes import ansi_c
from firewall.commands.bash.expand import LENGTH, Pattern

type Input = str | None
"""Text on standard input; "" where nothing is piped in, None where only running can tell."""


def produce(words: Sequence[str | None], stdin: Input) -> str | None:
    """The text a command writes, or None. Bytes are taken as Latin-1 where they are no UTF-8."""
    if not words or None in words or any(isinstance(word, Pattern) for word in words[1:]):
        return None
    name, *arguments = [word or "" for word in words]
    maker = MAKERS.get(name.rpartition("/")[2])
    try:
        text = maker(arguments, stdin) if maker else None
    except (ValueError, binascii.Error):
        return None
    return None if text is None or len(text) > LENGTH else text


def _echo(words: list[str], _: Input) -> str | None:
    newline, escapes = "\n", False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        flags = words.pop(0)
        newline = "" if "n" in flags else newline
        escapes = "e" in flags or (escapes and "E" not in flags)
    text = " ".join(words)
    return (ansi_c(text) if escapes else text) + newline


def _printf(words: list[str], _: Input) -> str | None:
    if words[:1] == ["--"]:
        words = words[1:]
    if not words or words[0].startswith("-"):
        return None
    template, values = words[0], words[1:]
    parts = re.split(r"(%[sbcdi%])", template)
    wanted = sum(part in {"%s", "%b", "%c", "%d", "%i"} for part in parts[1::2])
    if "%" in "".join(parts[0::2]):
        return None
    rounds = max(1, -(-len(values) // wanted)) if wanted else 1
    supply = iter(values + [""] * (rounds * wanted - len(values)))
    return "".join(_format(part, supply) for _ in range(min(rounds, 1000)) for part in parts)


def _format(part: str, supply: "object") -> str:
    match part:
        case "%s" | "%d" | "%i":
            return str(next(supply))  # type: ignore[call-overload]
        case "%b":
            return ansi_c(str(next(supply)))  # type: ignore[call-overload]
        case "%c":
            return str(next(supply))[:1]  # type: ignore[call-overload]
        case "%%":
            return "%"
    return ansi_c(part)


def _cat(words: list[str], stdin: Input) -> str | None:
    return stdin if all(word in {"-", "-u"} for word in words) else None


def _base64(words: list[str], stdin: Input) -> str | None:
    decode = any(re.fullmatch(r"-[di]*[dD][di]*|--decode", word) for word in words)
    if stdin is None or not all(word.startswith("-") for word in words):
        return None
    if decode:
        cleaned = re.sub(r"[^A-Za-z0-9+/]", "", stdin)
        return _text(base64.b64decode(cleaned + "=" * (-len(cleaned) % 4)))
    return base64.b64encode(stdin.encode()).decode() + "\n"


def _base32(words: list[str], stdin: Input) -> str | None:
    if stdin is None or not any(word in {"-d", "--decode"} for word in words):
        return None
    return _text(base64.b32decode("".join(stdin.split())))


def _xxd(words: list[str], stdin: Input) -> str | None:
    flags = "".join(word.lstrip("-") for word in words)
    if stdin is None or set(flags) - set("rp") or not {"r", "p"} <= set(flags):
        return None
    return _text(bytes.fromhex("".join(stdin.split())))


def _rev(words: list[str], stdin: Input) -> str | None:
    if stdin is None or words:
        return None
    return "".join(line[::-1] + "\n" for line in stdin.splitlines())


def _tr(words: list[str], stdin: Input) -> str | None:
    if stdin is None:
        return None
    if len(words) == 2 and words[0] in {"-d", "--delete"}:
        gone = set(_set(words[1]))
        return "".join(ch for ch in stdin if ch not in gone)
    if len(words) != 2 or words[0].startswith("-"):
        return None
    before, after = _set(words[0]), _set(words[1])
    after += after[-1:] * (len(before) - len(after))
    return stdin.translate({ord(a): b for a, b in zip(before, after, strict=False)})


def _set(text: str) -> str:
    """tr's sets: ranges and escapes; classes are not known here."""
    if "[" in text and (":" in text or "=" in text or "*" in text):
        raise ValueError(text)
    return re.sub(
        r"(.)-(.)",
        lambda found: "".join(map(chr, range(ord(found[1]), min(ord(found[2]), 0x2FF) + 1))),
        ansi_c(text),
    )


def _rot(words: list[str], stdin: Input) -> str | None:
    return None if stdin is None or words else codecs.encode(stdin, "rot13")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


MAKERS: dict[str, Callable[[list[str], Input], str | None]] = {
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    "base64": _base64,
    "base32": _base32,
    "xxd": _xxd,
    "rev": _rev,
    "tr": _tr,
    "tee": _cat,
    "rot13": _rot,
}
