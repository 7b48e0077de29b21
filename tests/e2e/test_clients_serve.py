"""`firewall serve`: the same judge for programs that are told of a proxy, on the host itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import check_evidence, opened, pip_command, public_folder
from tests.e2e.conftest import Workplace, needs
from tests.e2e.servers import Certificates, GitServer, Nginx
from tests.e2e.serving import serve
from tests.e2e.upstreams import Web, wheel_index
from tests.waiting import PATIENCE, eventually

pytestmark = needs("curl", "nginx", "git")

POLICY = """
version: 1
name: test
network:
  names: {origin.test: 127.0.0.1, git.test: 127.0.0.1, index.test: 127.0.0.1}
  rules:
    - {name: web, allow: https, hosts: [origin.test], ports: [{https}], methods: [GET],
       addresses: [127.0.0.1/32]}
    - {name: plain, allow: http, hosts: [origin.test], ports: [{http}], methods: [GET],
       addresses: [127.0.0.1/32]}
    - {name: code, allow: https, hosts: [git.test], ports: [{git}], addresses: [127.0.0.1/32],
       requests: [{method: GET}, {method: POST, path: "/**/git-upload-pack"}]}
    - {name: index, allow: https, hosts: [index.test], ports: [{index}], methods: [GET],
       addresses: [127.0.0.1/32]}
