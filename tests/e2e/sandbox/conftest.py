import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from firewall.sandbox import Authority
from tests.e2e.sandbox.inside import IS_ROOT, PYTHON, Inside


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    with tempfile.TemporaryDirectory() as directory:
        yield Authority.ensure(Path(directory) / "ca")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user may use; pytest's own belong to its user alone."""
    directory = Path(tempfile.mkdtemp(prefix="sandbox-test-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(params=["root", "user"])
def inside(request: pytest.FixtureRequest, shared: Path, authority: Authority) -> Inside:
    if PYTHON is None:
        pytest.skip("there is no python3 in /usr/bin, and the agent cannot read another")
    if request.param == "root" and not IS_ROOT:
        pytest.skip("the firewall as root needs root")
    if not os.path.exists("/proc/sys/user/max_user_namespaces"):
        pytest.skip("the kernel has no user namespaces")
    return Inside(shared, authority.pem, root=request.param == "root")
