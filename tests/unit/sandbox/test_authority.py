import os
import re
import ssl
import threading
from pathlib import Path

import asyncssh
import pytest
from mitmproxy.certs import CertStore

from firewall.sandbox.authority import Authority, certificates
from firewall.sandbox.errors import SandboxError

SSH_FILES = ["ssh-ca", "ssh-ca.pub", "ssh-host", "ssh-host.pub"]


def test_it_is_made_once(tmp_path: Path) -> None:
    first = Authority.ensure(tmp_path / "state" / "ca")
    assert Authority.ensure(tmp_path / "state" / "ca") == first
    ssl.create_default_context(cadata=first.pem.decode())


def test_mitmproxy_loads_it(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path / "ca")
    store = CertStore.from_store(authority.directory, "mitmproxy", 2048)
    assert store.default_ca.to_pem() == authority.pem
    assert (authority.directory / "mitmproxy-ca-cert.pem").read_bytes() == authority.pem


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    directory = Authority.ensure(tmp_path / "ca").directory
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "mitmproxy-ca.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "mode"), [("", 0o750), ("mitmproxy-ca.pem", 0o644), ("ssh-ca", 0o640)]
)
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    directory = Authority.ensure(tmp_path / "ca").directory
    (directory / name).chmod(mode)
    remedy = f"write: chmod 0{'6' if name else '7'}00 {directory / name}"
    with pytest.raises(SandboxError, match=re.escape(remedy)):
        Authority.ensure(directory)


def test_a_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    directory = Authority.ensure(tmp_path / "ca").directory
    (directory / "mitmproxy-ca.pem").write_text("nothing")
    with pytest.raises(SandboxError, match="holds no certificate; delete it"):
        Authority.ensure(directory)


def test_a_new_key_gets_a_new_certificate_file(tmp_path: Path) -> None:
    directory = Authority.ensure(tmp_path / "ca").directory
    (directory / "mitmproxy-ca.pem").unlink()
    pem = Authority.ensure(directory).pem
    assert (directory / "mitmproxy-ca-cert.pem").read_bytes() == pem


def test_two_at_once_agree(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(Authority.ensure(tmp_path / "ca").pem))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    files = ["mitmproxy-ca-cert.pem", "mitmproxy-ca.pem", *SSH_FILES]
    assert sorted(os.listdir(tmp_path / "ca")) == files


def test_ssh_keys_read_it(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path / "ca")
    for name in ("ssh-ca", "ssh-host"):
        private, public = authority.directory / name, authority.directory / f"{name}.pub"
        assert private.stat().st_mode & 0o777 == 0o600
        assert asyncssh.read_private_key(private).public_data == (
            asyncssh.read_public_key(public).public_data
        )
    assert authority.ssh.startswith("ssh-ed25519 ")
    assert (authority.directory / "ssh-ca.pub").read_text().strip() == authority.ssh
    assert Authority.ensure(authority.directory).ssh == authority.ssh


def test_certificates_leave_keys_and_comments_out(tmp_path: Path) -> None:
    directory = Authority.ensure(tmp_path / "ca").directory
    text = b"# comment\n" + (directory / "mitmproxy-ca.pem").read_bytes()
    [found] = certificates(text)
    assert found.startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE" not in found
    assert certificates(b"-----BEGIN CERTIFICATE-----\nunfinished") == []
