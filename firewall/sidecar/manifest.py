"""What is missing from a pod whose agent shall have no way round the gate beside it.

The rules know the gate by its user. So nothing else in the pod may be that user or become it, and
nothing may change the rules or send past them; the manifest says whether it may (API reference of
Kubernetes, PodSpec and SecurityContext).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from firewall.frozen import frozen
from firewall.sidecar import UID

type Node = Mapping[str, Any]

_BEYOND = frozenset({
    "ALL", "BPF", "NET_ADMIN", "NET_RAW", "PERFMON", "SETFCAP", "SETUID", "SYS_ADMIN",
    "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO",
})  # fmt: skip
"""Capabilities of who changes rules, sends past them or becomes another user (capabilities(7))."""
_SPEC = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_OF_A_TEMPLATE = ("spec", "template", "spec")


@frozen
class Fault:
    """One thing is missing: `what` says which, `write` what to write for it."""

    what: str
    write: str


@frozen
class Pod:
    """A pod as its manifest describes it; `name` is for people."""

    name: str
    spec: Node

    @property
    def containers(self) -> list[Node]:
        """In the order in which they start."""
        return [*_maps(self.spec, "initContainers"), *_maps(self.spec, "containers")]


def pods(documents: Sequence[object]) -> Iterator[Pod]:
    """The pods that objects of the API make."""
    for each in documents:
        if not isinstance(each, Mapping):
            continue
        if "items" in each:
            yield from pods(_list(each, "items"))
            continue
        spec: Any = each
        for key in _SPEC.get(str(each.get("kind")), _OF_A_TEMPLATE):
            spec = spec.get(key) if isinstance(spec, Mapping) else None
        if isinstance(spec, Mapping) and "containers" in spec:
            yield Pod(f"{each.get('kind')} {_map(each, 'metadata').get('name')}", spec)


def faults(pod: Pod) -> Iterator[Fault]:
    """What lets a pod's agent out, or keeps the gate from its work."""
    rules = [each for each in _maps(pod.spec, "initContainers") if _does(each, "init")]
    gates = [each for each in pod.containers if _does(each, "serve")]
    if not rules or not gates:
        missing = "init" if not rules else "serve"
        yield Fault(
            f"no container of it runs `firewall sidecar {missing}`",
            "see deploy/kubernetes/overlays/sidecar",
        )
        return
    yield from _of_pod(pod, rules[0])
    yield from _of_gate(pod, rules[0], gates[0])
    for each in pod.containers:
        if each is not rules[0] and each is not gates[0]:
            for fault in _of_agent(pod, each, gates[0]):
                yield Fault(f"container {each.get('name')}: {fault.what}", fault.write)


def _of_pod(pod: Pod, rules: Node) -> Iterator[Fault]:
    if pod.spec.get("hostNetwork"):
        yield Fault("its network is the machine's, where no rules can be", "hostNetwork: false")
    if pod.containers[0] is not rules:
        first = pod.containers[0].get("name")
        yield Fault(
            f"container {first} starts before the rules are there",
            "the one that runs `firewall sidecar init` as the first of initContainers",
        )
    options = _maps(_map(pod.spec, "dnsConfig"), "options")
    if not any((each.get("name"), each.get("value")) == ("ndots", "1") for each in options):
        yield Fault(
            "the cluster's suffixes are tried first, and here every name has an address",
            'dnsConfig: {options: [{name: ndots, value: "1"}]}',
        )


def _of_gate(pod: Pod, rules: Node, gate: Node) -> Iterator[Fault]:
    user = _setting(pod, gate, "runAsUser")
    told = [_uid(each) for each in (rules, gate)]
    if user is None or {str(user)} != set(told):
        yield Fault(
            f"the gate runs as user {user}, and --uid says {' and '.join(told)}",
            "the same number at all three places: --uid of both and runAsUser of the gate",
        )


def _of_agent(pod: Pod, agent: Node, gate: Node) -> Iterator[Fault]:
    context = _map(agent, "securityContext")
    user = _setting(pod, agent, "runAsUser")
    if user is None:
        yield Fault("its image chooses its user, which may be the gate's", "runAsUser: 1000")
    elif user == _setting(pod, gate, "runAsUser"):
        yield Fault(f"it runs as the gate's user, {user}", "another runAsUser")
    if context.get("privileged"):
        yield Fault("it is privileged", "privileged: false")
    if context.get("allowPrivilegeEscalation") is not False:
        yield Fault("a setuid program makes it anybody", "allowPrivilegeEscalation: false")
    if _profile(pod, agent) not in ("RuntimeDefault", "Localhost"):
        yield Fault(
            "without a seccomp profile it has sockets that no rule sees (AF_VSOCK)",
            "seccompProfile: {type: RuntimeDefault}",
        )
    capabilities = _map(context, "capabilities")
    if "ALL" not in _list(capabilities, "drop"):
        yield Fault(
            "it keeps the runtime's capabilities, NET_RAW and SETUID among them",
            "capabilities: {drop: [ALL]}",
        )
    if added := sorted(_BEYOND & {_capability(each) for each in _list(capabilities, "add")}):
        yield Fault(f"with {', '.join(added)} it gets past the rules", "no such capability")
    yield from _shared(agent, gate)


def _shared(agent: Node, gate: Node) -> Iterator[Fault]:
    """The gate's volumes hold the authority's key and the log."""
    own = {each.get("name") for each in _maps(gate, "volumeMounts")}
    for each in _maps(agent, "volumeMounts"):
        if each.get("name") in own and not each.get("readOnly"):
            yield Fault(f"it may write to the gate's volume {each['name']}", "readOnly: true")
        elif each.get("name") in own and each.get("mountPath") != _after(gate, "--trust"):
            yield Fault(f"it may read the gate's volume {each['name']}", "a volume of its own")


def _does(container: Node, what: str) -> bool:
    words = [*_list(container, "command"), *_list(container, "args")]
    return any(pair == ("sidecar", what) for pair in pairwise(words))


def _uid(container: Node) -> str:
    return _after(container, "--uid") or str(UID)


def _after(container: Node, option: str) -> str | None:
    words = [word for each in _list(container, "args") for word in str(each).split("=", 1)]
    return words[words.index(option) + 1] if option in words[:-1] else None


def _setting(pod: Pod, container: Node, name: str) -> object:
    """The container's own, else the pod's."""
    own = _map(container, "securityContext").get(name)
    return _map(pod.spec, "securityContext").get(name) if own is None else own


def _profile(pod: Pod, container: Node) -> object:
    found = _setting(pod, container, "seccompProfile")
    return found.get("type") if isinstance(found, Mapping) else None


def _capability(name: object) -> str:
    return str(name).upper().removeprefix("CAP_")


def _list(node: Node, key: str) -> list[Any]:
    found = node.get(key)
    return found if isinstance(found, list) else []


def _maps(node: Node, key: str) -> list[Node]:
    return [each for each in _list(node, key) if isinstance(each, Mapping)]


def _map(node: Node, key: str) -> Node:
    found = node.get(key)
    return found if isinstance(found, Mapping) else {}
