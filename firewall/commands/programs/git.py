"""git, and the programs that reach code hosts: what is fetched, and what is pushed where."""

import posixpath
from collections.abc import Sequence

from firewall.commands.programs.options import Options, take
from firewall.commands.programs.told import NOTHING, Told
from firewall.requests import Intent, IntentName

_GLOBAL_SHORT = "Cc"
_GLOBAL_LONG = frozenset({
    "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env", "--super-prefix",
    "--attr-source",
})  # fmt: skip
_WITH_VALUE = frozenset({
    "--depth", "--branch", "--origin", "--upload-pack", "--receive-pack", "--exec", "--repo",
    "--reference", "--separate-git-dir", "--template", "--config", "--jobs", "--filter",
    "--shallow-since", "--shallow-exclude", "--push-option", "--server-option", "--refmap",
    "--strategy", "--strategy-option", "--remote", "--format", "--output", "--bundle-uri",
})  # fmt: skip
_FETCHES = frozenset({"clone", "fetch", "pull", "ls-remote", "fetch-pack", "http-fetch"})
_PUSHES = frozenset({"push", "send-pack", "http-push"})
_SUBCOMMANDS: dict[tuple[str, str], IntentName] = {
    ("submodule", "update"): "git.fetch",
    ("submodule", "add"): "git.fetch",
    ("remote", "update"): "git.fetch",
    ("lfs", "fetch"): "git.fetch",
    ("lfs", "pull"): "git.fetch",
    ("lfs", "push"): "git.push",
    ("subtree", "push"): "git.push",
    ("subtree", "pull"): "git.fetch",
    ("svn", "clone"): "git.fetch",
    ("p4", "clone"): "git.fetch",
    ("p4", "sync"): "git.fetch",
    ("p4", "submit"): "git.push",
    ("svn", "dcommit"): "git.push",
    ("svn", "fetch"): "git.fetch",
}
_PREFIXED = _WITH_VALUE | {"--prefix"}
_API = frozenset({"--method", "--field", "--raw-field", "--input", "--header", "--jq"})
DEFAULT = "the default remote"


def git(arguments: Sequence[str]) -> Told:
    """git(1)."""
    options = take(arguments, _GLOBAL_SHORT, _GLOBAL_LONG, stop=True)
    if not options.rest:
        return NOTHING
    command, *rest = _aliased(options)
    inner = take(rest, "buocj", _WITH_VALUE)
    target = inner.rest[0] if inner.rest else ""
    detail = " ".join(inner.rest[1:])
    if command in _PUSHES:
        named = next(iter(inner.values("--repo")), "")
        return _one("git.push", target or named or DEFAULT, detail)
    if command == "hash-object" or inner.has("--no-index"):
        folder = next(reversed(options.values("-C")), "")
        return Told((), tuple(posixpath.join(folder, each) for each in inner.rest))
    if command in _FETCHES:
        writes = tuple(inner.rest[1:2]) if command == "clone" else ()
        return Told((Intent("git.fetch", target or DEFAULT, detail),), (), writes)
    if command == "archive" and inner.has("--remote"):
        return _one("git.fetch", inner.values("--remote")[0])
    name = _SUBCOMMANDS.get((command, target))
    return _named(name, command, rest[1:]) if name else NOTHING


def _named(name: IntentName, command: str, arguments: Sequence[str]) -> Told:
    """A command of two words, and the remote after it; -P of subtree(1) takes a folder."""
    words = take(arguments, "P" if command == "subtree" else "b", _PREFIXED).rest
    return _one(name, words[0] if words else DEFAULT, " ".join(words[1:]))


def jujutsu(arguments: Sequence[str]) -> Told:
    """jj(1), through its own git."""
    match take(arguments, "R", frozenset({"--remote", "--repository", "-b", "--bookmark"})):
        case Options(rest=("git", "push", *_)) as options:
            return _one("git.push", next(iter(options.values("--remote")), DEFAULT))
        case Options(rest=("git", "fetch" | "clone", *rest)) as options:
            named = [*options.values("--remote"), *rest]
            return _one("git.fetch", named[0] if named else DEFAULT)
    return NOTHING


def _aliased(options: Options) -> Sequence[str]:
    """The subcommand and its words, an alias of `-c alias.NAME=TEXT` put in its place."""
    command = options.rest[0]
    for setting in options.values("-c"):
        name, _, text = setting.partition("=")
        if name.lower() == f"alias.{command.lower()}" and text.split() and text[0] != "!":
            return [*text.split(), *options.rest[1:]]
    return options.rest


def forge(arguments: Sequence[str]) -> Told:
    """gh(1) and glab(1): what changes something at the code host counts as a push."""
    words = [each for each in arguments if not each.startswith("-")][:3]
    if words[:1] == ["api"] and _changes(arguments):
        return _one("git.push", " ".join(words))
    match words:
        case ["repo", "clone" | "fork" | "sync", *_] | ["pr" | "mr", "checkout", *_]:
            return _one("git.fetch", " ".join(words[2:]))
        case ["repo", "create" | "delete" | "edit", *_] | [
            "pr" | "mr" | "issue" | "release" | "gist" | "secret" | "variable" | "workflow" | "api",
            "create" | "merge" | "close" | "edit" | "upload" | "delete" | "set" | "run" | "comment",
            *_,
        ]:
            return _one("git.push", " ".join(words))
        case ["release" | "run", "download", *_]:
            return _one("download", " ".join(words[2:]))
    return NOTHING


def _changes(arguments: Sequence[str]) -> bool:
    """Whether `gh api` sends something: fields make it a POST."""
    options = take(arguments, "XfFHqt", _API)
    method = next(iter(options.values("-X", "--method")), "")
    sends = options.has("-f", "-F", "--field", "--raw-field", "--input")
    return method.upper() != "GET" and bool(method or sends)


def other(arguments: Sequence[str]) -> Told:
    """hg(1), svn(1), bzr(1)."""
    words = [each for each in arguments if not each.startswith("-")]
    match words:
        case ["clone" | "pull" | "checkout" | "co" | "update" | "export" | "incoming", *rest]:
            return _one("git.fetch", rest[0] if rest else DEFAULT)
        case ["push" | "commit" | "ci" | "import", *rest]:
            return _one("git.push", rest[0] if rest else DEFAULT)
    return NOTHING


def _one(name: IntentName, target: str, detail: str = "") -> Told:
    return Told((Intent(name, target, detail),))
