"""One line of ssh_config(5), split as OpenSSH splits it."""

import re

_KEYWORD = re.compile(r"[ \t\r\n]*=?[ \t\r\n]*")
_END = re.compile(r"[ \t\r\n]*(=?)[ \t\r\n]*")
_DELIMITER = re.compile(r'[ \t\r\n="]')
_BLANKS = " \t"
_ESCAPED = "\"'\\"


def split_setting(line: str) -> tuple[str, list[str]]:
    """The keyword in lower case, and its words; none where ssh would refuse the line."""
    keyword, rest = _keyword(line)
    return keyword.lower(), _words(rest.strip(" \t\r\n\f"))


def _keyword(line: str) -> tuple[str, str]:
    """misc.c strdelim: blanks, one "=" or a quoted part end it (`Remote"Forward" 80 a:80`)."""
    text = line[_KEYWORD.match(line).end() :]  # type: ignore[union-attr]
    end = _DELIMITER.search(text)
    if end is None:
        return text, ""
    name, rest = text[: end.start()], text[end.start() :]
    if rest[0] == '"':
        quoted, _, rest = rest[1:].partition('"')
        return name + quoted, rest
    return name, rest[_END.match(rest).end() :]  # type: ignore[union-attr]


def _words(text: str) -> list[str]:
    """misc.c argv_split: quotes, few escapes, comments."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in _BLANKS:
            at += 1
        elif text[at] == "#":
            break
        else:
            word, at = _word(text, at)
            words.append(word)
    return words


def _word(text: str, at: int) -> tuple[str, int]:
    """The word that begins at `at`, and where it ends."""
    said: list[str] = []
    quote = ""
    while at < len(text):
        letter, after = text[at], text[at + 1 : at + 2]
        if letter == "\\" and after and (after in _ESCAPED or (after == " " and not quote)):
            said.append(after)
            at += 1
        elif quote == letter:
            quote = ""
        elif not quote and letter in _BLANKS:
            break
        elif not quote and letter in "\"'":
            quote = letter
        else:
            said.append(letter)
        at += 1
    return "".join(said), at
