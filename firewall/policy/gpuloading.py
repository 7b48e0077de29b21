"""The resolved form of `gpu:` of all files: workloads add up, and of each alert the last file that
writes a key decides that key."""

import pwd
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from firewall.policy.amounts import seconds
from firewall.policy.checks import SourceFile
from firewall.policy.errors import Fault, Problem
from firewall.policy.gpu import AlertDocument, WorkloadDocument, band, hours, share
from firewall.verdict import Severity
from firewall.workloads import DEFAULTS, STOPPING, GpuPolicy, GpuRule, Workload


def check_gpu(files: Iterable[SourceFile]) -> Iterator[Problem]:
    """No two workloads have one name: an alert names its workload by it."""
    first: dict[str, str] = {}
    for file in files:
        for position, each in enumerate(file.document.gpu.expect):
            place = ("gpu", "expect", position)
            if each.name in first:
                what = f"the workload name {each.name} is taken by {first[each.name]}"
                yield file.problem((*place, "name"), Fault(what, f"{each.name}-2"))
            first.setdefault(each.name, file.where(*place))


def resolved_gpu(files: Sequence[SourceFile]) -> GpuPolicy:
    """Everything about GPUs."""
    workloads = tuple(
        _workload(each, file.where("gpu", "expect", position))
        for file in files
        for position, each in enumerate(file.document.gpu.expect)
    )
    return GpuPolicy(workloads, tuple(_rule(rule, files) for rule in DEFAULTS))


def unknown_users(gpu: GpuPolicy) -> Iterator[str]:
    """Workloads of users that this machine does not know, which nothing here will fit."""
    for each in gpu.workloads:
        if each.user and each.uid is None:
            yield f"workload {each.name}: there is no user {each.user} here, so no process is it"


def _workload(document: WorkloadDocument, source: str) -> Workload:
    return Workload(
        name=document.name,
        program=document.program or "",
        arguments=document.arguments or "",
        container=document.container or "",
        sandbox=document.sandbox or "",
        user=document.user or "",
        uid=uid_of(document.user),
        devices=tuple(document.devices or ()),
        utilisation=band(document.utilisation),
        memory=band(document.memory),
        power=band(document.power),
        hours=hours(document.hours),
        reason=document.reason,
        source=source,
    )


def uid_of(user: str | None) -> int | None:
    """The number of a user by name or number; None where this machine has no such user."""
    if user is None:
        return None
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _rule(default: GpuRule, files: Sequence[SourceFile]) -> GpuRule:
    """A rule with what the files write of it, each over those before."""
    written: dict[str, Any] = {}
    for file in files:
        document = getattr(file.document.gpu.alert, default.name.replace("-", "_"))
        if document is not None:
            source = file.where("gpu", "alert", default.name)
            written |= {**_written(document), "source": source}
    if written.get("respond") in STOPPING:
        written.setdefault("dry_run", True)
    return replace(default, **written)


def _written(document: AlertDocument) -> dict[str, Any]:
    values = ((key, getattr(document, key)) for key in type(document).model_fields)
    return {key: _READ.get(key, _plain)(value) for key, value in values if value is not None}


def _plain(value: Any) -> Any:
    return value


_READ: Mapping[str, Callable[[Any], Any]] = {
    "utilisation": share,
    "lasting": seconds,
    "within": seconds,
    "warm_up": seconds,
    "severity": Severity,
}
