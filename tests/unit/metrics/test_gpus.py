"""The GPUs in the field's terms, and whose processes are on them."""

import socket
from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from firewall.gpu.view import ProcessView
from firewall.metrics import Metrics
from firewall.metrics.exposition import registry
from firewall.metrics.gpus import PROCESSES
from tests.unit.metrics.gpus import H200, LOST, TRAINER, snapshot

HOST = socket.gethostname()
DEVICE = f'{{Hostname="{HOST}",UUID="GPU-1",device="nvidia0",gpu="0",modelName="NVIDIA H200"}}'


def shown(gpu: dict[str, object]) -> dict[str, float]:
    """Every sample about GPUs: name and labels -> value."""
    lines = generate_latest(registry(Metrics(gpu=lambda: gpu).snapshot)).decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {
        name: float(value)
        for name, _, value in samples
        if name.startswith(("firewall_gpu", "DCGM_")) and "gpu_alerts" not in name
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DCGM_FI_DEV_GPU_UTIL", 93),
        ("DCGM_FI_DEV_MEM_COPY_UTIL", 40),
        ("DCGM_FI_DEV_FB_USED", 100),
        ("DCGM_FI_DEV_FB_FREE", 100),
        ("DCGM_FI_DEV_SM_CLOCK", 1980),
        ("DCGM_FI_DEV_MEM_CLOCK", 2619),
        ("DCGM_FI_DEV_GPU_TEMP", 61),
        ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", 2),
    ],
)
def test_devices_have_dcgm_s_names_units_and_labels(name: str, value: float) -> None:
    assert shown(snapshot())[name + DEVICE] == value


def test_what_a_gpu_does_not_say_is_not_shown() -> None:
    samples = shown(snapshot())
    silent = [name for name in samples if 'UUID="GPU-2"' in name]
    assert [name.partition("{")[0] for name in silent] == ["DCGM_FI_DEV_POWER_USAGE"]
    assert "DCGM_FI_DEV_POWER_USAGE" + DEVICE not in samples


def test_a_lost_gpu_never_looks_idle() -> None:
    assert shown(LOST) == {"firewall_gpu_available": 0}


def test_what_a_reading_costs() -> None:
    samples = shown(snapshot())
    assert samples['firewall_gpu_sample_seconds{of="nvml"}'] == 0.002
    assert samples['firewall_gpu_sample_seconds{of="cpu"}'] == 0.001


def test_what_holds_the_clocks_down_is_named() -> None:
    (name,) = [each for each in shown(snapshot()) if each.startswith("firewall_gpu_throttled")]
    assert 'by="software power cap"' in name


def test_processes_say_whose_they_are() -> None:
    samples = shown(snapshot())
    common = f'Hostname="{HOST}",UUID="GPU-1",container="c0ffeec0ffee",gpu="0",pid="9"'
    labels = f'{{{common},pod="8dbc2f29",program="x",sandbox=""}}'
    assert samples[f"firewall_gpu_process_sm_percent{labels}"] == 30
    assert samples[f"firewall_gpu_process_memory_bytes{labels}"] == 6
    assert not [name for name in samples if 'pid="10"' in name], "nothing is known of it"


def test_a_sandbox_is_the_sum_of_its_processes() -> None:
    samples = shown(snapshot())
    labels = f'{{Hostname="{HOST}",UUID="GPU-1",gpu="0",sandbox="%s"}}'
    assert samples["firewall_gpu_sandbox_sm_percent" + labels % "rl"] == 63
    assert samples["firewall_gpu_sandbox_sm_percent" + labels % ""] == 30
    assert "firewall_gpu_sandbox_sm_percent" + labels % "?" not in samples


def test_one_process_whose_use_is_unknown_leaves_the_sum_unknown() -> None:
    half = replace(H200, processes=(TRAINER, ProcessView(11, sandbox="rl", container="")))
    assert not [name for name in shown(snapshot(half)) if "sandbox_sm" in name]


def test_no_number_of_processes_fills_the_disk_of_prometheus() -> None:
    many = tuple(replace(TRAINER, pid=pid, sm=pid % 100) for pid in range(1, 500))
    samples = shown(snapshot(replace(H200, processes=many)))
    kept = [value for name, value in samples.items() if "process_sm" in name]
    assert len(kept) == PROCESSES
    assert min(kept) > 80, "those that use most are kept"
