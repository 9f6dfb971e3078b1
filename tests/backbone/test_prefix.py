"""Tokens that read a text which does not read them, by architecture."""

import logging
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.backbone.prefix import read_prefix, states_after_prefix
from sktime_llm.errors import UnsupportedBackboneError

KINDS = ["bert", "roberta", "electra", "gpt2", "llama", "qwen3"]
KEY_VALUE_HEADS = {"llama": 2, "qwen3": 2}
DECODERS = {"gpt2", "llama", "qwen3"}
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 12,
}
LENGTHS, N_TOKENS, WIDTH, N_LAYERS = [5, 2, 1], 3, 16, 3
# rotary positions are counted in float32, whatever the model computes in
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

close = torch.testing.assert_close


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def backbone(kind, folders, save_model):
    folder = folders.get(kind) or save_model(kind, **SIZES, embedding_size=WIDTH)
    return make_backbone(BackboneChoice(folder)).double()


def make_data(dtype=torch.float64):
    """Texts of several lengths, padded by what must not matter; mask; tokens."""
    generator = torch.Generator().manual_seed(0)
    n, longest = len(LENGTHS), max(LENGTHS)
    prefix = torch.randn(n, longest, WIDTH, generator=generator, dtype=dtype)
    mask = (torch.arange(longest) < torch.tensor(LENGTHS)[:, None]).long()
    prefix[mask == 0] = 50.0
    tokens = torch.randn(n, N_TOKENS, WIDTH, generator=generator, dtype=dtype)
    return prefix, mask, tokens


def run(backbone, prefix, mask, tokens):
    return backbone.states_after(backbone.read(prefix, mask), mask, tokens)


def run_at_once(backbone, text, tokens):
    """One text, (token, width), and its tokens in one run of the model itself.

    The model is told who sees whom: the text does not see the tokens.
    """
    n_text, n = len(text), len(text) + len(tokens)
    seen = torch.ones(n, n).tril().bool() if backbone.is_causal else torch.ones(n, n)
    seen[:n_text, n_text:] = 0
    added = torch.zeros(n, n, dtype=text.dtype)
    added[seen == 0] = torch.finfo(text.dtype).min
    both = torch.cat([text, tokens])[None]
    states = backbone.model(inputs_embeds=both, attention_mask=added[None, None])
    return states.last_hidden_state[0, n_text:]


def test_padded_texts_give_what_each_alone_gives_in_one_run(kind, backbone):
    assert backbone.is_causal == (kind in DECODERS)
    prefix, mask, tokens = make_data()
    read = backbone.read(prefix, mask)
    before = read.clone()
    actual, again = (backbone.states_after(read, mask, tokens) for _ in range(2))
    assert actual.shape == (3, N_TOKENS, WIDTH)
    # what is read is left as it is by those who use it
    assert torch.equal(actual, again)
    assert torch.equal(read, before)
    for i, n in enumerate(LENGTHS):
        expected = run_at_once(backbone, prefix[i, :n], tokens[i])
        close(actual[i], expected, **CLOSE)


def test_the_text_matters_and_its_padding_does_not(backbone):
    prefix, mask, tokens = make_data()
    expected = run(backbone, prefix, mask, tokens)
    padding = prefix.clone()
    padding[mask == 0] = -7.0
    close(run(backbone, padding, mask, tokens), expected, **CLOSE)
    text = prefix.clone()
    text[:, 0] *= -1.0
    for one, other in zip(run(backbone, text, mask, tokens), expected, strict=True):
        assert not torch.allclose(one, other, rtol=0.0, atol=1e-2)


def test_what_is_read_of_a_text(kind, backbone):
    prefix, mask, _ = make_data()
    read = backbone.read(prefix, mask)
    heads = KEY_VALUE_HEADS.get(kind, 4)
    assert read.shape == (3, max(LENGTHS), N_LAYERS, 2, heads, 4)
    # a part of a batch is what reading that part gives
    close(read[1:2, :2], backbone.read(prefix[1:2, :2], mask[1:2, :2]), **CLOSE)


