"""Frozen pretrained weights, read once per process and shared by everyone."""

import copy
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sktime_llm._devices import own_random_numbers
from sktime_llm._threads import LOADING, one_at_a_time
from sktime_llm._validation import integer
from sktime_llm.backbone.causality import attends_only_back
from sktime_llm.backbone.files import has_tokenizer, locate_backbone, version_of
from sktime_llm.backbone.quantized import loading_options, use_own_layers
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    InputError,
    UnsupportedBackboneError,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

TINY_NAMES = ("tiny-random", "tiny-random-decoder")
PUBLISHED_LAYERS = 6
"""Layers that CALF and BALM-TSF keep of GPT-2."""

_NEEDED = ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
_PROBED_WORDS = 2000

kept_tensors = torch.inference_mode(False)
"""Around what makes tensors that are kept: training cannot use inference tensors."""


class BackboneSizes(NamedTuple):
    """The sizes of a model that matter where it is removed or replaced."""

    hidden_size: int
    num_attention_heads: int
    vocab_size: int


@dataclass(frozen=True)
class BackboneChoice:
    """A backbone as a user chooses it, and all that is needed to get it again.

    `n_layers` None keeps the first six, as published, or all of a smaller model. The
    seed is that of the frozen weights of an ablation, and `sizes` are those of the
    model, where they are known without its files. `quantization` is "8bit", "4bit" or
    None; without a language model it has no effect.
    """

    name: str
    revision: str | None = None
    n_layers: int | None = None
    mode: str = "pretrained"
    random_seed: int = 0
    sizes: BackboneSizes | None = None
    quantization: str | None = None