"""


@dataclass
class Served:
    """A firewall that serves, and the servers behind it."""

    workplace: Workplace
    nginx: Nginx
    git: GitServer
    index: Web
    port: int
    inspect: str

    @property
    def authority(self) -> Path:
        return self.workplace.folder / "state" / "authority" / "mitmproxy-ca-cert.pem"

    def client(self, *command: str, proxied: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a client on the host, told of the proxy by its variables or by its arguments."""
        proxy = f"http://127.0.0.1:{self.port}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        bundles = ("CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "PIP_CERT")
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and not name.startswith("PIP_")
        }
        return subprocess.run(
            command,
            cwd=self.workplace.work,
            env={
                **clean,
                "HOME": str(self.workplace.work),
                **dict.fromkeys(bundles, str(self.authority)),
                **(dict.fromkeys(names, proxy) if proxied else {}),
            },
            capture_output=True,
            check=False,
            text=True,
            timeout=2 * PATIENCE,
        )

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        show = ("-w", "\n%{http_code} %{http_connect} %{http_version}")
        return self.client("curl", "-sS", "--max-time", str(PATIENCE), *show, *arguments)

    def http(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.curl("-x", f"http://127.0.0.1:{self.port}", *arguments)

    def socks(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.curl("--socks5-hostname", f"127.0.0.1:{self.port}", *arguments)

    def block(self, path: str, rule: str, program: str) -> dict[str, Any]:
        """The one block of the request for this path or host, with its evidence."""
        (record,) = eventually(lambda: self._blocks(path))
        assert record["verdict"]["rule"] == rule
        check_evidence(record, program)
        return record

    def _blocks(self, path: str) -> list[dict[str, Any]]:
        return [
            each
            for each in self.workplace.records()
            if each["kind"] == "verdict"
            and each["verdict"]["action"] == "deny"
            and path in (each["request"].get("path"), each["request"].get("host"))
        ]


@pytest.fixture(scope="module", params=["fast", "depth"])
def served(
    certificates: Certificates, nginx: Nginx, request: pytest.FixtureRequest
) -> Iterator[Served]:
    """Wherever HTTP/1.1 is inspected, clients must not see a difference."""
    with opened(certificates) as workplace, public_folder("fw-git-") as folder:
        git = GitServer(folder, certificates)
        index = Web(certificates, wheel_index("tiny"))
        ports = {"https": nginx.https, "http": nginx.http, "git": git.port, "index": index.port}
        try:
            policy = workplace.policy(POLICY, **ports)
            with serve(workplace, policy, "--inspect", request.param) as firewall:
                yield Served(workplace, nginx, git, index, firewall.port, request.param)
        finally:
            git.close()
            index.close()
        assert firewall.process.returncode == 0
        assert "Traceback" not in "".join(firewall.said)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_connect(served: Served, version: str) -> None:
    done = served.http(version, f"https://origin.test:{served.nginx.https}/hello")
    number = "1.1" if served.inspect == "fast" else version.removeprefix("--http")
    assert done.stdout == f"hello from nginx\n\n200 200 {number}", done.stderr


def test_absolute_form(served: Served) -> None:
    done = served.http(f"http://origin.test:{served.nginx.http}/hello")
    assert done.stdout == "hello from nginx\n\n200 000 1.1", done.stderr


def test_socks(served: Served) -> None:
    for url in (
        f"https://origin.test:{served.nginx.https}/hello",
        f"http://origin.test:{served.nginx.http}/hello",
    ):
        done = served.socks(url)
        assert done.stdout.startswith("hello from nginx\n\n200 000 "), done.stderr


@pytest.mark.parametrize(
    ("way", "url", "key", "rule", "reason"),
    [
        ("http", "https://connect.test/", "connect.test", "default", "no rule allows connect.test"),
        ("http", "http://absolute.test/x", "/x", "default", "no rule allows absolute.test"),
        ("http", "https://origin.test:{https}/c", "/c", "default", "allows GET; this is DELETE /c"),
        ("http", "http://origin.test:{http}/a", "/a", "default", "allows GET; this is DELETE /a"),
        ("socks", "https://socks.test/", "socks.test", "default", "no rule allows socks.test"),
        ("socks", "http://socks-http.test/", "socks-http.test", "default", "no rule allows"),
        ("socks", "https://origin.test:{https}/s", "/s", "default", "this is DELETE /s"),
        ("socks", "http://10.3.2.1/", "10.3.2.1", "guards.private-addresses", "private address"),
        ("http", "http://10.3.2.2/p", "/p", "default", "no rule allows 10.3.2.2"),
        ("http", "https://10.3.2.3/", "10.3.2.3", "guards.private-addresses", "private address"),
    ],
)
def test_a_refusal_explains_itself_and_names_the_local_client(
    served: Served, way: str, url: str, key: str, rule: str, reason: str
) -> None:
    ask = served.http if way == "http" else served.socks
    done = ask("-k", "-X", "DELETE", url.format(https=served.nginx.https, http=served.nginx.http))
    assert done.stdout.startswith("Blocked by the firewall"), done
    assert f"rule: {rule}" in done.stdout
    assert reason in done.stdout
    assert "to allow it: " in done.stdout
    assert "\n403 " in done.stdout
    record = served.block(key, rule, "curl")
    assert record["actor"]["process"]["argv"][0] == "curl"
    assert str(os.getpid()) in {str(each["pid"]) for each in record["actor"]["ancestors"]}


def test_fronting_is_seen_in_absolute_form_too(served: Served) -> None:
    url = f"http://origin.test:{served.nginx.http}/front"
    done = served.http("-H", "Host: other.test", url)
    assert "the request is for 'other.test'" in done.stdout
    served.block("/front", "guards.name-mismatch", "curl")
    assert not [each for each in served.nginx.requests() if "/front" in each]


def test_a_proxy_is_no_web_server(served: Served) -> None:
    done = served.curl(f"http://127.0.0.1:{served.port}/")
    assert "this is a proxy" in done.stdout
    assert "\n400 " in done.stdout


def test_git_by_its_variables(served: Served) -> None:
    url = f"https://git.test:{served.git.port}/o/r.git"
    done = served.client("git", "clone", "-q", url, proxied=True)
    assert done.returncode == 0, done.stderr
    assert (served.workplace.work / "r" / "file").read_text() == "first\n"
    done = served.client("git", "-C", "r", "push", "-q", "origin", "main:new", proxied=True)
    assert done.returncode != 0
    assert "403" in done.stderr
    served.block("/o/r.git/git-receive-pack", "default", "git-remote-http")


@pytest.mark.skipif(pip_command() is None, reason="not installed: pip")
def test_pip_by_its_variables(served: Served) -> None:
    found = pip_command()
    assert found is not None
    install = (*found[0].split(), "install", "--no-input", "--no-cache-dir", "--retries", "0")
    quiet = ("-vv", "--disable-pip-version-check", "--target", "site", "--index-url")
    good = f"https://index.test:{served.index.port}/simple"
    done = served.client(*install, *quiet, good, "tiny", proxied=True)
    assert done.returncode == 0, done.stderr
    assert "hello" in (served.workplace.work / "site" / "tiny.py").read_text()
    done = served.client(*install, *quiet, "https://pip.test/simple", "x", proxied=True)
    assert done.returncode != 0
    assert "403" in done.stdout + done.stderr
    served.block("pip.test", "default", "python3")


def test_python_requests_by_its_variables(served: Served) -> None:
    code = (
        "import requests, sys\n"
        "for url in sys.argv[1:]:\n"
        "    answer = requests.get(url, timeout=60)\n"
        "    print(answer.status_code, answer.text.splitlines()[0])\n"
    )
    urls = (
        f"https://origin.test:{served.nginx.https}/hello",
        f"http://origin.test:{served.nginx.http}/hello",
        "https://requests.test/",
    )
    done = served.client(sys.executable, "-c", code, *urls, proxied=True)
    assert done.stdout.splitlines() == [
        "200 hello from nginx",
        "200 hello from nginx",
        "403 Blocked by the firewall",
    ], done.stderr
    served.block("requests.test", "default", "python3")
