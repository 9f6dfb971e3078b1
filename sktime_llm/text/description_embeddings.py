"""Embeddings of descriptions, kept after the language model has done its work."""

import copy
import pickle
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sktime_llm.layers.attention import AttentionPooling
from sktime_llm.text.encoder import DescriptionEncoder, TokenStates


class DescriptionEmbeddings(nn.Module):
    """The embedding of the description of every variate of every known series.

    Pooling by attention is learned until `freeze` keeps only the pooled embeddings. A
    copy from a file loads the language model only to read more descriptions, or for the
    state of all modules.
    """

    embeddings: Tensor

    def __init__(self, encoder: DescriptionEncoder) -> None:
        super().__init__()
        self.width = encoder.backbone.hidden_size
        self.pooling = AttentionPooling(self.width)
        self.encoder = encoder  # last, so that packing does not change the order
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
        trains on the new ones until `freeze`.
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

    # copies and files

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
        if name == "encoder" and "_packed" in self.__dict__:
            self.encoder = pickle.loads(self._packed).to(self.embeddings)
            del self._packed
        return super().__getattr__(name)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        _ = self.encoder  # unpacks it
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        _ = self.encoder
        super()._load_from_state_dict(*args, **kwargs)
