"""Frozen pretrained weights, read once per process and shared by everyone."""

import copy
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from sktime_llm._validation import integer
from sktime_llm.backbone.files import locate_backbone
from sktime_llm.backbone.tiny import TINY_CONFIGS, make_tiny, make_tiny_tokenizer
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    InputError,
    UnsupportedBackboneError,
)

PUBLISHED_LAYERS = 6
"""Layers that CALF and BALM-TSF keep of GPT-2."""

_NEEDED = ("num_hidden_layers", "num_attention_heads", "vocab_size")
_VOCABULARY_FILES = ("tokenizer.json", "vocab.*", "*.model")


@dataclass(frozen=True)
class BackboneSource:
    """Which frozen weights: all that is needed to get them again.

    Parameters
    ----------
    name : str
        Local folder, model name on the Hub, or ``"tiny-random"``.
    revision : str, optional
        Revision on the Hub.
    n_layers : int, optional
        Layers to keep. None keeps the first six, as published, or all of a model that
        has fewer.
    random_seed : int, optional
        If given, the weights are not the pretrained ones but random ones, drawn by the
        architecture's own initialization from this seed.
    """

    name: str
    revision: str | None = None
    n_layers: int | None = None
    random_seed: int | None = None


@dataclass
class FrozenModel:
    """The first layers of a model, its word embeddings apart, all of it frozen.

    Attributes
    ----------
    model : PreTrainedModel
        On the CPU, without word embeddings: it runs on ``inputs_embeds`` only.
    word_embeddings : Tensor of shape (vocabulary, hidden_size)
        On the CPU.
    """

    model: PreTrainedModel
    word_embeddings: Tensor
    _on_device: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict)
    _words_on_device: dict[torch.device, Tensor] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights that are kept, word embeddings apart."""
        digest = hashlib.sha256()
        for tensor in self.model.parameters():
            digest.update(tensor.detach().numpy().tobytes())
        return digest.hexdigest()

    def tensors_on(self, device: torch.device) -> dict[str, Tensor]:
        """Give the weights by name, on a device; one copy per device and process."""
        with _LOCK:
            if device not in self._on_device:
                self._on_device[device] = {
                    name: tensor.detach().to(device)
                    for name, tensor in self.model.named_parameters()
                }
            return self._on_device[device]

    def word_embeddings_on(self, device: torch.device) -> Tensor:
        """Give the word embeddings, on a device; one copy per device and process."""
        with _LOCK:
            if device not in self._words_on_device:
                self._words_on_device[device] = self.word_embeddings.to(device)
            return self._words_on_device[device]


_LOCK = threading.RLock()
_CACHE: OrderedDict[BackboneSource, FrozenModel] = OrderedDict()
_CACHE_SIZE = 4


def load_frozen(source: BackboneSource) -> FrozenModel:
    """Get a frozen model, from the process-wide cache if it is there.

    The cache keeps the last four models and is safe to use from several threads.
    """
    with _LOCK:
        if source not in _CACHE:
            _CACHE[source] = _load(source)
        _CACHE.move_to_end(source)
        while len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
        return _CACHE[source]


def clear_backbone_cache() -> None:
    """Forget all cached models; forecasters that use one keep it.

    Examples
    --------
    >>> from sktime_llm.backbone.loading import clear_backbone_cache
    >>> clear_backbone_cache()
    """
    with _LOCK:
        _CACHE.clear()
        load_tokenizer.cache_clear()


def load_config(name: str, revision: str | None = None) -> PreTrainedConfig:
    """Read the configuration of a model; no weights are needed."""
    if name in TINY_CONFIGS:
        return copy.deepcopy(TINY_CONFIGS[name])
    folder = locate_backbone(name, revision=revision, weights=False)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UnsupportedBackboneError(
            _unreadable(name, "config.json", error)
        ) from error
    if config.is_encoder_decoder or not all(hasattr(config, a) for a in _NEEDED):
        raise UnsupportedBackboneError(
            f"backbone={name!r} is a {config.model_type!r} model; expected an encoder "
            "(such as BERT) or a decoder (such as GPT-2, Llama, Qwen) of text."
        )
    return config


@lru_cache(maxsize=_CACHE_SIZE)
def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Read the fast tokenizer of a model; the last four are kept."""
    if name in TINY_CONFIGS:
        return make_tiny_tokenizer()
    folder = locate_backbone(name, revision=revision, weights=False)
    if not any(next(folder.glob(pattern), None) for pattern in _VOCABULARY_FILES):
        raise BackboneNotFoundError(
            f"backbone={name!r} has no tokenizer in {folder}; expected a file such as "
            "tokenizer.json, as the tokenizer's save_pretrained() writes it."
        )
    try:
        return AutoTokenizer.from_pretrained(
            folder, use_fast=True, trust_remote_code=False
        )
    except (ImportError, OSError, ValueError) as error:
        raise UnsupportedBackboneError(_unreadable(name, "tokenizer", error)) from error


