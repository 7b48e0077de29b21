"""Who the agent becomes, what it may not touch, and how options are read."""

import os
from pathlib import Path

import pytest

from firewall.cli import run
from firewall.policy import Policy, load_policy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9090", ("127.0.0.1", 9090)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9090", ("::1", 9090)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert run.host_and_port(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:65536", "1:-1"])
def test_a_bad_address_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 127.0.0.1:9090"):
        run.host_and_port(text)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("SUDO_GID", raising=False)


@pytest.mark.usefixtures("as_root")
class TestRoot:
    def test_its_agent_is_nobody(self) -> None:
        identity = run._user(None)
        assert identity is not None
        assert identity[0] > 0

    def test_under_sudo_its_agent_is_who_called_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SUDO_UID", "1000")
        monkeypatch.setenv("SUDO_GID", "1001")
        assert run._user(None) == (1000, 1001)

    @pytest.mark.parametrize("name", ["root", "0"])
    def test_it_may_be_told_to_stay_root(self, name: str) -> None:
        assert run._user(name) == (0, 0)

    def test_an_unknown_user_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="--user no-such-user: there is no such user"):
            run._user("no-such-user")


def test_an_ordinary_user_stays_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run._user(None) is None
    with pytest.raises(ValueError, match="--user needs root"):
        run._user("nobody")


def _policy(folder: Path) -> Policy:
    folder.mkdir(exist_ok=True)
    path = folder / "policy.yaml"
    path.write_text("version: 1\nname: t\n")
    return load_policy(path)


def test_a_policys_folder_is_read_only_unless_the_agent_works_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = _policy(tmp_path / "policies")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    assert run._folders(policy) == {str(tmp_path / "policies")}
    monkeypatch.chdir(tmp_path / "policies")
    assert run._folders(policy) == set()


def test_a_bundle_that_the_user_names_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/private/bundle.pem")
    assert run.upstream_bundle() == "/private/bundle.pem"


def test_without_any_bundle_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(run, "bundles_found", tuple)
    with pytest.raises(ValueError, match="install ca-certificates"):
        run.upstream_bundle()
