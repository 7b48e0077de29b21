"""Programs whose inner commands no table of options describes."""

import re
from collections.abc import Callable, Iterable

from firewall.commands.wrappers.boxes import (
    ansible_runs,
    bwrap_runs,
    capsh_runs,
    compose_runs,
    container_runs,
    flatpak_runs,
    screen_runs,
    tmux_runs,
    wait_for_runs,
)
from firewall.commands.wrappers.builders import (
    apt_runs,
    behind_dashes,
    cargo_runs,
    configure_runs,
    gcc_runs,
    go_runs,
    make_runs,
    nix_runs,
    npm_runs,
    rpm_runs,
)
from firewall.commands.wrappers.formats import crontab
from firewall.commands.wrappers.git import git_runs
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run, Shell, Words
from firewall.commands.wrappers.options import Grammar, read_options
from firewall.commands.wrappers.remote import kubectl_runs, rclone_runs, ssh_runs
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
_SETARCH = Grammar(
    "vBF3hRLTXSZ",
    "32bit fdpic-funcptrs short-inode addr-compat-layout addr-no-randomize whole-seconds "
    "sticky-timeouts mmap-page-zero uname-2.6 verbose 4gb 3gb list show",
)
_RISKY = re.compile(
    r"(?i)tunnels:|alias\.|ui\.(?:ssh|editor)|hooks?\.|extensions\.|merge-tools|pager\.|"
    r"\.command=|ssh_command|(?:proxy|local)command|remoteforward|use_?askpass|execute|become|"
    r"(?:\A|\s)(?-i:-R)\b"
)
_ON_ERROR = re.compile(r"-XX:On(?:OutOfMemory)?Error=").match
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
        files = [*options.values("a", "arg-file"), *(rest[1:] if rest[:1] == ["::::"] else [])]
        lines: list[Inner] = [Run([file], "parallel") for file in files]
        return found + (lines or [Input("parallel")])
    if None in template or (template[0] or "").startswith("{"):
        return [
            *found,
            Run(_without(template, "{"), "parallel"),
            Hidden("what parallel runs comes from its input"),
        ]
    texts = [re.sub(r"\{[^{} ]*\}", "ARGUMENT", word or "") for word in template]
    return [*found, Shell(" ".join(texts), "parallel")]


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


def _shell_input(words: Words) -> list[Inner]:
    files = read_options(words[1:], Grammar("f:q:mMlbvt:rcVd", "")).values("f")
    return [Run([file], "at") for file in files] or [Input(words[0] or "at")]


def _crontab(words: Words) -> list[Inner]:
    if words[1:] == [] or words[-1] == "-":
        return [Input("crontab", crontab)]
    named = words[-1] and not words[-1].startswith("-") and words[-2] != "-u"
    return [Hidden("commands that cron will run")] if named else []


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
    flags = "".join(word[1:] for word in words[1:] if word and word[0] in "-+")
    if words[0] in {"declare", "typeset", "local"} and set(flags) & set("nluc"):
        found.append(Hidden("a variable that changes what is assigned to it"))
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


def _gh(words: Words) -> list[Inner]:
    return [
        Shell(word[1:], "gh alias")
        for word in words[3:]
        if words[1:3] == ["alias", "set"] and word and word.startswith("!")
    ]


