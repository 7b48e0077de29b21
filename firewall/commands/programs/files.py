"""Programs that read and write the files that they name: what a rule about files can know."""

import re
from collections.abc import Callable, Mapping, Sequence

from firewall.commands.programs.options import take
from firewall.commands.programs.told import Told

type Reader = Callable[[Sequence[str]], Told]


def _reads(short: str = "", long: frozenset[str] = frozenset()) -> Reader:
    def read(arguments: Sequence[str]) -> Told:
        rest = take(arguments, short, long).rest
        return Told((), tuple(each for each in rest if each != "-"))

    return read


def _pattern_first(arguments: Sequence[str], *, in_place: bool = False) -> Told:
    """grep(1), sed(1) and awk(1): the first word is no file unless -e or -f gave the pattern."""
    options = take(arguments, "efmABCdDvF", frozenset({"--regexp", "--file", "--expression"}))
    rest = options.rest
    given = options.has("-e", "-f", "--regexp", "--file", "--expression")
    files = tuple(rest if given else rest[1:])
    return Told((), files, files if in_place else ())


def _sed(arguments: Sequence[str]) -> Told:
    """sed(1), which writes its files with -i."""
    in_place = any(re.match(r"-[nErsuz]*i|--in-place", each) for each in arguments)
    return _pattern_first(arguments, in_place=in_place)


def _sort(arguments: Sequence[str]) -> Told:
    options = take(arguments, "kotST", frozenset({"--output", "--key"}))
    return Told((), options.rest, tuple(options.values("-o", "--output")))


def _gpg(arguments: Sequence[str]) -> Told:
    options = take(arguments, "oru", frozenset({"--output", "--recipient", "--local-user"}))
    return Told((), options.rest, tuple(options.values("-o", "--output")))


def _in_place(arguments: Sequence[str]) -> Told:
    """gzip(1) and its kin replace what they read."""
    options = take(arguments, "STb", frozenset({"--suffix"}))
    to_stdout = options.has("-c", "--stdout", "--to-stdout", "-t", "--test", "-l", "--list")
    return Told((), options.rest, () if to_stdout else options.rest)


def _truncate(arguments: Sequence[str]) -> Told:
    options = take(arguments, "sr", frozenset({"--size", "--reference"}))
    return Told((), (), options.rest)


def _copy(arguments: Sequence[str]) -> Told:
    """cp(1), mv(1), install(1), ln(1)."""
    options = take(arguments, "tSmog", frozenset({"--target-directory", "--suffix", "--mode"}))
    targets = options.values("-t", "--target-directory")
    if targets or len(options.rest) < 2:
        return Told((), options.rest, tuple(targets))
    return Told((), options.rest[:-1], options.rest[-1:])


def _dd(arguments: Sequence[str]) -> Told:
    pairs = [each.partition("=") for each in arguments]
    return Told(
        (),
        tuple(value for name, _, value in pairs if name == "if"),
        tuple(value for name, _, value in pairs if name == "of"),
    )


def _tee(arguments: Sequence[str]) -> Told:
    return Told((), (), take(arguments).rest)


def _tar(arguments: Sequence[str]) -> Told:
    """tar(1), also in its old spelling without a dash."""
    words = list(arguments)
    if words and not words[0].startswith("-"):
        words[0] = f"-{words[0]}"
    options = take(words, "fCTXbHgIKLNV", frozenset({"--file", "--directory", "--files-from"}))
    archive = tuple(each for each in options.values("-f", "--file") if each != "-")
    if options.has("-c", "-r", "-u", "--create", "--append"):
        return Told((), options.rest, archive)
    return Told((), archive)


def _archive(arguments: Sequence[str]) -> Told:
    """zip(1), 7z(1): the archive first, then what goes into it."""
    rest = take(arguments, "ptnxi").rest
    return Told((), tuple(rest[1:]), tuple(rest[:1]))


_PLAIN = (
    "cat tac nl head tail less more bat batcat xxd od hexdump strings wc uniq cut fold rev"
    " base64 base32 md5sum sha1sum sha256sum sha512sum cksum file stat diff cmp comm paste join"
    " zcat bzcat xzcat zless gunzip unzip yq vim vi nano emacs view source"
)
FILES: Mapping[str, Reader] = {
    **dict.fromkeys(_PLAIN.split(), _reads("ncdfks")),
    **dict.fromkeys(("grep", "egrep", "fgrep", "rg", "ag", "awk", "gawk", "jq"), _pattern_first),
    **dict.fromkeys(("cp", "mv", "install", "ln"), _copy),
    **dict.fromkeys(("zip", "7z", "7za"), _archive),
    "dd": _dd,
    "tee": _tee,
    "tar": _tar,
    "touch": _tee,
    "sed": _sed,
    "sort": _sort,
    "truncate": _truncate,
    **dict.fromkeys(("gpg", "gpg2"), _gpg),
    **dict.fromkeys(("gzip", "bzip2", "xz", "zstd"), _in_place),
}
