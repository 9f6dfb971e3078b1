"""States of texts in a frozen model, kept while a network trains."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


class TextStateCache:
    """Keep the states of texts, as many as fit; all others are read again."""

    def __init__(self, gigabytes: float) -> None:
        self._room = gigabytes * 10**9
        self._kept: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def states(self, token_ids: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the states of texts, (text, token, ...), zero at padding.

        `token_ids`, (text, token), are negative at padding; `read` takes some of them.
        """
        lengths = (token_ids >= 0).sum(dim=1).tolist()
        rows = token_ids.cpu().numpy()
        keys = [rows[i, :n].tobytes() for i, n in enumerate(lengths)]
        known = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            at = list(new.values())
            for (key, i), state in zip(new.items(), read(token_ids[at]), strict=True):
                known[key] = self._keep(key, state[: lengths[i]])
        states = pad_sequence([known[key] for key in keys], batch_first=True)
        n_missing = token_ids.shape[1] - states.shape[1]
        return F.pad(states, (0, 0) * (states.ndim - 2) + (0, n_missing))

    def _keep(self, key: bytes, state: Tensor) -> Tensor:
        size = state.numel() * state.element_size()
        if size <= self._room:
            self._room -= size
            self._kept[key] = state = state.clone()
        return state
