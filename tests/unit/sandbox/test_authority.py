import os
import re
import ssl
import threading
from pathlib import Path

import asyncssh
import pytest
import trustme
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


def given(folder: Path, authority: trustme.CA, other: trustme.CA | None = None) -> Path:
    """A folder as a Secret of the type kubernetes.io/tls is mounted."""
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "tls.crt")
    (other or authority).private_key_pem.write_to_path(folder / "tls.key")
    return folder


def test_a_given_authority_takes_the_place_of_its_own(tmp_path: Path) -> None:
    own, authority = Authority.ensure(tmp_path / "ca"), trustme.CA()
    Authority.adopt(own.directory, given(tmp_path / "given", authority))
    Authority.adopt(own.directory, tmp_path / "given")
    adopted = Authority.ensure(own.directory)
    assert adopted.pem == authority.cert_pem.bytes()
    store = CertStore.from_store(own.directory, "mitmproxy", 2048)
    assert store.default_ca.to_pem() == adopted.pem
    assert (own.directory / "mitmproxy-ca.pem").stat().st_mode & 0o777 == 0o600


def test_where_none_is_given_its_own_stays(tmp_path: Path) -> None:
    own = Authority.ensure(tmp_path / "ca")
    (tmp_path / "given").mkdir()
    Authority.adopt(own.directory, tmp_path / "given")
    assert Authority.ensure(own.directory) == own


def test_what_is_no_authority_is_refused_and_says_why(tmp_path: Path) -> None:
    authority, directory = trustme.CA(), tmp_path / "ca"
    leaf = authority.issue_cert("leaf.test")
    folder = given(tmp_path / "leaf", authority)
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    with pytest.raises(SandboxError, match="this certificate is none"):
        Authority.adopt(directory, folder)
    with pytest.raises(SandboxError, match="this key is of another certificate"):
        Authority.adopt(directory, given(tmp_path / "mixed", authority, trustme.CA()))
    (folder / "tls.key").unlink()
    with pytest.raises(SandboxError, match="must be the certificate and the key of an authority"):
        Authority.adopt(directory, folder)
    assert not directory.exists()
