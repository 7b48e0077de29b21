"""What package tools say about themselves: fakes on an otherwise empty machine."""

import json
import os
from pathlib import Path

import pytest

from firewall.policy import sources
from firewall.policy.document import Tool
from firewall.policy.sources import Answer, SourceError
from firewall.policy.sources.origin import origin
from tests.unit.policy.conftest import Machine

UV_HELP = """
case "$*" in
  "pip install --help") echo '--default-index <URL>  The default (by default: <https://uv.example/simple>)';;
  *) exit 1;;
esac
"""


def urls(tool: Tool) -> list[str]:
    answer = sources.resolve([tool])[tool]
    assert isinstance(answer, Answer), answer
    return [str(each) for each in answer.origins]


def failure(tool: Tool) -> str:
    answer = sources.resolve([tool])[tool]
    assert isinstance(answer, SourceError)
    return str(answer)


@pytest.mark.parametrize("tool", ["pip", "uv", "npm", "apt", "cargo"])
def test_not_installed(machine: Machine, tool: Tool) -> None:
    assert "is not installed" in failure(tool)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:secret@Mirror.example:8443/x", "https://mirror.example:8443"),
        ("http://mirror.example./", "http://mirror.example"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
        ("file:///srv/wheels", None),
        ("/srv/wheels", None),
        ("cdrom:[disk]/", None),
    ],
)
def test_origin(url: str, expected: str | None) -> None:
    found = origin(url, "a test")
    assert (str(found) if found else None) == expected


@pytest.mark.parametrize(
    "url", ["https://", "https://a b/", "https://x.example:port/", "http://[::"]
)
def test_unusable_urls(url: str) -> None:
    with pytest.raises(SourceError, match="without a usable host"):
        origin(url, "a test")


def test_pip_default(machine: Machine) -> None:
    machine.pip({})
    assert urls("pip") == ["https://index.example", "https://files.example"]


def test_pip_settings(machine: Machine) -> None:
    machine.pip(
        {
            "global.index-url": "https://low.example/simple",
            ":env:.index-url": "https://user:pw@high.example/simple",
            "global.extra-index-url": "file:///srv https://more.example:444/simple",
            "install.find-links": "/srv/wheels http://wheels.example/",
        }
    )
    assert urls("pip") == [
        "https://high.example",
        "https://more.example:444",
        "http://wheels.example",
    ]


def test_pip_without_an_index(machine: Machine) -> None:
    machine.pip({"global.no-index": "true", "global.find-links": "https://wheels.example/"})
    assert urls("pip") == ["https://wheels.example"]


def test_pip_runs_the_interpreter_of_its_script(machine: Machine) -> None:
    machine.pip({})
    (machine.bin / "python").rename(machine.bin / "python3.99")
    (machine.bin / "pip").write_text(f"#!{machine.bin}/python3.99\n")
    assert urls("pip") == ["https://index.example", "https://files.example"]


def test_of_what_a_broken_tool_says_the_telling_line_is_kept(machine: Machine) -> None:
    machine.tool("uv", "printf 'uv: command not found\\n\\nNote: see the help\\n' >&2; exit 127\n")
    assert failure("uv").endswith("uv failed with status 127: uv: command not found")
    machine.tool("npm", "printf 'Traceback (most recent):\\n  x\\nOSError: gone\\n' >&2; exit 1\n")
    assert failure("npm").endswith("npm failed with status 1: OSError: gone")


def test_a_broken_tool_says_so(machine: Machine) -> None:
    machine.tool("pip", "exit 1\n")
    machine.tool("python", "echo no such module >&2; exit 3\n")
    assert failure("pip").endswith("failed with status 3: no such module")
    machine.tool("npm", "echo not json\n")
    assert failure("npm") == "npm did not print its settings as JSON"
    machine.tool("uv", "echo no default here\n")
    assert "does not say what its default index is" in failure("uv")
    _apt(machine)
    machine.tool("apt-config", "echo nothing\n")
    assert "does not say where the source lists are" in failure("apt")
    machine.tool("cargo", "")
    assert "does not name its default registry" in failure("cargo")


def test_settings_of_an_unexpected_form(machine: Machine) -> None:
    machine.tool("python", "echo '[]'\n")
    machine.tool("pip", "exit 1\n")
    assert failure("pip").startswith("pip's settings are not understood: TypeError")


def test_answers_are_kept(machine: Machine) -> None:
    machine.pip({})
    first = urls("pip")
    machine.pip({}, index="https://other.example/simple")
    assert urls("pip") == first
    sources.forget()
    assert urls("pip") != first


def test_uv_default_and_files_as_pip_knows_them(machine: Machine) -> None:
    machine.tool("uv", UV_HELP)
    machine.pip({}, index="https://uv.example/simple")
    assert urls("uv") == ["https://uv.example", "https://files.example"]


