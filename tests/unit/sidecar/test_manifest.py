"""What is missing from a pod, one thing at a time; the overlay lacks nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from firewall.sidecar.manifest import Pod, faults, pods

OVERLAY = Path(__file__).parents[3] / "deploy/kubernetes/overlays/sidecar/agent.yaml"

type Spec = dict[str, Any]


def spec() -> Spec:
    deployment = yaml.safe_load(OVERLAY.read_text())
    found: Spec = deployment["spec"]["template"]["spec"]
    return found


def context(pod: Spec) -> Spec:
    """The agent's security context."""
    found: Spec = pod["containers"][0]["securityContext"]
    return found


def lacking(pod: Spec) -> list[str]:
    return [each.what for each in faults(Pod("Pod test", pod))]


def test_the_overlay_lacks_nothing() -> None:
    assert lacking(spec()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pod: pod.update(hostNetwork=True), "its network is the machine's"),
        (lambda pod: pod.pop("dnsConfig"), "the cluster's suffixes are tried first"),
        (lambda pod: pod["initContainers"].reverse(), "gate starts before the rules are there"),
        (lambda pod: pod["initContainers"].pop(0), "runs `firewall sidecar init`"),
        (lambda pod: pod["initContainers"].pop(1), "runs `firewall sidecar serve`"),
        (lambda pod: pod["initContainers"][0]["args"].__setitem__(3, "7"), "says 7 and 64100"),
        (lambda pod: pod["initContainers"][0].update(args=["sidecar", "init", "--uid=7"]), "7 and"),
        (lambda pod: context(pod).update(runAsUser=64100), "runs as the gate's user, 64100"),
        (lambda pod: context(pod).pop("runAsUser"), "its image chooses its user"),
        (lambda pod: context(pod).update(privileged=True), "it is privileged"),
        (lambda pod: context(pod).pop("allowPrivilegeEscalation"), "setuid program"),
        (lambda pod: pod["securityContext"].pop("seccompProfile"), "sockets that no rule sees"),
        (
            lambda pod: context(pod).update(seccompProfile={"type": "Unconfined"}),
            "without a seccomp profile",
        ),
        (lambda pod: context(pod).pop("capabilities"), "keeps the runtime's capabilities"),
        (
            lambda pod: context(pod)["capabilities"].update(add=["CAP_NET_RAW", "CHOWN", "setuid"]),
            "with NET_RAW, SETUID it gets past the rules",
        ),
        (
            lambda pod: pod["containers"][0]["volumeMounts"].append(
                {"name": "state", "mountPath": "/x", "readOnly": True}
            ),
            "may read the gate's volume state",
        ),
        (
            lambda pod: pod["containers"][0]["volumeMounts"][0].pop("readOnly"),
            "may write to the gate's volume trust",
        ),
    ],
)
def test_one_thing_is_missing(change: Callable[[Spec], object], said: str) -> None:
    pod = spec()
    change(pod)
    (what,) = lacking(pod)
    assert said in what


def test_a_user_of_the_whole_pod_counts_where_a_container_has_none() -> None:
    pod = spec()
    context(pod).pop("runAsUser")
    pod["securityContext"]["runAsUser"] = 1000
    assert lacking(pod) == []


def test_whatever_makes_pods_is_looked_into() -> None:
    template: Spec = {"spec": {"containers": []}}
    made = [
        {"kind": "Pod", "metadata": {"name": "a"}, **template},
        {"kind": "Job", "metadata": {"name": "b"}, "spec": {"template": template}},
        {
            "kind": "CronJob",
            "metadata": {"name": "c"},
            "spec": {"jobTemplate": {"spec": {"template": template}}},
        },
        {"kind": "Service", "metadata": {"name": "d"}, "spec": {"ports": []}},
    ]
    listed: list[object] = [{"kind": "List", "items": made}, None, "text"]
    assert [each.name for each in pods(listed)] == ["Pod a", "Job b", "CronJob c"]


KEYS = st.sampled_from([
    "kind", "items", "spec", "template", "metadata", "containers", "initContainers", "args", "name",
    "securityContext", "capabilities", "add", "drop", "volumeMounts", "dnsConfig", "options",
])  # fmt: skip
WORDS = st.sampled_from(["Pod", "sidecar", "init", "serve", "--uid", "--trust", "ALL"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | WORDS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
        max_leaves=30,
    )
)
def test_any_document_is_read(document: object) -> None:
    for pod in pods([document]):
        assert [*faults(pod)]
