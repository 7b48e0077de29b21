"""pip and npm install from the index they are allowed, and from no other."""

from collections.abc import Iterator

import pytest

from tests.e2e.clients import Steps, opened, pip_command, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates
from tests.e2e.upstreams import Web, npm_registry, wheel_index

POLICY = """
version: 1
name: test
network:
  names: {index.test: 127.0.0.1}
  rules:
    - {name: index, allow: https, hosts: [index.test], ports: [{port}], methods: [GET, HEAD],
       addresses: [127.0.0.1/32]}
"""
QUIET = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_RETRIES": "0",
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "NPM_CONFIG_AUDIT": "false",
    "NPM_CONFIG_FUND": "false",
    "NPM_CONFIG_FETCH_RETRIES": "0",
}


@pytest.fixture
def index(certificates: Certificates) -> Iterator[Web]:
    server = Web(certificates, wheel_index("tiny"))
    yield server
    server.close()


@pytest.mark.skipif(pip_command() is None, reason="not installed: pip")
def test_pip(certificates: Certificates, index: Web) -> None:
    found = pip_command()
    assert found is not None
    pip, user = found
    python = pip.removesuffix(" -m pip")
    install = f"{pip} install -q --no-input --target ./site"
    scripts = {
        "install": f"{install} --index-url https://index.test:{index.port}/simple tiny && "
        f"PYTHONPATH=site {python} -c 'import tiny; print(tiny.WORDS)'",
        "elsewhere": f"{install} -vvv --index-url https://elsewhere.test/simple other",
    }
    steps = _run(certificates, index, scripts, user)
    assert steps["install"].status == 0, steps["install"].err
    assert steps["install"].out == "hello from a wheel\n"
    paths = [each["request"]["path"] for each in steps["install"].allowed("HttpRequest")]
    assert paths[0] == "/simple/tiny/"
    assert index.seen == [f"GET {path}" for path in paths]
    assert steps["elsewhere"].status == 1
    assert "403" in steps["elsewhere"].err + steps["elsewhere"].out
    record = steps["elsewhere"].block("default", "python3")
    assert "pip" in record["actor"]["process"]["argv"]


@needs("npm", "node")
def test_npm(certificates: Certificates, index: Web) -> None:
    index.pages.update(npm_registry("tiny", index.port))
    install = "npm install --silent --no-save --prefix . --registry"
    scripts = {
        "install": f"{install} https://index.test:{index.port} tiny && "
        "node -e 'console.log(require(\"./node_modules/tiny\"))'",
        "elsewhere": "npm install --no-save --prefix . --registry https://elsewhere.test other",
        "publish": f"mkdir p && cd p && npm init -y >&2 && npm publish"
        f" --registry https://index.test:{index.port} --//index.test:{index.port}/:_authToken=x",
    }
    steps = _run(certificates, index, scripts, None)
    assert steps["install"].status == 0, steps["install"].err
    assert steps["install"].out == "hello from a package\n"
    assert "GET /tiny" in index.seen
    assert steps["elsewhere"].status != 0
    assert "403" in steps["elsewhere"].err
    steps["elsewhere"].block("default", "node")
    assert steps["publish"].status != 0
    (reason,) = {each["verdict"]["reason"] for each in steps["publish"].blocked}
    assert reason == "rule index allows GET, HEAD; this is PUT /p"
    assert not [each for each in index.seen if each.startswith("PUT")]


def _run(
    certificates: Certificates, index: Web, scripts: dict[str, str], user: str | None
) -> Steps:
    with opened(certificates) as workplace:
        policy = workplace.policy(POLICY, port=index.port)
        home = {"HOME": str(workplace.work), **QUIET}
        return take_steps(workplace, policy, scripts, environment=home, user=user)
