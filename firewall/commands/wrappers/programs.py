"""Programs whose inner commands no table of options describes."""

import itertools
import re
from collections.abc import Callable, Iterable

from firewall.commands.wrappers.git import git_runs
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run, Shell, Words
from firewall.commands.wrappers.options import Grammar, read_options
from firewall.commands.wrappers.remote import kubectl_runs, rsync_runs, ssh_runs
from firewall.commands.wrappers.settings import in_language, variable_runs

_XARGS = Grammar(
    "0rtpxod:E:e::I:i::L:l::n:P:s:a:J:R:S:",
    "null no-run-if-empty verbose interactive exit arg-file= delimiter= eof max-lines max-args= "
    "replace max-procs= "
    "max-chars= process-slot-var= open-tty show-limits help version",
)
_PARALLEL = Grammar(
    "j:P:kuXmI:i::S:a:d:N:n:L:l::0vtqs:C:E:ex:D:r",
    "jobs= max-procs= keep-order ungroup xargs sshlogin= arg-file= delimiter= max-args= colsep= "
    "bar eta progress dry-run "
    "joblog= results= tag tagstring= line-buffer group null quote verbose halt= retries= "
    "timeout= delay= tmpdir= "
    "pipe block= recstart= recend= round-robin pipepart cat fifo env= wd= workdir= nice= load= "
    "memfree= link xapply "
    "shuf no-run-if-empty will-cite plus rpl= header= resume resume-failed nonall onall "
    "transferfile= transfer return= "
    "cleanup trim= compress files linebuffer max-replace-args= sshloginfile= basefile= profile= "
    "semaphore id= fg bg wait",
)
_FIND_EXEC = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FD_EXEC = frozenset({"-x", "-X", "--exec", "--exec-batch"})


def _without(words: Words, *marks: str) -> list[str | None]:
    """Words in which replaced text is known only when it runs."""
    return [None if word and any(mark in word for mark in marks) else word for word in words]


