"""The linear probe against scikit-learn's logistic regression and CoOp's search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.formulas import CLASSES, CLOSE, HELD_OUT, PLUGINS, TASK, TRAINED, WIDTH, Drawn, drawn, entropy
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmark.data.batch import Batch, ClassList
from benchmark.training.loop import fit


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """scikit-learn's many small fits wait for each other's threads otherwise."""
    with threadpool_limits(1):
        yield


def overlapping(labels, seed, noise, classes=4):
    """Single-precision features (N, d): one direction a class, and noise."""
    centres = drawn(classes, WIDTH, seed=99)
    return (centres[labels] + noise * drawn(len(labels), WIDTH, seed=seed)).float()


def probe(backbone, classes=CLASSES, **settings):
    cls = PLUGINS["linear-probe"].cls
    return cls(cls.Config(**settings), backbone, classes).eval()


def by_scikit(x, y, c):
    return LogisticRegression(C=c, max_iter=1000).fit(x.numpy(), y.numpy())


@pytest.mark.parametrize("c", [0.02, 3.0])
def test_linear_probe(backbone, features, c):
    """W f + b on un-normalised features as scikit-learn fits them: a minimum of (1/2) |W|^2 + C sum_n L_ce."""
    method = probe(backbone, search=False, c=c)
    x = overlapping(TRAINED, 1, 1.5)
    fit(method, TASK, Drawn(TASK, Batch(TRAINED, features=x), Batch(HELD_OUT, features=x[:8])))
    expected = torch.tensor(by_scikit(x, TRAINED, c).decision_function(features.float().numpy()))
    actual = method.logits(Batch(torch.zeros(12, dtype=torch.long), features=features))
    torch.testing.assert_close(actual, expected.to(actual), **CLOSE)
    weight, bias = method.weight.double().requires_grad_(), method.bias.double().requires_grad_()
    objective = (weight**2).sum() / (2 * c * 12) + entropy(x.double() @ weight.T + bias, TRAINED)
    # L-BFGS stops at a gradient of about 1e-4, a little more in single precision; at W = 0 it is larger than 0.1.
    assert all(gradient.abs().max() < 1e-3 for gradient in torch.autograd.grad(objective, (weight, bias)))


def test_linear_probe_of_two_classes(backbone, features):
    """scikit-learn scores the second against the first: z_1 - z_0 is that score, and the soft-max its probabilities."""
    y = torch.tensor([0, 1, 1, 0, 1, 1, 0, 1])
    x = overlapping(y, 1, 1.5)
    method = probe(backbone, ClassList(("cat", "lorry")), search=False)
    method.solve(Batch(y, features=x), None)
    fitted = by_scikit(x, y, 1.0)
    actual = method.logits(Batch(torch.zeros(12, dtype=torch.long), features=features))
    assert actual.shape == (12, 2)
    images = features.float().numpy()
    score = torch.tensor(fitted.decision_function(images)).to(actual)
    likely = torch.tensor(fitted.predict_proba(images)).to(actual)
    torch.testing.assert_close(actual[:, 1] - actual[:, 0], score, **CLOSE)
    torch.testing.assert_close(actual.softmax(1), likely, **CLOSE)
    assert np.array_equal(actual.argmax(1).numpy(), fitted.predict(images))


def test_linear_probe_without_images_of_a_class(backbones):
    """Rows go to the classes that the labels name."""
    y = torch.tensor([0, 0, 2, 2, 3, 3])
    x = overlapping(y, 1, 1.0)
    method = probe(backbones["native"], search=False)
    method.solve(Batch(y, features=x), None)
    fitted = by_scikit(x, y, 1.0)
    torch.testing.assert_close(method.weight[[0, 2, 3]], torch.tensor(fitted.coef_).float(), **CLOSE)
    torch.testing.assert_close(method.bias[[0, 2, 3]], torch.tensor(fitted.intercept_).float(), **CLOSE)
    assert not method.weight[1].any()
    everything = torch.randn(50, x.shape[1], dtype=x.dtype)
    assert 1 not in method.logits(Batch(torch.zeros(50), features=everything)).argmax(1), "nothing is known of it"


def searched(x, y, held_x, held_y):
    """CoOp's search: the first best of seven values, then eight halvings of its decade on either side, in log10.

    Returns the C that is left, and the share of held-out images that each C on the way has right.
    """
    seen = {}

    def score(power):
        if power not in seen:
            seen[power] = by_scikit(x, y, 10.0**power).score(held_x.numpy(), held_y.numpy())
        return seen[power]

    best = 6.0
    for power in (4.0, 2.0, 0.0, -2.0, -4.0, -6.0):
        if score(power) > score(best):
            best = power
    left, right = best - 1, best + 1
    for step in range(8):
        if score(left) < score(right):
            if step == 7:
                return 10**right, seen
            left = 0.5 * (left + right)
        else:
            if step == 7:
                return 10**left, seen
            right = 0.5 * (left + right)
    raise AssertionError("not reached")


@pytest.mark.parametrize(("seed", "noise"), [(1, 3.0), (3, 3.0), (5, 3.0), (7, 5.0)])
def test_linear_probe_search(backbones, seed, noise):
    """C is CoOp's, and nothing that was tried is better on the held-out images. The draws need more and fewer halvings."""
    y, held_y = torch.arange(4).repeat(4), torch.arange(4).repeat(15)
    x, held_x = overlapping(y, seed, noise), overlapping(held_y, seed + 100, noise)
    held_out = Batch(held_y, features=held_x)
    c, seen = searched(x, y, held_x, held_y)
    assert len(set(seen.values())) > 3
    method = probe(backbones["native"])
    method.solve(Batch(y, features=x), held_out)
    fitted = by_scikit(x, y, c)
    torch.testing.assert_close(method.weight, torch.tensor(fitted.coef_).float(), atol=1e-9, rtol=1e-4)
    actual = float((method.logits(held_out).argmax(1) == held_y).float().mean())
    assert actual == pytest.approx(max(seen.values()))
    assert actual > min(seen.values())


@pytest.mark.parametrize(("search", "held_out"), [(False, True), (True, False)])
def test_linear_probe_takes_c_as_given(backbones, search, held_out):
    """Where it is told to, and where there is nothing to choose on."""
    x, held = overlapping(TRAINED, 1, 3.0), overlapping(HELD_OUT, 2, 3.0)
    task = TASK if held_out else replace(TASK, val=TASK.train.pick([]))
    method = probe(backbones["native"], search=search, c=0.03)
    fit(method, task, Drawn(task, Batch(TRAINED, features=x), Batch(HELD_OUT, features=held)))
    torch.testing.assert_close(method.weight, torch.tensor(by_scikit(x, TRAINED, 0.03).coef_).float(), **CLOSE)
