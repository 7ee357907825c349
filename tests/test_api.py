"""The public names: what a notebook does gives what the engine computes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from fixtures.checkout import ROOT
from PIL import Image

import benchmark
from benchmark.api import LoadedModule
from benchmark.backbones.clip import Backbone
from benchmark.data import ArrayImages, Dataset, Examples, Splits
from benchmark.data.features import FeatureStore
from benchmark.experiment.store import MODULE, Store
from benchmark.method import registry
from benchmark.method.checkpoints import module_file
from benchmark.method.relatedness import relatedness
from benchmark.method.terms import Incompatible
from benchmark.training.checks import tiny_clips
from benchmark.training.modules import Module, all_scores, attach, train_module

METHODS = registry.methods()
CLASSES = list(tiny_clips.CLASSES)


@pytest.fixture(scope="module")
def stored(tmp_path_factory, backbones):
    """Files of trained modules by method."""
    store, task, features = Store(tmp_path_factory.mktemp("modules")), tiny_clips.task(), FeatureStore(None)
    files = {}
    for name in ("coop", "clip-adapter", "linear-probe", "tip-adapter", "clip-lora"):
        cls = METHODS[name].cls
        config = cls.Config(**{**cls.presets.get("small", {}), "steps": 3, "views": 1})
        method, _ = train_module(cls, config, backbones["native"], task, features)
        described = {
            "method": name,
            "settings": config.model_dump(mode="json"),
            "classes": CLASSES,
            "template": task.template,
            "context_words": task.context_words,
            "backbone": {"name": "native", "digest": backbones["native"].digest},
            "tensors": {tensor: list(value.shape) for tensor, value in method.tensors().items()},
        }
        store.write(name, {}, "ok", files={MODULE: module_file(method.tensors(), described)})
        files[name] = store.folder(name) / "module.safetensors"
    return files


def pictures(count: int = 5) -> Examples:
    labels = tuple(i % len(CLASSES) for i in range(count))
    return Examples(ArrayImages(tiny_clips.pictures(labels, seed=5)), labels)


@pytest.mark.parametrize("name", ["coop", "clip-adapter", "clip-lora"])
@pytest.mark.parametrize("on", ["native", "eva"])
def test_a_loaded_module_scores_as_the_engine_does(name, on, stored, backbones):
    module = benchmark.load_module(stored[name])
    examples = pictures()
    try:
        attached = module.on(backbones[on], CLASSES)
    except benchmark.Incompatible:
        assert (name, on) == ("clip-lora", "eva")  # other layers
        return
    images = [examples.images[row] for row in range(len(examples))]
    cls, config = module.module.cls, module.module.config
    plain = attach(cls, config, backbones[on], tiny_clips.task().class_list(), module.module.tensors)
    expected = all_scores(plain, examples, FeatureStore(None))
    torch.testing.assert_close(attached.logits(images), expected, atol=1e-4, rtol=1e-4)
    labels, probabilities = attached.predict(images)
    assert labels == [CLASSES[row] for row in expected.argmax(1).tolist()]
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(images)))


def test_images_may_be_one_picture_several_or_a_tensor(stored, backbones):
    backbone = backbones["native"]
    attached = benchmark.load_module(stored["coop"]).on(backbone, CLASSES)
    images = [pictures().images[row] for row in range(3)]
    expected = attached.logits(images)
    torch.testing.assert_close(attached.logits(images[0]), expected[:1])
    torch.testing.assert_close(attached.logits(torch.stack([backbone.frame(image) for image in images])), expected)
    torch.testing.assert_close(attached.logits(torch.stack([backbone.preprocess(image) for image in images])), expected)
    deep = Image.fromarray(np.full((32, 32), 51 * 257, dtype=np.uint16))
    torch.testing.assert_close(attached.logits(deep), attached.logits(Image.new("RGB", (32, 32), (51, 51, 51))))
    with pytest.raises(ValueError, match="no images"):
        attached.logits([])
    with pytest.raises(ValueError, match="N, 3, H, W"):
        attached.logits(torch.zeros(3, 32, 32))


def test_other_classes(stored, backbones):
    backbone = backbones["native"]
    free = benchmark.load_module(stored["coop"]).on(backbone, ["house", "boat"], template="an icon of a {}.")
    assert free.logits(pictures().images[0]).shape == (1, 2)
    bound = benchmark.load_module(stored["linear-probe"])
    some = bound.on(backbone, [CLASSES[2], CLASSES[0]]).logits(pictures().images[0])
    torch.testing.assert_close(some, bound.on(backbone, CLASSES).logits(pictures().images[0])[:, [2, 0]])
    with pytest.raises(benchmark.Incompatible, match="training classes"):
        bound.on(backbone, ["house", "boat"])


def test_a_method_that_keeps_images_asks_for_them(stored, backbones):
    module = benchmark.load_module(stored["tip-adapter"])
    with pytest.raises(benchmark.Incompatible, match="training images"):
        module.on(backbones["eva"], CLASSES)
    task = tiny_clips.task()
    attached = module.on(backbones["eva"], CLASSES, examples=task.train)
    assert attached.logits(pictures().images[0]).isfinite().all()


def test_the_one_file_is_enough_and_an_older_pair_of_files_is_still_read(stored, tmp_path):
    from safetensors.torch import load_file, save_file

    file = tmp_path / "alone.safetensors"
    file.write_bytes(stored["coop"].read_bytes())
    alone = benchmark.load_module(file)
    assert alone.described["template"] == tiny_clips.task().template
    old = tmp_path / "module.safetensors"
    save_file(load_file(file), old)
    import json

    old.with_suffix(".json").write_text(json.dumps(alone.described))
    assert torch.equal(benchmark.load_module(old).module.tensors["context"], alone.module.tensors["context"])
    old.with_suffix(".json").unlink()
    with pytest.raises(benchmark.UserError):
        benchmark.load_module(old)


class Patterns(Dataset):
    """Two patterns for each of four classes."""

    name = "patterns"
    title = "Patterns"

    def load(self) -> Splits:
        return Splits(tiny_clips.CLASSES, test=pictures(8))


def test_compare(stored, backbones):
    answer = benchmark.compare(stored["clip-lora"], backbones["native"], backbones["eva"], Patterns(), repairs=["both"])
    table = answer.table.set_index("name")
    assert list(table.index) == ["zero-shot-old", "stay", "discard", "keep", "both", "retrain"]
    assert answer.values["lift_old"].value == pytest.approx(table.accuracy["stay"] - table.accuracy["zero-shot-old"])
    assert len(table.reason["keep"]) > 10
    assert answer.verdict.helps == "incompatible"
    with pytest.raises(benchmark.UserError, match="no such repair"):
        benchmark.compare(stored["clip-lora"], backbones["native"], backbones["eva"], Patterns(), repairs=["botth"])


def test_compare_on_a_folder(stored, backbones, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new("RGB", (32, 32), (40 * number, 90, 200)).save(tmp_path / name / f"{number}.png")
    answer = benchmark.compare(stored["clip-lora"], backbones["native"], backbones["native"], tmp_path, repairs=["none"])
    assert answer.about["data"]["test_images"] == 6
    assert answer.values["gain"].value == 0


def test_load_backbone_names_what_is_wrong(backbone_folders):
    loaded = benchmark.load_backbone(f"local-dir:{backbone_folders['native']}")
    assert isinstance(loaded, Backbone)
    with pytest.raises(benchmark.UserError, match="bundled"):
        benchmark.load_backbone("bundled:v9")
    with pytest.raises(benchmark.UserError, match="pretrained"):
        benchmark.load_backbone("ViT-B-16")


def test_importing_the_package_is_light():
    code = "import sys, benchmark; benchmark.__all__; sys.exit(bool({'torch', 'pandas'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_public_name_is_there_and_no_other():
    assert {*benchmark.__all__} <= {*dir(benchmark)}
    for name in benchmark.__all__:
        assert getattr(benchmark, name).__doc__
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        benchmark.nothing_of_that_name  # noqa: B018


def test_a_run_and_its_results(tmp_path, backbone_folders):
    yaml = tmp_path / "pairs.yaml"
    yaml.write_text(
        f'backbones:\n  a: {{model: "local-dir:{backbone_folders["native"]}"}}\n'
        f'  b: {{model: "local-dir:{backbone_folders["eva"]}"}}\nupgrades: [{{old: a, new: b}}]\n'
        f"datasets: [own]\nseeds: [1]\nshots: 2\npreset: small\nprotocols: [few-shot]\n"
        f"folders: {{own: {{path: {tmp_path / 'own'}}}}}\n"
    )
    for part, each in (("train", 3), ("test", 2)):
        for label in range(2):
            for number in range(each):
                file = tmp_path / "own" / part / f"class{label}" / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                ArrayImages(tiny_clips.pictures([label], seed=number))[0].save(file)
    made = benchmark.run(yaml, methods=["zero-shot", "clip-adapter"], out=tmp_path / "out", workers=0)
    read = benchmark.load_results(tmp_path / "out")
    assert set(made.results.method) == {"zero-shot", "clip-adapter"}
    assert list(read.results.value) == list(made.results.value)
    assert read.methods.keys() == made.methods.keys()
    assert read.about.pairs == [("a", "b")]


def test_a_module_that_is_carried_needs_the_old_backbone(backbones):
    """Its offset times the relatedness of the two; on the backbone that it was trained on it is as it was."""
    native, eva = backbones["native"], backbones["eva"]
    cls, offset = METHODS["coop-offset"].cls, torch.randn(4, native.text_width)
    module = Module(cls, cls.Config(), {"offset": offset})
    loaded = LoadedModule("coop-offset", module, described={"backbone": {"name": "native", "digest": native.digest}})
    assert torch.equal(loaded.on(native, tiny_clips.CLASSES).method.offset, offset)
    with pytest.raises(Incompatible, match="needs the one that it was trained on: pass that as old"):
        loaded.on(eva, tiny_clips.CLASSES)
    carried = loaded.on(eva, tiny_clips.CLASSES, old=native).method.offset
    torch.testing.assert_close(carried.detach(), max(0.0, relatedness(native, eva)) * offset)
