"""Package managers: what is installed, and what is published."""

import re
from collections.abc import Mapping, Sequence

from firewall.commands.programs.options import Options, take
from firewall.commands.programs.told import NOTHING, Told
from firewall.requests import Intent, IntentName

type Verbs = Mapping[str, IntentName]


def _verbs(install: str, publish: str = "") -> Verbs:
    installs: dict[str, IntentName] = dict.fromkeys(install.split(), "package.install")
    return installs | dict.fromkeys(publish.split(), "package.publish")


MANAGERS: Mapping[str, Verbs] = {
    "pip": _verbs("install download wheel"),
    "pip3": _verbs("install download wheel"),
    "pipx": _verbs("install run inject upgrade"),
    "pipenv": _verbs("install update sync"),
    "poetry": _verbs("install add update", "publish"),
    "pdm": _verbs("install add update sync", "publish"),
    "hatch": _verbs("", "publish"),
    "flit": _verbs("install", "publish"),
    "uv": _verbs("add sync lock pip tool", "publish"),
    "uvx": _verbs(""),
    "conda": _verbs("install create update env", ""),
    "mamba": _verbs("install create update env"),
    "micromamba": _verbs("install create update env"),
    "npm": _verbs("install i add ci update exec create init x", "publish unpublish deprecate"),
    "pnpm": _verbs("install i add update dlx create", "publish"),
    "yarn": _verbs("install add up upgrade dlx create", "publish"),
    "bun": _verbs("install i add update x create", "publish"),
    "npx": _verbs(""),
    "bunx": _verbs(""),
    "deno": _verbs("install add"),
    "apt": _verbs("install update upgrade full-upgrade reinstall source build-dep"),
    "apt-get": _verbs("install update upgrade dist-upgrade reinstall source build-dep download"),
    "aptitude": _verbs("install update upgrade safe-upgrade"),
    "apk": _verbs("add update upgrade fetch"),
    "dnf": _verbs("install update upgrade groupinstall download"),
    "yum": _verbs("install update upgrade groupinstall localinstall"),
    "zypper": _verbs("install in update up"),
    "brew": _verbs("install upgrade update tap"),
    "snap": _verbs("install refresh"),
    "flatpak": _verbs("install update"),
    "cargo": _verbs("install add fetch update", "publish yank"),
    "go": _verbs("get install"),
    "gem": _verbs("install update fetch", "push yank"),
    "bundle": _verbs("install update add"),
    "composer": _verbs("install require update create-project"),
    "nuget": _verbs("install restore", "push"),
    "dotnet": _verbs("restore add", ""),
    "twine": _verbs("", "upload"),
    "helm": _verbs("install upgrade pull", "push"),
    "docker": _verbs("pull", "push"),
    "podman": _verbs("pull", "push"),
    "skopeo": _verbs("copy"),
    "crane": _verbs("pull", "push"),
    "vsce": _verbs("", "publish"),
    "mvn": _verbs("", "deploy"),
    "gradle": _verbs("", "publish"),
    "nix-env": _verbs(""),
    "pacman": _verbs(""),
    "dpkg": _verbs(""),
    "rpm": _verbs(""),
    "oras": _verbs("pull", "push"),
    "huggingface-cli": _verbs("download", "upload"),
    "hf": _verbs("download", "upload"),
    "luarocks": _verbs("install", "upload"),
    "cabal": _verbs("install update", "upload"),
    "opam": _verbs("install update upgrade"),
    "mix": _verbs("deps.get", "hex.publish"),
    "cpan": _verbs(""),
    "cpanm": _verbs(""),
    "pkg": _verbs("install update upgrade"),
}
_ALWAYS = frozenset({"uvx", "npx", "bunx", "cpan", "cpanm"})
"""Programs whose every use installs what they are given."""
_ONE = frozenset({"uvx", "npx", "bunx"})
"""Of those, the ones whose first word is the package and whose others are its arguments."""
_INSTALLS_OF_UV = frozenset({"install", "run", "sync", "compile", "download"})
_BY_OPTION: Mapping[str, re.Pattern[str]] = {
    "pacman": re.compile(r"-S(?!.*[silgcp])\w*|-U\w*|--sync|--upgrade"),
    "dpkg": re.compile(r"-i|--install|--unpack"),
    "rpm": re.compile(r"-[iUF](?!.*q)\w*|--install|--upgrade"),
    "nix-env": re.compile(r"-i\w*|-u\w*|--install|--upgrade"),
}
"""Managers whose verb is an option."""