@dataclass
class FrozenModel:
    """The first layers of a model on the CPU, frozen, and its word embeddings.

    The model runs on ``inputs_embeds`` only; the table is (vocabulary, hidden_size).
    Its rows times `embedding_scale` are what the layers expect.
    """

    model: "PreTrainedModel"
    word_embeddings: Tensor
    embedding_scale: float = 1.0
    _on_device: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict)
    _words_on_device: dict[torch.device, Tensor] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights that are kept, word embeddings apart."""
        return _sha256(self.model.parameters())

    @cached_property
    def words_fingerprint(self) -> str:
        """SHA-256 of the word embeddings, and of their scale, if they have one."""
        scale = [] if self.embedding_scale == 1 else [self.embedding_scale]
        return _sha256([self.word_embeddings, *map(torch.tensor, scale)])

    @cached_property
    def is_causal(self) -> bool:
        """Whether no token attends to later ones."""
        return attends_only_back(self.model)

    @kept_tensors
    def tensors_on(self, device: torch.device) -> dict[str, Tensor]:
        """Return the weights by name, on a device; one copy per device and process."""
        with LOADING:
            if device not in self._on_device:
                self._on_device[device] = {
                    name: tensor.detach().to(device)
                    for name, tensor in self.model.named_parameters()
                }
            return self._on_device[device]

    @kept_tensors
    def word_embeddings_on(self, device: torch.device) -> Tensor:
        """Return the word embeddings on a device; one copy per device and process."""
        with LOADING:
            if device not in self._words_on_device:
                self._words_on_device[device] = self.word_embeddings.to(device)
            return self._words_on_device[device]


def _sha256(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()


_CACHE_SIZE = 4


def load_frozen(choice: BackboneChoice) -> FrozenModel:
    """Return a frozen model; the last four are kept, and threads load each once.

    Files that changed since are read again, and so are tokenizers'.
    """
    with LOADING:
        return _load(choice, version_of(choice.name))


def clear_backbone_cache() -> None:
    """Free the pretrained models that no forecaster uses any more.

    A process keeps the last four that it loaded, so that another forecaster need not
    load them again. Fitted forecasters keep theirs.

    Examples
    --------
    >>> from sktime_llm.backbone.loading import clear_backbone_cache
    >>> clear_backbone_cache()
    """
    with LOADING:
        for cached in (_load, _load_tokenizer, tokenizer_fingerprint):
            cached.cache_clear()


@one_at_a_time
def load_config(name: str, revision: str | None = None) -> "PreTrainedConfig":
    """Read the configuration of a model; no weights are needed."""
    if name in TINY_NAMES:
        from sktime_llm.backbone.tiny import TINY_CONFIGS

        return copy.deepcopy(TINY_CONFIGS[name])
    from transformers import AutoConfig

    folder = locate_backbone(name, revision=revision, weights=False)
    with _explaining(f"backbone={name!r} has a config.json"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.is_encoder_decoder or not all(hasattr(config, a) for a in _NEEDED):
        raise UnsupportedBackboneError(
            f"backbone={name!r} is a {config.model_type!r} model; expected an encoder "
            "(such as BERT) or a decoder (such as GPT-2, Llama, Qwen) of text."
        )
    if getattr(config, "head_dim", None) is None:
        check_heads(config)
    return config


def check_heads(config: "PreTrainedConfig | BackboneSizes") -> None:
    """Raise an UnsupportedBackboneError if the heads do not divide the width."""
    width, n_heads = config.hidden_size, config.num_attention_heads
    if n_heads < 1 or width % n_heads:
        raise UnsupportedBackboneError(
            f"the backbone has {n_heads} attention heads (num_attention_heads), "
            f"expected a divisor of its width {width} (hidden_size). Mend its "
            "config.json, or choose another backbone."
        )


@one_at_a_time
def load_tokenizer(name: str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """Read the fast tokenizer of a model; the last four are kept."""
    return _load_tokenizer(name, revision, version_of(name))


@lru_cache(maxsize=_CACHE_SIZE)
def _load_tokenizer(
    name: str, revision: str | None, version: tuple[object, ...]
) -> "PreTrainedTokenizerBase":
    if name in TINY_NAMES:
        from sktime_llm.backbone.tiny import make_tiny_tokenizer

        return make_tiny_tokenizer()
    from transformers import AutoTokenizer

    folder = locate_backbone(name, revision=revision, weights=False, tokenizer=True)
    if not has_tokenizer(folder):
        raise BackboneNotFoundError(
            f"backbone={name!r} has no tokenizer in {folder}; expected a file such as "
            "tokenizer.json, as the tokenizer's save_pretrained() writes it."
        )
    with _explaining(f"backbone={name!r} has a tokenizer"):
        return AutoTokenizer.from_pretrained(
            folder, use_fast=True, trust_remote_code=False
        )


@lru_cache(maxsize=_CACHE_SIZE)
def tokenizer_fingerprint(tokenizer: "PreTrainedTokenizerBase") -> str:
    """SHA-256 of a tokenizer's vocabulary, and of how it reads words from it."""
    vocabulary = sorted(tokenizer.get_vocab().items())
    step = 1 + len(vocabulary) // _PROBED_WORDS
    text = " ".join(word for word, _ in vocabulary[::step])
    text = f"{text} {text.upper()}"
    read = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return hashlib.sha256(repr((vocabulary, read)).encode()).hexdigest()


def count_layers(config: "PreTrainedConfig", n_layers: int | None) -> int:
    """Return the number of layers to keep; an InputError if there are not so many."""
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


@lru_cache(maxsize=_CACHE_SIZE)
@kept_tensors
def _load(choice: BackboneChoice, version: tuple[object, ...]) -> FrozenModel:
    from transformers import AutoModel

    config = load_config(choice.name, choice.revision)
    n_layers = count_layers(config, choice.n_layers)
    random = choice.mode == "random"
    options = loading_options(choice.quantization)
    if random or choice.name in TINY_NAMES:
        from sktime_llm.backbone.tiny import TINY_SEED

        seed = choice.random_seed if random else TINY_SEED
        model = random_model(AutoModel, config, seed)
        if options:
            model = _quantized(model, options)
    elif getattr(config, "quantization_config", None):
        raise UnsupportedBackboneError(
            f"backbone={choice.name!r} is quantized (quantization_config in its "
            "config.json); expected weights in full precision. Choose the model that "
            "was quantized, with quantization='8bit' or '4bit' to quantize it here."
        )
    else:
        model = read_weights(
            AutoModel, choice.name, choice.revision, optional="pooler", **options
        )
    model = _truncate(model, n_layers)
    if options:
        use_own_layers(model)
    return _freeze(model)


