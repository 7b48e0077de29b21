"""The agent is a program like any other: its status, streams, folder and variables are its own."""

import hashlib
import subprocess

import pytest

from tests.e2e.clients import SYSTEM_PYTHON, has_python
from tests.e2e.conftest import Workplace
from tests.waiting import PATIENCE

POLICY = "version: 1\nname: test\n"


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -9 $$", 137)],
)
def test_the_status_is_the_agents(workplace: Workplace, script: str, status: int) -> None:
    result = workplace.shell(workplace.policy(POLICY), script)
    assert result.status == status


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("there-is-no-such-program", 127, "there-is-no-such-program"),
        ("./not-executable", 126, "not-executable"),
    ],
)
def test_a_program_that_cannot_run_is_named(
    workplace: Workplace, program: str, status: int, said: str
) -> None:
    (workplace.work / "not-executable").write_text("#!/bin/sh\n")
    result = workplace.run(workplace.policy(POLICY), program)
    assert result.status == status
    assert said in result.err
    assert "Traceback" not in result.err
    assert result.out == ""


def test_streams_are_the_agents_own(workplace: Workplace) -> None:
    result = workplace.shell(workplace.policy(POLICY), "cat; echo trouble >&2", stdin="in\nout\n")
    assert result.out == "in\nout\n"
    assert "trouble\n" in result.err


def test_much_passes_through_the_streams_unchanged(workplace: Workplace) -> None:
    sent = bytes(range(256)) * (8 << 12)
    done = subprocess.run(
        workplace.command(workplace.policy(POLICY), "cat"),
        cwd=workplace.work,
        env=workplace.environment,
        input=sent,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(sent).digest()


def test_the_folder_and_the_arguments_are_kept(workplace: Workplace) -> None:
    words = ["two words", "", "*", "$HOME", "--policy"]
    script = 'pwd; echo made >file; printf "%s\\n" "$@"'
    result = workplace.run(workplace.policy(POLICY), "bash", "-c", script, "bash", *words)
    assert result.out.split("\n")[:-1] == [str(workplace.work), *words]
    assert (workplace.work / "file").read_text() == "made\n"


VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
)


def test_variables_name_a_bundle_that_holds_the_firewalls_authority(workplace: Workplace) -> None:
    script = (
        "; ".join(f'echo "${{{name}:?}}"' for name in VARIABLES) + '; cat "$PIP_CERT"; echo $OWN'
    )
    result = workplace.shell(workplace.policy(POLICY), script, environment={"OWN": "mine"})
    assert result.status == 0, result.err
    authority = workplace.folder / "state" / "authority" / "mitmproxy-ca-cert.pem"
    assert authority.read_text().strip() in result.out
    assert workplace.certificates.authority.read_text().strip() in result.out
    assert result.out.endswith("mine\n")


@pytest.mark.skipif(not has_python(), reason=f"not installed: {SYSTEM_PYTHON}")
def test_without_any_variable_the_authority_is_trusted_too(workplace: Workplace) -> None:
    code = (
        "import socket, ssl; c = ssl.create_default_context(); "
        "s = c.wrap_socket(socket.create_connection(('a.test', 443)), server_hostname='a.test'); "
        "print(dict(each[0] for each in s.getpeercert()['issuer'])['commonName'])"
    )
    result = workplace.run(workplace.policy(POLICY), "env", "-i", SYSTEM_PYTHON, "-c", code)
    assert result.out == "agent-firewall\n", result.err
