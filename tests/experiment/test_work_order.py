"""Work that travels as JSON: what arrives is what was sent."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.config.schema import BackboneSpec, FolderSpec
from benchmark.data.task import TaskId
from benchmark.experiment.executor import Settings
from benchmark.experiment.plan import Cell, Configuration, Job
from benchmark.experiment.work_order import WorkOrder, context_from_json, context_to_json
from benchmark.experiment.worker import Context, Worker

TASK = TaskId("d", "domain", 16, 3)


def test_a_chunk_arrives_as_it_was_sent(tmp_path):
    one = Configuration("coop", "n_ctx=8", {"n_ctx": 8})
    train = Cell("train", "k1", {"numerics": 8, "settings": {"lr": 0.1}}, one, "old", TASK, {"lr": 0.1, "crop": None})
    jobs = (Job(train, (Cell("eval", "k2", {"module": "k1"}, one, "new", TASK, {"lr": 0.1}),)),)
    order, settings = WorkOrder(tmp_path / "order"), Settings(workers=3, cell_timeout=7.5)
    order.write(Context({}, (), tmp_path, None, "cpu", "fp32"), settings, [(), jobs], {"workers_per_gpu": 2})
    assert order.chunk(1) == jobs
    assert order.chunk(0) == ()
    assert order.context()[1:] == (settings, {"workers_per_gpu": 2})


def test_a_context_arrives_as_it_was_sent():
    """Functions by their names."""
    context = Context(
        backbones={"old": BackboneSpec(model="bundled:v1"), "new": BackboneSpec(model="ViT-B-16", pretrained="openai")},
        datasets=("a", "b"),
        store=Path("/out"),
        cache=Path("/out/features"),
        device="cuda",
        precision="bf16",
        plugins=(Path("/mine"),),
        skipped={"x.py": "it hangs"},
        folders={"own": FolderSpec(path="/pictures", title="Mine")},
        data_root=None,
        threads=2,
        actions={"eval": Worker._evaluate, "other": Worker.run},
    )
    sent = json.loads(json.dumps(context_to_json(context)))
    assert sent["actions"]["eval"] == "benchmark.experiment.worker:Worker._evaluate"
    assert context_from_json(sent) == context
