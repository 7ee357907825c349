"""Methods that learn context, against their formulas: CoOp's and ContCoOp's relatives, KgCoOp, ProGrad, word prompt.

As in ``test_formulas``, only open_clip's modules and plain torch compute the expected values. A training step is compared
with the first step of its optimiser, written out: SGD w - lr (g + wd w), Adam w - lr g' / (|g'| + eps) with g' = g + wd w,
AdamW w (1 - lr wd) - lr g / (|g| + eps).
"""

from __future__ import annotations

import math

import pytest
import torch
from fixtures.formulas import (
    CLASSES,
    CLOSE,
    NAMES,
    PLUGINS,
    READABLE,
    STEP,
    WIDTH,
    build,
    check_step,
    cosine_logits,
    drawn,
    entropy,
    learnt,
    leaves,
    prompt_feature,
    prompts,
    sgd,
    text_part,
    texts_of,
    zero_shot_texts,
)

from benchmark.data.batch import Batch, ClassList
from benchmark.data.features import Bank
from benchmark.training.loop import train

# --- CoOp, class-specific -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ctx", [1, 4])
def test_coop_csc(backbone, features, labels, n_ctx):
    """[SOT | v_1^c ... v_M^c | class c . | EOT], a context of its own for every class."""
    method = build("coop-csc", backbone, n_ctx=n_ctx)
    with torch.no_grad():
        context = learnt(method)["context"]
        assert context.shape == (4, n_ctx, 32)
        expected = cosine_logits(backbone.model, features, prompts(backbone, context))
        batch = Batch(labels, features=features)
        torch.testing.assert_close(method.logits(batch), expected, **CLOSE)
        torch.testing.assert_close(method.loss(batch), entropy(expected, labels), **CLOSE)


def test_coop_csc_step(backbone, features, labels):
    method = build("coop-csc", backbone, lr=0.5, **STEP)
    context = leaves(method)["context"]
    loss = entropy(cosine_logits(backbone.model, features, prompts(backbone, context)), labels)
    (gradient,) = torch.autograd.grad(loss, context)
    check_step(method, features, labels, {"context": sgd(context, gradient, 0.5)})


def test_coop_csc_starts_at_the_words_or_at_random(backbone):
    """The words' embeddings for every class; without words N(0, 0.02^2), others for every class."""
    cls = PLUGINS["coop-csc"].cls
    ids = backbone.tokenizer(["a photo of a"])[0, 1:5]
    words = text_part(backbone.model).token_embedding(ids).detach().float()
    started = cls(cls.Config(), backbone, CLASSES).context
    assert torch.equal(started, words.expand(4, 4, 32))
    torch.manual_seed(0)
    random = cls(cls.Config(n_ctx=16, init_words=""), backbone, CLASSES).context.detach()
    assert random.shape == (4, 16, 32)
    assert 0.018 < float(random.std()) < 0.022
    assert len({tuple(own.flatten().tolist()) for own in random}) == 4


# --- KgCoOp -------------------------------------------------------------------------------------------------------


def kgcoop_loss(backbone, context, features, labels, weight, template="an icon of a {}."):
    """L_ce + W (1 - mean_c t_c . t0_c / (|t_c| |t0_c|)), and the penalty without its weight."""
    texts, fixed = prompts(backbone, [context] * 4), texts_of(backbone, template)
    near = [texts[row] @ fixed[row] / (texts[row].norm() * fixed[row].norm()) for row in range(4)]
    penalty = 1 - sum(near) / 4
    return entropy(cosine_logits(backbone.model, features, texts), labels) + weight * penalty, penalty


@pytest.mark.parametrize("weight", [8.0, 0.5, 0.0])
def test_kgcoop(backbone, features, labels, weight):
    method = build("kgcoop", backbone, weight=weight)
    batch = Batch(labels, features=features)
    with torch.no_grad():
        context = learnt(method)["context"]
        expected = cosine_logits(backbone.model, features, prompts(backbone, [context] * 4))
        torch.testing.assert_close(method.logits(batch), expected, **CLOSE)
        loss, penalty = kgcoop_loss(backbone, context, features, labels, weight)
        assert penalty > 0.05
        torch.testing.assert_close(method.loss(batch), loss, **CLOSE)


