"""From an agent's work under `mode: observe` to a policy that allows that work, and no more."""

from typer.testing import CliRunner

from firewall.cli.main import app
from tests.e2e.clients import opened, take_steps
from tests.e2e.conftest import needs
from tests.e2e.servers import Certificates, Nginx

pytestmark = needs("curl", "nginx")

NAMES = """
network:
  names: {origin.test: 127.0.0.1}
"""
OBSERVE = f"version: 1\nname: observe\nextends: [base]\nmode: observe\n{NAMES}"
ENFORCE = f"version: 1\nname: enforce\nextends: [learned.yaml]\n{NAMES}"
CURL = "curl -sS --max-time 60 -w '%{http_code}'"


def test_what_was_observed_is_allowed_and_no_more(certificates: Certificates, nginx: Nginx) -> None:
    origin = f"https://origin.test:{nginx.https}"
    work = {"work": f"{CURL} {origin}/hello?one; {CURL} -I -o /dev/null {origin}/hello"}
    more = {"path": f"{CURL} {origin}/other", "method": f"{CURL} -X PUT {origin}/hello"}
    with opened(certificates) as workplace:
        take_steps(workplace, workplace.policy(OBSERVE), work)
        wanted = ["--only", "network", "--private", "--log", str(workplace.log)]
        learned = CliRunner().invoke(app, ["policy", "learn", *wanted])
        assert learned.exit_code == 0
        (workplace.folder / "policy" / "learned.yaml").write_text(learned.stdout)
        steps = take_steps(workplace, workplace.policy(ENFORCE), {**work, **more})
    assert 'addresses: ["127.0.0.1"]' in learned.stdout
    assert '{method: "GET", path: "/hello"}' in learned.stdout
    assert steps["work"].out == "hello from nginx\n200200"
    for name in more:
        assert steps[name].out.endswith("403")
        assert "rule learned-1 allows GET /hello, HEAD /hello" in steps[name].out