def _find(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for at, word in enumerate(words):
        if word in _FIND_EXEC:
            rest = words[at + 1 :]
            ends = [
                i
                for i, each in enumerate(rest)
                if each == ";" or (each == "+" and rest[i - 1] == "{}")
            ]
            found.append(Run(_without(rest[: ends[0]] if ends else rest, "{}"), f"find {word}"))
    return found


def _fd(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for at, word in enumerate(words):
        if word in _FD_EXEC:
            rest = list(words[at + 1 :])
            rest = rest[: rest.index(";")] if ";" in rest else rest
            found.append(Run(_without(rest, "{"), "fd -x"))
        elif word and word.startswith(("--exec=", "--exec-batch=", "-x", "-X")) and len(word) > 2:
            found.append(
                Run([re.sub(r"^(--exec(-batch)?=|-[xX])", "", word), *words[at + 1 :]], "fd -x")
            )
    return found


def _xargs(words: Words) -> list[Inner]:
    options = read_options(words[1:], _XARGS)
    marks = [mark or "{}" for mark in options.values("I", "i", "replace", "J")]
    found: list[Inner] = (
        [Hidden("an option of xargs that is not known here")] if options.unknown else []
    )
    if options.rest:
        rest = _without(options.rest, *marks) if marks else [*options.rest, None]
        found.append(Run(rest, "xargs"))
    return found


def _parallel(words: Words) -> list[Inner]:
    options = read_options(words[1:], _PARALLEL)
    rest = options.rest
    at = next(
        (i for i, word in enumerate(rest) if word in {":::", "::::", ":::+", "::::+"}), len(rest)
    )
    template, inputs = rest[:at], [word for word in rest[at + 1 :] if word not in {":::", ":::+"}]
    found: list[Inner] = (
        [Hidden("an option of parallel that is not known here")] if options.unknown else []
    )
    found += [
        Shell(value, "parallel")
        for value in options.values("S", "sshlogin")
        if value and " " in value
    ]
    if not template and rest[at : at + 1] == [":::"]:
        return found + [Shell(word, "parallel") for word in inputs]
    if not template:
        return [*found, Input("parallel")]
    if None in template or (template[0] or "").startswith("{"):
        return [
            *found,
            Run(_without(template, "{"), "parallel"),
            Hidden("what parallel runs comes from its input"),
        ]
    texts = [re.sub(r"\{[^{} ]*\}", "ARGUMENT", word or "") for word in template]
    return [*found, Shell(" ".join(texts), "parallel")]


def _make(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word in words[1:]:
        name, equals, value = (word or "").partition("=")
        if equals and name.rstrip(":?+") in {
            "SHELL",
            ".SHELLFLAGS",
            "CC",
            "CXX",
            "MAKE",
            "LD",
            "AR",
        }:
            found.append(Shell(value, f"make {name}"))
        if equals and ("$(shell" in value or "!=" in (word or "")):
            found.append(Hidden("a command that make puts together"))
    found += [
        _make_eval(value)
        for value in read_options(words[1:], Grammar("E:", "eval=")).values("E", "eval")
    ]
    return found


def _make_eval(value: str | None) -> Inner:
    inner = re.search(r"\$\(shell ([^)]*)\)", value or "")
    return Shell(inner[1], "make --eval") if inner else Hidden("make rules given as an argument")


def _tar(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word, after in zip(words, [*words[1:], None], strict=True):
        value = (
            after
            if word == "--checkpoint-action"
            else (word or "").partition("--checkpoint-action=")[2]
        )
        if value and value.startswith("exec="):
            found.append(Shell(value[5:], "tar --checkpoint-action"))
    return found


def _less(words: Words) -> list[Inner]:
    return [
        inner
        for word in words[1:]
        if word and word.startswith("+")
        for inner in in_language(word[1:].lstrip("+"), "less")
    ]


def _vim(words: Words) -> list[Inner]:
    found = [
        inner
        for word in words[1:]
        if word and word.startswith("+")
        for inner in in_language(word[1:], "vim")
    ]
    found += [Hidden("a script of an editor") for word in words[1:] if word in {"-S", "-s", "-u"}]
    return found


def _gcc(words: Words) -> list[Inner]:
    return [
        Run(after.split(","), "gcc -wrapper")
        for word, after in itertools.pairwise(words)
        if word == "-wrapper" and after
    ]


def _rpm(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word in words[1:]:
        found += [
            Shell(each, "rpm %()") for each in re.findall(r"%\((.*)\)", word or "", re.DOTALL)
        ]
        if word and "%{lua:" in word:
            found.append(Hidden("code inside a macro of rpm"))
    return found


def _apt(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word in words[1:]:
        key, equals, value = (
            (word or "").removeprefix("-o").removeprefix("--option=").partition("=")
        )
        if (
            equals
            and re.search(
                r"invoke|post-|pre-|dpkg::|command|proxy-auto|::bin::|pager|solver",
                key,
                re.IGNORECASE,
            )
            and not (key.lower().startswith("dpkg::options") and value.startswith("--force-"))
        ):
            found.append(Shell(value, f"apt {key}"))
    return found


_TMUX = {
    "run-shell",
    "run",
    "new-session",
    "new",
    "new-window",
    "neww",
    "split-window",
    "splitw",
    "respawn-pane",
    "respawnp",
    "respawn-window",
    "respawnw",
    "if-shell",
    "if",
    "pipe-pane",
    "pipep",
    "display-popup",
    "popup",
}
_TMUX_OPTIONS = Grammar("bdADEPXCZhvfIklMc:e:F:n:s:t:x:y:w:p:S:T:BKN:O", "")


def _tmux(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for at, word in enumerate(words):
        if word in _TMUX:
            rest = read_options(words[at + 1 :], _TMUX_OPTIONS).rest
            rest = rest[: rest.index(";")] if ";" in rest else rest
            if rest:
                found.append(
                    Shell(
                        " ".join(r or "" for r in rest) if None not in rest else None,
                        f"tmux {word}",
                    )
                )
        elif word in {"send-keys", "send"}:
            keys = read_options(words[at + 1 :], _TMUX_OPTIONS).rest
            found += [
                Shell(key, "tmux send-keys")
                for key in keys
                if key and key not in {"Enter", "C-m", "C-c", "C-d", "q"}
            ]
    return found


def _screen(words: Words) -> list[Inner]:
    options = read_options(words[1:], Grammar("aAc:d:De:fh:ilLm::O::p:qQr:RsS:t:T:UvwxX", ""))
    if options.has("X") and options.rest[:1] == ["stuff"]:
        return [Shell(options.rest[1] if len(options.rest) > 1 else None, "screen stuff")]
    rest = options.rest
    shells: list[Inner] = [Run([value], "screen -s") for value in options.values("s") if value]
    return [*shells, Run(rest, "screen")] if rest else shells


def _capsh(words: Words) -> list[Inner]:
    """capsh: `--` and `==` give all that follows to bash; -+ as well."""
    for at, word in enumerate(words):
        if word in {"--", "==", "-+", "=+"}:
            return [Run(["bash", *words[at + 1 :]], "capsh")]
    return []


_ONE = frozenset(
    {
        "--unshare-all",
        "--share-net",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--as-pid-1",
        "--disable-userns",
        "--assert-userns-disabled",
    }
)
_THREE = frozenset(
    {
        "--bind",
        "--bind-try",
        "--dev-bind",
        "--dev-bind-try",
        "--ro-bind",
        "--ro-bind-try",
        "--setenv",
        "--symlink",
        "--file",
        "--bind-data",
        "--ro-bind-data",
        "--chmod",
        "--overlay-src",
        "--bind-fd",
        "--ro-bind-fd",
    }
)


def _bwrap(words: Words) -> list[Inner]:
    rest = list(words[1:])
    while rest and (word := rest[0]) is not None and word.startswith("--"):
        if word == "--":
            rest = rest[1:]
            break
        single = word in _ONE or word.startswith("--unshare-")
        rest = rest[1 if single else 3 if word in _THREE else 2 :]
    return [Run(rest, "bwrap")] if rest else [Hidden("what bwrap runs is missing")]


def _shell_input(words: Words) -> list[Inner]:
    files = read_options(words[1:], Grammar("f:q:mMlbvt:rcVd", "")).values("f")
    return [Run([file], "at") for file in files] or [Input(words[0] or "at")]


def _crontab(words: Words) -> list[Inner]:
    return (
        [Input("crontab")]
        if words[1:] in ([], ["-"]) or words[-1] == "-"
        else (
            [Hidden("commands that cron will run")]
            if words[-1] and not (words[-1] or "").startswith("-") and words[-2] != "-u"
            else []
        )
    )


def _hash(words: Words) -> list[Inner]:
    return [Hidden("a program is put in another one's place")] if "-p" in words else []


def _enable(words: Words) -> list[Inner]:
    return (
        [Hidden("code is loaded into the shell")]
        if any((w or "").startswith("-f") for w in words[1:])
        else []
    )


def _sets(words: Words) -> list[Inner]:
    """export, declare and their like given as words."""
    found: list[Inner] = []
    for word in words[1:]:
        name, equals, value = (word or "").partition("=")
        if equals:
            found += variable_runs(name, value)
    return found


def _env(words: Words) -> list[Inner]:
    options = read_options(words[1:], Grammar("i0u:C:S:vP:", "unset= chdir= split-string="))
    found: list[Inner] = []
    for word in options.rest:
        name, equals, value = (word or "").partition("=")
        if not equals:
            break
        found += variable_runs(name, value)
    return found


def _container(words: Words) -> list[Inner]:
    """An entry point takes the image's arguments; compose has its own run and exec."""
    options = list(zip(words, [*words[1:], None], strict=True))
    found: list[Inner] = []
    for word, after in options:
        if word == "--entrypoint" or (word or "").startswith("--entrypoint="):
            entry = after if word == "--entrypoint" else (word or "").partition("=")[2]
            found.append(Run([entry, *_after_image(words)], "docker --entrypoint", elsewhere=True))
    if words[1:2] in (["container"], ["compose"]) and len(words) > 2:
        rest = list(words[2:])
        while rest and rest[0] and rest[0].startswith("-"):
            rest = rest[
                2
                if rest[0] in {"-f", "-p", "--file", "--project-name", "--profile", "--env-file"}
                else 1 :
            ]
        if rest and rest[0] in {"run", "exec"}:
            found.append(Run(["docker", *rest], "docker compose"))
    if (words[1:2] or [""])[0] in {
        "-H",
        "--host",
        "-c",
        "--context",
        "--config",
        "-l",
        "--log-level",
    }:
        found.append(Run(["docker", *words[3:]], "docker"))
    elif words[1:2] and (words[1] or "").startswith("--"):
        found.append(Run(["docker", *words[2:]], "docker"))
    return found


def _after_image(words: Words) -> Words:
    from firewall.commands.wrappers.table import WRAPPERS

    if words[1:2] not in (["run"], ["create"]):
        return [None]
    return read_options(words[2:], WRAPPERS["docker run"].options).rest[1:]


def _compose(words: Words) -> list[Inner]:
    return [Run(["docker", "compose", *words[1:]], "docker-compose")]


def _ansible(words: Words) -> list[Inner]:
    return [
        Shell(value, "ansible", elsewhere=True)
        for value in read_options(
            words[1:], Grammar("m:a:i:u:bKkf:l:e:M:c:T:t:", "args= module-name= inventory= user=")
        ).values("a", "args")
    ]


def _wait_for(words: Words) -> list[Inner]:
    """Commands after a `--`, for programs that watch files or wait for ports."""
    rest = list(words)
    return (
        [Run(rest[rest.index("--") + 1 :], words[0] or "")]
        if "--" in rest and rest[-1] != "--"
        else []
    )


def _npm(words: Words) -> list[Inner]:
    at = next((i for i, word in enumerate(words) if word in {"exec", "x"}), 0)
    return [Run(["npm", *words[at:]], "npm")] if at > 1 else []


def _cargo(words: Words) -> list[Inner]:
    found: list[Inner] = []
    for word, after in zip(words, [*words[1:], None], strict=True):
        value = after if word == "--config" else (word or "").partition("--config=")[2]
        if value and re.search(r"runner|linker|rustc|wrapper|credential", value):
            quoted = re.findall(r"'([^']*)'|\"([^\"]*)\"", value.partition("=")[2])
            found.append(
                Run([a or b for a, b in quoted], "cargo --config")
                if quoted
                else Hidden("a program that cargo is told to run")
            )
        elif value and "alias" in value:
            found.append(Hidden("an alias that cargo is told"))
    return found


def _gh(words: Words) -> list[Inner]:
    return [
        Shell(word[1:], "gh alias")
        for word in words[3:]
        if words[1:3] == ["alias", "set"] and word and word.startswith("!")
    ]


def _ncat(words: Words) -> list[Inner]:
    return [
        Shell(re.split(r"(?i)^(?:exec|system):", word)[1].split(",")[0], "socat")
        for word in words[1:]
        if word and re.match(r"(?i)(?:exec|system):", word)
    ]


def _openssl(words: Words) -> list[Inner]:
    return (
        [Hidden("code is loaded into openssl")]
        if words[1:2] == ["engine"]
        or any(w in {"-engine", "-provider", "-provider-path"} for w in words)
        else []
    )


def _systemctl(words: Words) -> list[Inner]:
    return [Hidden("an editor is started")] if words[1:2] == ["edit"] else []


def _dpkg(words: Words) -> list[Inner]:
    return _apt(words)


def _each(
    names: str, reader: Callable[[Words], list[Inner]]
) -> Iterable[tuple[str, Callable[[Words], list[Inner]]]]:
    return ((name, reader) for name in names.split())


PROGRAMS: dict[str, Callable[[Words], list[Inner]]] = dict(
    [
        *_each("find gfind", _find),
        *_each("fd fdfind", _fd),
        *_each("xargs gxargs", _xargs),
        *_each("parallel", _parallel),
        *_each("make gmake bmake", _make),
        *_each("tar gtar bsdtar", _tar),
        *_each("less more most man", _less),
        *_each("vim vi nvim view ex vimdiff gvim", _vim),
        *_each("gcc g++ cc c++ clang clang++", _gcc),
        *_each("rpm rpmbuild rpmspec", _rpm),
        *_each("apt apt-get aptitude apt-cache", _apt),
        *_each("tmux", _tmux),
        *_each("screen", _screen),
        *_each("capsh", _capsh),
        *_each("bwrap", _bwrap),
        *_each("at batch", _shell_input),
        *_each("crontab", _crontab),
        *_each("hash", _hash),
        *_each("enable", _enable),
        *_each("env", _env),
        *_each("export declare typeset local readonly", _sets),
        *_each("docker", _container),
        *_each("docker-compose podman-compose", _compose),
        *_each("ansible", _ansible),
        *_each(
            "wait-for-it wait-for-it.sh dockerize dotenv cross-env wrangler with-contenv op "
            "tini watchexec wait-for",
            _wait_for,
        ),
        *_each("npm", _npm),
        *_each("cargo", _cargo),
        *_each("gh glab", _gh),
        *_each("socat", _ncat),
        *_each("openssl", _openssl),
        *_each("git", git_runs),
        *_each("ssh slogin autossh scp sftp mosh", ssh_runs),
        *_each("rsync", rsync_runs),
        *_each("kubectl oc k3s microk8s", kubectl_runs),
        *_each("systemctl", _systemctl),
        *_each("tcsh csh", lambda words: []),
        *_each("ed red psql mysql gdb lldb sqlite3 ftp telnet bc dc", lambda words: []),
    ]
)