def test_kgcoop_weighs_the_penalty_with_eight():
    assert PLUGINS["kgcoop"].cls.Config().weight == 8.0


def test_kgcoop_step(backbone, features, labels):
    method = build("kgcoop", backbone, lr=0.5, **STEP)
    context = leaves(method)["context"]
    loss, penalty = kgcoop_loss(backbone, context, features, labels, 8.0)
    (of_penalty,) = torch.autograd.grad(penalty, context, retain_graph=True)
    (gradient,) = torch.autograd.grad(loss, context)
    assert (8.0 * of_penalty).abs().max() > 1e-2  # the penalty matters
    check_step(method, features, labels, {"context": sgd(context, gradient, 0.5)})


@pytest.mark.parametrize(("template", "nothing"), [("a photo of a {}.", True), ("a photo of a {}", False)])
def test_kgcoop_penalty_at_the_start(backbone, features, labels, template, nothing):
    """The first prompt is "a photo of a {}." with its full stop, so that a template equal to it is at no distance."""
    cls = PLUGINS["kgcoop"].cls
    method = cls(cls.Config(), backbone, ClassList(NAMES, template, "a photo of a")).double().eval()
    with torch.no_grad():
        texts = texts_of(backbone, "a photo of a {}.")
        alone = entropy(cosine_logits(backbone.model, features, texts), labels)
        penalty = float(method.loss(Batch(labels, features=features)) - alone)
    assert (abs(penalty) < 1e-5) == nothing


# --- ProGrad ------------------------------------------------------------------------------------------------------


def prograd_gradients(backbone, context, features, labels, temperature=1.0):
    """g of L_ce and h of L_kl = -T^2 mean_b sum_c p0_bc log p_bc, p0 and p at temperature T."""
    context = context.detach().requires_grad_()
    own = cosine_logits(backbone.model, features, prompts(backbone, [context] * 4))
    fixed = cosine_logits(backbone.model, features, zero_shot_texts(backbone)).detach()
    p0 = torch.exp(fixed / temperature) / torch.exp(fixed / temperature).sum(1, keepdim=True)
    log_p = own / temperature - torch.logsumexp(own / temperature, 1)[:, None]
    general = -(temperature**2) * (p0 * log_p).sum() / len(labels)
    (g,) = torch.autograd.grad(entropy(own, labels), context, retain_graph=True)
    (h,) = torch.autograd.grad(general, context)
    return g, h


def prograd_labels(backbone, context, features, agree, temperature=1.0):
    """Labels whose logits fall most along h, so that g . h > 0, or rise most, so that g . h < 0."""
    _, h = prograd_gradients(backbone, context, features, torch.zeros(len(features), dtype=torch.long), temperature)
    with torch.no_grad():
        ahead, behind = (
            cosine_logits(backbone.model, features, prompts(backbone, [context + way * h / h.norm()] * 4))
            for way in (1e-4, -1e-4)
        )
    return (ahead - behind).argmin(1) if agree else (ahead - behind).argmax(1)


def projected(g, h, strength):
    """g - lambda (g . n(h)) n(h) where g . h < 0, else g."""
    unit = h / h.norm()
    along = float((g * unit).sum())
    return g - strength * along * unit if along < 0 else g


@pytest.mark.parametrize("n_ctx", [4, 6])
def test_prograd(backbone, features, labels, n_ctx):
    """CoOp's logits; the loss is cross-entropy alone."""
    method = build("prograd", backbone, n_ctx=n_ctx)
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, prompts(backbone, [learnt(method)["context"]] * 4))
        batch = Batch(labels, features=features)
        torch.testing.assert_close(method.logits(batch), expected, **CLOSE)
        torch.testing.assert_close(method.loss(batch), entropy(expected, labels), **CLOSE)


