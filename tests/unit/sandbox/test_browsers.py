import base64
import json
import ssl
from pathlib import Path

from firewall.sandbox.authority import Authority
from firewall.sandbox.browsers import policies


def test_a_browser_that_is_here_gets_a_policy(tmp_path: Path) -> None:
    ca = Authority.ensure(tmp_path / "ca").pem
    (tmp_path / "chromium").mkdir()
    (path, text), *others = policies(ca, (f"{tmp_path}/chromium", f"{tmp_path}/none")).items()
    assert (path, others) == (f"{tmp_path}/chromium/policies/managed/zz-agent-firewall.json", [])
    (trusted,) = json.loads(text)["CACertificates"]
    assert base64.b64decode(trusted) == ssl.PEM_cert_to_DER_cert(ca.decode())


def test_what_the_administrator_trusts_stays_trusted(tmp_path: Path) -> None:
    ca = Authority.ensure(tmp_path / "ca").pem
    managed = tmp_path / "chromium/policies/managed"
    managed.mkdir(parents=True)
    (managed / "a.json").write_text('{"CACertificates": ["QUJD"], "Other": 1}')
    for name, text in (("b", "no JSON"), ("c", "[]"), ("d", '{"CACertificates": "no list"}')):
        (managed / f"{name}.json").write_text(text)
    (policy,) = policies(ca, (f"{tmp_path}/chromium",)).values()
    found = json.loads(policy)
    assert list(found) == ["CACertificates"]
    assert found["CACertificates"][0] == "QUJD"
    assert len(found["CACertificates"]) == 2
