"""Patches against plain formulas, and by hand."""

import pytest
import torch

from sktime_llm.layers.embedding import (
    PatchEmbedding,
    VariateEmbedding,
    count_patches,
)
from tests.layers.tools import assert_same, dropout_rates, random
from tests.reference import balm_tsf as reference

D_MODEL, D_TOKEN = 5, 6
SHAPES = {
    "published": (64, 16, 8),
    "a rest at the end": (21, 4, 3),
    "one patch and its padding": (4, 4, 2),
    "no overlap": (12, 3, 3),
    "gaps": (13, 2, 5),
    "a stride longer than the series": (3, 2, 9),
    "single steps": (5, 1, 1),
}
shapes = pytest.mark.parametrize(
    ("time", "patch_length", "patch_stride"), SHAPES.values(), ids=SHAPES
)


def make_layer(patch_length, patch_stride):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = PatchEmbedding(patch_length, patch_stride, D_MODEL, D_TOKEN, 0.0)
    return layer.double()


def expected_tokens(layer, series):
    weights = {
        "patch_embedding.weight": layer.convolution.weight,
        "projection.weight": layer.project.weight,
        "projection.bias": layer.project.bias,
    }
    settings = reference.Settings(
        backbone="bert",
        n_layers=0,
        backbone_heads=1,
        backbone_eps=0.0,
        patch_length=layer.patch_length,
        patch_stride=layer.patch_stride,
    )
    return torch.stack([reference.embed_series(weights, s, settings) for s in series])


@shapes
def test_equals_the_reference(time, patch_length, patch_stride):
    layer = make_layer(patch_length, patch_stride)
    series = random(3, time).requires_grad_()
    inputs = (series, *(p for p in layer.parameters() if p.requires_grad))
    assert_same(layer(series), expected_tokens(layer, series), inputs)


@shapes
def test_number_of_patches(time, patch_length, patch_stride):
    count = count_patches(time, patch_length, patch_stride)
    tokens = make_layer(patch_length, patch_stride)(random(2, time))
    assert tokens.shape == (2, count, D_TOKEN)
    assert count == len(reference.patches(random(time), patch_length, patch_stride))


def test_patches_by_hand():
    # features are the patch itself, tokens these features
    layer = PatchEmbedding(2, 2, d_model=2, d_token=2, dropout=0.0)
    with torch.no_grad():
        layer.convolution.weight.zero_()[:, :, 1] = torch.eye(2)
        layer.project.weight.copy_(torch.eye(2))
        layer.project.bias.zero_()
        series = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        assert layer(series).tolist() == [[[1, 2], [3, 4], [4, 4]]]
        # the first tap sees the patch before; before the first is the last
        layer.convolution.weight.zero_()[:, :, 0] = torch.eye(2)
        assert layer(series).tolist() == [[[4, 4], [1, 2], [3, 4]]]


def test_dropout_is_in_both_embeddings():
    patches = PatchEmbedding(4, 2, D_MODEL, D_TOKEN, dropout=0.37)
    assert dropout_rates(patches, torch.randn(3, 21)) == [0.37]
    variates = VariateEmbedding(21, 8, n_heads=2, d_ff=6, dropout=0.37)
    assert dropout_rates(variates, torch.randn(3, 21, 2)) == 3 * [0.37]
    assert variates.encoder.self_attn.dropout == 0.37