@pytest.mark.parametrize("agree", [True, False], ids=["agree", "oppose"])
@pytest.mark.parametrize(("strength", "temperature"), [(1.0, 1.0), (0.4, 1.0), (1.0, 2.5)])
def test_prograd_step(backbone, features, agree, strength, temperature):
    """The plain gradient where g . h >= 0; without its part along h where g . h < 0. Then decay and rate as everywhere."""
    method = build("prograd", backbone, n_ctx=4, lr=0.5, strength=strength, temperature=temperature, **STEP)
    context = learnt(method)["context"]
    labels = prograd_labels(backbone, context, features, agree, temperature)
    g, h = prograd_gradients(backbone, context, features, labels, temperature)
    cosine = float((g * h).sum() / (g.norm() * h.norm()))
    assert cosine > 0.1 if agree else cosine < -0.1
    direction = projected(g, h, strength)
    assert torch.equal(direction, g) == agree
    check_step(method, features, labels, {"context": sgd(context, direction, 0.5)})
    followed = method.context.grad
    torch.testing.assert_close(followed, direction, **CLOSE)
    if strength == 1.0 and not agree:
        assert abs(float((followed * h).sum() / (followed.norm() * h.norm()))) < 1e-6


def test_prograds_own_sentence(backbone, features, labels):
    """The teacher has it, and the word that its comma pushes out of the context stays before the name, as in
    [SOT | 0 0 0 an icon , a | red class c . | EOT] with seven positions: five tokens of four words."""
    words = "an icon, a red"
    method = build("prograd", backbone, n_ctx=7, init_words=words, template=words + " {}.")
    ids = backbone.tokenizer([words])[0, 1:]
    count = int(ids.argmax())
    assert count == 5, "the comma is a token"
    start = method.first_context()
    assert (start[:3] == 0).all()
    torch.testing.assert_close(start[3:], backbone.embed(ids[None, :4])[0].to(start), **CLOSE)
    with torch.no_grad():
        context = learnt(method)["context"]
        texts = torch.stack([prompt_feature(backbone, context, f"red {name}") for name in READABLE])
        expected = cosine_logits(backbone.model, features, texts)
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)
        sentences = backbone.tokenizer([f"{words} {name}." for name in READABLE])
        torch.testing.assert_close(method.teacher_features, backbone.model.encode_text(sentences), **CLOSE)


def test_prograd_without_strength_is_coop(backbone, features):
    """lambda = 0: the gradient of the cross-entropy even where the two oppose, hence CoOp's steps."""
    settings = {"n_ctx": 4, "lr": 0.05, "steps": 3, "warmup_epochs": 0}
    ours, coop = build("prograd", backbone, strength=0.0, **settings), build("coop", backbone, **settings)
    other = build("prograd", backbone, strength=1.0, **settings)
    assert torch.equal(ours.context, coop.context)
    labels = prograd_labels(backbone, learnt(coop)["context"], features, agree=False)
    for method in (ours, coop, other):
        train(method, Bank(features[None], labels), shots=3, seed=1)
    torch.testing.assert_close(ours.context, coop.context, atol=1e-9, rtol=1e-9)
    assert (other.context - coop.context).abs().max() > 1e-3


def test_prograd_scales_both_gradients(backbone, features):
    """Half precision's loss scale S multiplies what is followed by S, whatever is taken away."""
    method = build("prograd", backbone, n_ctx=4).train()
    labels = prograd_labels(backbone, learnt(method)["context"], features, agree=False)
    actual = []
    for scale in (1.0, 1024.0):
        method.backward(method.loss(Batch(labels, features=features)), lambda loss, scale=scale: scale * loss)
        actual.append(method.context.grad.clone())
    torch.testing.assert_close(actual[1], 1024 * actual[0], atol=1e-6, rtol=1e-9)


@pytest.mark.parametrize(("words", "n_ctx", "zeros"), [(None, 6, 2), ("a photo", 5, 3), (None, 4, 0)])
def test_prograd_starts_with_zeros_and_then_the_words(backbone, words, n_ctx, zeros):
    cls = PLUGINS["prograd"].cls
    context = cls(cls.Config(n_ctx=n_ctx, init_words=words), backbone, CLASSES).context.detach()
    ids = backbone.tokenizer([words or "a photo of a"])[0, 1 : 1 + n_ctx - zeros]
    assert not context[:zeros].any()
    assert torch.equal(context[zeros:], text_part(backbone.model).token_embedding(ids).detach().float())


