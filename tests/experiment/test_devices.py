"""The machine's cores, devices and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.config.errors import UserError
from benchmark.experiment.devices import cores, device_kind, find_device, peak_memory_mb, release_memory


def test_cores_are_those_that_the_process_may_use():
    assert cores() == (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


@pytest.mark.parametrize(("available", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_if_there_is_one(available, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert find_device("auto") == device


@pytest.mark.parametrize(("name", "words"), [("cuda:1", "there is no GPU here"), ("toaster", "use cpu, cuda or cuda:N")])
def test_devices_that_do_not_exist(name, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=words) as caught:
        find_device(name)
    assert f"--device {name}" in str(caught.value)


@pytest.mark.parametrize(("device", "kind"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda")])
def test_results_are_kept_apart_by_kind(device, kind):
    assert device_kind(device) == kind


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
def test_peak_memory_is_in_megabytes():
    release_memory()
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak_memory_mb() == pytest.approx(peak, rel=0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_freed_memory_is_kept_and_released():
    """A large tensor's memory stays with the process when it is freed, and is the system's again after release_memory. In a
    process of its own, whose memory nothing else uses."""
    code = """
import re, torch
from pathlib import Path
from benchmark.experiment.devices import release_memory, use_cpu
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
use_cpu(1)
assert torch.get_num_threads() == 1
before = resident()
tensor = torch.ones(50 * 2**20 // 4 * 4)
del tensor
kept = resident() - before
release_memory()
print(kept, resident() - before)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    kept, left = map(float, printed.split())
    assert kept > 150
    assert left < 50
