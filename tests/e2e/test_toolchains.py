"""Every client of the table trusts the firewall, gets what is allowed, and tells what is not."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.proxy.refusal import BLOCKED
from tests.e2e.clients import Step, Steps, opened, take_steps
from tests.e2e.servers import Certificates
from tests.e2e.toolchains import DOCUMENT, Toolchain, document, toolchains
from tests.e2e.upstreams import Web, npm_registry, wheel_index

POLICY = """
version: 1
name: test
network:
  names: {index.test: 127.0.0.1, origin.test: 127.0.0.1}
  rules:
    - {name: web, allow: https, hosts: [index.test, origin.test], ports: [{port}],
       methods: [GET, HEAD], addresses: [127.0.0.1/32]}
"""
BINARIES = Path(sys.executable).parent
PATH = f"{BINARIES}:/usr/local/bin:/usr/bin:/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
"""The system's first: what a version manager puts before it may not work here."""
TOOLCHAINS = toolchains()


def pages(port: int) -> dict[str, bytes]:
    """What every client looks for, in its own format."""
    return {
        "/hello": b"welcome\n",
        "/page.html": b"<title>welcome</title>",
        "/api/v1/label/up/values": b'{"status": "success", "data": ["welcome"]}',
        "/bucket/hello": b"welcome\n",
        "/tiny.git/info/refs": b"%s\trefs/heads/main\n" % (b"0" * 39 + b"1"),
        "/tiny.git/HEAD": b"ref: refs/heads/main\n",
        "/v2/": b"{}",
        "/v2/tiny/manifests/latest": b'{"schemaVersion": 2, "mediaType":'
        b' "application/vnd.oci.image.manifest.v1+json", "config": {}, "layers": []}',
        "/apt/./Packages": b"Package: tiny\nVersion: 1\nArchitecture: all\nFilename: ./tiny.deb\n"
        b"Size: 1\n\n",
        **wheel_index("tiny"),
        **npm_registry("tiny", port),
    }


def installed(each: Toolchain) -> bool:
    return all(need == "PYTHON" or shutil.which(need, path=PATH) for need in each.needs)


def scripts(each: Toolchain, port: int) -> dict[str, str]:
    """Three steps of a client: what is allowed, the same with no variable set, what is not."""
    allowed = _script(each, f"origin.test:{port}")
    bare = f"mkdir -p bare && env -i HOME=$PWD/bare PATH={PATH} bash"
    return {
        f"{each.name}-allowed": allowed,
        f"{each.name}-alone": f"{bare} <<'ALONE'\n{allowed}ALONE\n",
        f"{each.name}-denied": _script(each, "elsewhere.test"),
    }


def _script(each: Toolchain, host: str) -> str:
    files = "".join(f"cat >{name} <<'FILE'\n{text}FILE\n" for name, text in each.files.items())
    text = f"{files}timeout 60 bash <<'STEP'\n{each.script}\nSTEP\n"
    for word, meant in (("PYTHON", sys.executable), ("URL", f"https://{host}"), ("HOST", host)):
        text = text.replace(word, meant)
    return f"PATH={PATH}\ncd $(mktemp -d)\n{text}"


@pytest.fixture(scope="module")
def steps(certificates: Certificates) -> Iterator[Steps]:
    """All that the clients of this machine did, in one sandbox."""
    web = Web(certificates)
    web.pages.update(pages(web.port))
    wanted = [each for each in TOOLCHAINS if installed(each)]
    todo = {name: text for each in wanted for name, text in scripts(each, web.port).items()}
    with opened(certificates) as workplace:
        policy = workplace.policy(POLICY, port=web.port)
        yield take_steps(workplace, policy, todo, user="root", timeout=280)
    web.close()


@pytest.fixture(params=TOOLCHAINS, ids=lambda each: each.name)
def each(request: pytest.FixtureRequest) -> Toolchain:
    found: Toolchain = request.param
    if not installed(found):
        pytest.skip(f"not installed: {', '.join(found.needs)}")
    return found


def test_what_is_allowed_works(each: Toolchain, steps: Steps) -> None:
    step = steps[f"{each.name}-allowed"]
    assert each.prints in step.out, step
    # By the gate's own chain, and so by the fast lane: none of them needs depth.
    assert {record["chain"] for record in step.allowed("HttpRequest")} == {"gate-0"}
    assert not blocked(step, "origin.test")


def test_with_no_variable_set(each: Toolchain, steps: Steps) -> None:
    step = steps[f"{each.name}-alone"]
    if each.alone is not None:
        assert (each.prints in step.out) == each.alone, step


def test_what_is_denied_explains_itself(each: Toolchain, steps: Steps) -> None:
    step = steps[f"{each.name}-denied"]
    assert each.prints not in step.out
    assert blocked(step, "elsewhere.test") == {"default"}, step
    assert told(step) == each.tells, step


def blocked(step: Step, host: str) -> set[str]:
    """The rules that blocked a host; browsers ask for many others by themselves."""
    return {
        record["verdict"]["rule"]
        for record in step.blocked
        if record["request"].get("host") == host
    }


def test_the_document_shows_the_table() -> None:
    assert DOCUMENT.read_text() == document()


def told(step: Step) -> str:
    """How much of the refusal a person can read in what a client printed."""
    text = step.out + step.err
    if BLOCKED in text and "elsewhere.test" in text and "default" in text:
        return "why"
    return "403" if "403" in text or "Forbidden" in text else "no"
