"""A language model that is tuned on descriptions, and then reads them."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktime_llm.backbone._module import Backbone
from sktime_llm.errors import InputError, TrainingDivergedError
from sktime_llm.text.window_text import PADDING, tokenize

_TEXTS_A_STEP = 16
_MASKED_SHARE = 0.15
_READ_AT_ONCE = 64


class TokenStates(NamedTuple):
    """What a language model makes of texts.

    Attributes
    ----------
    states : Tensor of shape (text, token, hidden_size)
        Last hidden states.
    mask : Tensor of int64 of shape (text, token)
        1 at tokens, 0 at padding.
    """

    states: Tensor
    mask: Tensor


class DescriptionEncoder(nn.Module):
    """Turn descriptions into token states, by a language model tuned on them.

    The objective is the model's own: the next token for a decoder, masked tokens for
    an encoder. Hidden states become words by a linear map, which starts as the identity
    and trains, and the model's own frozen word embeddings.

    Parameters
    ----------
    backbone : Backbone
        What of it requires a gradient is tuned.

    Examples
    --------
    >>> from sktime_llm.backbone.adapters import AdapterConfig
    >>> from sktime_llm.backbone.make import BackboneChoice, make_backbone
    >>> from sktime_llm.text.encoder import DescriptionEncoder
    >>> tuning = AdapterConfig(lora_rank=4, reduced_memory=True)
    >>> backbone = make_backbone(BackboneChoice("tiny-random"), tuning)
    >>> encoder = DescriptionEncoder(backbone)
    >>> losses = encoder.tune(["traffic rises", "traffic falls"], n_steps=2, seed=0)
    >>> len(losses), encoder.read(["traffic"]).states.shape
    (2, torch.Size([1, 7, 16]))
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
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
        """Train what can be trained, then freeze it.

        Parameters
        ----------
        texts : sequence of str
            Descriptions; 16 at random make a step.
        n_steps : int
            Steps of Adam. 0 only freezes.
        seed : int
            Of the order of texts and of what is masked.
        learning_rate : float, default=4e-3
            Of Adam.
        names : sequence, optional
            What is described, for errors.

        Returns
        -------
        list of float
            The loss of every step, in nats per token.

        Raises
        ------
        InputError
            If a text does not fit the positions of the model, or no text has a second
            token for a decoder to predict, or the tokenizer of an encoder has no mask.
        TrainingDivergedError
            If a loss is not finite.
        """
        token_ids = self._tokenize(texts, names)
        if n_steps and self.backbone.is_causal:
            token_ids = _with_next_token(token_ids, texts)
        generator = torch.Generator().manual_seed(seed)
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=learning_rate)
        self.train()
        losses: list[float] = []
        for step in range(n_steps):
            chosen = torch.randperm(len(token_ids), generator=generator)[:_TEXTS_A_STEP]
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
        """Give the states of all tokens of some texts, without dropout or gradient.

        Errors name what a text describes, if there are `names`.
        """
        self.eval()
        token_ids = self._tokenize(texts, names)
        mask = (token_ids != PADDING).long()
        states = [
            self.backbone(self._embed(ids), attention_mask=part)[-1]
            for ids, part in zip(
                token_ids.split(_READ_AT_ONCE), mask.split(_READ_AT_ONCE), strict=True
            )
        ]
        return TokenStates(torch.cat(states), mask)

    def _tokenize(
        self, texts: Sequence[str], names: Sequence[Hashable] | None
    ) -> Tensor:
        token_ids = tokenize(texts, self.backbone.tokenizer())
        n_tokens, most = token_ids.shape[1], self.backbone.max_tokens
        lengths = (token_ids != PADDING).sum(dim=1)
        if not lengths.all():
            empty = int(lengths.argmin())
            raise InputError(
                f"the description{_of(names, empty)} is {texts[empty]!r}, in which the "
                "backbone reads no token; expected words."
            )
        if most is not None and n_tokens > most:
            longest = int(lengths.argmax())
            raise InputError(
                f"the description{_of(names, longest)} has {n_tokens} tokens, but the "
                f"backbone has only {most} positions. Shorten it, or choose a backbone "
                f"with more: {texts[longest][:80]!r}..."
            )
        return token_ids.to(self.lm_head.weight.device)

    def _embed(self, token_ids: Tensor) -> Tensor:
        words = self.backbone.embed(token_ids.clamp(min=0))
        return words.to(self.lm_head.weight.dtype)

    def _language_loss(self, token_ids: Tensor, generator: torch.Generator) -> Tensor:
        there = token_ids != PADDING
        if self.backbone.is_causal:
            states = self.backbone(self._embed(token_ids), there.long())[-1]
            predicted, seen = states[:, :-1][there[:, 1:]], token_ids[:, 1:]
            return self._cross_entropy(predicted, seen[there[:, 1:]])
        drawn = torch.rand(token_ids.shape, generator=generator).to(token_ids.device)
        # at least one token a text, so that every text counts
        masked = there & (drawn <= drawn.where(there, 2.0).amin(1, keepdim=True))
        masked |= there & (drawn < _MASKED_SHARE)
        hidden = token_ids.masked_fill(masked, self._mask_token())
        states = self.backbone(self._embed(hidden), there.long())[-1]
        return self._cross_entropy(states[masked], token_ids[masked])

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
    """Leave out texts of one token, in which there is nothing to predict."""
    long_enough = (token_ids != PADDING).sum(dim=1) > 1
    if not long_enough.any():
        raise InputError(
            f"no description has more than one token, such as {texts[0]!r}; expected "
            "two or more, as the language model learns each from those before it. "
            "Describe more, or set language_model_steps=0."
        )
    return token_ids[long_enough]