def _ncat(words: Words) -> list[Inner]:
    return [
        Shell(word.partition(":")[2].split(",")[0].strip("\"'"), "socat")
        for word in words[1:]
        if word and re.match(r"(?i)(?:exec|system|shell):", word)
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


def _setarch(words: Words) -> list[Inner]:
    """setarch(8): the architecture may be missing, and options follow it."""
    rest = words[2:] if words[1:] and not (words[1] or "").startswith("-") else words[1:]
    options = read_options(rest, _SETARCH)
    found: list[Inner] = [Run(options.rest, "setarch")] if options.rest else []
    if options.unknown:
        found.append(Hidden("an option of setarch that is not known here"))
    return found


def _risky_settings(words: Words) -> list[Inner]:
    """Settings among the words that name a program, or a door of ssh."""
    risky = any(_RISKY.search(word) for word in words[1:] if word)
    return [Hidden(f"a setting of {words[0]} that starts a program")] if risky else []


def _gcloud(words: Words) -> list[Inner]:
    flags = [word.partition("=")[2] for word in words if word and word.startswith("--ssh-flag=")]
    return [Shell(f"ssh {' '.join(flags)} host", "gcloud --ssh-flag")] if flags else []


def _curl(words: Words) -> list[Inner]:
    """A file of options, which may send files and name other hosts."""
    told = any(re.match(r"-[A-Za-z#]*K|--conf", word) for word in words[1:] if word)
    return [Hidden("a configuration file of curl")] if told else []


def _queue(words: Words) -> list[Inner]:
    """Batch systems take the script from standard input where no file is named."""
    flags = [word for word in words[1:] if word and word.startswith("-")]
    return [Input(words[0] or "")] if len(flags) == len(words) - 1 and "--wrap" not in flags else []


def _concurrently(words: Words) -> list[Inner]:
    commands = [word for word in words[1:] if word and word[0] != "-" and "://" not in word]
    return [Shell(word, words[0] or "") for word in commands]


def _java(words: Words) -> list[Inner]:
    return [Shell(word.partition("=")[2], "java") for word in words if word and _ON_ERROR(word)]


def _each(
    names: str, reader: Callable[[Words], list[Inner]]
) -> Iterable[tuple[str, Callable[[Words], list[Inner]]]]:
    return ((name, reader) for name in names.split())


def _in_arguments(words: Words) -> list[Inner]:
    return [inner for word in words[1:] if word for inner in in_language(word, words[0] or "")]


def _own_language(words: Words) -> list[Inner]:
    """Code of a language of its own among the arguments, which may start anything."""
    codes = {
        "-c",
        "-e",
        "-f",
        "--eval",
        "-eval",
        "-l",
        "--load",
        "--script",
        "-g",
        "cmd.run",
        "eval",
        "--batch-string",
    }
    return [Hidden(f"the language of {words[0]}")] if codes & set(words[1:]) else []


def _windows_shell(words: Words) -> list[Inner]:
    """cmd.exe: /c and /k take the rest as its language, attached or not, with any slashes."""
    runs = any(re.match(r"(?i)//?[ckr]", word) for word in words[1:] if word)
    return [Hidden("the language of cmd")] if runs else []


PROGRAMS: dict[str, Callable[[Words], list[Inner]]] = dict(
    [
        *_each("find gfind", _find),
        *_each("fd fdfind", _fd),
        *_each("xargs gxargs", _xargs),
        *_each("parallel sem", _parallel),
        *_each("make gmake bmake", make_runs),
        *_each("tar gtar bsdtar", _tar),
        *_each("less more most man", _less),
        *_each("vim vi nvim view ex vimdiff gvim", _vim),
        *_each("gcc g++ cc c++ clang clang++", gcc_runs),
        *_each("rpm rpmbuild rpmspec", rpm_runs),
        *_each("apt apt-get aptitude apt-cache", apt_runs),
        *_each("tmux", tmux_runs),
        *_each("screen", screen_runs),
        *_each("capsh", capsh_runs),
        *_each("bwrap", bwrap_runs),
        *_each("at batch", _shell_input),
        *_each("crontab", _crontab),
        *_each("hash", _hash),
        *_each("enable", _enable),
        *_each("env", _env),
        *_each("export declare typeset local readonly", _sets),
        *_each("docker", container_runs),
        *_each("docker-compose podman-compose", compose_runs),
        *_each("ansible", ansible_runs),
        *_each("flatpak", flatpak_runs),
        *_each("rclone", rclone_runs),
        *_each(
            "wait-for-it wait-for-it.sh dockerize dotenv cross-env wrangler with-contenv op "
            "ray dotenvx teller devspace telepresence mise cargo-watch tini watchexec wait-for "
            "onchange flox fab watchmedo reflex nsjail",
            wait_for_runs,
        ),
        *_each("npm pnpm yarn", npm_runs),
        *_each("cmake configure meson", configure_runs),
        *_each("sbatch qsub bsub", _queue),
        *_each("nix", nix_runs),
        *_each("guix", lambda words: [*behind_dashes(words), *_own_language(words)]),
        *_each("cargo", cargo_runs),
        *_each("go", go_runs),
        *_each("gh glab", _gh),
        *_each("socat", _ncat),
        *_each("openssl", _openssl),
        *_each("git", git_runs),
        *_each("sqlite3", _in_arguments),
        *_each(
            "emacs expect salt salt-call puppet chef-apply octave gnuplot sbcl clisp swipl ghc "
            "sage ocaml racket clojure clj swift crystal maxima groovy jrunscript erl ipython rake "
            "dc scala",
            _own_language,
        ),
        *_each("cmd", _windows_shell),
        *_each("setarch", _setarch),
        *_each("svn hg restic sshfs pssh parallel-ssh wget fzf", _risky_settings),
        *_each("gcloud", _gcloud),
        *_each("curl", _curl),
        *_each("concurrently start-server-and-test", _concurrently),
        *_each("java", _java),
        *_each("ssh slogin autossh scp sftp mosh", ssh_runs),
        *_each("kubectl oc k3s microk8s", kubectl_runs),
        *_each("systemctl", _systemctl),
    ]
)
