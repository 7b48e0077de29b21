"""Whom the agent becomes, and what it may not touch."""

import os
import site
import sys
import sysconfig
from pathlib import Path

import pytest

from firewall.cli import confinement
from firewall.policy import Policy, load_policy
from firewall.sandbox import SandboxError, mounts


def _policy(folder: Path) -> Policy:
    folder.mkdir(exist_ok=True)
    path = folder / "policy.yaml"
    path.write_text("version: 1\nname: t\n")
    return load_policy(path)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("SUDO_GID", raising=False)


@pytest.mark.usefixtures("as_root")
class TestRoot:
    def test_its_agent_is_nobody(self) -> None:
        identity = confinement._user(None)
        assert identity is not None
        assert identity[0] > 0

    def test_under_sudo_its_agent_is_who_called_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SUDO_UID", "1000")
        monkeypatch.setenv("SUDO_GID", "1001")
        assert confinement._user(None) == (1000, 1001)

    @pytest.mark.parametrize("name", ["root", "0"])
    def test_it_may_be_told_to_stay_root(self, name: str) -> None:
        assert confinement._user(name) == (0, 0)

    def test_an_unknown_user_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="--user no-such-user: there is no such user"):
            confinement._user("no-such-user")


def test_an_ordinary_user_stays_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert confinement._user(None) is None
    with pytest.raises(ValueError, match="--user needs root"):
        confinement._user("nobody")


def test_a_policys_folder_is_read_only_unless_the_agent_works_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = _policy(tmp_path / "policies")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    assert confinement._folders(policy) == {str(tmp_path / "policies")}
    monkeypatch.chdir(tmp_path / "policies")
    assert confinement._folders(policy) == set()


def test_what_the_firewall_executes_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the Python below a virtual environment, which may be in the user's own folder."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "python"))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(tmp_path / "site"))
    for name in ("python", "site"):
        (tmp_path / name).mkdir()
    package = str(Path(confinement.__file__).parents[1])
    own = {str(tmp_path), str(tmp_path / "python"), str(tmp_path / "site")}
    assert confinement._code() == {package, *own}


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local"])
def test_of_the_systems_python_only_its_library_is(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", prefix)
    assert prefix not in confinement._code()
    assert sysconfig.get_path("stdlib") in confinement._code()


def test_no_module_comes_from_where_the_agent_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    writable = tmp_path / "writable"
    monkeypatch.setattr(sys, "path", ["", str(writable), str(code / "lib"), "/usr/lib/python3"])
    monkeypatch.setattr(confinement, "_code", lambda: {str(code)})
    with confinement.importing_only_our_code():
        assert sys.path == [str(code / "lib"), "/usr/lib/python3"]
    assert sys.path[1] == str(writable)


def test_a_policy_by_a_link_is_refused_where_the_agent_could_turn_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = _policy(tmp_path / "policies").sources[0]
    (tmp_path / "work").mkdir()
    link = tmp_path / "work" / "link.yaml"
    link.symlink_to(real)
    policy = load_policy(link)
    confinement._must_be_files(policy)
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(SandboxError, match=f"name the file itself: {real}"):
        confinement._must_be_files(policy)


def test_a_sandbox_inside_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    confinement.must_be_possible_here()
    monkeypatch.setattr(mounts, "FILES", str(tmp_path))
    with pytest.raises(SandboxError, match="holds no second one; write the program without"):
        confinement.must_be_possible_here()


def test_a_working_directory_that_is_gone_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SandboxError, match="the working directory was removed"):
        confinement.must_be_possible_here()


SECRETIVE = """
version: 1
name: t
network:
  rules:
    - {{name: a, allow: ssh, hosts: [a.example], shell: true, login: {{key: {folder}/id_a}}}}
    - {{name: b, allow: ssh, hosts: [b.example], shell: true, login: {{password: "env:B_WORD"}}}}
    - name: c
      allow: ssh
      hosts: [c.example]
      shell: true
      login: {{password: "file:{folder}/c"}}
    - name: d
      allow: ssh
      hosts: [d.example]
      shell: true
      login: {{certificate: {{authority: {folder}/user-ca}}}}
    - {{name: e, allow: ssh, hosts: [e.example], shell: true{usual}}}
    - {{name: f, allow: ssh, hosts: [f.example], forwarding: trusted}}
"""


def _secrets(folder: Path, usual: str) -> confinement.Secrets:
    for name in ("id_a", "c", "user-ca"):
        (folder / name).write_text("secret")
    path = folder / "secretive.yaml"
    path.write_text(SECRETIVE.format(folder=folder, usual=usual))
    return confinement.secrets_of(load_policy(path))


def test_an_agent_holds_nothing_that_the_firewall_logs_in_with(tmp_path: Path) -> None:
    secrets = _secrets(tmp_path, ", login: {agent: true}")
    assert set(secrets.files) == {str(tmp_path / name) for name in ("id_a", "c", "user-ca")}
    assert secrets.variables == {"B_WORD"}


def test_a_secret_is_in_no_other_variable_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "value-0011")
    monkeypatch.setenv("ADDRESS", "https://me:value-0011@host.example/")
    monkeypatch.setenv("SHORT", "1")
    left = confinement._without(frozenset({"TOKEN", "SHORT", "NOT_SET"}))
    assert not {"TOKEN", "ADDRESS", "SHORT"} & left.keys()
    assert left["PATH"] == os.environ["PATH"]


def test_a_folder_that_holds_only_secrets_is_hidden_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As secret managers mount them: a link, by a link that another takes the place of."""
    kept, mounted = tmp_path / "kept", tmp_path / "mounted"
    for each in (kept, mounted, mounted / "..1"):
        each.mkdir()
    (kept / "token").write_text("x")
    (mounted / "..1" / "token").write_text("x")
    (mounted / "..data").symlink_to("..1")
    (mounted / "token").symlink_to("..data/token")
    files = {kept / "token", mounted / "token"}
    own = {str(each) for each in (kept, mounted, mounted / "..1")}
    assert set(confinement._hidden(files)) == own
    (kept / "settings").write_text("x")
    assert set(confinement._hidden(files)) == own - {str(kept)} | {str(kept / "token")}
    monkeypatch.chdir(mounted)
    assert str(mounted) not in confinement._hidden(files)


def test_where_a_rule_names_no_login_the_usual_keys_are_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    for name in ("id_ed25519", "id_ed25519.pub", "config"):
        (tmp_path / ".ssh" / name).write_text("x")
    files = _secrets(tmp_path, "").files
    assert str(tmp_path / ".ssh" / "id_ed25519") in files
    assert not [each for each in files if each.endswith((".pub", "config"))]
