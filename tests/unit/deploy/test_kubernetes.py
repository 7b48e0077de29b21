"""The manifests are what the API takes, and give the firewall no more than it needs."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from typer.testing import CliRunner

from firewall.cli.main import app
from firewall.node.config import load_config
from firewall.node.trust import INSIDE, environment
from firewall.policy import load_policy
from firewall.sidecar import UID

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
OVERLAYS = sorted(path for path in (FOLDER / "overlays").iterdir())
VERSIONS = ("1.30", "1.34")
"""appArmorProfile is a field of pods since 1.30."""

type Manifest = dict[str, Any]


def manifests() -> Iterator[tuple[str, Manifest]]:
    for kustomization in KUSTOMIZATIONS:
        for name in yaml.safe_load(kustomization.read_text())["resources"]:
            path = kustomization.parent / name
            for each in yaml.safe_load_all(path.read_text()) if path.is_file() else ():
                yield f"{kustomization.parent.name}-{each['kind']}-{each['metadata']['name']}", each


MANIFESTS = dict(manifests())
PODS = {
    name: each["spec"]["template"]["spec"]
    for name, each in MANIFESTS.items()
    if "template" in each.get("spec", {})
}
CONTAINERS = [
    (f"{name}-{each['name']}", each)
    for name, pod in PODS.items()
    for each in (*pod.get("initContainers", ()), *pod["containers"])
]
OURS = [each for each in CONTAINERS if each[1]["image"] == "agent-firewall"]
LASTING = [each for each in OURS if "ports" in each[1]]
SIDECAR = {name.rpartition("-")[2]: each for name, each in CONTAINERS if "sidecar" in name}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_the_api_takes_it(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_kustomize_builds_what_the_api_takes(overlay: Path) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=True
    ).stdout
    objects = list(yaml.safe_load_all(built))
    assert {each["metadata"].get("namespace", "agent-firewall") for each in objects} == {
        "agent-firewall"
    }
    for each in objects:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_a_kustomization_names_files_that_there_are(path: Path) -> None:
    kustomization = yaml.safe_load(path.read_text())
    files = [
        each
        for made in kustomization.get("configMapGenerator", ())
        for each in (*made.get("files", ()), *made.get("envs", ()))
    ]
    assert all((path.parent / each).exists() for each in (*kustomization["resources"], *files))


@pytest.mark.parametrize("name", PODS)
def test_a_pod_gets_no_more_than_it_needs(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert name.startswith("node") or pod["securityContext"]["runAsNonRoot"] is True
    assert not {"hostNetwork", "hostIPC"} & set(pod)
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (
            False,
            True,
        )
        assert context["capabilities"]["drop"] == ["ALL"]
        assert "privileged" not in context
        assert container["resources"]["limits"]["memory"]


def test_the_node_has_the_capabilities_of_its_unit_and_no_others() -> None:
    (line,) = [
        each.partition("=")[2]
        for each in (ROOT / "deploy/systemd/firewall-node.service").read_text().splitlines()
        if each.startswith("CapabilityBoundingSet=")
    ]
    (container,) = PODS["node-DaemonSet-node"]["containers"]
    added = container["securityContext"]["capabilities"]["add"]
    assert {f"CAP_{each}" for each in added} == set(line.split())


@pytest.mark.parametrize(("name", "container"), OURS, ids=[name for name, _ in OURS])
def test_a_container_runs_a_command_that_there_is(name: str, container: Manifest) -> None:
    words = [each for each in container["args"] if not each.startswith("-")]
    command = words[: 2 if words[0] in ("node", "sidecar") else 1]
    page = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
    assert all(each in page for each in container["args"] if each.startswith("--"))


@pytest.mark.parametrize(("name", "container"), LASTING, ids=[name for name, _ in LASTING])
def test_probes_and_listeners_are_at_its_ports(name: str, container: Manifest) -> None:
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    for probe in ("readinessProbe", "livenessProbe"):
        (how,) = [
            each for kind, each in container[probe].items() if kind in ("httpGet", "tcpSocket")
        ]
        assert how["port"] in ports
    listening = {
        each.rpartition(":")[2] for each in container["args"] if each.startswith("0.0.0.0:")
    }
    assert listening == {str(each) for each in ports.values()}


@pytest.mark.parametrize("name", PODS)
def test_what_is_mounted_is_there(name: str) -> None:
    volumes = {each["name"] for each in PODS[name]["volumes"]}
    volumes |= {
        each["metadata"]["name"] for each in MANIFESTS[name]["spec"].get("volumeClaimTemplates", ())
    }
    pod = PODS[name]
    mounted = {
        each["name"]
        for container in (*pod.get("initContainers", ()), *pod["containers"])
        for each in container.get("volumeMounts", ())
    }
    assert mounted == volumes


def test_the_rules_the_gate_and_the_agent_beside_it_know_each_their_part() -> None:
    rules, gate, agent = (SIDECAR[each] for each in ("rules", "gate", "agent"))
    assert rules["securityContext"]["capabilities"]["add"] == ["NET_ADMIN"]
    assert "restartPolicy" not in rules, "it is over before the gate starts"
    assert (gate["restartPolicy"], "startupProbe" in gate) == ("Always", True)
    for each in (gate, agent):
        assert "add" not in each["securityContext"]["capabilities"]
    users = [_after("--uid", each) for each in (rules, gate)]
    assert users == [str(gate["securityContext"]["runAsUser"])] * 2 == [str(UID)] * 2
    assert agent["securityContext"]["runAsUser"] != UID
    assert _after("--inbound", rules) == str(gate["ports"][0]["containerPort"])
    shared = {each["name"] for each in agent["volumeMounts"]} & {
        each["name"] for each in gate["volumeMounts"]
    }
    assert shared == {"trust"}
    assert all(each["readOnly"] for each in agent["volumeMounts"] if each["name"] == "trust")
    assert _after("--trust", gate) == str(Path(INSIDE).parent)


def _after(option: str, container: Manifest) -> str:
    return str(container["args"][container["args"].index(option) + 1])


def test_the_agent_is_told_what_to_trust() -> None:
    lines = (FOLDER / "overlays" / "sidecar" / "trust.env").read_text().splitlines()
    assert dict(each.split("=", 1) for each in lines) == environment()


def test_only_the_gate_has_a_way_out() -> None:
    rules = {
        name: each["spec"] for name, each in MANIFESTS.items() if each["kind"] == "NetworkPolicy"
    }
    anywhere = [name for name, each in rules.items() if {} in each.get("egress", [])]
    assert anywhere == ["gateway-NetworkPolicy-the-gate-reaches-the-world"]
    assert rules[anywhere[0]]["podSelector"] == {"matchLabels": {"firewall": "gate"}}
    nothing = rules["gateway-NetworkPolicy-nothing-leaves"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Egress"]}


def test_its_policy_and_the_nodes_file_load(tmp_path: Path) -> None:
    assert load_policy(FOLDER / "base" / "policy.yaml").name == "cluster"
    config = load_config(FOLDER / "overlays" / "node" / "node.yaml")
    mounted = {
        each["mountPath"] for each in PODS["node-DaemonSet-node"]["containers"][0]["volumeMounts"]
    }
    assert all(str(Path(each).parent) in mounted for each in config.policies.values())
    assert str(Path(config.socket).parent) in mounted


def test_compose_and_image_give_the_gate_nothing_and_the_agent_no_way_out() -> None:
    folder = ROOT / "deploy" / "container"
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    gate, agent = compose["services"]["gate"], compose["services"]["agent"]
    assert (gate["read_only"], gate["cap_drop"]) == (True, ["ALL"])
    assert compose["networks"][agent["networks"][0]] == {"internal": True}
    assert len(agent["networks"]) == 1
    lines = (folder / "Containerfile").read_text().splitlines()
    last = {each.partition(" ")[0]: each.partition(" ")[2] for each in lines}
    assert last["USER"] == gate["user"] == "65532:65532"
    command = json.loads(last["CMD"])
    page = CliRunner().invoke(app, [command[0], "--help"], env={"COLUMNS": "200"}).output
    assert all(each in page for each in command if each.startswith("--"))


def test_compose_has_an_agent_beside_its_gate_in_a_network_that_outlives_both() -> None:
    folder = ROOT / "deploy" / "container"
    services = yaml.safe_load((folder / "sidecar.compose.yaml").read_text())["services"]
    rules, gate, agent = (services[each] for each in ("rules", "gate", "agent"))
    assert [each.get("network_mode") for each in (rules, gate, agent)] == ["service:network"] * 3
    for each in services.values():
        assert (each["cap_drop"], each["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert [name for name, each in services.items() if "cap_add" in each] == ["rules"]
    assert rules["cap_add"] == ["NET_ADMIN"]
    users = {_compose_option("--uid", each) for each in (rules, gate)}
    assert {gate["user"]} == {f"{each}:{each}" for each in users} != {agent["user"]}
    assert [name for name, each in services.items() if "restart" in each] == ["gate"], (
        "the network of one that is started anew has no rules"
    )
    assert gate["depends_on"]["rules"]["condition"] == "service_completed_successfully"
    assert agent["depends_on"]["gate"]["condition"] == "service_healthy"
    assert (folder / agent["env_file"]).resolve().is_file()
    for each in (rules, gate):
        page = CliRunner().invoke(app, [*each["command"][:2], "--help"], env={"COLUMNS": "200"})
        assert all(word in page.output for word in each["command"] if word.startswith("--"))


def _compose_option(option: str, service: Manifest) -> str:
    return str(service["command"][service["command"].index(option) + 1])