# --- word prompt --------------------------------------------------------------------------------------------------


def word_prompts(backbone, amounts, words="a photo of a"):
    """Texts with v_m = e_m + sum_w theta_mw E(w), E(w) the mean of the embeddings of the tokens of word w."""
    vocabulary = PLUGINS["word-prompt"].cls.build.__globals__["WORDS"]
    embedding = text_part(backbone.model).token_embedding
    means = [embedding(torch.tensor(backbone.tokenizer.encode(word))).mean(0) for word in vocabulary]
    first = embedding(torch.tensor(backbone.tokenizer.encode(words)))
    context = []
    for place, own in zip(first, amounts, strict=True):
        mixed = place
        for amount, mean in zip(own, means, strict=True):
            mixed = mixed + amount * mean
        context.append(mixed)
    return prompts(backbone, [torch.stack(context)] * 4)


def test_word_prompt(backbone, features, labels):
    method = build("word-prompt", backbone)
    lengths = {len(backbone.tokenizer.encode(word)) for word in method.build.__globals__["WORDS"]}
    assert len(lengths) > 2  # some are of several tokens, whose mean counts
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, word_prompts(backbone, learnt(method)["amounts"]))
        batch = Batch(labels, features=features)
        torch.testing.assert_close(method.logits(batch), expected, **CLOSE)
        torch.testing.assert_close(method.loss(batch), entropy(expected, labels), **CLOSE)


def test_word_prompt_step(backbone, features, labels):
    method = build("word-prompt", backbone, lr=0.5, **STEP)
    amounts = leaves(method)["amounts"]
    loss = entropy(cosine_logits(backbone.model, features, word_prompts(backbone, amounts)), labels)
    (gradient,) = torch.autograd.grad(loss, amounts)
    check_step(method, features, labels, {"amounts": sgd(amounts, gradient, 0.5)})


def test_word_prompt_starts_as_the_sentence(backbone):
    """theta = 0: the prompt is "a photo of a {}."."""
    cls = PLUGINS["word-prompt"].cls
    method = cls(cls.Config(), backbone, CLASSES).double().eval()
    with torch.no_grad():
        torch.testing.assert_close(method.class_features(), texts_of(backbone, "a photo of a {}."), **CLOSE)


@pytest.mark.parametrize("name", ["native", "eva", "wide"])
def test_word_prompt_is_rendered_with_the_other_backbone_s_embeddings(backbone, doubled, name):
    """The same amounts of the other tower's own word embeddings, also where its text width differs."""
    method = build("word-prompt", backbone)
    new = doubled(name)
    moved = build("word-prompt", new, seed=1)
    moved.load(method.tensors())
    amounts = method.tensors()["amounts"].double()
    images = drawn(5, WIDTH, seed=8)
    with torch.no_grad():
        expected = cosine_logits(new.model, images, word_prompts(new, amounts))
        batch = Batch(torch.zeros(5, dtype=torch.long), features=images)
        torch.testing.assert_close(moved.logits(batch), expected, **CLOSE)
        if new is backbone:
            torch.testing.assert_close(method.logits(batch), expected, atol=1e-4, rtol=1e-4)  # saved in single precision
        else:
            assert (method.logits(batch) - expected).abs().max() > 0.1


@pytest.mark.parametrize(("words", "n_ctx"), [("a photo", 4), ("a photo of a", 6)])
def test_word_prompt_s_module_is_all_there_is(backbone, words, n_ctx):
    """Built again and loaded, it is the same prompt: also where the context words are too few for M places."""
    classes = ClassList(NAMES, "a photo of a {}.", words)
    trained = build("word-prompt", backbone, classes=classes, n_ctx=n_ctx, seed=1)
    again = build("word-prompt", backbone, classes=classes, n_ctx=n_ctx, seed=2)
    again.load(trained.tensors())
    with torch.no_grad():
        torch.testing.assert_close(again.class_features(), trained.class_features(), atol=1e-4, rtol=1e-4)


