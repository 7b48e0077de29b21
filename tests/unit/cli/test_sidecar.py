"""What `firewall sidecar` says where it does nothing; what it does, tests/e2e try."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from firewall.cli.main import app

OVERLAY = Path(__file__).parents[3] / "deploy/kubernetes/overlays/sidecar/agent.yaml"


def test_a_pod_that_lacks_something_is_told_what_to_write(tmp_path: Path) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text(OVERLAY.read_text().replace("runAsUser: 1000", "runAsUser: 64100"))
    done = CliRunner().invoke(app, ["sidecar", "check", str(OVERLAY), str(path)])
    assert done.exit_code == 1
    assert f"ok {OVERLAY}: Deployment agent" in done.output
    assert (
        f"{path}: Deployment agent: container agent: it runs as the gate's user, 64100; write:"
        " another runAsUser" in done.output
    )


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "it cannot be read"), ("kind: Service", "it makes no pod")]
)
def test_a_file_without_a_pod_is_no_success(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    done = CliRunner().invoke(app, ["sidecar", "check", str(path)])
    assert (done.exit_code, said in done.output) == (1, True)


def test_root_is_no_user_of_a_gate() -> None:
    done = CliRunner().invoke(app, ["sidecar", "init", "--uid", "0"])
    assert (done.exit_code, "the gate cannot be root" in done.output) == (1, True)
