"""True architectures with random weights, in the file formats in which real weights come; nothing is downloaded."""

from __future__ import annotations

import json
import math
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from benchmark.analysis import activations
from benchmark.backbones import sanity, weights
from benchmark.backbones.clip import Backbone, digest
from benchmark.backbones.towers import tower
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import ClassList
from benchmark.data.dataset import ArrayImages, Augmentation, Examples
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task, TaskId
from benchmark.experiment.devices import release_memory
from benchmark.method import registry, space_maps
from benchmark.method.terms import Incompatible
from benchmark.training.checks.tiny_clips import CLASSES, pictures
from benchmark.training.evaluation import predict
from benchmark.training.loop import few_shots, fit, learnt_by_gradient
from benchmark.training.modules import attach

pytestmark = pytest.mark.slow

METHODS = registry.methods()
NAMES = sorted(METHODS.plugins)
TEXTS = ["a photo of a cat.", "a photo of a shiba inu, a type of pet.", "an annual crop land", " ".join(["dog"] * 75)]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
OPENAI, EVA = "openai", "merged2b_s8b_b131k"


@dataclass(frozen=True)
class Architecture:
    """A model of open_clip and its sizes, as the papers that describe it have them."""

    model: str
    embed_dim: int
    text_width: int
    text_heads: int
    quick: bool
    image_size: int = 224


