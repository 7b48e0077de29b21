"""Real SSH clients behind the gateway: what a rule allows works, all else is refused and told."""

import getpass
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from firewall.sandbox import Authority
from tests.e2e.clients import Step, Steps, opened, public_folder, take_steps
from tests.e2e.conftest import Workplace, needs
from tests.e2e.servers import Certificates, GitServer, Nginx, RawServer
from tests.e2e.serving import Served, serve
from tests.e2e.upstreams import Dropbear, Sshd
from tests.waiting import PATIENCE

PROGRAMS = """
    autossh curl dbclient dropbear dropbearkey git mosh nc nginx openssl plink rsync scp sftp ssh
    ssh-agent ssh-keygen sshd sshuttle unshare
"""
pytestmark = needs(*PROGRAMS.split())

POLICY = """
version: 1
name: test
extends: [base]
network:
  names: {box.test: 127.0.0.1, shell.test: 127.0.0.1, drop.test: 127.0.0.1, origin.test: 127.0.0.1}
  rules:
    - name: box
      allow: ssh
      hosts: [box.test]
      ports: [{port}]
      addresses: [127.0.0.1/32]
      users: [{login}]
      commands: ["echo *", "git-upload-pack *", "rsync --server --sender *"]
      forwarding: {local: ["127.0.0.1:{raw}"]}
      files: {read: ["{data}/**", "{data}"], write: ["{data}/in/**"]}
      host-keys: ["{fingerprint}"]
      login: {key: {key}}
    - name: interactive
      allow: ssh
      hosts: [shell.test]
      ports: [{port}]
      addresses: [127.0.0.1/32]
      shell: true
      host-keys: learn
      login: {key: {key}}
    - name: dropbear
      allow: ssh
      hosts: [drop.test]
      ports: [{drop}]
      addresses: [127.0.0.1/32]
      commands: ["echo *"]
      host-keys: learn
      login: {key: {key}}
    - {name: web, allow: https, hosts: [origin.test], ports: [{https}], addresses: [127.0.0.1/32]}
"""


@dataclass(frozen=True)
class Act:
    """One line of the table (ssh_acts.yaml)."""

    client: str
    act: str
    script: str
    says: str = ""
    rule: str = ""
    kind: str = ""

    @property
    def name(self) -> str:
        return re.sub(r"[ /]", "-", f"{self.client} {self.act}")


TABLE = Path(__file__).with_name("ssh_acts.yaml")
ACTS = [Act(**row) for row in yaml.safe_load(TABLE.read_text())]
OPTIONS = "-o BatchMode=yes -o ConnectTimeout=60"


@pytest.fixture(scope="module")
def ran(certificates: Certificates, nginx: Nginx) -> Iterator[Steps]:
    with opened(certificates) as workplace, public_folder("fw-ssh-") as folder:
        sshd, dropbear, raw = Sshd(folder), Dropbear(folder), RawServer()
        git = GitServer(folder / "git", certificates)
        data = _data(folder)
        values = {
            "PORT": sshd.port,
            "DROP": dropbear.port,
            "RAW": raw.port,
            "HTTPS": nginx.https,
            "DATA": data,
            "KEYFILE": sshd.key,
            "REPO": git.folder / "o" / "r.git",
        }
        policy = workplace.policy(
            POLICY,
            port=sshd.port,
            drop=dropbear.port,
            raw=raw.port,
            https=nginx.https,
            data=data,
            login=getpass.getuser(),
            key=sshd.key,
            fingerprint=_fingerprint(folder / "host.pub"),
        )
        hostkey = _gateway_key(workplace)
        scripts = {each.name: _spelled(each.script, values, hostkey) for each in ACTS}
        try:
            yield take_steps(workplace, policy, scripts, timeout=240)
        finally:
            for server in (sshd, dropbear, raw, git):
                server.close()


def _data(folder: Path) -> Path:
    data = folder / "data"
    (data / "in").mkdir(parents=True)
    (data / "in").chmod(0o777)
    (data / "given").write_text("given\n")
    return data


def _fingerprint(public: Path) -> str:
    command = ["ssh-keygen", "-lf", str(public)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]


def _gateway_key(workplace: Workplace) -> str:
    """The fingerprint of the gateway's own host key, for clients that know no certificates."""
    authority = Authority.ensure(workplace.folder / "state" / "authority")
    return _fingerprint(authority.directory / "ssh-host.pub")


