"""The real pynvml on a library of our own that behaves, and misbehaves, as NVML does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE

STUB = r"""
#include <stdlib.h>
#include <string.h>
typedef struct { unsigned pid; unsigned long long memory; unsigned gi, ci; } process_t;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, mem, enc, dec; } sample_t;
static int is(const char *name) { const char *m = getenv("STUB"); return m && !strcmp(m, name); }
static int grown;
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define DRIVER_NOT_LOADED 9
#define GPU_IS_LOST 15
#define LOST if (is("lost")) return GPU_IS_LOST
int nvmlInitWithFlags(unsigned f) { return is("no driver") ? DRIVER_NOT_LOADED : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : "stub error"; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)0x10; return 0; }
int nvmlDeviceGetName(void *d, char *s, unsigned n) { strcpy(s, "Stub GPU"); return 0; }
int nvmlDeviceGetUUID(void *d, char *s, unsigned n) {
  strcpy(s, d == (void *)0x10 ? "GPU-stub" : "MIG-stub"); return 0; }
int nvmlDeviceGetMigMode(void *d, unsigned *now, unsigned *next) {
  if (!is("mig")) return NOT_SUPPORTED; *now = *next = 1; return 0; }
int nvmlDeviceGetMaxMigDeviceCount(void *d, unsigned *n) { *n = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *d, unsigned i, void **m) {
  if (i) return NOT_FOUND; *m = (void *)0x20; return 0; }
int nvmlDeviceGetUtilizationRates(void *d, unsigned *u) {
  LOST; if (is("mig")) return NOT_SUPPORTED; u[0] = 93; u[1] = 40; return 0; }
int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *m) {
  LOST; m[0] = 100; m[1] = 60; m[2] = 40; return 0; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *mw) { LOST; *mw = 612000; return 0; }
int nvmlDeviceGetClockInfo(void *d, int type, unsigned *mhz) { LOST; *mhz = 1980; return 0; }
#ifndef NO_PROCESSES
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *n, process_t *out) {
  LOST;
  if (is("idle")) { *n = 0; return 0; }
  if (!out) { *n = 1; return INSUFFICIENT_SIZE; }
  *n = 1; out[0].pid = atoi(getenv("STUB_PID")); out[0].memory = 40; return 0; }
#endif
int nvmlDeviceGetProcessUtilization(void *d, sample_t *out, unsigned *n, unsigned long long t) {
  LOST;
  if (is("mig")) return NOT_SUPPORTED;
  if (is("idle")) return NOT_FOUND;
  if (is("none")) { *n = 0; return 0; }
  if (!out) { *n = 2; return INSUFFICIENT_SIZE; }
  if (is("growing") && !grown++) { *n = 3; return INSUFFICIENT_SIZE; }
  if (is("always growing")) return INSUFFICIENT_SIZE;
  *n = 2;
  for (int i = 0; i < 2; i++) {
    out[i].pid = atoi(getenv("STUB_PID")); out[i].time = t + 2 - i;
    out[i].sm = is("garbage") ? 2147483632u : 93 - i; }
  return 0; }
"""

ASK = """
import json, time
from firewall.actor import Actor
from firewall.gpu import GpuMonitor
gpu = GpuMonitor(patience=60)
gpu.start()
while gpu.latest()["reason"] == "there is no reading yet":
    time.sleep(0.005)
snapshots = []
gpu.fresh(Actor("s"), snapshots.append)
while not snapshots:
    time.sleep(0.005)
gpu.stop()
print(json.dumps(snapshots[0]))
"""


def build(folder: Path, *flags: str) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed: the stub of NVML cannot be built")
    (folder / "stub.c").write_text(STUB)
    library = folder / "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", *flags, "-o", str(library), str(folder / "stub.c")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


def ask(folder: Path, mode: str = "") -> dict[str, Any]:
    """A snapshot taken by another Python, whose NVML is the stub in this mode."""
    env = {
        **os.environ,
        "LD_LIBRARY_PATH": str(folder),
        "STUB": mode,
        "STUB_PID": str(os.getpid()),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK],
        env=env, check=True, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    snapshot: dict[str, Any] = json.loads(done.stdout)
    return snapshot


def device(folder: Path, mode: str = "") -> dict[str, Any]:
    snapshot = ask(folder, mode)
    assert (snapshot["status"], snapshot["reason"]) == ("ok", None)
    found: dict[str, Any] = snapshot["devices"][0]
    return found


def test_every_field_comes_through(library: Path) -> None:
    found = device(library)
    assert {name: found[name] for name in found if name != "processes"} == {
        "index": "0",
        "name": "Stub GPU",
        "uuid": "GPU-stub",
        "mig": False,
        "utilisation": 93,
        "memory_used": 40,
        "memory_total": 100,
        "power_watts": 612.0,
        "sm_clock_mhz": 1980,
        "unavailable": {},
    }
    (process,) = found["processes"]
    assert (process["pid"], process["memory_used"], process["sm"]) == (os.getpid(), 40, 93)


@pytest.mark.parametrize("mode", ["idle", "none"])
def test_no_samples_mean_idle(library: Path, mode: str) -> None:
    found = device(library, mode)
    assert found["unavailable"] == {}
    assert [process["sm"] for process in found["processes"]] == ([] if mode == "idle" else [0])


def test_a_list_that_grew_is_asked_for_again(library: Path) -> None:
    assert device(library, "growing")["processes"][0]["sm"] == 93


def test_a_list_that_always_grows_is_unavailable(library: Path) -> None:
    found = device(library, "always growing")
    assert "grew faster" in found["unavailable"]["process_utilisation"]
    assert found["processes"][0]["sm"] is None


def test_garbage_is_not_believed(library: Path) -> None:
    found = device(library, "garbage")
    assert found["unavailable"] == {f"sm of {os.getpid()}": "NVML said 2147483632 %"}
    assert found["processes"][0]["sm"] is None


def test_mig_instances_stand_beside_their_gpu(library: Path) -> None:
    whole, part = ask(library, "mig")["devices"]
    assert (whole["index"], whole["mig"], part["index"], part["mig"]) == ("0", False, "0:0", True)
    assert part["uuid"] == "MIG-stub"
    assert part["utilisation"] is None
    assert {"utilisation", "process_utilisation"} <= set(part["unavailable"])
    assert part["processes"][0]["memory_used"] == 40


def test_a_lost_gpu_is_unavailable(library: Path) -> None:
    snapshot = ask(library, "lost")
    assert (snapshot["status"], snapshot["devices"]) == ("unavailable", [])
    assert snapshot["reason"] == "the driver or every device is lost: GPU is lost"


def test_a_driver_that_is_not_loaded(library: Path) -> None:
    snapshot = ask(library, "no driver")
    assert snapshot["status"] == "unavailable"
    assert snapshot["reason"].startswith("NVML does not start: ")


def test_a_library_without_a_function(tmp_path: Path) -> None:
    found = device(build(tmp_path, "-DNO_PROCESSES"))
    assert found["processes"] is None
    assert "processes" in found["unavailable"]
    assert found["utilisation"] == 93


def test_no_library(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    snapshot = ask(tmp_path)
    assert snapshot["status"] == "unavailable"
    assert snapshot["reason"] == "no NVIDIA driver: libnvidia-ml.so.1 cannot be loaded"
