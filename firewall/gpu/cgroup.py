r"""Whose container a process is in, from the text of its /proc/<pid>/cgroup (cgroups(7)).

Each line is `hierarchy:controllers:path`; version 2 has the one line `0::path`. Engines put the id
of a container, 64 hex digits, into the path's last parts, bare (the cgroupfs driver) or as a
systemd scope with a prefix of their own:

    docker-ID.scope                  Docker (moby, daemon/cgroups via opencontainers/runc)
    cri-containerd-ID.scope          containerd's CRI plugin
    nerdctl-ID.scope                 containerd through nerdctl
    crio-ID.scope                    CRI-O (internal/config/cgmgr)
    libpod-ID.scope                  Podman

The kubelet's folders name the pod: `pod<uid>` or `kubepods-<class>-pod<uid>.slice`, the uid's
dashes written as underscores there (kubernetes, pkg/kubelet/cm/cgroup_manager_linux.go).
"""

import re

from firewall.frozen import frozen

_ID = re.compile(r"(?:(?P<prefix>[a-z][a-z-]*)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?")
_POD = re.compile(
    r"(?:.*kubepods.*-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?"
)
_UNIT = re.compile(r"[^/]+\.(?:service|scope)")
_ENGINES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
}
_FOLDERS = {"docker": "docker", "libpod_parent": "podman", "crio": "cri-o"}
"""Folders above a bare id that tell whose it is."""
_NO_PLACE = {"conmon", "crio-conmon", "libpod-conmon"}
"""Scopes of the engines' own monitors, which stand beside the container."""


@frozen
class Place:
    """Where a process runs: the id of its container, "" where it is in none, and what made it.

    `kind` is "docker", "containerd", "cri-o", "podman", "kubernetes" where the path tells the pod
    alone, "container" where it tells an id alone, "systemd" for a plain unit, or "". `pod` is the
    uid of a Kubernetes pod, and `unit` the systemd unit.
    """

    container: str = ""
    kind: str = ""
    pod: str = ""
    unit: str = ""


def place(text: str) -> Place:
    """What a cgroup file says; of several lines, the one that says most."""
    found = [_of_path(line.split(":", 2)[2]) for line in text.splitlines() if line.count(":") >= 2]
    return max(found, key=_told, default=Place())


def _told(each: Place) -> tuple[bool, bool, bool]:
    return bool(each.container), bool(each.pod), bool(each.unit)


def _of_path(path: str) -> Place:
    # A container that is itself cut into groups (systemd in Docker) has more parts below its id,
    # and one inside another has its own id last.
    parts = path.split("/")
    pods = [found[1].replace("_", "-") for part in parts if (found := _POD.fullmatch(part))]
    pod = pods[-1] if pods else ""
    for index in reversed(range(len(parts))):
        if (found := _ID.fullmatch(parts[index])) and found["prefix"] not in _NO_PLACE:
            above = parts[index - 1] if index else ""
            return Place(found["id"], _kind(found["prefix"], above, pod), pod)
    if pod:
        return Place("", "kubernetes", pod)
    units = [part for part in parts if _UNIT.fullmatch(part)]
    return Place("", "systemd", "", units[-1]) if units else Place()


def _kind(prefix: str | None, above: str, pod: str) -> str:
    if prefix is not None:
        return _ENGINES.get(prefix, "container")
    return _FOLDERS.get(above) or ("kubernetes" if pod else "container")