def _unreadable(name: str, what: str, error: Exception) -> str:
    return (
        f"backbone={name!r} has a {what} that transformers cannot read, or only by "
        "running code that comes with the model, which is never done. transformers "
        f"said: {str(error).strip().splitlines()[0]}"
    )


def count_layers(config: PreTrainedConfig, n_layers: int | None) -> int:
    """Check the number of layers to keep.

    Raises
    ------
    InputError
        If more are asked for than there are, or less than one.
    """
    available = int(config.num_hidden_layers)
    if n_layers is None:
        return min(PUBLISHED_LAYERS, available)
    integer(1).check("n_backbone_layers", n_layers)
    if n_layers > available:
        raise InputError(
            f"n_backbone_layers={n_layers}, expected between 1 and the {available} "
            f"layers of this {config.model_type!r} model, or None."
        )
    return int(n_layers)  # transformers takes no integer of numpy


def _load(source: BackboneSource) -> FrozenModel:
    config = load_config(source.name, source.revision)
    n_layers = count_layers(config, source.n_layers)
    if source.random_seed is not None:
        model = _random_model(config, source.random_seed)
    elif source.name in TINY_CONFIGS:
        model = make_tiny(source.name)
    else:
        model = _pretrained_model(source)
    return _freeze(_truncate(model, n_layers))


def _random_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        # not torch.manual_seed, which would seed the GPUs too
        torch.default_generator.manual_seed(seed)
        return AutoModel.from_config(config, dtype=torch.float32)


def _pretrained_model(source: BackboneSource) -> PreTrainedModel:
    folder = locate_backbone(source.name, revision=source.revision)
    try:
        with _quiet_transformers():
            model, report = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # they are in the report
                output_loading_info=True,
            )
    except SafetensorError as error:
        raise BackboneCorruptedError(
            f"the weights of backbone={source.name!r} in {folder} cannot be read "
            f"({error}). Delete them and fetch or save the model again."
        ) from error
    # transformers would give random values to what is not in the file
    found_wrong = [
        *report["missing_keys"],
        *(key[0] for key in report["mismatched_keys"]),
    ]
    absent = sorted(name for name in found_wrong if not name.startswith("pooler."))
    if absent:
        raise BackboneCorruptedError(
            f"the weights of backbone={source.name!r} in {folder} lack, or have in "
            f"another shape, {len(absent)} of the tensors that its config.json asks "
            f"for: {', '.join(absent[:3])}... Fetch or save the model again."
        )
    return model


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar and no report of the pooler and heads that are left out."""
    bar = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar:
            transformers_logging.enable_progress_bar()


def _truncate(model: PreTrainedModel, n_layers: int) -> PreTrainedModel:
    """Keep the first layers; the final norm, if there is one, stays."""
    total = int(model.config.num_hidden_layers)
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == total:
                setattr(module, name, child[:n_layers])
    model.config.num_hidden_layers = n_layers
    return model


def _freeze(model: Any) -> FrozenModel:
    table = model.get_input_embeddings().weight.detach()
    if table.shape[1] != model.config.hidden_size:
        raise UnsupportedBackboneError(
            f"{type(model).__name__} has word embeddings of width {table.shape[1]} and "
            f"a hidden size of {model.config.hidden_size}; expected the same width."
        )
    model.set_input_embeddings(nn.Identity())
    model.config.use_cache = False  # no decoder generates here
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return FrozenModel(model.requires_grad_(False).eval(), table)
