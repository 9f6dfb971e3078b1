import importlib.util
import math
from pathlib import Path

import pytest
import torch

from sktime_llm.layers.prompt_pool import (
    PromptPool,
    selection_loss,
    share_in_use,
    usage_counts,
)
from tests.layers.tools import assert_same, random
from tests.reference import llm_ts_net as reference

BATCH, PROMPTS, LENGTH, WIDTH, SELECTED = 7, 6, 2, 8, 3
EXPERIMENT = Path(__file__).parents[2] / "benchmarks" / "prompt_pool.py"

close = torch.testing.assert_close


def make_pool(n_selected=SELECTED):
    torch.manual_seed(0)
    return PromptPool(PROMPTS, LENGTH, WIDTH, n_selected).double()


@pytest.mark.parametrize("n_selected", [1, SELECTED, PROMPTS])
def test_equals_the_reference(n_selected):
    pool, queries = make_pool(n_selected), random(BATCH, WIDTH).requires_grad_()
    selection, weights = pool(queries), dict(pool.named_parameters())
    expected = [reference.prompt_pool(weights, one, n_selected) for one in queries]
    assert selection.indices.tolist() == [one.indices for one in expected]
    scores = torch.stack([torch.stack(one.scores) for one in expected])
    close(selection.scores, scores, rtol=1e-12, atol=1e-12)
    tokens = torch.stack([one.tokens for one in expected])
    assert_same(selection.tokens, tokens, (queries, *pool.parameters()))


def test_an_untrained_pool_is_in_use():
    # with torch's usual weights a few keys win for all queries
    shares = []
    for seed in range(10):
        torch.manual_seed(seed)
        indices = PromptPool(16, 1, 64, 1)(torch.randn(500, 64)).indices
        shares.append(float(share_in_use(usage_counts(indices, 16))))
    assert sum(shares) / len(shares) > 0.4


def test_selection_loss_of_extreme_pools():
    sure = (1e4 * torch.eye(4)).requires_grad_()
    loss = selection_loss(sure)
    loss.backward()
    assert loss.item() == pytest.approx(0)
    assert sure.grad.isfinite().all()
    sure = sure.detach()
    assert selection_loss(torch.zeros(4, 4)) == pytest.approx(1)
    collapsed = sure[:1].expand(4, -1)
    assert selection_loss(collapsed) == pytest.approx(1)
    half = sure[torch.tensor([0, 0, 1, 1])]
    assert selection_loss(half) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ([5, 5, 5, 5], 1.0),
        ([0, 7, 0, 0], 0.25),
        ([3, 0, 3, 0], 0.5),
        ([2, 1, 1, 0], math.exp(1.5 * math.log(2)) / 4),
    ],
)
def test_share_in_use(counts, share):
    assert share_in_use(torch.tensor(counts).double()).item() == pytest.approx(share)
    indices = torch.tensor([[0, 4], [4, 1], [4, 0]])
    assert usage_counts(indices, 6).tolist() == [2, 1, 0, 0, 3, 0]


@pytest.fixture(scope="module")
def experiment():
    spec = importlib.util.spec_from_file_location("prompt_pool_experiment", EXPERIMENT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXPERIMENT.parent))
        spec.loader.exec_module(module)
    return module


def assert_prompts_tell_patterns(experiment, scores, patterns):
    routing = experiment.measure(scores, patterns)
    assert routing.agreement > 0.7
    assert routing.mutual_information > 0.7
    assert routing.n_prompts >= 4
    assert routing.share_in_use > 0.3


@pytest.mark.parametrize("seed", [0, 1])
def test_trained_keys_send_series_of_a_pattern_to_the_same_prompt(experiment, seed):
    series, patterns = experiment.unseen_series()
    network = experiment.train(loss_weight=1.0, seed=seed)
    with torch.no_grad():
        scores = network(series[:, : experiment.CONTEXT_LENGTH])[1].scores
    assert_prompts_tell_patterns(experiment, scores, patterns)
    shuffled = experiment.shuffle(scores)
    with pytest.raises(AssertionError):
        assert_prompts_tell_patterns(experiment, shuffled, patterns)
    assert experiment.measure(shuffled, patterns).mutual_information < 0.05
    untrained = experiment.evaluate(experiment.train(0.0, seed, n_steps=0))
    assert untrained[1] < 0.6
