"""The backbone as a network sees it."""

import copy
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm._devices import own_random_numbers
from sktime_llm.backbone.adapters import (
    AdapterConfig,
    inject_lora,
    layer_norm_names,
    position_embedding_names,
)
from sktime_llm.backbone.loading import (
    BackboneChoice,
    FrozenModel,
    load_frozen,
    load_tokenizer,
    tokenizer_fingerprint,
)
from sktime_llm.backbone.prefix import read_prefix, states_after_prefix
from sktime_llm.errors import BackboneCorruptedError, InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Backbone(nn.Module):
    """A language model without words: embeddings in, hidden states out.

    The interface of every backbone; a subclass sets the attributes.
    """

    choice: BackboneChoice
    hidden_size: int
    n_heads: int
    n_layers: int
    max_tokens: int | None
    """Longest input, None if there is no limit."""
    embedding_scale: float = 1.0
    """Factor between the word embeddings and what the layers expect of words."""
    _tokenizer: "tuple[PreTrainedTokenizerBase, str] | None" = None

    @property
    def is_causal(self) -> bool:
        """Whether a token attends only to those before it."""
        raise NotImplementedError

    @property
    def vocabulary_key(self) -> Hashable:
        """Equal for backbones with the same word embeddings, and for no others."""
        raise NotImplementedError

    def forward(
        self, inputs_embeds: Tensor, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Read (batch, token, hidden_size), with a mask that is 0 at padding.

        Return the embedding output and the state after each layer, the last one after
        the final layer norm, if there is one.
        """
        n_tokens = inputs_embeds.shape[1]
        if self.max_tokens is not None and n_tokens > self.max_tokens:
            raise InputError(
                f"got {n_tokens} tokens, but this backbone has only {self.max_tokens} "
                "positions. Choose a backbone with more, or with rotary positions "
                "(Llama, Qwen), or forecast fewer variates at once."
            )
        return self._hidden_states(inputs_embeds, attention_mask)

    def _hidden_states(
        self, inputs_embeds: Tensor, attention_mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def read(self, inputs_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Read texts that tokens will follow, without gradient, for `states_after`.

        (batch, text token, hidden_size), padded at the end, to (batch, text token, ...)
        """
        raise NotImplementedError

    def states_after(
        self, prefix: Tensor, prefix_mask: Tensor, inputs_embeds: Tensor
    ) -> Tensor:
        """Return the last states of tokens that attend to a text before them.

        The text, which `read` read, does not attend to them. Tokens and states have the
        shape (batch, token, hidden_size).
        """
        raise NotImplementedError

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Return the tokenizer of the language model."""
        if self._tokenizer is None:
            tokenizer = load_tokenizer(self.choice.name, self.choice.revision)
            self._tokenizer = tokenizer, tokenizer_fingerprint(tokenizer)
        return self._tokenizer[0]

    def word_embeddings(self, device: torch.device | str = "cpu") -> Tensor:
        """Word embeddings, (vocabulary, hidden_size), frozen, one copy per device.

        Without `embedding_scale`, as they also turn states into words, where models do
        not scale them.
        """
        raise NotImplementedError

    def embed(self, token_ids: Tensor) -> Tensor:
        """(..., token) of int to (..., token, hidden_size), as the layers expect it."""
        table = self.word_embeddings(token_ids.device)
        words = F.embedding(token_ids.long(), table)
        return words if self.embedding_scale == 1 else words * self.embedding_scale

    def fingerprints(self) -> dict[str, str]:
        """SHA-256, by name, of what this object has used and does not pickle."""
        return {} if self._tokenizer is None else {"tokenizer": self._tokenizer[1]}

    def _check_fingerprints(self, saved: Mapping[str, str]) -> None:
        """Raise a BackboneCorruptedError if something is not as it was when saved."""
        if "tokenizer" in saved:
            self.tokenizer()
        for what, found in self.fingerprints().items():
            if found != saved[what]:
                raise BackboneCorruptedError(
                    f"the {what} of backbone={self.choice.name!r} changed since this "
                    f"forecaster was trained: the fingerprint is {found}, expected "
                    f"{saved[what]}. Restore the model{self._made_by()}, or pin a "
                    "revision and fit again."
                )

    def _made_by(self) -> str:
        if self.choice.quantization is None:
            return ""
        return " and the version of bitsandbytes, which may round otherwise"


class LanguageModelBackbone(Backbone):
    """The first layers of a transformers model.

    What does not train is shared by all backbones of the same choice in this process,
    and neither copied nor pickled; what trains (see `tuning`) is this object's own.
    """

    _uses_words = False

    def __init__(
        self,
        choice: BackboneChoice,
        tuning: AdapterConfig,
        frozen: FrozenModel | None = None,
    ) -> None:
        super().__init__()
        self.choice = choice
        self.tuning = tuning
        self._frozen = load_frozen(choice) if frozen is None else frozen
        self.model = _own_module(self._frozen.model, tuning)
        self._shared_names = {
            name: name.replace(".base_layer.", ".")
            for name, parameter in self.model.named_parameters()
            if not parameter.requires_grad
        }
        config = self.model.config
        self.hidden_size = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.n_layers = config.num_hidden_layers
        self.embedding_scale = self._frozen.embedding_scale
        self.max_tokens, self._first_position = _positions(self._frozen.model)
        self.eval()  # as the frozen model is

    def _hidden_states(
        self, inputs_embeds: Tensor, attention_mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        return self.model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            output_hidden_states=True,
        ).hidden_states

    def read(self, inputs_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """See `Backbone.read`."""
        return read_prefix(self.model, inputs_embeds, attention_mask)

    def states_after(
        self, prefix: Tensor, prefix_mask: Tensor, inputs_embeds: Tensor
    ) -> Tensor:
        """See `Backbone.states_after`."""
        return states_after_prefix(
            self.model,
            prefix,
            prefix_mask,
            inputs_embeds,
            is_causal=self.is_causal,
            first_position=self._first_position,
        )

    @property
    def is_causal(self) -> bool:
        """See `Backbone.is_causal`; measured when it is first asked for."""
        return self._frozen.is_causal

    @property
    def vocabulary_key(self) -> str:
        """See `Backbone.vocabulary_key`; the files may change, so it is no choice."""
        return self._frozen.words_fingerprint

    def word_embeddings(self, device: torch.device | str = "cpu") -> Tensor:
        """See `Backbone.word_embeddings`."""
        self._uses_words = True
        return self._frozen.word_embeddings_on(torch.device(device))

    def fingerprints(self) -> dict[str, str]:
        """See `Backbone.fingerprints`."""
        found = {"weights": self._frozen.fingerprint, **super().fingerprints()}
        if self._uses_words:
            found["word embeddings"] = self._frozen.words_fingerprint
        return found

    def _check_fingerprints(self, saved: Mapping[str, str]) -> None:
        self._uses_words = "word embeddings" in saved
        super()._check_fingerprints(saved)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move what trains; look up what is shared on the new device."""
        shared = [self.model.get_parameter(name) for name in self._shared_names]
        probe = fn(self._like())
        for parameter in shared:
            parameter.data = parameter.new_empty(0)
        super()._apply(fn, recurse)
        tensors = self._frozen.tensors_on(probe.device)
        for name, parameter in zip(self._shared_names, shared, strict=True):
            tensor = tensors[self._shared_names[name]]
            floats = tensor.is_floating_point()  # quantized weights are integers
            parameter.data = tensor.to(probe.dtype) if floats else tensor
        return self

    def _like(self) -> Tensor:
        """Return an empty tensor on the device, and in the precision, of the model."""
        parameters = self.model.parameters()
        return next(p for p in parameters if p.is_floating_point()).new_empty(0)

    def trained_state(self) -> dict[str, Tensor]:
        """Return the tensors that are not shared: what trains, and adapter buffers."""
        own = {
            name: parameter.detach()
            for name, parameter in self.model.named_parameters()
            if name not in self._shared_names
        }
        buffers = self.model.named_buffers()
        return own | {name: buffer for name, buffer in buffers if ".lora_" in name}

    def __reduce__(self) -> tuple[Any, ...]:
        trains = any(p.requires_grad for p in self.model.parameters())
        made_of = (self.choice, self.tuning, self.fingerprints())
        state = (self.trained_state(), self._like(), self.training, trains)
        return _rebuild, made_of + state

    def __deepcopy__(self, memo: dict[int, Any]) -> "LanguageModelBackbone":
        """Copy what trains, and share the rest, whatever the files are by now."""
        rebuild, made_of = self.__reduce__()
        shared = self._frozen, self._tokenizer
        copied: LanguageModelBackbone = rebuild(*copy.deepcopy(made_of, memo), shared)
        return copied


def _own_module(frozen: nn.Module, tuning: AdapterConfig) -> Any:
    """Return a module whose frozen parameters share their storage with `frozen`."""
    trained = {
        *(layer_norm_names(frozen) if tuning.layer_norms else []),
        *(position_embedding_names(frozen) if tuning.position_embeddings else []),
    }
    # deepcopy takes parameters from the memo instead of copying them
    memo = {
        id(parameter): nn.Parameter(
            parameter.data.clone() if name in trained else parameter.data,
            requires_grad=False,
        )
        for name, parameter in frozen.named_parameters()
    }
    model: Any = copy.deepcopy(frozen, memo)
    inject_lora(model, tuning)
    for name, parameter in model.named_parameters():
        if name in trained:
            parameter.requires_grad_(True)
    return model


def _positions(model: Any) -> tuple[int | None, int]:
    """Return how many learned positions there are, and the number of the first one.

    None and 0 where positions are rotary. RoBERTa and MPNet keep the entries up to that
    of the padding token free.
    """
    names = position_embedding_names(model)
    if not names:
        return None, 0
    padding = model.get_submodule(names[0].rpartition(".")[0]).padding_idx
    first = 0 if padding is None else padding + 1
    return int(model.config.max_position_embeddings) - first, first


def _rebuild(
    choice: BackboneChoice,
    tuning: AdapterConfig,
    fingerprints: dict[str, str],
    state: dict[str, Tensor],
    like: Tensor,
    training: bool,
    trains: bool,
    shared: tuple[Any, Any] = (None, None),
) -> LanguageModelBackbone:
    frozen, tokenizer = shared
    with own_random_numbers(0):  # LoRA's, which the state overwrites
        backbone = LanguageModelBackbone(choice, tuning, frozen).to(like)
    backbone._tokenizer = tokenizer
    backbone._check_fingerprints(fingerprints)
    missing, unexpected = backbone.model.load_state_dict(state, strict=False)
    lost = sorted(set(missing) - set(backbone._shared_names)) + unexpected
    if lost:
        raise BackboneCorruptedError(
            f"the saved weights of backbone={choice.name!r} do not fit these versions "
            f"of transformers and peft: {', '.join(lost[:3])}... Install those that "
            "the forecaster was saved with, or fit again."
        )
    if not trains:
        backbone.requires_grad_(False)
    return backbone.train(training)
