"""The live view, on the real pynvml and a scripted library."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from firewall.cli.gpu_top import page
from firewall.cli.main import app
from firewall.gpu.view import DeviceView, GpuView, ProcessView
from tests.nvml import DRIVER_NOT_LOADED, Script, Stub, build, loaded


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stub]:
    made = build(tmp_path_factory.mktemp("nvml"))
    with loaded(made):
        yield made


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREWALL_STATE", str(tmp_path))


def test_once_shows_devices_and_whose_processes_are_on_them(stub: Stub) -> None:
    stub.write(Script().device(ecc=None).process(os.getpid()).sample(os.getpid(), 87, 30))
    done = CliRunner().invoke(app, ["gpu", "top", "--once"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "NVIDIA H200" in done.output
    assert "93 %" in done.output
    assert "40.0 GiB / 139.0 GiB" in done.output
    assert "software power cap" in done.output
    assert str(os.getpid()) in done.output
    assert "87 %" in done.output
    assert "GPU 0: ecc_uncorrected unavailable: Not Supported" in done.output


def test_once_as_json(stub: Stub) -> None:
    stub.write(Script().device().process(os.getpid()))
    done = CliRunner().invoke(app, ["gpu", "top", "--once", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.output)
    assert (told["status"], told["reason"]) == ("ok", None)
    (process,) = told["devices"][0]["processes"]
    assert (process["pid"], process["sm"]) == (os.getpid(), 0)


def test_a_driver_that_does_not_answer_is_no_idle_gpu(stub: Stub) -> None:
    stub.write(Script().error("nvmlInitWithFlags", DRIVER_NOT_LOADED))
    done = CliRunner().invoke(app, ["gpu", "top", "--once"], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert "the GPUs cannot be read: NVML does not start: Driver Not Loaded" in done.output


def shown(*processes: ProcessView) -> str:
    device = DeviceView("0", "GPU-1", "H200", utilisation=None, processes=processes)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(page(GpuView(1_790_000_000.0, 5.0, (device,))))
    return captured.get()


def test_owners_are_named() -> None:
    argv = ("/usr/bin/python3", "train.py")
    train = ProcessView(7, argv=argv, uid=0, sandbox="rl", unit="t.service", container="", sm=3)
    boxed = ProcessView(
        8, exe="/bin/xmrig", container="c0ffee" * 10, container_kind="docker", sandbox=""
    )
    pod = ProcessView(9, container="", pod="8dbc2f29")
    text = shown(train, boxed, pod)
    assert "python3 train.py" in text
    assert " rl " in text
    assert "t.service" in text
    assert "docker c0ffeec0ffee " in text
    assert "xmrig" in text
    assert "pod 8dbc2f29" in text


def test_what_a_program_calls_itself_cannot_harm_the_terminal() -> None:
    text = shown(ProcessView(7, argv=("x\x1b[31m[red]", "\n")))
    assert "\x1b" not in text
    assert "x\\x1b[31m[red]" in text
