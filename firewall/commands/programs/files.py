"""Programs that read and write the files that they name: what a rule about files can know."""

import posixpath
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


def _pattern_first(short: str) -> Reader:
    """grep(1), sed(1) and awk(1): the first word is no file unless -e or -f gave the pattern."""

    def read(arguments: Sequence[str]) -> Told:
        options = take(arguments, short, frozenset({"--regexp", "--file", "--expression"}))
        patterns = options.values("-f", "--file")
        given = patterns or options.has("-e", "--regexp", "--expression")
        return Told((), (*patterns, *(options.rest if given else options.rest[1:])))

    return read


_edited = _pattern_first("efl")


def _sed(arguments: Sequence[str]) -> Told:
    """sed(1), which writes its files with -i."""
    in_place = any(re.match(r"-[nErsuz]*i|--in-place", each) for each in arguments)
    files = _edited(arguments).reads
    return Told((), files, files if in_place else ())


def _key(arguments: Sequence[str]) -> Told:
    """ssh-keygen(1)."""
    options = take(arguments, "abCDEeFfGIiJKkmMnNOPRrSsTtVwWYZz")
    return Told((), tuple(options.values("-f", "-s")))


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
    folder = next(reversed(options.values("-C", "--directory")), "")
    if options.has("-c", "-r", "-u", "--create", "--append"):
        added = (*(posixpath.join(folder, each) for each in options.rest), *options.values("-T"))
        return Told((), added, archive)
    return Told((), archive)


def _archive(arguments: Sequence[str]) -> Told:
    """zip(1), 7z(1): the archive first, then what goes into it."""
    rest = take(arguments, "ptnxi").rest
    return Told((), tuple(rest[1:]), tuple(rest[:1]))


def mounts(arguments: Sequence[str]) -> Told:
    """docker-run(1): folders of this machine that a container sees."""
    options = take(arguments, "v", frozenset({"--volume", "--mount", "--env-file"}))
    volumes = [each.partition(":")[0] for each in options.values("-v", "--volume")]
    fields = [each for mount in options.values("--mount") for each in mount.split(",")]
    volumes += [each.partition("=")[2] for each in fields if re.match("(?:src|source)=", each)]
    volumes += options.rest[1:2] if options.rest[:1] == ("cp",) else ()
    return Told((), (*(each for each in volumes if "/" in each), *options.values("--env-file")))


def _find(arguments: Sequence[str]) -> Told:
    """find(1): the folders it walks, whose files its -exec or an xargs behind it may read."""
    at = next((i for i, each in enumerate(arguments) if each[:1] in ("-", "(", "!")), None)
    return Told((), tuple(arguments[:at]))


_PLAIN = (
    "cat tac nl less more bat batcat xxd od hexdump hd strings wc uniq fold rev base64 base32"
    " basenc md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum file stat diff"
    " cmp comm paste join split csplit shuf iconv pr expand unexpand fmt column ssh-add zcat bzcat"
    " xzcat zless gunzip unzip yq vim vi nvim nano emacs view ed source ."
)
"""Their options' values count as files too: which letters take one differs, and a miss is worse."""
FILES: Mapping[str, Reader] = {
    **dict.fromkeys(_PLAIN.split(), _reads()),
    **dict.fromkeys(("head", "tail"), _reads("ncs")),
    "cut": _reads("bcdf"),
    **dict.fromkeys(("grep", "egrep", "fgrep", "zgrep"), _pattern_first("efmABCdD")),
    **dict.fromkeys(("rg", "ag"), _pattern_first("efmABCgtTjME")),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _pattern_first("fvFe")),
    "jq": _pattern_first("fL"),
    "ssh-keygen": _key,
    **dict.fromkeys(("cp", "mv", "install", "ln"), _copy),
    **dict.fromkeys(("zip", "7z", "7za"), _archive),
    "find": _find,
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
