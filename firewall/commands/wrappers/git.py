"""git: settings that run programs (git-config(1)), aliases, and subcommands that take commands."""

import itertools
import re
import shlex
from collections.abc import Iterator

from firewall.commands.wrappers.inner import Hidden, Inner, Run, Shell, Words
from firewall.commands.wrappers.options import Grammar, read_options
from firewall.commands.wrappers.settings import values

_GLOBAL = Grammar(
    "C:c:pPvh",
    "exec-path git-dir= work-tree= namespace= config-env= super-prefix= html-path man-path "
    "info-path paginate "
    "no-pager no-replace-objects no-lazy-fetch no-optional-locks no-advice bare "
    "literal-pathspecs glob-pathspecs "
    "noglob-pathspecs icase-pathspecs list-cmds= attr-source= version help",
)
_TEXT = re.compile(
    r"core\.(?:sshcommand|pager|editor|askpass|gitproxy|fsmonitor|alternaterefscommand)|"
    r"pager\..*|sequence\.editor|"
    r"diff\.external|diff\..*\.(?:command|textconv)|(?:diff|merge)tool\..*\.(?:cmd|path)|"
    r"merge\..*\.driver|"
    r"filter\..*\.(?:clean|smudge|process)|credential\.(?:.*\.)?helper|gpg\.(?:.*\.)?program|"
    r"gpg\.ssh\.defaultkeycommand|"
    r"uploadpack\.packobjectshook|remote\..*\.(?:uploadpack|receivepack|vcs)|"
    r"interactive\.difffilter|"
    r"sendemail\..*(?:cmd|smtpserver)|trailer\..*\.(?:cmd|command)|browser\..*\.(?:cmd|path)|"
    r"man\..*\.(?:cmd|path)|"
    r"instaweb\..*|web\.browser|imap\.tunnel|hook\..*\.command|bigfile.*command|"
    r"transfer\.advertise.*cmd|guitool\..*\.cmd|tar\..*\.command|"
    r"difftool\..*|submodule\..*\.update"
)
_FILES = re.compile(
    r"core\.hookspath|core\.worktree|include\.path|includeif\..*|init\.templatedir|"
    r"core\.attributesfile|protocol\.(?:ext\.)?allow|core\.gitdir"
)
_RUNS = re.compile(rf"alias\..*|{_TEXT.pattern}|{_FILES.pattern}")
_EXTERNAL = re.compile(r"(?:.*?=)?ext::(.*)", re.DOTALL)
_PLAIN = re.compile(
    r"(?:true|false|cat|less|more|vim?|nano|store|cache|osxkeychain|manager(?:-core)?|code "
    r"--wait|less "
    r"-[A-Za-z]+|delta|ssh|vimdiff|meld|emacs|[0-9]*|user|always|never|code|gpg2?|libsecret|"
    r".*/git-credential-[a-z-]+|checkout|rebase|merge|none)"
)


_PROGRAMS = {
    "rebase": "--exec -x",
    "difftool": "--extcmd -x",
    "clone": "--upload-pack -u",
    "grep": "--open-files-in-pager -O",
    "archive": "--exec",
    "daemon": "--access-hook",
    "filter-branch": "--setup --tree-filter --index-filter --msg-filter --env-filter "
    "--commit-filter --parent-filter --tag-name-filter",
    "send-email": "--to-cmd --cc-cmd --header-cmd --smtp-server --sendmail-cmd",
    **dict.fromkeys(("fetch", "pull", "ls-remote", "fetch-pack", "remote"), "--upload-pack --exec"),
    **dict.fromkeys(("push", "send-pack"), "--receive-pack --exec"),
}
"""Options of its commands whose value is a program or shell text."""


def git_runs(words: Words) -> list[Inner]:
    """What one git command line runs besides git itself."""
    options = read_options(words[1:], _GLOBAL)
    found: list[Inner] = []
    if options.unknown or (options.rest[:1] == [None]):
        found.append(Hidden("what git is told to do is not known"))
    directory = next((value for value in options.values("C") if value), None)
    settings = [_pair(value) for value in options.values("c")]
    for name, value in settings:
        found += _setting(name, value)
    found += [Hidden("git settings from the environment") for _ in options.values("config-env")]
    found += [
        Hidden("git's own programs from a folder") for path in options.values("exec-path") if path
    ]
    found += _alias(options.rest, settings)
    found += _subcommand(list(options.rest), directory)
    remotes = [_EXTERNAL.match(word) for word in words if word]
    return found + [_external(remote[1]) for remote in remotes if remote]


