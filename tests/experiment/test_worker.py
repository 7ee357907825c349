"""A worker: what it trains and evaluates, what it records, and what it leaves alone."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.command import use_checkout

from benchmark.config import loader
from benchmark.experiment import worker as module
from benchmark.experiment.plan import configurations, make_plan, tasks
from benchmark.experiment.worker import Context, Worker, blocked_by, worker_contexts
from benchmark.method.terms import Incompatible
from benchmark.training.loop import Diverged


@pytest.fixture
def run(world, tmp_path, monkeypatch):
    """A worker in the toy checkout, and the plan of one method on native -> eva."""
    use_checkout(monkeypatch, world.root)
    spec = loader.load(world.root / "pairs.yaml")
    context = Context(spec.backbones, ("toy",), tmp_path, None, "cpu", "fp32")
    worker = Worker(context)
    dataset = worker.datasets["toy"].cls()
    spec = spec.model_copy(update={"protocols": spec.protocols[:1]})
    made_tasks = tasks(spec, {"toy": dataset}, {"toy": dataset.load()})
    digests = {name: name for name in spec.backbones}
    chosen = configurations(worker.methods, ["coop"], ["coop.steps=1"])
    plan = make_plan(
        spec, worker.methods, chosen, made_tasks, digests, device="cpu", precision="fp32", pairs=[("native", "eva")]
    )
    job = next(job for job in plan.jobs if job.train.backbone == "native")
    told = []
    return SimpleNamespace(worker=worker, job=job, told=told, report=lambda *message: told.append(message))


def statuses(run) -> list[str | None]:
    return [run.worker.store.status(cell.key) for cell in (run.job.train, *run.job.evals)]


def test_a_job_leaves_a_module_and_its_evaluations(run):
    run.worker.run(run.job, run.report)
    assert statuses(run) == ["ok", "ok", "ok"]
    events = [(event, key) for event, key, _, _ in run.told]
    cells = (run.job.train, *run.job.evals)
    assert events == [(event, cell.key) for cell in cells for event in ("start", "end")]
    record = run.worker.store.record(run.job.train.key)
    assert (record["steps"], record["parameters"], record["images"]) == (1, 4 * 32, 8)
    tested = run.worker.store.record(run.job.evals[0].key)
    predictions = run.worker.store.predictions(run.job.evals[0].key)
    task = run.worker.task(run.job.train.task)
    for test in task.tests:
        right = 100 * np.mean(predictions[test.key] == np.asarray(test.examples.labels))
        assert tested["accuracy"][test.key] == pytest.approx(right)


def test_what_is_finished_is_not_computed_again(run):
    run.worker.run(run.job, run.report)
    run.told.clear()
    run.worker.run(run.job, run.report)
    assert run.told == []


def test_images_that_differ_from_the_plans_are_not_used(run, monkeypatch):
    """A data set that draws others at each load, in a worker that loads it again."""
    real = module.splits_of

    def other(dataset):
        splits = real(dataset)
        return replace(splits, train=splits.train.pick(range(len(splits.train) - 1, -1, -1)))

    monkeypatch.setattr(module, "splits_of", other)
    run.worker.run(run.job, run.report)
    assert statuses(run) == ["failed", "blocked", "blocked"]
    assert "gives other images each time it is loaded" in run.worker.store.record(run.job.train.key)["reason"]


@pytest.mark.parametrize(
    ("error", "status", "others", "reason"),
    [
        (ValueError("a\n b"), "failed", "blocked", "ValueError: a b"),
        (MemoryError("no room"), "oom", "blocked", "no room"),
        (RuntimeError("can't allocate memory: 3"), "oom", "blocked", "can't allocate memory"),
        (torch.OutOfMemoryError("CUDA\nmore"), "oom", "blocked", "CUDA"),
        (Diverged("the loss is nan"), "diverged", "blocked", "the loss is nan"),
        (Incompatible("it has no class token on x"), "incompatible", "incompatible", "it has no class token on x"),
    ],
)
def test_what_a_failing_training_costs(error, status, others, reason, run, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(module, "train_module", fail)
    run.worker.run(run.job, run.report)
    assert statuses(run) == [status, others, others]
    record = run.worker.store.record(run.job.train.key)
    assert reason in record["reason"]
    assert ("traceback" in record) == (type(error) is ValueError)
    assert reason in run.worker.store.record(run.job.evals[0].key)["reason"]


def test_a_method_that_changes_the_backbone_fails_and_the_backbone_is_loaded_again(run, monkeypatch):
    def meddle(cls, config, backbone, *_, **__):
        with torch.no_grad():
            backbone.model.logit_scale.add_(1)
        return None, None

    backbone = run.worker.backbone("native")
    monkeypatch.setattr(module, "train_module", meddle)
    run.worker.run(run.job, run.report)
    assert statuses(run) == ["failed", "blocked", "blocked"]
    assert "it changed the weights of backbone native" in run.worker.store.record(run.job.train.key)["reason"]
    assert run.worker.backbone("native") is not backbone
    assert run.worker.backbone("native").digest == backbone.digest


def test_cells_of_other_kinds_are_left_to_their_action(run):
    seen = []

    def act(worker, cell, trained, record):
        seen.append((cell.key, trained.key, record["status"]))
        return {"answer": 42}

    run.worker.context.actions = {"special": act}
    cell = replace(run.job.evals[0], kind="special", key="special" + "0" * 13)
    run.worker.run(replace(run.job, evals=(cell,)), run.report)
    assert seen == [(cell.key, run.job.train.key, "ok")]
    assert run.worker.store.record(cell.key)["answer"] == 42


@pytest.mark.parametrize(
    ("device", "workers", "cores", "devices", "decoders"),
    [
        ("cpu", None, 4, ["cpu"] * 4, 1),
        ("cpu", 2, 4, ["cpu"] * 2, 2),
        ("cpu", 8, 4, ["cpu"] * 8, 1),
        ("cuda", None, 8, ["cuda:0", "cuda:1"], 4),
        ("cuda", 3, 8, ["cuda:0", "cuda:1", "cuda:0"], 2),
        ("cuda:1", None, 8, ["cuda:1"], 8),
    ],
)
def test_one_context_for_each_worker(device, workers, cores, devices, decoders, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "cores", lambda: cores)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    contexts = worker_contexts(Context({}, (), tmp_path, None, device, "fp32"), workers)
    assert [context.device for context in contexts] == devices
    assert {context.decoders for context in contexts} == {decoders}


def test_why_an_evaluation_is_blocked():
    assert blocked_by(None) == "its module was not trained"
    trained = {"status": "oom", "reason": "no room"}
    assert blocked_by(trained) == "its module was not trained: oom: no room"
    assert blocked_by(trained, incompatible=True) == "no room"


def test_a_training_that_was_killed_goes_on_from_its_checkpoint(run, monkeypatch):
    """Its record counts the time of both; the checkpoint goes with the end."""
    store = run.worker.store
    run.worker.context.checkpoint_seconds = 0.0
    run.job = replace(run.job, train=replace(run.job.train, settings={**run.job.train.settings, "steps": 3}))
    original = module.train_module
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)  # as where Ctrl-C is not ignored

    def killed(*args, checkpoint, **given):
        save = checkpoint.save

        def save_and_die(state):
            save(state)
            raise KeyboardInterrupt

        checkpoint.save = save_and_die
        return original(*args, checkpoint=checkpoint, **given)

    run.worker.run(run.job, run.report)
    expected = store.load_module(run.job.train.key)
    for cell in (run.job.train, *run.job.evals):
        store.drop(cell.key)
    monkeypatch.setattr(module, "train_module", killed)
    with pytest.raises(KeyboardInterrupt):
        run.worker.run(run.job, run.report)
    assert store.checkpoint(run.job.train.key).exists()
    monkeypatch.setattr(module, "train_module", original)
    run.worker.run(run.job, run.report)
    record = store.record(run.job.train.key)
    assert record["earlier_seconds"] > 0
    assert record["seconds"] > record["train_seconds"] > record["earlier_seconds"]
    assert all(torch.equal(value, expected[name]) for name, value in store.load_module(run.job.train.key).items())
    assert not store.checkpoint(run.job.train.key).exists()


def test_backbones_that_were_not_used_for_long_make_room(run, monkeypatch):
    worker = run.worker
    worker.run(run.job, run.report)
    held = set(worker._backbones)
    assert len(held) > 1
    monkeypatch.setattr(module, "KEPT", 0)
    for cell in run.job.evals:
        worker.store.drop(cell.key)
    worker.run(run.job, run.report)
    assert list(worker._backbones) == list(worker._seals) == [run.job.evals[-1].backbone]
    assert all(set(pair) <= set(worker._backbones) for pair in worker._passages)