# --- ContCoOp's ablations -----------------------------------------------------------------------------------------


def distilled(backbone, texts, features, labels, weight, temperature):
    """Cross-entropy + lambda T^2 mean_b sum_c p0 (log p0 - log p)."""
    own = cosine_logits(backbone.model, features, texts)
    fixed = cosine_logits(backbone.model, features, zero_shot_texts(backbone)).detach()
    p0, p = (fixed / temperature).softmax(1), (own / temperature).softmax(1)
    divergence = (p0 * (p0.log() - p.log())).sum() / len(labels)
    return entropy(own, labels) + weight * temperature**2 * divergence


def attended(backbone, tensors):
    """Place by place: v_m + sum_k a_mk V(e_k) O with a_m = softmax_k(Q(v_m) . K(e_k) / sqrt(a)), e the name's tokens."""
    embedding = text_part(backbone.model).token_embedding
    contexts = []
    for name in READABLE:
        own = embedding(torch.tensor(backbone.tokenizer.encode(name)))
        places = []
        for vector in tensors["context"]:
            query = tensors["query.weight"] @ vector
            scores = torch.stack([query @ (tensors["key.weight"] @ token) for token in own]) / math.sqrt(len(query))
            weights = scores.exp() / scores.exp().sum()
            mixed = sum(weight * (tensors["value.weight"] @ token) for weight, token in zip(weights, own, strict=True))
            places.append(vector + tensors["out.weight"] @ mixed)
        contexts.append(torch.stack(places))
    return prompts(backbone, contexts)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_contcoop_no_attention(backbone, features, labels, temperature):
    """CoOp's logits with L_ce + lambda L_kd."""
    method = build("contcoop-no-attention", backbone, temperature=temperature)
    assert set(learnt(method)) == {"context"}
    with torch.no_grad():
        texts = prompts(backbone, [learnt(method)["context"]] * 4)
        batch = Batch(labels, features=features)
        torch.testing.assert_close(method.logits(batch), cosine_logits(backbone.model, features, texts), **CLOSE)
        loss = distilled(backbone, texts, features, labels, 1.0, temperature)
        assert loss - distilled(backbone, texts, features, labels, 0.0, temperature) > 0.01
        torch.testing.assert_close(method.loss(batch), loss, **CLOSE)


def test_contcoop_no_attention_step(backbone, features, labels):
    method = build("contcoop-no-attention", backbone, lr=0.5, **STEP)
    context = leaves(method)["context"]
    loss = distilled(backbone, prompts(backbone, [context] * 4), features, labels, 1.0, 1.0)
    (gradient,) = torch.autograd.grad(loss, context)
    check_step(method, features, labels, {"context": sgd(context, gradient, 0.5)})


def test_contcoop_no_kd(backbone, features, labels):
    """The attention's logits with cross-entropy alone."""
    method = build("contcoop-no-kd", backbone)
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, attended(backbone, learnt(method)))
        plain = cosine_logits(backbone.model, features, prompts(backbone, [learnt(method)["context"]] * 4))
        assert (expected - plain).abs().max() > 0.1
        batch = Batch(labels, features=features)
        torch.testing.assert_close(method.logits(batch), expected, **CLOSE)
        torch.testing.assert_close(method.loss(batch), entropy(expected, labels), **CLOSE)


def test_contcoop_no_kd_step(backbone, features, labels):
    """All five tensors."""
    method = build("contcoop-no-kd", backbone, lr=0.1, **STEP)
    tensors = leaves(method)
    assert set(tensors) == {"context", "query.weight", "key.weight", "value.weight", "out.weight"}
    loss = entropy(cosine_logits(backbone.model, features, attended(backbone, tensors)), labels)
    gradients = torch.autograd.grad(loss, list(tensors.values()))
    expected = {name: sgd(tensors[name], gradient, 0.1) for name, gradient in zip(tensors, gradients, strict=True)}
    check_step(method, features, labels, expected)
