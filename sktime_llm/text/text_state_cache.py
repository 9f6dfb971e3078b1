"""Texts that a frozen model has read, kept while a network trains."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_GIGABYTE = 10**9


class TextStateCache:
    """What a frozen model makes of texts, computed once for each while there is room.

    Parameters
    ----------
    gigabytes : float
        Room, on the device of the texts. Texts that do not fit are read again.

    Examples
    --------
    >>> import torch
    >>> from sktime_llm.text.text_state_cache import TextStateCache
    >>> cache = TextStateCache(gigabytes=0.1)
    >>> ids = torch.tensor([[3, 4], [5, -1]])
    >>> read = lambda token_ids: token_ids.clamp(min=0).float()
    >>> torch.equal(cache.states(ids, read), read(ids))
    True
    """

    def __init__(self, gigabytes: float) -> None:
        self._room = gigabytes * _GIGABYTE
        self._kept: dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def states(self, token_ids: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Give what is known of texts, after reading those that are not known.

        Parameters
        ----------
        token_ids : Tensor of int of shape (batch, token)
            Padded at the end by negative numbers.
        read : callable
            Takes some of `token_ids` to a tensor of shape (batch, token, ...) that
            needs no gradient.

        Returns
        -------
        Tensor of shape (batch, token, ...)
            Zero at padding.
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
        return _widen(states, token_ids.shape[1])

    def _keep(self, key: bytes, state: Tensor) -> Tensor:
        size = state.numel() * state.element_size()
        if size <= self._room:
            self._room -= size
            self._kept[key] = state = state.clone()
        return state


def _widen(states: Tensor, n_tokens: int) -> Tensor:
    missing = n_tokens - states.shape[1]
    if not missing:
        return states
    padding = states.new_zeros(len(states), missing, *states.shape[2:])
    return torch.cat([states, padding], dim=1)
