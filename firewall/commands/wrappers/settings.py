"""Options and variables that name what else a program runs: pagers, editors, transports, hooks."""

import re
from collections.abc import Iterator

from firewall.commands.wrappers.inner import Hidden, Inner, Run, Shell, Words

TEXTS: dict[str, list[str]] = {}
"""Options whose value is a program or shell text, by program, from their manuals."""

_TABLE = """
split: --filter
tar: --rmt-command --to-command -I --use-compress-program --rsh-command -F
tar: --info-script --new-volume-script
bsdtar: --use-compress-program
zip: -TT --unzip-command
man: -P --pager -H --html
wget: --use-askpass
rsync: -e --rsh --rsync-path
scp sftp: -S -D
dtrace: -c
npm: --script-shell script-shell
mise: -c --command
unison: -sshcmd
cargo-watch: -s --shell
go: -toolexec --toolexec -exec -vettool
tcpdump: -z
pandoc: --filter -F --pdf-engine
rclone: --password-command --sftp-ssh --metadata-mapper --auth-proxy
rclone: --webdav-bearer-token-command
dbclient: -J
plink putty klink: -proxycmd
sshuttle: -e --ssh-cmd
fly flyctl: -C --command
gcloud: --command
nix: -c --command
complete compgen: -C
fc xterm cvs konsole urxvt rxvt st mutt: -e
make gmake: --eval -E
sort: --compress-program
dpkg: --pre-invoke --post-invoke --status-logger
rpm: --pipe
bazel blaze: --run_under --workspace_status_command
nano: -s --speller
watchman-make: -r --run
watchmedo chokidar: -c --command
k9s: --command
dpkg-buildpackage: --hook-init --hook-build --hook-done --hook-source --hook-binary
gdb: -ex --ex -iex -eval-command --eval-command
lldb: -o --one-line -O
vim nvim vimdiff: -c --cmd
vi ex view: -c
psql: -c --command
mysql: -e --execute --pager
sqlite3: -cmd
hg: --ssh -e
cpio mt: --rsh-command
dump: -F
lftp nc netcat nc.traditional: -c -e
ncat: -c --sh-exec -e --exec
alacritty gnome-terminal: -e --command
xfce4-terminal: -e --command -x
ansible: -a
sbatch: --wrap
doctl: --ssh-command
modal: --cmd
az: --scripts
air: --build.cmd --build.bin
consul-template vault: -exec
pppd: pty connect disconnect init welcome
dhclient: -sf
openvpn: --up --down --route-up --tls-verify --auth-user-pass-verify
openvpn: --client-connect
nodemon: -x --exec
ag ack bat delta: --pager
rg: --pre --hostname-bin
stap: -c
debugfs: -R
i3-msg sway-msg swaymsg: exec
just: --command
rush: -c
gpg: --photo-viewer
fzf: --preview
certbot: --pre-hook --post-hook --deploy-hook --manual-auth-hook
certbot: --manual-cleanup-hook --renew-hook
restic: --password-command
borg: --rsh
duplicity: --ssh-askpass
chromium chromium-browser google-chrome: --renderer-cmd-prefix --utility-cmd-prefix --gpu-launcher
"""

for _line in _TABLE.split("\n")[1:-1]:
    _programs, _, _options = _line.partition(":")
    for _program in _programs.split():
        TEXTS.setdefault(_program, []).extend(_options.split())

_BANG = frozenset(
    {
        "vim",
        "vi",
        "nvim",
        "ex",
        "view",
        "vimdiff",
        "psql",
        "mysql",
        "gdb",
        "lldb",
        "lftp",
        "sqlite3",
        "mutt",
        "debugfs",
        "sqlplus",
    }
)
"""Programs with a language of their own, in which `!`, `shell` or `system` starts a command."""
_IN_LANGUAGE = re.compile(
    r"(?:^|[:;|\n\\\s])(?:(?:silent\s+)?[rw]?\s*!|\\!|\.?shell\s+|pipe\s+|\.?sys(?:tem)?\s+|"
    r"platform shell\s+|make\s+|\.sh\s+|host\s+|term(?:inal)?\s+|set\s+shell=|"
    r"target\s+[a-z-]+\s*\||\.?(?:once|output|o|g)\s+\|)\s*(.+)",
    re.DOTALL,
)
_IN_CALL = re.compile(
    r"(?:system(?:list)?|os\.(?:system|execute)|popen|jobstart|termopen)\s*\(\s*\[?['\"]([^'\"]*)['\"]"
)
_COPY_PROGRAM = re.compile(r"\b(?:from|to)\s+program\s+'([^']*)'", re.IGNORECASE)
"""PostgreSQL, COPY."""
_RUNNERS = re.compile(
    r"CARGO_TARGET_\w+_(?:RUNNER|LINKER)|RCLONE_(?:\w+_)?(?:SSH|COMMAND|AUTH_PROXY|METADATA_MAPPER)"
)

