"""The machine's cores, devices and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.config.errors import UserError
from benchmark.experiment.devices import Gpu, cores, device_kind, find_device, gpus, peak_memory_mb, release_memory


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


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0,1", [Gpu("cuda:0"), Gpu("cuda:1")]),
        ("MIG-a", [Gpu("cuda:0", "MIG-a")]),
        ("MIG-a, MIG-b", [Gpu("cuda:0", "MIG-a"), Gpu("cuda:0", "MIG-b")]),
        ("", []),
    ],
)
def test_each_mig_slice_is_a_gpu_of_its_own(visible, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if visible == "0,1" else 0)
    assert gpus() == expected


LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa)
  MIG 3g.20gb     Device  0: (UUID: MIG-1b)
  MIG 1g.5gb      Device  1: (UUID: MIG-GPU-aa/7/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb)
"""


@pytest.mark.parametrize("listed", [LISTED, LISTED.replace("MIG", "PCI")])
def test_slices_are_found_where_nothing_names_them(listed, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<END\n{listed}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    whole = [Gpu("cuda:0"), Gpu("cuda:1")]
    assert gpus() == ([Gpu("cuda:0", "MIG-1b"), Gpu("cuda:0", "MIG-GPU-aa/7/0")] if "MIG" in listed else whole)


@pytest.mark.parametrize(("name", "found"), [("cuda", "cuda"), ("cuda:1", "cuda:1"), ("cuda:2", None)])
def test_a_gpu_is_looked_for_without_a_context(name, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: pytest.fail("this opens a context"))
    if found:
        assert find_device(name) == found
    else:
        with pytest.raises(UserError, match="there are only 2 GPUs"):
            find_device(name)
