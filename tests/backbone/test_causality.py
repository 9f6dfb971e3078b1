"""Which tokens a model attends to is measured, whatever its configuration says."""

import pytest
import torch

from sktime_llm.backbone import loading
from sktime_llm.backbone.loading import BackboneChoice, load_frozen
from sktime_llm.backbone.make import make_backbone
from tests.backbone.conftest import COMMON

CTRL = {"vocab_size": 40, "n_embd": 16, "dff": 24, "n_layer": 3, "n_head": 4}
CASES = [
    ("bert", {}, False),
    ("bert", {"is_decoder": True}, True),
    ("bert-generation", COMMON, False),
    ("bert-generation", {**COMMON, "is_decoder": True}, True),
    ("ctrl", CTRL, True),  # changes its inputs
    ("gemma", {}, True),
    ("gemma", {"use_bidirectional_attention": True}, False),
    ("gemma3_text", {}, True),
    ("gemma3_text", {"use_bidirectional_attention": True}, False),
    ("gpt2", {}, True),
    ("roberta", {}, False),
    ("xglm", {}, True),
]


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "options", "expected"), CASES)
def test_backbone_is_causal_if_its_last_token_changes_no_other(
    save_model, kind, options, expected
):
    backbone = make_backbone(BackboneChoice(save_model(kind, **options)))
    inputs = tokens(1, 6, 16)
    other = inputs.clone()
    other[:, 5] = tokens(1, 16, seed=9)
    with torch.no_grad():
        change = (backbone(inputs.clone())[-1] - backbone(other)[-1])[:, :5].abs().max()
    assert (change == 0) == expected
    assert backbone.is_causal == expected


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "gemma3_text"])
def test_untrained_layers_are_enough(save_model, kind, n_layers):
    choice = BackboneChoice(save_model(kind), n_layers=n_layers, mode="random")
    assert make_backbone(choice).is_causal == (kind != "bert")


def test_measured_once_per_model_without_gradients_and_random_numbers(
    folders, monkeypatch
):
    measured = []
    original = loading.attends_only_back

    def counted(model):
        measured.append(model)
        return original(model)

    monkeypatch.setattr(loading, "attends_only_back", counted)
    before = torch.get_rng_state()
    with torch.inference_mode():  # of the first load, too
        one, two = (make_backbone(BackboneChoice(folders["bert"])) for _ in range(2))
        assert not one.is_causal
    assert not two.is_causal
    assert len(measured) == 1
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in measured[0].parameters())


def test_measuring_does_not_change_the_model(save_model):
    options = {**COMMON, "max_position_embeddings": 64, "block_size": 4}
    folder = save_model("big_bird", **options)
    choice = BackboneChoice(folder)
    assert not make_backbone(choice).is_causal
    model = load_frozen(choice).model
    assert model.attention_type == "block_sparse"