_TEXT_VARIABLES = frozenset(
    [
        "PAGER",
        "GIT_PAGER",
        "MANPAGER",
        "SYSTEMD_PAGER",
        "AWS_PAGER",
        "BAT_PAGER",
        "GH_PAGER",
        "PSQL_PAGER",
        "DELTA_PAGER",
        "EDITOR",
        "VISUAL",
        "GIT_EDITOR",
        "GIT_SEQUENCE_EDITOR",
        "FCEDIT",
        "SUDO_EDITOR",
        "KUBE_EDITOR",
        "CRONTAB_EDITOR",
        "GIT_SSH_COMMAND",
        "GIT_SSH",
        "GIT_EXTERNAL_DIFF",
        "GIT_ASKPASS",
        "SSH_ASKPASS",
        "SUDO_ASKPASS",
        "GIT_PROXY_COMMAND",
        "PROMPT_COMMAND",
        "LESSOPEN",
        "LESSCLOSE",
        "BROWSER",
        "RSYNC_RSH",
        "RSYNC_CONNECT_PROG",
        "CVS_RSH",
        "SVN_SSH",
        "HGMERGE",
        "HGEDITOR",
        "MAKESHELL",
        "TAR_RSH",
        "MANROFFOPT",
        "MANLESS",
        "PSQL_EDITOR",
        "CC",
        "CXX",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC",
        "VAGRANT_PREFERRED_POWERSHELL",
        "TERMINAL",
        "BORG_RSH",
        "RESTIC_PASSWORD_COMMAND",
        "BORG_PASSCOMMAND",
        "DIFF_VIEWER",
        "KUBECTL_EXTERNAL_DIFF",
        "GIT_EXEC_WRAPPER",
        "SHELL",
        "INPUTRC_COMMAND",
        "CPP",
        "FC",
        "RM",
        "LEX",
        "YACC",
        "CMAKE_C_COMPILER_LAUNCHER",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "FZF_DEFAULT_COMMAND",
        "LESSEDIT",
        "MOST_EDITOR",
        "LD",
        "AR",
        "AS",
        "MAKE",
        "CARGO",
        "RUSTDOC",
    ]
)
_OPTIONS_FOR = {
    "TAR_OPTIONS": "tar",
    "MANOPT": "man",
    "FZF_DEFAULT_OPTS": "fzf",
    "GOFLAGS": "go",
    "ZIPOPT": "zip",
    "RUSTFLAGS": "rustc",
    **dict.fromkeys(("ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS"), "erl"),
}
"""Variables that hold options of a program."""
_CODE_VARIABLES = frozenset(
    [
        "LD_PRELOAD",
        "LD_AUDIT",
        "BASH_ENV",
        "ENV",
        "PERL5OPT",
        "PERL5DB",
        "RUBYOPT",
        "PYTHONSTARTUP",
        "PYTHONBREAKPOINT",
        "PYTHONHOME",
        "PYTHONWARNINGS",
        "NODE_OPTIONS",
        "GCONV_PATH",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "MAVEN_OPTS",
        "GRADLE_OPTS",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_EXEC_PATH",
        "GIT_TEMPLATE_DIR",
        "GIT_CONFIG_COUNT",
        "SHELLOPTS",
        "BASHOPTS",
        "BASH_LOADABLES_PATH",
        "ZDOTDIR",
        "PS0",
        "PS1",
        "PS2",
        "PS4",
        "DYLD_INSERT_LIBRARIES",
        "PYTHONUSERBASE",
        "OPENSSL_CONF",
        "OPENSSL_MODULES",
        "VIMINIT",
        "EXINIT",
        "GVIMINIT",
        "INPUTRC",
        "EMACSLOADPATH",
        "LUA_INIT",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
        "MAKEFLAGS",
        "MAKEFILES",
        "GNUMAKEFLAGS",
        "RUBYLIB",
        "PERL5LIB",
        "PERLLIB",
        "NPM_CONFIG_SCRIPT_SHELL",
        "npm_config_script_shell",
        "npm_config_node_options",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "LUA_CPATH",
        "CDPATH",
        "GLOBIGNORE",
        "XDG_CONFIG_HOME",
        "DOTNET_STARTUP_HOOKS",
        "CORECLR_PROFILER_PATH",
        "COR_PROFILER_PATH",
        "BASH_ALIASES",
        "BASH_CMDS",
        "JAVA_OPTS",
        "SBT_OPTS",
        "CATALINA_OPTS",
        "RCLONE_RC",
    ]
)
_BENIGN_VALUES = re.compile(
    r"(?:--?[A-Za-z0-9=,_.:+-]+|-X[a-z0-9]+|-j "
    r"*[0-9]+|ignore|error|default|once|always|[0-9]*)(?:\s+--?[A-Za-z0-9=,_.:+-]+)*"
)
_SIMPLE_NAMES = frozenset([
    "cat", "less", "more", "vi", "vim", "nano", "emacs", "code", "gcc", "g++", "clang", "clang++",
    "cc", "ccache", "sccache", "true", "false", "ssh", "never", "/bin/bash", "/bin/sh", "",
])  # fmt: skip
_ANYONE_WRITES = re.compile(r"(?:^|:)(?:(?:/tmp|/var/tmp|/dev/shm|\.)(?:/[^:]*)?|)(?=:|$)")