ARCHITECTURES = {
    "b16": Architecture("ViT-B-16-quickgelu", 512, 512, 8, quick=True),
    "eva": Architecture("EVA02-B-16", 512, 512, 8, quick=False),
    "l14": Architecture("ViT-L-14-quickgelu", 768, 768, 12, quick=True),
    "rn50": Architecture("RN50-quickgelu", 1024, 512, 8, quick=True),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whoever tries to connect fails the test."""

    def refuse(*args, **_):
        raise AssertionError(f"something connects: {args}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True, scope="module")
def both_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder of some GB that does not stay; pytest keeps its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def write(place):
    """The weights file of an architecture, written once: a safetensors file as the hub has it."""

    def made(name: str) -> Path:
        file = place / name / "open_clip_model.safetensors"
        if not file.exists():
            file.parent.mkdir()
            torch.manual_seed(sorted(ARCHITECTURES).index(name))
            model = open_clip.create_model(ARCHITECTURES[name].model, load_weights=False)
            with torch.no_grad():
                model.logit_scale.fill_(math.log(100))
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
            del model
            release_memory()
        return file

    return made


def in_cache(root: Path, repo: str, *files: Path) -> None:
    """Put files into the hub's cache as its library lays it out, as links."""
    folder = root / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    (folder / "snapshots" / "c0ffee").mkdir(parents=True)
    for file in files:
        (folder / "snapshots" / "c0ffee" / file.name).symlink_to(file)


@pytest.fixture(scope="module")
def folder(write) -> Path:
    """EVA02-B-16 as a ``local-dir`` folder, described as on the hub."""
    file = write("eva")
    model_cfg = open_clip.get_model_config("EVA02-B-16")
    about = get_pretrained_cfg("EVA02-B-16", EVA)
    kept = {key: about[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    (file.parent / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": kept}))
    return file.parent


@pytest.fixture(scope="module")
def spec(write, folder):
    """How a YAML would name an architecture's weights."""

    def made(name: str) -> BackboneSpec:
        if name == "eva":
            return BackboneSpec(model=f"local-dir:{folder}")
        return BackboneSpec(model=ARCHITECTURES[name].model, pretrained=str(write(name)))

    return made


@pytest.fixture(params=list(ARCHITECTURES), scope="module")
def backbone(request, spec) -> Iterator[Backbone]:
    """Each in turn; the one before is freed."""
    loaded = Backbone.load(request.param, spec(request.param))
    yield loaded
    assert digest(loaded.model) == loaded.digest, "a test changed its weights"
    del loaded
    release_memory()


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expected(spec) -> dict[str, tuple[str, str]]:
    """Digests and transforms of the two that come in many forms."""
    found = {}
    for name in ("b16", "eva"):
        loaded = Backbone.load(name, spec(name))
        found[name] = (loaded.digest, _transform(loaded))
        del loaded
        release_memory()
    return found


def _transform(backbone: Backbone) -> str:
    """JSON makes lists of tuples."""
    return backbone.preprocess_key.replace("[", "(").replace("]", ")")


@pytest.mark.parametrize("form", ["hub of b16", "hub of eva", "tag of b16", "tag of eva"])
def test_the_hubs_cache_is_as_good_as_a_file(form, expected, write, folder, tmp_path, monkeypatch):
    how, name = form.split(" of ")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    model, tag = ARCHITECTURES[name].model, {"b16": OPENAI, "eva": EVA}[name]
    about = get_pretrained_cfg(model, tag)
    config = tmp_path / "open_clip_config.json"
    kept = {key: about[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    config.write_text(json.dumps({"model_cfg": open_clip.get_model_config(model), "preprocess_cfg": kept}))
    if how == "hub":
        wanted, repo = BackboneSpec(model="hf-hub:org/clip"), "org/clip"
    else:
        wanted, repo = BackboneSpec(model=model, pretrained=tag), about["hf_hub"].rstrip("/")
    assert weights.missing(name, wanted)
    in_cache(tmp_path, repo, write(name), *([config] if how == "hub" else []))
    assert weights.missing(name, wanted) is None
    loaded = Backbone.load(name, wanted)
    assert (loaded.digest, _transform(loaded)) == expected[name]
    del loaded
    release_memory()


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "as open_clip's training saves it"])
def test_a_state_dict_in_half_precision_is_loaded(wrapped, write, place, tmp_path):
    """As OpenAI published its weights; a .pt file says nothing about its precision."""
    from safetensors.torch import load_file

    state = {key: value.half() for key, value in load_file(write("b16")).items()}
    content = {"epoch": 32, "state_dict": {f"module.{key}": value for key, value in state.items()}} if wrapped else state
    torch.save(content, place / "clip.pt")
    loaded = Backbone.load("b16", BackboneSpec(model="ViT-B-16-quickgelu", pretrained=str(place / "clip.pt")))
    found = loaded.model.state_dict()
    assert found.keys() == state.keys()
    for key in ("visual.proj", "transformer.resblocks.11.attn.in_proj_weight", "token_embedding.weight", "logit_scale"):
        assert found[key].dtype == torch.float32
        assert torch.equal(found[key], state[key].float()), key
    assert float(loaded.logit_scale) == pytest.approx(100, rel=1e-2)
    (place / "clip.pt").unlink()
    del loaded, found, state, content
    release_memory()


# --- the adapter -----------------------------------------------------------------------------------------------------


def test_sizes(backbone):
    sizes = ARCHITECTURES[backbone.name]
    assert (backbone.embed_dim, backbone.text_width) == (sizes.embed_dim, sizes.text_width)
    assert (backbone.context_length, backbone.text_layers, backbone.image_size) == (77, 12, sizes.image_size)
    assert backbone.text.transformer.resblocks[0].attn.num_heads == sizes.text_heads
    assert (type(backbone.text.transformer.resblocks[0].mlp.gelu) is QuickGELU) == sizes.quick
    assert float(backbone.logit_scale) == pytest.approx(100)
    assert backbone.logit_bias is None
    assert backbone.causal
    assert sanity.check(backbone) == []


def test_texts_are_those_of_open_clip(backbone):
    ids = backbone.tokenizer(TEXTS)
    tokens = backbone.tokenize(TEXTS)
    assert (tokens.start, tokens.eot.tolist()) == (1, tokens.end.tolist())
    assert tokens.eot.tolist() == (ids == 49407).int().argmax(1).tolist()
    assert int(tokens.eot[0]) == 7  # start, a photo of a cat, full stop
    assert int(tokens.eot[-1]) == 76
    assert torch.equal(backbone.embed(ids[:1]), backbone.text.token_embedding.weight[ids[:1]])
    with torch.no_grad():
        expected = backbone.model.encode_text(ids)
        torch.testing.assert_close(backbone.encode_texts(TEXTS), expected, **CLOSE)
        torch.testing.assert_close(backbone.encode_texts(TEXTS[:2]), expected[:2], **CLOSE)  # cut much shorter
    assert expected.shape == (len(TEXTS), backbone.embed_dim)
    assert torch.pdist(expected).min() > 0.01


def test_stages_of_the_towers(backbone, examples, store):
    """For the analysis of drift: as many as there are names, the last is the tower's output, every weight is in one."""
    found = activations.text_features(backbone, TEXTS[:3])
    assert len(found) == len(activations.stages(backbone, "text")) == 14
    with torch.no_grad():
        torch.testing.assert_close(found[-1], backbone.encode_texts(TEXTS[:3]), **CLOSE)
    few = examples.pick((0, 1))
    images = activations.image_features(backbone, store.testing(backbone, few, pixels=True))
    assert len(images) == len(activations.stages(backbone, "vision")) == {"l14": 26, "rn50": 1}.get(backbone.name, 14)
    assert images[-1].shape == (2, backbone.embed_dim)
    stages = [stage for name in ("text", "vision") for stage in tower(backbone, name).stages()]
    owned = [value.data_ptr() for stage in stages for value in stage.values()]
    every = {value.data_ptr() for name, value in backbone.model.named_parameters() if not name.startswith("logit_")}
    assert len(owned) == len(set(owned))
    assert every <= set(owned)


def test_a_map_of_token_embeddings_to_itself(backbone):
    words = space_maps.shared_words(backbone, backbone)
    assert {"cat", "photo", "dog"} <= set(words)
    assert len(words) > 10_000
    maps = space_maps.SpaceMaps(backbone, backbone, "a photo of a {}.")
    torch.testing.assert_close(maps.of("tokens"), torch.eye(backbone.text_width), atol=1e-3, rtol=0)


def test_images_and_logits_are_those_of_open_clip(backbone, examples):
    transform = open_clip.image_transform(backbone.image_size, is_train=False)
    images = [examples.images[row] for row in (0, 5)]
    batch = torch.stack([transform(image) for image in images])
    own = torch.stack([backbone.preprocess(image) for image in images])
    torch.testing.assert_close(own, batch, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        features = backbone.encode_image(own)
        torch.testing.assert_close(features, backbone.model.encode_image(batch), **CLOSE)
        logits = backbone.logits(features, backbone.encode_texts(TEXTS[:2]))
        torch.testing.assert_close(
            logits, backbone.model.get_logits(batch, backbone.tokenizer(TEXTS[:2]))[0], atol=1e-3, rtol=1e-4
        )
    assert features.shape == (2, backbone.embed_dim)


# --- methods ---------------------------------------------------------------------------------------------------------


@dataclass
class Modules:
    """What each method learnt on the ViT-B/16 in two steps, with its settings."""

    tensors: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    configs: dict[str, object] = field(default_factory=dict)


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Six pictures of three classes."""
    labels = (0, 1, 2, 0, 1, 2)
    return Examples(ArrayImages(pictures(labels, seed=3).repeat(8, 1).repeat(8, 2)), labels)


@pytest.fixture(scope="module")
def three() -> ClassList:
    return ClassList(CLASSES[:3], "a photo of a {}.", "a photo of a")


@pytest.fixture(scope="module")
def store() -> FeatureStore:
    return FeatureStore(None)


def config_of(name: str, **changes):
    """The paper's settings, but for two steps at the full rate on a small batch."""
    return METHODS[name].cls.Config(steps=2, batch_size=2, warmup_epochs=0, views=1, **changes)


def task_of(classes: ClassList, examples: Examples) -> Task:
    """Those examples to learn from, and some of them held out."""
    task = TaskId("pictures", "few-shot", 2, 1)
    held_out, how = examples.pick([0, 1, 2]), Augmentation()
    names, words = classes.names, classes.context_words
    return Task(task, names, classes.template, words, examples, held_out, (), how, shots=2)


def trained(name: str, backbone: Backbone, classes: ClassList, examples: Examples, store: FeatureStore, **changes):
    config, task = config_of(name, **changes), task_of(classes, examples)
    torch.manual_seed(1)
    method = METHODS[name].cls(config, backbone, classes, few_shots(config, backbone, task, store))
    before = method.tensors()
    log = fit(method, task, store)
    after = method.tensors()
    assert log.steps == (2 if learnt_by_gradient(method) else 0)
    assert all(torch.isfinite(value).all() for value in after.values())
    assert not log.steps or any(not torch.equal(before[key], after[key]) for key in before)
    return method


def moved(name: str, config, backbone: Backbone, classes: ClassList, tensors, examples: Examples, store: FeatureStore):
    cls = METHODS[name].cls
    shown = few_shots(config, backbone, task_of(classes, examples), store) if cls.info.keeps_images else None
    return attach(cls, config, backbone, classes, tensors, shown)


def evaluate(method, examples: Examples, store: FeatureStore) -> None:
    bank = store.testing(method.backbone, examples.pick([0, 1, 2]), pixels=method.needs_pixels)
    found = predict(method, bank)
    assert found.shape == (3,)
    assert found.max() < 3


@pytest.fixture(scope="module")
def modules(spec, three, examples, store) -> Modules:
    made = Modules()
    backbone = Backbone.load("b16", spec("b16"))
    for name in NAMES:
        method = trained(name, backbone, three, examples, store)
        made.tensors[name], made.configs[name] = method.tensors(), method.config
        del method
    del backbone
    release_memory()
    return made


@pytest.mark.parametrize("name", NAMES)
def test_every_method_trains_and_is_evaluated(name, backbone, three, examples, store):
    """Or says why it cannot: CLIP-LoRA knows the attention of transformers only."""
    why = METHODS[name].cls.incompatibility(config_of(name), backbone)
    if why:
        assert backbone.name == "rn50"
        assert "vision" in METHODS[name].cls.info.tunes
        assert "layout that is not known" in why or "not a transformer" in why
        return
    method = trained(name, backbone, three, examples, store)
    evaluate(moved(name, method.config, backbone, three, method.tensors(), examples, store), examples, store)


@pytest.mark.parametrize("backbone", ["rn50"], indirect=True)
def test_the_text_tower_of_a_resnet_can_be_tuned(backbone, three, examples, store):
    assert METHODS["clip-lora"].cls.incompatibility(config_of("clip-lora", encoder="text"), backbone) is None
    evaluate(trained("clip-lora", backbone, three, examples, store, encoder="text"), examples, store)


@pytest.mark.parametrize(
    ("name", "count"), {"coop": 2_048, "cocoop": 35_360, "clip-adapter": 131_072, "clip-lora": 184_320}.items()
)
def test_as_many_parameters_as_published(name, count, modules):
    """On ViT-B/16, with a context of four tokens and rank two."""
    assert sum(value.numel() for value in modules.tensors[name].values()) == count


DIFFERS = {
    "l14": {
        "coop": "context is 4 x 512 in the module but must be 4 x 768",
        "cocoop": "context is 4 x 512 in the module but must be 4 x 768",
        "contcoop": "context is 4 x 512 in the module but must be 4 x 768",
        "clip-adapter": "adapter.0.weight is 128 x 512 in the module but must be 192 x 768",
        "clip-lora": "lora.down.text_0_k is 2 x 512 in the module but must be 2 x 768",
    },
    "rn50": {
        "cocoop": "meta_net.0.bias is 32 in the module but must be 64",
        "clip-adapter": "adapter.0.weight is 128 x 512 in the module but must be 256 x 1024",
        "clip-lora": "the attention of its vision tower has a layout that is not known",
    },
}
"""Why modules of the ViT-B/16 do not fit; what is not here fits."""
KNOWN = {"zero-shot", *DIFFERS["l14"]}


@pytest.mark.parametrize("name", NAMES)
def test_modules_of_the_b16_elsewhere(name, backbone, modules, three, examples, store):
    """On EVA-02's B/16, which has the same widths, all fit; where one does not, it says why."""
    cls, config = METHODS[name].cls, modules.configs[name]
    why = cls.incompatibility(config, backbone)
    if why is None:
        try:
            method = moved(name, config, backbone, three, modules.tensors[name], examples, store)
        except Incompatible as error:
            why = str(error).removesuffix(f" on {backbone.name}")
        else:
            evaluate(method, examples, store)
    if backbone.name == "eva":
        assert (why is None) == (name != "bitfit"), why
    if name in KNOWN:
        assert why == DIFFERS.get(backbone.name, {}).get(name)