_PIP = ("rceitf", frozenset({
    "--requirement", "--constraint", "--editable", "--index-url", "--extra-index-url", "--target",
    "--find-links", "--prefix", "--root", "--python", "--platform", "--with", "--from", "--proxy",
    "--index", "--default-index", "--cache-dir", "--trusted-host", "--directory", "--project",
}))  # fmt: skip
_NPM = ("Cwp", frozenset({
    "--prefix", "--registry", "--workspace", "--tag", "--cache", "--userconfig", "--filter",
    "--dir", "--cwd", "--package", "--otp",
}))  # fmt: skip
_CONDA = ("ncp", frozenset({"--name", "--channel", "--prefix", "--file"}))
_APT = ("otc", frozenset({"--option", "--target-release", "--config-file"}))
_VALUED: Mapping[str, tuple[str, frozenset[str]]] = {
    **dict.fromkeys(("pip", "pip3", "pipx", "pipenv", "uv", "uvx", "poetry", "pdm"), _PIP),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun", "npx", "bunx"), _NPM),
    **dict.fromkeys(("conda", "mamba", "micromamba"), _CONDA),
    **dict.fromkeys(("apt", "apt-get", "aptitude"), _APT),
    "helm": ("nf", frozenset({"--namespace", "--values", "--version", "--repo", "--set"})),
    "docker": ("Hlc", frozenset({"--host", "--context", "--config", "--log-level", "--platform"})),
}
"""Options with a value, which is then neither a verb nor a package."""


def manager(name: str, arguments: Sequence[str]) -> Told:
    """One package manager's command line. `name` is a key of MANAGERS."""
    if name in _BY_OPTION:
        return _by_option(_BY_OPTION[name], arguments)
    options = take(arguments, *_VALUED.get(name, ("", frozenset())), stop=name in _ONE)
    words = list(options.rest)
    if name in _ALWAYS:
        named = options.values("-p", "--package", "--from") or words
        return _told("package.install", named[:1] if name in _ONE else named) if named else NOTHING
    if name == "yarn" and words[:1] in ([], ["npm"]):
        words = words[1:] or ([] if options.has("-v", "--version", "--help") else ["install"])
    if name in ("mvn", "gradle"):
        return _told("package.publish", ()) if MANAGERS[name].keys() & set(words) else NOTHING
    return _by_verb(name, words, options)


def _by_verb(name: str, words: Sequence[str], options: Options) -> Told:
    verb, rest = next(iter(words), ""), list(words[1:])
    kind = MANAGERS[name].get(verb)
    if name == "uv" and verb == "run" and options.has("--with"):
        return _told("package.install", options.values("--with"))
    if kind is None:
        return NOTHING
    if name == "uv" and verb in ("pip", "tool"):
        if not rest or rest[0] not in _INSTALLS_OF_UV:
            return NOTHING
        rest = rest[1:]
    if name == "skopeo":
        return _copied(rest)
    lists = tuple(options.values("-r", "--requirement")) if name in _TAKES_LISTS else ()
    return _told(kind, [*rest, *options.values("-e", "--editable"), *lists], lists)


_TAKES_LISTS = frozenset({"pip", "pip3", "uv"})


def _copied(places: Sequence[str]) -> Told:
    """skopeo copy FROM TO: what goes to a registry is published."""
    match places:
        case [source, target] if target.startswith("docker://"):
            return Told((Intent("package.publish", target, source),))
    return _told("package.install", places[:1])


def _by_option(verb: re.Pattern[str], arguments: Sequence[str]) -> Told:
    words = [each for each in arguments if not each.startswith("-")]
    if not any(verb.fullmatch(each) for each in arguments):
        return NOTHING
    return _told("package.install", words, [each for each in words if "." in each])


def _told(kind: IntentName, targets: Sequence[str], reads: Sequence[str] = ()) -> Told:
    return Told(tuple(Intent(kind, each) for each in targets) or (Intent(kind),), tuple(reads))
