"""`mode: observe` lets pass and writes down; `tls: passthrough` carries what it cannot read."""

from tests.e2e.clients import check_evidence, opened, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates, Nginx

pytestmark = needs("curl", "nginx")

OBSERVE = """
version: 1
name: test
mode: observe
network:
  names: {origin.test: 127.0.0.1, raw.test: 127.0.0.1}
  rules:
    - {name: web, allow: https, hosts: [origin.test], ports: [{https}], methods: [HEAD],
       addresses: [127.0.0.1/32]}
"""
PASSTHROUGH = """
version: 1
name: test
network:
  names: {origin.test: 127.0.0.1, git.test: 127.0.0.1}
  rules:
    - {name: pinned, allow: https, hosts: [origin.test], ports: [{https}], tls: passthrough,
       addresses: [127.0.0.1/32]}
    - {name: read, allow: https, hosts: [git.test], ports: [{https}], methods: [GET],
       addresses: [127.0.0.1/32]}
"""
BASE = "curl -sS --max-time 60 -w '%{http_code}'"


def _arrived(nginx: Nginx, path: str) -> list[str]:
    return [each for each in nginx.requests() if f" {path} " in each]


def test_observe(certificates: Certificates, nginx: Nginx) -> None:
    scripts = {
        "request": f"{BASE} https://origin.test:{nginx.https}/hello?observed",
        "plain": f"{BASE} http://raw.test:{nginx.http}/hello?observed-plain",
        "allowed": f"{BASE} -I https://origin.test:{nginx.https}/hello",
    }
    with opened(certificates) as workplace:
        policy = workplace.policy(OBSERVE, https=nginx.https, http=nginx.http)
        steps = take_steps(workplace, policy, scripts)
    assert steps["request"].out == "hello from nginx\n200"
    assert steps["plain"].out == "hello from nginx\n200"
    assert len(_arrived(nginx, "/hello?observed")) == 1
    assert len(_arrived(nginx, "/hello?observed-plain")) == 1
    record = steps["request"].block("default", "curl")
    assert record["verdict"]["enforced"] is False
    assert "this is GET /hello" in record["verdict"]["reason"]
    for record in steps["plain"].blocked:
        check_evidence(record, "curl")
        assert record["verdict"]["enforced"] is False
    assert {each["request"]["type"] for each in steps["plain"].blocked} == {
        "Connect",
        "HttpRequest",
    }
    assert steps["allowed"].blocked == []


@needs("openssl")
def test_passthrough(certificates: Certificates, nginx: Nginx) -> None:
    origin = f"origin.test:{nginx.https}"
    issuer = "openssl x509 -noout -issuer"
    client = "timeout 60 openssl s_client </dev/null 2>/dev/null -connect"
    scripts = {
        "own": f"{BASE} https://{origin}/hello?passed",
        "post": f"{BASE} -X DELETE -o /dev/null https://{origin}/hello?unread",
        "issuer": f"{client} {origin} -servername origin.test | {issuer}",
        "inspected": f"{client} git.test:{nginx.https} -servername git.test | {issuer}",
        "front": f"{BASE} --connect-to git.test:{nginx.https}:{origin}"
        f" https://git.test:{nginx.https}/hello?front",
        "nameless": f"{client} {origin} -noservername",
        "plain": f"{BASE} http://{origin}/hello?plain",
    }
    with opened(certificates) as workplace:
        steps = take_steps(workplace, workplace.policy(PASSTHROUGH, https=nginx.https), scripts)
    assert steps["own"].out == "hello from nginx\n200"
    assert steps["own"].allowed("HttpRequest") == []
    (connect,) = steps["own"].allowed("Connect")
    assert connect["verdict"]["obligations"]["tls"] == "passthrough"
    assert len(_arrived(nginx, "/hello?passed")) == 1
    assert steps["post"].out == "405"
    assert "trustme" in steps["issuer"].out
    assert "agent-firewall" in steps["inspected"].out
    assert "handshake names 'git.test', the connection 'origin.test'" in steps["front"].out
    steps["front"].block("guards.name-mismatch", "curl")
    record = steps["nameless"].block("guards.name-mismatch", "openssl")
    assert "names no host" in record["verdict"]["reason"]
    steps["plain"].block("default", "curl")
    assert _arrived(nginx, "/hello?front") == _arrived(nginx, "/hello?plain") == []