def test_nothing_is_computed_after_the_last_keys_and_values(backbone):
    prefix, mask, _ = make_data()
    ran = []
    for name, module in backbone.model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    backbone.model(inputs_embeds=prefix, attention_mask=mask)
    in_full = list(ran)
    ran.clear()
    backbone.read(prefix, mask)
    assert ran == in_full[: len(ran)]
    in_last = [name for name in in_full if f".{N_LAYERS - 1}." in name]
    skipped = in_full[len(ran) :]
    assert set(skipped) > set(in_last[len(in_last) // 2 :])


def test_no_gradient_flows_into_the_text(backbone):
    prefix, mask, tokens = make_data()
    prefix.requires_grad_()
    tokens.requires_grad_()
    assert not backbone.read(prefix, mask).requires_grad
    run(backbone, prefix, mask, tokens).square().sum().backward()
    assert prefix.grad is None
    assert all(p.grad is None for p in backbone.parameters())

    again = tokens.detach().requires_grad_()
    for i, n in enumerate(LENGTHS):
        states = run_at_once(backbone, prefix[i, :n].detach(), again[i])
        states.square().sum().backward()
    assert again.grad.abs().max() > 1e-3
    close(tokens.grad, again.grad, rtol=1e-4, atol=1e-5)


def test_what_was_read_in_inference_mode_can_be_trained_on(backbone):
    prefix, mask, tokens = make_data()
    expected = run(backbone, prefix, mask, tokens)
    with torch.inference_mode():
        read = backbone.read(1 * prefix, mask)
        close(backbone.states_after(read, mask, tokens), expected)
    assert not read.is_inference()
    tokens.requires_grad_()
    actual = backbone.states_after(read, mask, tokens)
    close(actual, expected)
    actual.square().sum().backward()
    assert tokens.grad.isfinite().all()
    assert tokens.grad.any()


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_bfloat16_autocast(backbone, mode):
    backbone.float()
    prefix, mask, tokens = make_data(torch.float32)
    expected = run(backbone, prefix, mask, tokens)
    with torch.autocast("cpu", torch.bfloat16), mode():
        actual = run(backbone, prefix, mask, tokens)
        alone = [
            run(backbone, prefix[[i], :n], mask[[i], :n], tokens[[i]])
            for i, n in enumerate(LENGTHS)
        ]
    for states in (actual, torch.cat(alone)):
        error = (states.float() - expected).abs()
        assert 0 < error.max() < 0.2 * expected.std()


class OneLayer(nn.Module):
    """Takes earlier keys and values as its subclasses call them, and adds them up."""

    config = SimpleNamespace(num_hidden_layers=1, model_type="one")

    def run(self, states, cache):
        heads = states[:, None]
        keys, values = cache.update(heads, 2 * heads, 0)
        total = keys.sum(dim=(1, 2)) + values.sum(dim=(1, 2))
        return SimpleNamespace(last_hidden_state=states + total[:, None])


class Former(OneLayer):
    def forward(self, inputs_embeds, attention_mask, past_key_values, **positions):
        return self.run(inputs_embeds, past_key_values)


class Present(OneLayer):
    def forward(self, inputs_embeds, attention_mask, cache, **positions):
        return self.run(inputs_embeds, cache)


class Both(OneLayer):
    """As where the former name is still there, and warns."""

    def forward(
        self, inputs_embeds, attention_mask, past_key_values=None, cache=None, **_
    ):
        assert past_key_values is None
        return self.run(inputs_embeds, cache)


@pytest.mark.parametrize("kind", [Former, Present, Both])
def test_either_name_of_the_cache(kind):
    model, (prefix, mask, tokens) = kind(), make_data()
    read = read_prefix(model, prefix, mask)
    close(read[..., 0, :, 0, :], torch.stack([prefix, 2 * prefix], dim=2))
    states = states_after_prefix(
        model, read, mask, tokens, is_causal=True, first_position=0
    )
    total = 3 * (prefix.sum(dim=1) + tokens.sum(dim=1))
    close(states, tokens + total[:, None])


def test_no_deprecated_name_is_used(backbone, caplog, monkeypatch):
    # transformers warns once of each name, and keeps to itself what it logs
    logger = logging.getLogger("transformers")
    monkeypatch.setattr(logger, "propagate", True)
    prefix, mask, tokens = make_data()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(backbone, prefix, mask, tokens)
        backbone(tokens)
    assert caplog.messages == []


@pytest.mark.parametrize("kind", ["distilbert", "modernbert"])
def test_models_without_a_cache(kind, save_model):
    if kind == "distilbert":
        options = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
    else:
        options = {**SIZES, "num_hidden_layers": 1}
    tokens = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "cls_token_id": 1}
    ends = {"eos_token_id": 2, "sep_token_id": 2}
    folder = save_model(kind, **{**options, **tokens, **ends})
    backbone = make_backbone(BackboneChoice(folder))
    name = type(backbone.model).__name__
    message = rf"{name} cannot keep.*BERT or RoBERTa.*prompt_order='prompts-first'"
    prefix, mask, _ = make_data(torch.float32)
    with pytest.raises(UnsupportedBackboneError, match=message):
        backbone.read(prefix, mask)


def test_models_that_count_tokens_by_their_place(save_model):
    sizes = {"d_model": 16, "n_heads": 2, "n_layers": 1, "max_seq_len": 32}
    backbone = make_backbone(BackboneChoice(save_model("mpt", vocab_size=40, **sizes)))
    prefix, mask, _ = make_data(torch.float32)
    message = r"MptModel cannot give tokens the positions.*prompt_order='prompts-first'"
    with pytest.raises(UnsupportedBackboneError, match=message):
        backbone.read(prefix, mask)


def test_positions_follow_each_own_text(folders):
    model = make_backbone(BackboneChoice(folders["roberta"])).double().model
    at = {}
    model.embeddings.position_embeddings.register_forward_hook(
        lambda _, ids, __: at.update(last=ids[0].tolist())
    )
    prefix, mask, tokens = make_data()
    read = read_prefix(model, prefix, mask)
    states_after_prefix(model, read, mask, tokens, is_causal=False, first_position=2)
    assert at["last"] == [[7, 8, 9], [4, 5, 6], [3, 4, 5]]
