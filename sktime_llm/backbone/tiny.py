"""``tiny-random``: models of a few thousand parameters, made on the spot."""

import string

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    GPT2Config,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

_SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation + " "
_VOCABULARY = {
    token: i for i, token in enumerate([*_SPECIAL_TOKENS, *dict.fromkeys(_CHARACTERS)])
}
_WIDTH, _HEADS, _LAYERS, _POSITIONS = 16, 2, 2, 512
TINY_SEED = 1_617_042_024
"""Hardly anyone's random_state, which would make an ablation's weights the same."""

TINY_CONFIGS: dict[str, PreTrainedConfig] = {
    "tiny-random": BertConfig(
        vocab_size=len(_VOCABULARY),
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        intermediate_size=2 * _WIDTH,
        max_position_embeddings=_POSITIONS,
        pad_token_id=_VOCABULARY["[PAD]"],
    ),
    "tiny-random-decoder": GPT2Config(
        vocab_size=len(_VOCABULARY),
        n_embd=_WIDTH,
        n_layer=_LAYERS,
        n_head=_HEADS,
        n_inner=2 * _WIDTH,
        n_positions=_POSITIONS,
        pad_token_id=_VOCABULARY["[PAD]"],
        bos_token_id=_VOCABULARY["[CLS]"],
        eos_token_id=_VOCABULARY["[SEP]"],
    ),
}
"""An encoder of the kind of BERT, and a causal decoder of the kind of GPT-2."""


def make_tiny_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer for which every character is a token."""
    characters = Tokenizer(models.WordLevel(_VOCABULARY, unk_token="[UNK]"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=characters,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=_POSITIONS,
    )