def _external(text: str) -> Run:
    """git-remote-ext(1): a space parts words, but for one after a percent sign."""
    return Run([word.replace("% ", " ") for word in re.split(r"(?<!%) ", text)], "git ext::")


def _pair(value: str | None) -> tuple[str, str | None]:
    if value is None:
        return "", None
    name, equals, setting = value.partition("=")
    return name, setting if equals else "true"


def _setting(name: str, value: str | None) -> Iterator[Inner]:
    lowered = name.lower()
    if not name or (value is None and _RUNS.search(lowered)):
        yield Hidden("a setting of git that is only known when it runs")
    elif value is None:
        return
    elif lowered.startswith("alias.") and value.startswith("!"):
        yield Shell(value[1:], "git alias")
    elif lowered.startswith("alias."):
        yield Run(["git", *value.split()], "git alias")
    elif _FILES.fullmatch(lowered) and not (lowered.startswith("protocol.") and value == "never"):
        yield Hidden(f"{name} makes git run other code")
    elif _TEXT.fullmatch(lowered) and not _PLAIN.fullmatch(value):
        yield Shell(value.lstrip("!"), f"git {name}")


def _alias(rest: list[str | None], settings: list[tuple[str, str | None]]) -> Iterator[Inner]:
    for name, value in settings:
        if (
            rest
            and value
            and not value.startswith("!")
            and name.lower() == f"alias.{rest[0]}".lower()
        ):
            try:
                yield Run(["git", *shlex.split(value), *rest[1:]], "git alias")
            except ValueError:
                yield Hidden("an alias of git")


def _subcommand(rest: list[str | None], directory: str | None) -> Iterator[Inner]:
    yield from _runner(rest)
    sub, *more = rest or [None]
    for option in _PROGRAMS.get(sub or "", "").split():
        yield from (Shell(value, f"git {sub} {option}") for value in values(option, [sub, *more]))
    match rest:
        case ["bisect", "run", *command]:
            yield Run(command, "git bisect run", directory)
        case ["submodule", *more] if "foreach" in more:
            command = [
                w
                for w in more[more.index("foreach") + 1 :]
                if w is None or not re.fullmatch(r"--recursive|-q|--quiet|--", w)
            ]
            yield Shell(
                None if None in command else " ".join(w or "" for w in command),
                "git submodule foreach",
                directory,
            )
        case ["config", *more]:
            yield from _config(more)
        case ["clone" | "init", *more]:
            for word, after in itertools.pairwise([*more, None]):
                if word in {"-c", "--config"}:
                    yield from _setting(*_pair(after))
                elif word and word.startswith("--config="):
                    yield from _setting(*_pair(word[9:]))
                elif word and word.startswith("--template"):
                    yield Hidden("hooks from a template folder")


def _runner(rest: list[str | None]) -> Iterator[Inner]:
    match rest:
        case ["shell", "-c", text]:
            yield Shell(text, "git shell")
        case ["for-each-repo", *more]:
            words = read_options(more, Grammar("", "config= keep-going")).rest
            yield Run(["git", *words], "git for-each-repo")


_CONFIG = Grammar(
    "f:lez",
    "global local system worktree file= blob= add replace-all bool int path type= default= "
    "fixed-value comment= append value= all regexp includes no-includes",
)
"""Of git-config(1), those after which a setting may be written."""


def _config(words: list[str | None]) -> Iterator[Inner]:
    skip = {
        "set",
        "--global",
        "--local",
        "--system",
        "--worktree",
        "--add",
        "--replace-all",
        "--bool",
        "--path",
        "--type=bool",
        "--type=path",
    }
    options = read_options(words, _CONFIG)
    plain = [word for word in options.rest if word not in skip]
    if (
        len(plain) > 1
        and plain[0]
        and not plain[0].startswith("-")
        and plain[0] not in {"get", "list", "unset"}
    ):
        yield from _setting(plain[0], plain[1])
