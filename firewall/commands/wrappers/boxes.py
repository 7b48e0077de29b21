"""Containers, sandboxes and terminals: programs that start commands inside of them."""

import itertools
import re

from firewall.commands.tunnels import is_tunnel_tool
from firewall.commands.wrappers.formats import dockerfile
from firewall.commands.wrappers.inner import Hidden, Inner, Input, Run, Shell, Words
from firewall.commands.wrappers.options import Grammar, read_options
from firewall.commands.wrappers.tools import TOOLS

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


_TMUX_COMMANDS = frozenset(
    {
        "if-shell",
        "if",
        "set-hook",
        "confirm-before",
        "confirm",
        "command-prompt",
        "bind-key",
        "bind",
    }
)
"""Those that take a tmux command as one word."""
_FORMAT = re.compile(r"#\(([^)]*)\)")
"""A shell command in tmux's formats (tmux(1), "FORMATS")."""
_SHELLS_OF_TMUX = frozenset({"-c", "default-command", "default-shell"})


def _tmux_texts(words: Words) -> list[Inner]:
    """Shell text and commands of tmux's own that stand in one word."""
    found: list[Inner] = []
    for before, word in itertools.pairwise(words):
        found += [Shell(each[1], "tmux #()") for each in _FORMAT.finditer(word or "")]
        if before in _SHELLS_OF_TMUX and (before != "-c" or words[1] == "-c"):
            found.append(Shell(word, f"tmux {before}"))
        elif word and " " in word and not _TMUX_COMMANDS.isdisjoint(words):
            found.append(Run(["tmux", *word.split()], "tmux"))
    return found


def tmux_runs(words: Words) -> list[Inner]:
    found = _tmux_texts(words)
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


_KEYS = re.compile(r"\\[nr]|\^M|\\01[25]")
"""The return key, as screen's `stuff` writes it."""


def screen_runs(words: Words) -> list[Inner]:
    options = read_options(words[1:], Grammar("aAc:dDe:fh:ilLmO::p:qQr:RsS:t:T:UvwxX", ""))
    if options.has("X") and options.rest[:1] == ["stuff"]:
        keys = options.rest[1] if len(options.rest) > 1 else None
        return [Shell(keys and _KEYS.sub("\n", keys), "screen stuff")]
    rest = options.rest
    shells: list[Inner] = [Run([value], "screen -s") for value in options.values("s") if value]
    return [*shells, Run(rest, "screen")] if rest else shells


def capsh_runs(words: Words) -> list[Inner]:
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


def bwrap_runs(words: Words) -> list[Inner]:
    rest = list(words[1:])
    while rest and (word := rest[0]) is not None and word.startswith("--"):
        if word == "--":
            rest = rest[1:]
            break
        single = word in _ONE or word.startswith("--unshare-")
        rest = rest[1 if single else 3 if word in _THREE else 2 :]
    return [Run(rest, "bwrap")] if rest else [Hidden("what bwrap runs is missing")]


def container_runs(words: Words) -> list[Inner]:
    """An entry point takes the image's arguments; compose has its own run and exec."""
    options = list(zip(words, [*words[1:], None], strict=True))
    found: list[Inner] = []
    for word, after in options:
        if word == "--entrypoint" or (word or "").startswith("--entrypoint="):
            entry = after if word == "--entrypoint" else (word or "").partition("=")[2]
            found.append(Run([entry, *_after_image(words)], "docker --entrypoint", elsewhere=True))
    found += _image_runs(words)
    if "build" in words[1:3] and "-" in words:
        found.append(Input("docker build", dockerfile))
    if words[1:2] == ["compose"] and "-" in words:
        found.append(Hidden("services from standard input"))
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


def _image_runs(words: Words) -> list[Inner]:
    """A tunnel tool's image is that tool, and takes its arguments: `ngrok/ngrok http 80`."""
    image, *arguments = _from_image(words) or [None]
    folder, _, name = (image or "").rpartition("/")
    name = name.partition("@")[0].partition(":")[0].lower()
    if not folder or not is_tunnel_tool(name):
        return []
    name = "tailscaled" if name == "tailscale" else name  # its image runs both
    return [Run([name, *arguments], "docker run", elsewhere=True)]


def _after_image(words: Words) -> Words:
    return _from_image(words)[1:] or [None]


def _from_image(words: Words) -> Words:
    """The image and what comes after it."""
    if words[1:2] not in (["run"], ["create"]):
        return []
    return read_options(words[2:], TOOLS["docker run"].options).rest


def compose_runs(words: Words) -> list[Inner]:
    return [Run(["docker", "compose", *words[1:]], "docker-compose")]


def ansible_runs(words: Words) -> list[Inner]:
    return [
        Shell(value, "ansible", elsewhere=True)
        for value in read_options(
            words[1:], Grammar("m:a:i:u:bKkf:l:e:M:c:T:t:", "args= module-name= inventory= user=")
        ).values("a", "args")
    ]


def wait_for_runs(words: Words) -> list[Inner]:
    """Commands after a `--`, for programs that watch files or wait for ports."""
    rest = list(words)
    return (
        [Run(rest[rest.index("--") + 1 :], words[0] or "")]
        if "--" in rest and rest[-1] != "--"
        else []
    )


_FLATPAK = Grammar(
    "vdpu",
    "user system installation= verbose ostree-verbose arch= branch= commit= command= cwd= devel "
    "runtime= runtime-version= runtime-commit= log-session-bus log-system-bus log-a11y-bus "
    "no-a11y-bus no-session-bus share= unshare= socket= nosocket= device= nodevice= allow= "
    "disallow= filesystem= nofilesystem= env= env-fd= unset-env= own-name= talk-name= "
    "no-talk-name= system-own-name= system-talk-name= system-no-talk-name= a11y-own-name= "
    "add-policy= remove-policy= persist= usb= nousb= usb-list= usb-list-file= sandbox "
    "die-with-parent parent-pid= parent-expose-pids parent-share-pids instance-id-fd= app-path= "
    "usr-path= file-forwarding bind-mount= build-dir= with-appdir readonly metadata= sdk-dir=",
)


def flatpak_runs(words: Words) -> list[Inner]:
    """flatpak run [--command=PROGRAM] APPLICATION, enter INSTANCE PROGRAM, build FOLDER PROGRAM.

    An application is known by its name alone: which program of its own it starts, its package says.
    """
    before = read_options(words[1:], _FLATPAK)
    options = read_options(before.rest[1:], _FLATPAK)
    verb, given = before.rest[:1], [*before.given, *options.given]
    if verb not in (["run"], ["enter"], ["build"]) or not options.rest:
        return []
    found: list[Inner] = []
    if before.unknown or options.unknown:
        found.append(Hidden("an option of flatpak that is not known here"))
    commands = [value for name, value in given if name == "command"]
    program = commands[-1:] or (options.rest[:1] if verb == ["run"] else [])
    started = [*program, *options.rest[1:]]
    return [*found, Run(started, f"flatpak {verb[0]}", elsewhere=True)] if started else found