def option_runs(name: str, words: Words) -> Iterator[Inner]:
    """Programs and shell texts given to a program's options."""
    for option in TEXTS.get(name, ()):
        for value in values(option, words):
            if name in _BANG:
                yield from in_language(value, f"{name} {option}")
            else:
                yield Shell(value, f"{name} {option}")


def values(option: str, words: Words) -> Iterator[str | None]:
    """What stands for the value of an option, attached or apart; None where only running tells."""
    for word, after in zip(words[1:], [*words[2:], None], strict=False):
        if word is None:
            continue
        name, equals, value = word.partition("=")
        if name == option or (len(name) > 4 and name[:2] == "--" and option.startswith(name)):
            yield value if equals else after
        elif len(option) == 2 and word.startswith(option) and word[1] != "-":
            yield word[2:].removeprefix("=")
        elif len(option) == 2 and re.fullmatch(r"-[A-Za-z]+", word) and word.endswith(option[1]):
            yield after


INPUT_LANGUAGES = frozenset(
    {"ed", "red", "psql", "mysql", "gdb", "lldb", "sqlite3", "ftp", "sftp", "ex", "vim", "vi"}
    | {"sqlplus", "mariadb"}
)
"""Programs that run commands that stand in their input."""


def in_language(value: str | None, via: str) -> Iterator[Inner]:
    """Commands in the language of an editor, debugger or database shell."""
    if value is None:
        yield Hidden(f"what {via} runs is only known when it runs")
        return
    for found in _IN_LANGUAGE.finditer(value):
        yield Shell(found[1], via)
    for found in _IN_CALL.finditer(value):
        yield Shell(found[1], via)
    for found in _COPY_PROGRAM.finditer(value):
        yield Shell(found[1], via)


def variable_runs(name: str, value: str | None) -> Iterator[Inner]:
    """What an environment variable makes programs run (their manuals, "ENVIRONMENT")."""
    if name in _TEXT_VARIABLES or _RUNNERS.fullmatch(name):
        if value is None:
            yield Hidden(f"the program that {name} names is only known when it runs")
        elif value not in _SIMPLE_NAMES:
            yield Shell(value.lstrip("|-"), name)
    elif name.startswith("ANSIBLE_SSH_") and name.endswith("ARGS"):
        yield Shell(None if value is None else f"ssh {value} host", name)
    elif name in {"LESS", "MORE"} and value and "!" in value:
        yield from in_language(value.replace("+", ":"), name)
    elif name in _OPTIONS_FOR:
        yield Run([_OPTIONS_FOR[name], *(value.split() if value is not None else [None])], name)
    elif name in {"PATH", "LD_LIBRARY_PATH"} and value and _ANYONE_WRITES.search(value):
        yield Hidden("programs are looked for where anyone may write")
    elif (name in _CODE_VARIABLES and not _harmless(name, value)) or name.startswith(
        ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "BASH_FUNC_", "npm_config_")
    ):
        yield Hidden(f"{name} makes programs run other code")


def _harmless(name: str, value: str | None) -> bool:
    if name in {"PS1", "PS2", "PS4", "PS0"}:
        return value is not None and "$(" not in value and "`" not in value
    if name in {
        "MAKEFLAGS",
        "PYTHONWARNINGS",
        "NODE_OPTIONS",
        "MAVEN_OPTS",
        "GRADLE_OPTS",
        "_JAVA_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "JAVA_OPTS",
        "SBT_OPTS",
        "CATALINA_OPTS",
    }:
        risky = re.search(r"require|import|loader|agent|eval|Error=|-r\b|-e\b", value or "")
        return value is not None and bool(_BENIGN_VALUES.fullmatch(value)) and not risky
    return value == ""
