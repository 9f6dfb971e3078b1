"""The models and the tokenizer that are made on the spot."""

import string

import pytest
import torch

from sktime_llm.backbone.loading import (
    TINY_NAMES,
    load_config,
    load_frozen,
    load_tokenizer,
)
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.backbone.tiny import TINY_CONFIGS


@pytest.mark.parametrize("name", TINY_NAMES)
def test_tiny_models(name):
    assert set(TINY_CONFIGS) == set(TINY_NAMES)
    backbone = make_backbone(BackboneChoice(name))
    assert backbone.is_causal == (name == "tiny-random-decoder")
    assert (backbone.hidden_size, backbone.n_heads, backbone.n_layers) == (16, 2, 2)
    assert backbone.max_tokens == 512
    n_parameters = sum(p.numel() for p in backbone.parameters())
    assert n_parameters + backbone.word_embeddings().numel() < 20_000


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("tiny-random", "53e1134f0b1a1611", "860070ded0b9212d"),
        ("tiny-random-decoder", "3fcee85671e78ab8", "698a22a8912569a9"),
    ],
)
def test_tiny_models_are_the_same_everywhere(name, weights, words):
    frozen = load_frozen(BackboneChoice(name))
    assert frozen.fingerprint.startswith(weights)
    assert frozen.words_fingerprint.startswith(words)


@pytest.mark.parametrize("name", TINY_NAMES)
def test_every_character_is_a_token(name):
    tokenizer = load_tokenizer(name)
    text = string.ascii_lowercase + string.digits + string.punctuation + " "
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(set(ids)) == len(text)
    assert tokenizer.unk_token_id not in ids
    assert "".join(tokenizer.convert_ids_to_tokens(ids)) == text
    assert max(ids) < len(tokenizer) == load_config(name).vocab_size


@pytest.mark.parametrize("name", TINY_NAMES)
def test_special_tokens_are_those_of_the_vocabulary(name):
    tokenizer, config = load_tokenizer(name), load_config(name)
    ids = [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.cls_token_id]
    ids += [tokenizer.sep_token_id, tokenizer.mask_token_id]
    assert ids == [0, 1, 2, 3, 4]
    assert sorted(tokenizer.all_special_ids) == ids
    assert tokenizer.model_max_length == config.max_position_embeddings
    if name == "tiny-random-decoder":
        of_config = config.pad_token_id, config.bos_token_id, config.eos_token_id
        assert of_config == (0, tokenizer.cls_token_id, tokenizer.sep_token_id)


def test_other_characters_are_unknown():
    tokenizer = load_tokenizer("tiny-random")
    ids = tokenizer("aÄ\n")["input_ids"]
    assert ids[0] != tokenizer.unk_token_id
    assert ids[1:] == [tokenizer.unk_token_id] * 2


@pytest.mark.parametrize("name", TINY_NAMES)
def test_padding(name):
    tokenizer = load_tokenizer(name)
    batch = tokenizer(["12", "1234"], padding=True, return_tensors="pt")
    assert tokenizer.pad_token_id == load_config(name).pad_token_id == 0
    assert batch["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch["input_ids"][0, 2:].tolist() == [0, 0]
    assert torch.equal(batch["input_ids"][0, :2], batch["input_ids"][1, :2])
    # the padding makes no difference
    backbone = make_backbone(BackboneChoice(name))
    words = backbone.word_embeddings()[batch["input_ids"]]
    padded = backbone(words, batch["attention_mask"])[-1][0, :2]
    torch.testing.assert_close(padded, backbone(words[:1, :2])[-1][0])
