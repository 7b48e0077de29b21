"""Package managers: what is installed, and what is published."""

from collections.abc import Mapping, Sequence

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
    "skopeo": _verbs("copy", ""),
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
_INSTALLS_OF_UV = frozenset({"install", "run", "sync", "compile", "download"})


def manager(name: str, arguments: Sequence[str]) -> Told:
    """One package manager's command line. `name` is a key of MANAGERS."""
    words = [each for each in arguments if not each.startswith("-")]
    if name in _ALWAYS:
        return _told("package.install", words[:1]) if words else NOTHING
    verb = next(iter(words), "")
    kind = MANAGERS[name].get(verb)
    if kind is None:
        return NOTHING
    rest = words[1:]
    if name == "uv" and verb in ("pip", "tool"):
        if not rest or rest[0] not in _INSTALLS_OF_UV:
            return NOTHING
        rest = rest[1:]
    return _told(kind, rest)


def _told(kind: IntentName, targets: Sequence[str]) -> Told:
    return Told(tuple(Intent(kind, each) for each in targets) or (Intent(kind),))