def random_model(auto_class: Any, config: "PreTrainedConfig", seed: int) -> Any:
    """Make a model with random weights, whatever other threads draw meanwhile."""
    with (
        _explaining(f"the {config.model_type!r} backbone has a config.json"),
        own_random_numbers(seed),
    ):
        return auto_class.from_config(config, dtype=torch.float32)


def _quantized(model: Any, options: dict[str, Any]) -> Any:
    """Load a model from itself, as quantization is a part of loading."""
    vars(model.config).pop("quantization_config", None)  # of weights that are not used
    with _quiet_transformers():
        return type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=model.state_dict(),
            dtype=torch.float32,
            **options,
        )


def read_weights(
    auto_class: Any,
    name: str,
    revision: str | None = None,
    *,
    dtype: Any = torch.float32,
    parameter: str = "backbone",
    optional: str | None = None,
    **options: Any,
) -> Any:
    """Read a pretrained model; only weights of the module `optional` may be absent.

    `parameter` is what errors call the name; transformers takes the other options.
    """
    folder = locate_backbone(name, revision=revision)
    where = f"the weights of {parameter}={name!r} in {folder}"
    try:
        with (
            _explaining(f"{parameter}={name!r} has a config.json"),
            _quiet_transformers(),
            own_random_numbers(0),  # of what is missing, even if that is optional
        ):
            model, report = auto_class.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # they are in the report
                output_loading_info=True,
                **options,
            )
    except SafetensorError as error:
        raise BackboneCorruptedError(
            f"{where} cannot be read ({error}). Delete them and fetch or save the "
            "model again."
        ) from error
    # transformers would give random values to missing tensors
    wrong = {*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])}
    absent = sorted(key for key in wrong if key.partition(".")[0] != optional)
    if absent:
        raise BackboneCorruptedError(
            f"{where} lack, or have in another shape, {len(absent)} of the tensors "
            f"that its config.json asks for: {', '.join(absent[:3])}... Fetch or save "
            "the whole model again."
        )
    return model


@contextmanager
def _explaining(what: str) -> Iterator[None]:
    """Turn the errors of transformers, which reads any file, into one of ours."""
    try:
        yield
    except (MemoryError, SafetensorError):
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UnsupportedBackboneError(
            f"{what} that transformers cannot use, or only by running code that comes "
            f"with the model, which is never done. transformers said: "
            f"{type(error).__name__}: {reason}"
        ) from error


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar and no report of the pooler and heads that are left out."""
    from transformers.utils import logging as transformers_logging

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


def _truncate(model: "PreTrainedModel", n_layers: int) -> "PreTrainedModel":
    """Keep the first layers; the final norm, if there is one, stays."""
    total = int(model.config.num_hidden_layers)
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == total:
                setattr(module, name, child[:n_layers])
    model.config.num_hidden_layers = n_layers
    return model


def _freeze(model: Any) -> FrozenModel:
    words = model.get_input_embeddings()
    table = words.weight.detach()
    scale = float(getattr(words, "embed_scale", 1))  # as Gemma has and BioGPT
    if table.shape[1] != model.config.hidden_size:
        raise UnsupportedBackboneError(
            f"{type(model).__name__} has word embeddings of width {table.shape[1]} and "
            f"a hidden size of {model.config.hidden_size}; expected the same width."
        )
    model.set_input_embeddings(nn.Identity())
    model.config.use_cache = False  # no decoder generates here
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return FrozenModel(model.requires_grad_(False).eval(), table, scale)
