"""What is mounted into a container goes over its own files, whatever its processes do meanwhile."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from firewall.node import trust
from firewall.node.trust import Trusted
from firewall.sandbox.trust import merge

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare"
)
CA = b"-----BEGIN CERTIFICATE-----\nfirewall\n-----END CERTIFICATE-----\n"
CERTIFICATES = "/etc/ssl/certs"
BUNDLE = f"{CERTIFICATES}/ca-certificates.crt"


class Container:
    """A process with a mount namespace of its own and an empty folder of certificates."""

    def __init__(self) -> None:
        script = f"mount -t tmpfs none {CERTIFICATES}; echo ready; exec sleep 1000"
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.mounts = os.open(f"/proc/{self.process.pid}/ns/mnt", os.O_RDONLY)

    def path(self, inside: str) -> Path:
        return Path(f"/proc/{self.process.pid}/root{inside}")

    def close(self) -> None:
        os.close(self.mounts)
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def container() -> Iterator[Container]:
    made = Container()
    yield made
    made.close()


@pytest.fixture
def trusted(tmp_path: Path) -> Trusted:
    made = Trusted(CA, tmp_path / "trust")
    made.folder.mkdir()
    return made


def test_a_path_that_is_turned_meanwhile_leads_nowhere_else(
    container: Container, trusted: Trusted, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, other, moved = map(container.path, (BUNDLE, f"{CERTIFICATES}/b", f"{CERTIFICATES}/c"))
    bundle.write_text("own")
    other.write_text("other")

    def turning(bundles: Sequence[bytes], ca: bytes) -> bytes:
        bundle.rename(moved)
        bundle.symlink_to("b")
        return merge(bundles, ca)

    monkeypatch.setattr(trust, "merge", turning)
    assert trusted.install(container.mounts) == "mounted"
    assert other.read_text() == "other"
    assert CA in moved.read_bytes()


def test_what_is_no_file_is_left_alone(container: Container, trusted: Trusted) -> None:
    os.mkfifo(container.path(BUNDLE))
    assert trusted.install(container.mounts) == "environment"
    assert container.path(BUNDLE).is_fifo()
