from pathlib import Path

import pytest

from firewall.sandbox import keystore, trust
from firewall.sandbox.authority import Authority, certificates


def pem(tmp_path: Path, name: str) -> bytes:
    return Authority.ensure(tmp_path / name).pem


def test_merging_keeps_each_certificate_once(tmp_path: Path) -> None:
    ca, one, two = (pem(tmp_path, name) for name in ("ca", "one", "two"))
    merged = trust.merge([one + two, b"# comment\n" + one, b""], ca)
    assert certificates(merged) == [one.strip(), two.strip(), ca.strip()]


def test_bundles_are_found_by_their_real_path_once(tmp_path: Path) -> None:
    real = tmp_path / "bundle.pem"
    real.write_text("")
    link = tmp_path / "link.pem"
    link.symlink_to(real)
    missing = tmp_path / "missing.pem"
    assert trust.bundles_found([str(link), str(real), str(missing)]) == (str(real),)


def test_the_plan_merges_what_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, system, private = (pem(tmp_path, name) for name in ("ca", "system", "private"))
    (tmp_path / "system.pem").write_bytes(system)
    (tmp_path / "private.pem").write_bytes(private)
    monkeypatch.setattr(trust, "bundles_found", lambda: (str(tmp_path / "system.pem"),))
    environment = {
        "PIP_CERT": str(tmp_path / "private.pem"),
        "SSL_CERT_FILE": str(tmp_path / "not-there.pem"),
        "UNRELATED": str(tmp_path / "ca" / "mitmproxy-ca.pem"),
    }
    plan = trust.plan(ca, environment)
    assert certificates(plan.merged) == [system.strip(), private.strip(), ca.strip()]
    assert plan.files == (str(tmp_path / "system.pem"),)


def test_keys_never_get_into_the_bundle(tmp_path: Path) -> None:
    ca = pem(tmp_path, "ca")
    secret = str(tmp_path / "ca" / "mitmproxy-ca.pem")
    assert b"PRIVATE" in Path(secret).read_bytes()
    assert b"PRIVATE" not in trust.plan(ca, {"CURL_CA_BUNDLE": secret}).merged


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(ValueError):
        trust.plan(b"nothing", {})


def test_the_firewalls_authority_vouches_for_every_ssh_host_beside_those_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "SSH_DIRECTORY", str(tmp_path))
    ca = pem(tmp_path, "ca")
    assert trust.plan(ca, {}).known_hosts == b""
    alone = trust.plan(ca, {}, "ssh-ed25519 AAAA firewall").known_hosts
    assert alone == b"\n@cert-authority * ssh-ed25519 AAAA firewall\n"
    (tmp_path / "ssh_known_hosts").write_bytes(b"a.example ssh-ed25519 BBBB")
    both = trust.plan(ca, {}, "ssh-ed25519 AAAA firewall").known_hosts
    assert both == b"a.example ssh-ed25519 BBBB" + alone


def test_java_keeps_its_own_list_and_gets_the_firewalls_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, java, system = (pem(tmp_path, name) for name in ("ca", "java", "system"))
    store = tmp_path / "cacerts"
    store.write_bytes(keystore.write(java))
    (tmp_path / "system.pem").write_bytes(system)
    monkeypatch.setattr(keystore, "PATTERNS", (str(store),))
    monkeypatch.setattr(trust, "bundles_found", lambda: (str(tmp_path / "system.pem"),))
    plan = trust.plan(ca, {})
    assert plan.stores == (str(store),)
    assert certificates(keystore.authorities(plan.keystore)) == [java.strip(), ca.strip()]
    assert certificates(plan.merged) == [system.strip(), ca.strip()]
