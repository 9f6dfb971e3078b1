"""A language model tuned on descriptions, which it then reads, and what it read."""

import copy
import pickle
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm._devices import RandomStream, own_random_numbers
from sktime_llm._threads import LOADING
from sktime_llm.backbone._module import Backbone
from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.backbone.own_tensors import fill, own_tensors
from sktime_llm.errors import InputError, TrainingDivergedError
from sktime_llm.layers.attention import AttentionPooling
from sktime_llm.layers.dropout import drop_in_blocks
from sktime_llm.text.window_text import PADDING, tokenize

_TEXTS_A_STEP = 16
_MASKED_SHARE = 0.15
_READ_AT_ONCE = 64


class TokenStates(NamedTuple):
    """Last hidden states, (text, token, hidden_size), and a mask, 1 at tokens."""

    states: Tensor
    mask: Tensor


class DescriptionEncoder(nn.Module):
    """Turn descriptions into token states, by a language model tuned on them.

    The objective is the model's own: the next token for a decoder, masked tokens for an
    encoder. Hidden states become words by a linear map, which starts as the identity
    and trains, and by the frozen word embeddings.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = backbone.hidden_size
        self.lm_head = nn.Linear(backbone.hidden_size, backbone.hidden_size)
        nn.init.eye_(self.lm_head.weight)
        nn.init.zeros_(self.lm_head.bias)

    def tune(
        self,
        texts: Sequence[str],
        *,
        n_steps: int,
        seed: int,
        learning_rate: float = 4e-3,
        names: Sequence[Hashable] | None = None,
    ) -> list[float]:
        """Tune the model by Adam and freeze it; return the losses in nats per token."""
        token_ids = self._tokenize(texts, names)
        if n_steps and self.backbone.is_causal:
            token_ids = _with_next_token(token_ids, texts)
        generator = torch.Generator().manual_seed(seed)
        dropout = RandomStream(seed, token_ids.device)
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=learning_rate)
        drop_in_blocks(self)
        self.train()
        losses: list[float] = []
        for step in range(n_steps):
            chosen = torch.randperm(len(token_ids), generator=generator)[:_TEXTS_A_STEP]
            with dropout.drawing():
                loss = self._language_loss(token_ids[chosen], generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            if not np.isfinite(losses[-1]):
                raise TrainingDivergedError(
                    f"the loss of the language model on the descriptions is "
                    f"{losses[-1]} in step {step + 1} of {n_steps}. Set "
                    "language_model_steps=0 to use it as it is."
                )
        self.requires_grad_(False)
        self.eval()
        return losses

    @torch.no_grad()
    def read(
        self, texts: Sequence[str], *, names: Sequence[Hashable] | None = None
    ) -> TokenStates:
        """Return the states of all tokens, without dropout or gradient.

        Texts of about the same length are read together, with little padding.
        """
        self.eval()
        token_ids = self._tokenize(texts, names)
        mask = token_ids != PADDING
        lengths = mask.sum(dim=1)
        order = lengths.argsort(stable=True)
        states = self.lm_head.weight.new_zeros(*mask.shape, self.width)
        for start in range(0, len(order), _READ_AT_ONCE):
            rows = order[start : start + _READ_AT_ONCE]
            n_tokens = int(lengths[rows[-1]])
            ids = token_ids[rows, :n_tokens]
            states[rows, :n_tokens] = self._states(ids, mask[rows, :n_tokens])
        return TokenStates(states, mask.long())

    def _tokenize(
        self, texts: Sequence[str], names: Sequence[Hashable] | None
    ) -> Tensor:
        token_ids = tokenize(texts, self.backbone.tokenizer())
        n_tokens, n_positions = token_ids.shape[1], self.backbone.max_tokens
        lengths = (token_ids != PADDING).sum(dim=1)
        if not lengths.all():
            empty = int(lengths.argmin())
            raise InputError(
                f"the description{_of(names, empty)} is {texts[empty]!r}, in which the "
                "backbone reads no token; expected words."
            )
        if n_positions is not None and n_tokens > n_positions:
            longest = int(lengths.argmax())
            raise InputError(
                f"the description{_of(names, longest)} has {n_tokens} tokens, but the "
                f"backbone has only {n_positions} positions. Shorten it, or choose a "
                f"backbone with more: {texts[longest][:80]!r}..."
            )
        return token_ids.to(self.lm_head.weight.device)

    def _language_loss(self, token_ids: Tensor, generator: torch.Generator) -> Tensor:
        is_token = token_ids != PADDING
        if self.backbone.is_causal:
            states = self._states(token_ids, is_token)[:, :-1]
            is_next = is_token[:, 1:]
            return self._cross_entropy(states[is_next], token_ids[:, 1:][is_next])
        drawn = torch.rand(token_ids.shape, generator=generator).to(token_ids.device)
        # at least one token of each text, so that every text counts
        masked = is_token & (drawn <= drawn.where(is_token, 2.0).amin(1, keepdim=True))
        masked |= is_token & (drawn < _MASKED_SHARE)
        hidden = token_ids.masked_fill(masked, self._mask_token())
        states = self._states(hidden, is_token)
        return self._cross_entropy(states[masked], token_ids[masked])

    def _states(self, token_ids: Tensor, is_token: Tensor) -> Tensor:
        words = self.backbone.embed(token_ids.clamp(min=0))
        words = words.to(self.lm_head.weight.dtype)
        return self.backbone(words, attention_mask=is_token.long())[-1]

    def _mask_token(self) -> int:
        token = self.backbone.tokenizer().mask_token_id
        if token is None:
            raise InputError(
                "the tokenizer of the backbone has no mask token, expected one of an "
                "encoder such as BERT. Set language_model_steps=0 to use the model as "
                "it is, or choose another backbone."
            )
        return int(token)

    def _cross_entropy(self, states: Tensor, token_ids: Tensor) -> Tensor:
        table = self.backbone.word_embeddings(states.device).to(states.dtype)
        return F.cross_entropy(self.lm_head(states) @ table.T, token_ids.long())


def _of(names: Sequence[Hashable] | None, at: int) -> str:
    return f" number {at}" if names is None else f" of {names[at]!r}"


def _with_next_token(token_ids: Tensor, texts: Sequence[str]) -> Tensor:
    """Drop texts of one token, which leave nothing to predict."""
    long_enough = (token_ids != PADDING).sum(dim=1) > 1
    if not long_enough.any():
        raise InputError(
            f"no description has more than one token, such as {texts[0]!r}; expected "
            "two or more, as the language model learns each from those before it. "
            "Describe more, or set language_model_steps=0."
        )
    return token_ids[long_enough]


@dataclass(frozen=True)
class PackedEncoder:
    """All that a tuned encoder is made of, beside what its backbone shares."""

    choice: BackboneChoice
    tuning: AdapterConfig
    width: int
    fingerprints: Mapping[str, str]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, encoder: DescriptionEncoder) -> "PackedEncoder":
        """Pack an encoder that does not train anymore; the tensors are its own."""
        backbone = encoder.backbone
        tuning = getattr(backbone, "tuning", AdapterConfig())
        sizes = getattr(backbone, "sizes", None)
        return cls(
            replace(backbone.choice, sizes=sizes),
            tuning,
            backbone.hidden_size,
            backbone.fingerprints(),
            own_tensors(encoder),
        )

    def unpack(self) -> DescriptionEncoder:
        """Build the encoder, which needs the weights of the backbone."""
        with own_random_numbers(0):  # what the tensors overwrite
            encoder = DescriptionEncoder(make_backbone(self.choice, self.tuning))
        encoder.backbone._check_fingerprints(self.fingerprints)
        fill(encoder, self.tensors)
        return encoder.eval()


class DescriptionEmbeddings(nn.Module):
    """The embedding of the description of every variate of every known series.

    Pooling by attention is learned until `freeze` keeps only the pooled embeddings. A
    copy from a file, or of a packed encoder, loads the language model only to read more
    descriptions, or for the state of all modules.
    """

    embeddings: Tensor

    def __init__(self, encoder: DescriptionEncoder | PackedEncoder) -> None:
        super().__init__()
        self.width: int = encoder.width
        self.pooling = AttentionPooling(self.width)
        if isinstance(encoder, PackedEncoder):
            self._packed: Any = encoder
        else:
            self.encoder: Any = encoder  # last: packing must not change the order
        self.register_buffer("embeddings", torch.zeros(0, 0, self.width))
        self._states: TokenStates | None = None

    def add(
        self,
        texts: Sequence[str],
        n_channels: int,
        *,
        n_known: int,
        names: Sequence[Hashable] | None = None,
    ) -> None:
        """Read the descriptions of new series, ordered by series, then by channel.

        The first `n_known` series keep their embeddings. If there are none, pooling
        trains until `freeze`.
        """
        if n_known:
            self.freeze()
        states = self.encoder.read(texts, names=names)
        if n_known == 0:
            self._states = states
            self.pooling.requires_grad_(True)
        new = self._pool(states).detach().unflatten(0, (-1, n_channels))
        # before there are any, the number of channels is not known
        kept = [self.embeddings[:n_known]] if n_known else []
        self.embeddings = torch.cat([*kept, new])

    def freeze(self) -> None:
        """Keep the embeddings as they are pooled now, and no token states."""
        if self._states is not None:
            pooled = self._pool(self._states).detach()
            self.embeddings = pooled.view_as(self.embeddings)
            self._states = None
        self.pooling.requires_grad_(False)

    def forward(self, series: Tensor) -> Tensor:
        """Numbers of series, (batch,), to embeddings, (batch, channel, width).

        If only one series is known, to (channel, width).
        """
        table = self.embeddings
        if self._states is not None:
            if len(table) > len(series):
                return self._pool_some(self._states, series)
            table = self._pool(self._states).view_as(table)
        return table[0] if len(table) == 1 else table[series]

    def _pool_some(self, read: TokenStates, series: Tensor) -> Tensor:
        """Pool only the series of a batch."""
        n_channels = self.embeddings.shape[1]
        distinct, which = series.unique(return_inverse=True)
        channels = torch.arange(n_channels, device=series.device)
        rows = (distinct[:, None] * n_channels + channels).flatten()
        part = TokenStates(read.states[rows], read.mask[rows])
        return self._pool(part).unflatten(0, (-1, n_channels))[which]

    def _pool(self, read: TokenStates) -> Tensor:
        return self.pooling(read.states, read.mask)

    def packed(self) -> PackedEncoder:
        """Return the encoder in parts; that of a checkpoint is not built for it."""
        packed = self.__dict__.get("_packed")
        if isinstance(packed, PackedEncoder):
            return packed
        return PackedEncoder.of(self.encoder)

    def fill_packed(
        self, tensors: Mapping[str, Tensor], fingerprints: Mapping[str, str]
    ) -> None:
        """Give a packed encoder what it is made of."""
        self._packed = replace(
            self._packed, tensors=dict(tensors), fingerprints=fingerprints
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "DescriptionEmbeddings":
        """Copy the modules as they are; only files hold a packed encoder."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Pack a tuned encoder, so that it is loaded only when it is used."""
        state = self.__dict__.copy()
        encoder = self._modules.get("encoder")
        if encoder is None or any(p.requires_grad for p in encoder.parameters()):
            return state
        if self.embeddings.device.type != "cpu":  # any machine can unpack it
            encoder = copy.deepcopy(encoder).cpu()
        modules = self._modules.copy()
        del modules["encoder"]
        return {**state, "_modules": modules, "_packed": pickle.dumps(encoder)}

    def __getattr__(self, name: str) -> Any:
        if name == "encoder":
            with LOADING:  # of several threads, the first one unpacks it
                packed = self.__dict__.get("_packed")
                if packed is not None:
                    is_pickle = isinstance(packed, bytes)
                    encoder = pickle.loads(packed) if is_pickle else packed.unpack()
                    self.encoder = encoder.to(self.embeddings)
                    del self._packed
        return super().__getattr__(name)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        _ = self.encoder  # unpacks it
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        _ = self.encoder
        super()._load_from_state_dict(*args, **kwargs)
