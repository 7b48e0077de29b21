import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    KeySerializationEncryption,
    NoEncryption,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
)
from hypothesis import given
from hypothesis import strategies as st

from firewall.sandbox import keystore
from firewall.sandbox.authority import Authority, certificates


@pytest.fixture
def two(tmp_path: Path) -> bytes:
    return b"".join(Authority.ensure(tmp_path / name).pem for name in ("one", "two"))


def test_what_is_written_is_read_again(two: bytes) -> None:
    assert certificates(keystore.authorities(keystore.write(two))) == certificates(two)


def test_comments_keys_and_what_is_no_certificate_stay_out(two: bytes) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
    assert keystore.write(b"# comment\n" + broken + two) == keystore.write(two)


def test_java_itself_reads_it(two: bytes, tmp_path: Path) -> None:
    if not shutil.which("keytool"):
        pytest.skip("no JDK here")
    (tmp_path / "cacerts").write_bytes(keystore.write(two))
    command = ["keytool", "-list", "-keystore", str(tmp_path / "cacerts"), "-storepass", "changeit"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.count("trustedCertEntry") == 2


@pytest.mark.parametrize("how", [NoEncryption(), BestAvailableEncryption(b"changeit")])
def test_the_lists_of_newer_jdks_are_read(how: KeySerializationEncryption, two: bytes) -> None:
    trusted = [
        PKCS12Certificate(x509.load_pem_x509_certificate(each), b"%d" % number)
        for number, each in enumerate(certificates(two))
    ]
    store = serialize_java_truststore(trusted, how)
    assert certificates(keystore.authorities(store)) == certificates(two)


@given(st.integers(0, 1000))
def test_a_cut_store_gives_what_is_whole(length: int) -> None:
    pem = b"-----BEGIN CERTIFICATE-----\nMTIzNA==\n-----END CERTIFICATE-----\n" * 3
    store = keystore.write(pem)[:length]
    assert pem.startswith(keystore.authorities(store))


@given(st.binary())
def test_what_is_no_store_gives_nothing_or_less(data: bytes) -> None:
    assert keystore.authorities(data) == b""
    keystore.authorities(b"\xfe\xed\xfe\xed" + data)


def test_stores_are_found_by_their_real_path_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("real", "a[1]"):
        (tmp_path / each / "lib/security").mkdir(parents=True)
        (tmp_path / each / "lib/security/cacerts").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setattr(keystore, "PATTERNS", (f"{tmp_path}/[rl]*/lib/security/cacerts",))
    found = keystore.stores_found({"JAVA_HOME": f"{tmp_path}/a[1]"})
    assert found == tuple(f"{tmp_path}/{each}/lib/security/cacerts" for each in ("real", "a[1]"))
