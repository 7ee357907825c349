"""On a CUDA device: the same modules as on a CPU to rounding, half precision, and whole runs with several workers."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from benchmark.backbones.clip import Backbone, digest
from benchmark.config.schema import BackboneSpec
from benchmark.data.features import FeatureStore
from benchmark.experiment.worker import Context, Worker
from benchmark.method import registry
from benchmark.method.terms import Incompatible
from benchmark.training.checks import tiny_clips
from benchmark.training.loop import learnt_by_gradient
from benchmark.training.modules import Module, evaluate_module, train_module

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
METHODS = registry.methods().plugins


@pytest.fixture(scope="module", params=["native", "eva"])
def pair(request, backbone_folders) -> dict[str, Backbone]:
    """A tiny CLIP on the CPU and on the GPU."""
    spec = BackboneSpec(model=f"local-dir:{backbone_folders[request.param]}")
    return {device: Backbone.load(request.param, spec, device) for device in ("cpu", "cuda")}


def learn(cls, backbone, task, steps, precision="fp32"):
    """The method after some steps of the preset "small", its log and predictions. Nothing is drawn in the steps: the random
    numbers of a GPU are its own."""
    config = cls.Config(**cls.preset("small", "base-to-new", 3, "tiny"))
    drawn = {name: 0.0 for name in ("dropout", "mask", "skip") if hasattr(config, name)}
    config = config.model_copy(update={"steps": steps, "batch_size": 6, "warmup_epochs": 0, "views": 2, **drawn})
    method, log = train_module(cls, config, backbone, task, FeatureStore(None), precision=precision)
    module = Module(cls, config, method.tensors(), task.classes)
    return method, log, evaluate_module(module, backbone, task, FeatureStore(None), precision=precision)


@pytest.fixture(scope="module")
def task():
    made = tiny_clips.task()
    tests = tuple(replace(test, examples=tiny_clips.examples(len(test.classes), 20, 3)) for test in made.tests)
    return replace(made, tests=tests)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_step_is_that_of_a_cpu(name, pair, task):
    cls = METHODS[name].cls
    try:
        _, log, expected = learn(cls, pair["cpu"], task, steps=1)
    except Incompatible:
        pytest.skip("does not work on this layout")
    before = digest(pair["cuda"].model)
    method, its_log, found = learn(cls, pair["cuda"], task, steps=1)
    assert digest(pair["cuda"].model) == before
    assert all(value.device.type == "cuda" and value.dtype == torch.float32 for value in method.parameters())
    assert its_log.first_loss == pytest.approx(log.first_loss, rel=1e-3, nan_ok=True)
    for part, its in found.items():
        assert (its.predicted == expected[part].predicted).mean() > 0.97
        assert abs(its.confidences - expected[part].confidences).mean() < 0.01


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_half_precision(name, precision, pair, task):
    """What is learnt stays fp32 and finite, and the first loss is that of fp32 to the precision's digits."""
    cls, backbone = METHODS[name].cls, pair["cuda"]
    try:
        _, log, _ = learn(cls, backbone, task, steps=6)
    except Incompatible:
        pytest.skip("does not work on this layout")
    method, its_log, predictions = learn(cls, backbone, task, 6, precision)
    assert all(value.dtype == torch.float32 for value in method.parameters())
    if learnt_by_gradient(method):
        assert its_log.first_loss == pytest.approx(log.first_loss, rel=0.1, abs=0.1)
    assert its_log.skipped < max(1, its_log.steps)
    assert all(0 < some.accuracy <= 100 for some in predictions.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_on_a_gpu_is_that_of_a_cpu(world, tmp_path, precision):
    methods = "--methods=zero-shot,coop,clip-adapter,clip-lora,tip-adapter"
    tables = {}
    for device, more in {"cpu": [], "cuda": [f"--precision={precision}"]}.items():
        done = world.run(methods, "--datasets=toy", f"--device={device}", "--workers=2", f"--out={tmp_path / device}", *more)
        assert done.status == 0, done.err + done.out
        tables[device] = pd.read_csv(tmp_path / device / "results.csv")
    keys = ["method", "config", "upgrade", "strategy", "split", "metric", "dataset", "seed", "protocol", "new", "old"]
    keys = [key for key in keys if key in tables["cpu"]]
    both = tables["cpu"].merge(tables["cuda"], on=keys, suffixes=("", "_gpu"), how="outer", indicator=True)
    assert (both["_merge"] == "both").all()
    accuracies = both[both.metric == "accuracy"]
    difference = (accuracies.value - accuracies.value_gpu).abs()
    assert difference.mean() < (0.5 if precision == "fp32" else 3)
    again = world.run(methods, "--datasets=toy", "--device=cuda", *more, f"--out={tmp_path / 'cuda'}")
    assert again.status == 0
    assert "no new cells" in again.out


def test_a_worker_takes_its_own_card(tmp_path):
    last = torch.cuda.device_count() - 1
    Worker(Context({}, (), tmp_path, None, f"cuda:{last}", "fp32"))
    assert torch.cuda.current_device() == last