def _spelled(script: str, values: dict[str, object], hostkey: str) -> str:
    login = getpass.getuser()
    ssh = f"ssh -F none {OPTIONS}"
    words = {
        "AUTOSSH": f"autossh -M 0 -F none {OPTIONS} -p PORT",
        "SSHD": f"{ssh} -p DROPPORT",
        "SFTPB": f"sftp -q -F none {OPTIONS} -P PORT -b -",
        "SFTP": f"sftp -q -F none {OPTIONS} -P PORT",
        "SCP": f"scp -q -F none {OPTIONS} -P PORT",
        "SSH": f"{ssh} -p PORT",
        "PLINK": f"plink -batch -hostkey {hostkey} -P PORT",
        "OPTIONS": OPTIONS,
        "DROPPORT": str(values["DROP"]),
        "BOX": f"{login}@box.test",
        "DROP": f"{login}@drop.test",
        "LOGIN": login,
        **{key: str(value) for key, value in values.items() if key != "DROP"},
    }
    for word, meaning in words.items():
        script = re.sub(rf"\b{word}(?![A-Za-z_])", meaning, script)
    return script


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_an_act(ran: Steps, act: Act) -> None:
    if "DROP" in act.script and os.geteuid() != 0:
        pytest.skip("a dropbear server that knows the tests' key needs root")
    step = ran[act.name]
    assert act.says in step.out + step.err, step
    if act.rule:
        assert (act.rule, act.kind) in _blocks(step), step
    else:
        assert _blocks(step) == [], step


def _blocks(step: Step) -> list[tuple[str, str]]:
    return [
        (each["verdict"]["rule"], each["request"].get("kind", ""))
        for each in step.blocked
        if each["request"]["type"] in ("SshChannel", "Message")
    ]


def test_a_blocked_reverse_forward_is_critical_and_tells_who(ran: Steps) -> None:
    step = ran["ssh--R-port"]
    rules = {each["verdict"]["rule"]: each["verdict"]["reason"] for each in step.blocked}
    assert list(rules) == ["guards.ssh-reverse-forwarding"], rules
    (record,) = step.blocked
    assert record["verdict"]["severity"] == "critical"
    assert record["request"]["detail"] == "localhost:9999"
    assert record["actor"]["process"]["argv"][0] == "ssh"
    assert "Blocked by the firewall" in step.err
    assert "guards.ssh-reverse-forwarding" in step.err


def test_the_agent_holds_no_key_and_is_asked_nothing(ran: Steps) -> None:
    step = ran["ssh-allowed-command"]
    assert (step.status, step.err) == (0, "")


CARRIED = """
version: 1
name: carried
extends: [base]
guards: {on-critical: quarantine}
network:
  names: {box.test: 127.0.0.1}
  rules:
    - name: box
      allow: ssh
      hosts: [box.test]
      ports: [{port}]
      addresses: [127.0.0.1/32]
      commands: ["echo *"]
      host-keys: learn
      login: {key: {key}}
"""


def test_a_proxys_client_is_judged_alike_and_a_reverse_forward_closes_it_for_all(
    workplace: Workplace,
) -> None:
    """Inside HTTP CONNECT and inside SOCKS5; then nothing passes until it is released."""
    with public_folder("fw-ssh-") as folder:
        sshd = Sshd(folder)
        policy = workplace.policy(CARRIED, port=sshd.port, key=sshd.key)
        login = f"{getpass.getuser()}@box.test"
        try:
            with serve(workplace, policy) as proxy:
                assert _carried(proxy, "connect", sshd.port, login, "echo", "one").stdout == "one\n"
                assert _carried(proxy, "5", sshd.port, login, "echo", "two").stdout == "two\n"
                denied = _carried(proxy, "5", sshd.port, login, "id")
                assert "no rule allows the command id" in denied.stderr
                door = _carried(proxy, "5", sshd.port, "-R", "9988:127.0.0.1:22", login, "echo x")
                assert door.returncode == 255
                after = _carried(proxy, "connect", sshd.port, login, "echo", "three")
                assert after.stdout == ""
                assert "(rule: quarantine)" in after.stderr
        finally:
            sshd.close()
    kinds = [each["kind"] for each in workplace.records()]
    assert kinds.count("quarantine") == 1


def _carried(
    proxy: Served, way: str, port: int, *arguments: str
) -> subprocess.CompletedProcess[str]:
    through = f"ProxyCommand=nc -X {way} -x 127.0.0.1:{proxy.port} %h %p"
    trusting = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
    command = ["ssh", "-F", "none", *OPTIONS.split(), *trusting, "-o", "LogLevel=ERROR"]
    return subprocess.run(
        [*command, "-o", through, "-p", str(port), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
