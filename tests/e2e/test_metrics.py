"""A running firewall answers Prometheus."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import Workplace
from tests.e2e.servers import RawServer, free_port
from tests.e2e.serving import serve
from tests.e2e.test_survival import ended
from tests.waiting import PATIENCE, eventually

POLICY = """
version: 1
name: metered
network:
  names: {raw.test: 127.0.0.1}
  rules:
    - {name: raw, allow: tcp, hosts: [raw.test], ports: [{raw}], addresses: [127.0.0.1/32]}
"""


def test_prometheus_sees_verdicts_flows_and_the_log(
    workplace: Workplace, raw_server: RawServer
) -> None:
    policy = workplace.policy(POLICY, raw=raw_server.port)
    metrics = free_port()
    with serve(workplace, policy, "--metrics", str(metrics)) as served:
        with served.connect("raw.test", raw_server.port) as allowed:
            allowed.sendall(b"\x00\x01\x02\x03")
            assert allowed.recv(10) == b"\x00\x01\x02\x03"
            eventually(lambda: _samples(metrics)['firewall_flows{state="relaying"}'] == 1)
        denied = served.connect("other.test", 1)
        denied.sendall(b"\x00\x01\x02\x03")
        assert ended(denied)
        samples = eventually(lambda: _of_both(_samples(metrics)))
    verdicts = {name: value for name, value in samples.items() if "verdicts_total" in name}
    assert verdicts == {
        _verdict("allow", "raw"): 1,
        _verdict("deny", "default"): 1,
    }
    assert samples["firewall_audit_state"] == 1
    assert samples["firewall_decision_seconds_count"] == 2
    assert samples["firewall_append_seconds_count"] >= 2
    assert samples['firewall_flow_bytes_total{direction="sent"}'] == 4


def _of_both(samples: dict[str, float]) -> dict[str, float]:
    """The samples once both flows are over and recorded: a block is answered before it is."""
    over = samples['firewall_flows{state="relaying"}'] == 0
    return samples if over and samples["firewall_append_seconds_count"] >= 2 else {}


def _verdict(action: str, rule: str) -> str:
    labels = f'action="{action}",enforced="true",protocol="unknown",rule="{rule}"'
    return f"firewall_verdicts_total{{{labels}}}"


def _samples(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as response:
        text = response.read().decode()
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _labels(labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{labels[name]}"' for name in sorted(labels))
    return f"{{{inside}}}" if inside else ""