def test_uv_environment(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.tool("uv", "exit 1\n")
    machine.pip({})
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://default.example/simple")
    monkeypatch.setenv("UV_INDEX", "corp=https://corp.example/simple https://x.example/a=b")
    monkeypatch.setenv("UV_FIND_LINKS", "https://wheels.example/,/srv/wheels")
    assert urls("uv") == [
        "https://default.example",
        "https://corp.example",
        "https://x.example",
        "https://wheels.example",
    ]


def test_uv_files(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.tool("uv", UV_HELP)
    machine.pip({})
    user = machine.home / ".config/uv/uv.toml"
    user.parent.mkdir(parents=True)
    user.write_text('[pip]\nextra-index-url = ["https://user.example/simple"]\n')
    assert urls("uv") == ["https://uv.example", "https://user.example"]
    sources.forget()
    user.write_text('[[index]]\nurl = "https://only.example/simple"\ndefault = true\n')
    assert urls("uv") == ["https://only.example"]
    sources.forget()
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    assert urls("uv") == ["https://uv.example"]
    sources.forget()
    monkeypatch.delenv("UV_NO_CONFIG")
    user.write_text("[pip\n")
    assert "uv.toml cannot be read" in failure("uv")


def test_the_agent_cannot_write_its_own_allowlist(machine: Machine) -> None:
    """What stands in the working directory is the agent's and is not asked."""
    machine.tool("uv", UV_HELP)
    machine.pip({})
    _cargo(machine)
    evil = 'url = "https://evil.example/simple"\n'
    (machine.work / "pyproject.toml").write_text("[[tool.uv.index]]\n" + evil)
    (machine.work / "uv.toml").write_text("[[index]]\n" + evil)
    (machine.work / ".cargo").mkdir()
    (machine.work / ".cargo/config.toml").write_text(
        '[registries.evil]\nindex = "sparse+https://evil.example/"\n'
    )
    machine.tool("npm", 'echo "{\\"registry\\": \\"https://at${PWD##*/}.example/\\"}"\n')
    found = [url for tool in ("uv", "cargo", "npm") for url in urls(tool)]
    assert found
    assert not any("evil" in url or "work" in url for url in found)


def test_once_sealed_no_further_tool_is_asked(machine: Machine) -> None:
    """A policy may be loaded again while an agent runs that could have replaced the tools."""
    machine.npm({"registry": "https://npm.example/"})
    machine.pip({})
    assert urls("npm") == ["https://npm.example"]
    sources.seal()
    machine.npm({"registry": "https://evil.example/"})
    assert urls("npm") == ["https://npm.example"], "remembered"
    assert "pip was not asked before the agent started" in failure("pip")


def test_npm(machine: Machine) -> None:
    machine.npm(
        {
            "registry": "https://npm.example/",
            "@corp:registry": "https://corp.example/npm/",
            "omit-lockfile-registry-resolved": "false",
        }
    )
    assert urls("npm") == ["https://npm.example", "https://corp.example"]


def _apt(machine: Machine) -> Path:
    etc = machine.home / "apt"
    (etc / "sources.list.d").mkdir(parents=True)
    machine.tool("apt-config", f"""
        echo "LISTS='{etc}/sources.list'"
        echo "PARTS='{etc}/sources.list.d/'"
    """)  # fmt: skip
    return etc


def test_apt(machine: Machine) -> None:
    etc = _apt(machine)
    (etc / "sources.list").write_text(
        "# deb http://comment.example/ x main\n"
        "deb [arch=amd64 signed-by=/k] http://one.example/debian x main\n"
        "deb-src https://two.example/debian x main\n"
        "deb cdrom:[disk]/ x main\ndeb file:/srv x main\n"
    )
    parts = etc / "sources.list.d"
    (parts / "three.sources").write_text(
        "Types: deb\nURIs: mirror+http://three.example/m.txt\n https://four.example:81/\n"
        "# Enabled: no\nSuites: x\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/\n"
    )
    (parts / "five.list.disabled").write_text("deb http://off.example/ x main\n")
    assert urls("apt") == [
        "http://one.example",
        "https://two.example",
        "http://three.example",
        "https://four.example:81",
    ]


def _cargo(machine: Machine) -> None:
    machine.tool("cargo", "")
    with (machine.bin / "cargo").open("ab") as stream:
        stream.write(b"\x00index\x00sparse+https://cargo.example/https://x\x00")


def test_cargo_default_without_and_with_its_index(machine: Machine) -> None:
    _cargo(machine)
    answer = sources.resolve(["cargo"])["cargo"]
    assert isinstance(answer, Answer)
    assert [str(each) for each in answer.origins] == ["https://cargo.example"]
    assert "its file host is not known" in answer.notes[0]
    index = machine.home / ".cargo/registry/index/cargo.example-0123456789abcdef"
    index.mkdir(parents=True)
    (index / "config.json").write_text(json.dumps({"dl": "https://dl.example/crates"}))
    sources.forget()
    assert urls("cargo") == ["https://cargo.example", "https://dl.example"]


def test_cargo_settings(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    _cargo(machine)
    folder = machine.home / ".cargo"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "mirror"\n'
        '[source.mirror]\nregistry = "sparse+https://mirror.example/"\n'
        '[registries.corp]\nindex = "sparse+https://corp.example/"\n'
    )
    monkeypatch.setenv("CARGO_REGISTRIES_ENV_INDEX", "https://env.example/index")
    assert urls("cargo") == [
        "https://mirror.example",
        "https://corp.example",
        "https://env.example",
    ]


def test_cargo_behind_rustup(machine: Machine) -> None:
    _cargo(machine)
    real = machine.home / "toolchain-cargo"
    (machine.bin / "cargo").rename(real)
    machine.tool("rustup", f"echo {real}\n")
    os.symlink("rustup", machine.bin / "cargo")
    assert urls("cargo") == ["https://cargo.example"]


def test_tools_are_asked_side_by_side(machine: Machine) -> None:
    machine.npm({"registry": "https://npm.example/"})
    answers = sources.resolve(["npm", "pip", "npm"])
    assert list(answers) == ["npm", "pip"]
    assert isinstance(answers["pip"], SourceError)
    assert sources.resolve([]) == {}
