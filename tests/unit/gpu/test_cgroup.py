"""Whose container a process is in, from cgroup files as engines and kubelets write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firewall.gpu.cgroup import Place, place

ID = "3f4bd6a1c0ffee00" * 4
OTHER = "0123456789abcdef" * 4
POD = "8dbc2f29-3b1c-4f0e-a2d7-51b8c5a0e9f1"
CONMON = f"libpod-conmon-{ID}.scope"
SLURM = "slurmstepd.scope"
UNDERSCORED = POD.replace("-", "_")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Docker, version 1 with the cgroupfs driver, and version 2 with the systemd driver.
        (
            f"12:cpuset:/docker/{ID}\n11:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/\n",
            Place(ID, "docker"),
        ),
        (f"0::/system.slice/docker-{ID}.scope\n", Place(ID, "docker")),
        (f"0::/docker/{ID}\n", Place(ID, "docker")),
        # systemd inside Docker, and Docker inside Docker.
        (f"0::/system.slice/docker-{ID}.scope/init.scope\n", Place(ID, "docker")),
        (f"0::/docker/{ID}/docker/{OTHER}\n", Place(OTHER, "docker")),
        # Rootless Docker: the user's own systemd.
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker-" + ID + ".scope\n",
            Place(ID, "docker"),
        ),
        # containerd under Kubernetes: cgroupfs and systemd drivers.
        (
            f"0::/kubepods/besteffort/pod{POD}/{ID}\n",
            Place(ID, "kubernetes", POD),
        ),
        (
            f"11:memory:/kubepods/burstable/pod{POD}/{ID}\n",
            Place(ID, "kubernetes", POD),
        ),
        (
            (
                "0::/kubepods.slice/kubepods-burstable.slice/"
                f"kubepods-burstable-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope\n"
            ),
            Place(ID, "containerd", POD),
        ),
        # A guaranteed pod has no class; kind runs the kubelet below a slice of its own.
        (
            f"0::/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope\n",
            Place(ID, "containerd", POD),
        ),
        (
            (
                "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
                f"kubelet-kubepods-besteffort-pod{UNDERSCORED}.slice/cri-containerd-{ID}.scope\n"
            ),
            Place(ID, "containerd", POD),
        ),
        # CRI-O, and its monitor beside the container.
        (
            (
                "0::/kubepods.slice/kubepods-besteffort.slice/"
                f"kubepods-besteffort-pod{UNDERSCORED}.slice/crio-{ID}.scope\n"
            ),
            Place(ID, "cri-o", POD),
        ),
        (
            (
                "0::/kubepods.slice/kubepods-besteffort.slice/"
                f"kubepods-besteffort-pod{UNDERSCORED}.slice/crio-conmon-{ID}.scope\n"
            ),
            Place("", "kubernetes", POD),
        ),
        # A static pod's uid is a hash without dashes.
        (
            f"0::/kubepods/burstable/pod{'ab' * 16}/{ID}\n",
            Place(ID, "kubernetes", "ab" * 16),
        ),
        # Podman, as root and not.
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", Place(ID, "podman")),
        (
            f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n",
            Place(ID, "podman"),
        ),
        (f"0::/machine.slice/{CONMON}\n", Place("", "systemd", "", CONMON)),
        (f"0::/system.slice/nerdctl-{ID}.scope\n", Place(ID, "containerd")),
        # containerd without Kubernetes names a namespace above the id.
        (f"0::/default/{ID}\n", Place(ID, "container")),
        # systemd units, and nothing.
        (
            "0::/system.slice/train.service\n",
            Place("", "systemd", "", "train.service"),
        ),
        (
            "13:pids:/system.slice/ssh.service\n1:name=systemd:/system.slice/ssh.service\n",
            Place("", "systemd", "", "ssh.service"),
        ),
        (
            "0::/user.slice/user-1000.slice/session-3.scope\n",
            Place("", "systemd", "", "session-3.scope"),
        ),
        # Version 1 with one hierarchy in no container: the one that says most counts.
        (f"4:devices:/\n3:cpu:/docker/{ID}\n", Place(ID, "docker")),
        ("0::/\n", Place()),
        ("", Place()),
        ("nonsense\n0:\n", Place()),
        # Slurm is no container; a short id is none either.
        (f"0::/system.slice/{SLURM}/job_42/step_0\n", Place("", "systemd", "", SLURM)),
        ("0::/docker/3f4bd6a1c0ff\n", Place()),
    ],
)
def test_real_lines(text: str, expected: Place) -> None:
    assert place(text) == expected


@given(st.text(alphabet="0abcdef:/-._\npodkubescr", max_size=300))
def test_no_text_makes_it_fail(text: str) -> None:
    found = place(text)
    assert bool(found.kind) == bool(found.container or found.pod or found.unit)
