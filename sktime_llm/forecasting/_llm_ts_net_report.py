"""What LLM-TS Net looks at: prompts, descriptions and other sensors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from sktime_llm.errors import InputError
from sktime_llm.forecasting._known import KnownSeries
from sktime_llm.forecasting._predicting import Contexts
from sktime_llm.forecasting._regular import of_series
from sktime_llm.networks.llm_ts_net import Attention, LLMTSNetwork


@dataclass(frozen=True, eq=False)
class AttentionReport:
    """What LLM-TS Net looks at in some windows, returned by `inspect_alignment`.

    Rows of the tables are windows and variates, labeled by series, last time of the
    window, and variate.

    Attributes
    ----------
    prompts : pandas.DataFrame of shape (window, n_selected_prompts), or None
        Numbers of the prompts that are taken from the pool, best first. None without a
        pool.
    prompt_shares : pandas.DataFrame of shape (window, n_prompts), or None
        Softmax of the scores of all prompts of the pool, by which those that are taken
        are weighted.
    texts : pandas.Series of str, or None
        The latest description of each series and variate, which the windows are given.
        None without `text_fusion`.
    text_attention : pandas.DataFrame of shape (window, variate), or None
        What share of its attention a variate gives to the description of each variate,
        mean over heads.
    text_gain : pandas.Series, or None
        Length of what the descriptions add to the state of a variate, relative to that
        of the state; 0 before training.
    sensor_attention : pandas.DataFrame of shape (block and window, variate), or None
        What share of its attention a variate gives to each variate, in each ``block``,
        mean over heads and tokens. None without `inter_series_attention`.
    """

    prompts: pd.DataFrame | None
    prompt_shares: pd.DataFrame | None
    texts: pd.Series | None
    text_attention: pd.DataFrame | None
    text_gain: pd.Series | None
    sensor_attention: pd.DataFrame | None

    @property
    def prompt_counts(self) -> pd.Series | None:
        """How often each prompt of the pool is taken."""
        if self.prompts is None or self.prompt_shares is None:
            return None
        n_prompts = self.prompt_shares.shape[1]
        counts = np.bincount(self.prompts.to_numpy().ravel(), minlength=n_prompts)
        return pd.Series(counts, name="taken").rename_axis("prompt")


def report_attention(
    network: LLMTSNetwork,
    known: KnownSeries,
    contexts: Contexts,
    labels: pd.MultiIndex,
    batch_size: int,
) -> AttentionReport:
    """Run a network over contexts and label what it looks at."""
    n_windows, n_variates = len(contexts.values), contexts.values.shape[2]
    variates = labels.get_level_values("variate")[:n_variates]
    numbers = torch.zeros(n_windows, dtype=torch.int64)
    if network.descriptions is not None:
        numbers = torch.tensor(_numbers(known, labels[::n_variates]))
    seen = _look(network, contexts, numbers, batch_size)

    def table(values: torch.Tensor | None, columns: Any = None) -> pd.DataFrame | None:
        if values is None:
            return None
        rows = values.flatten(0, -2).cpu().numpy()
        return pd.DataFrame(rows, index=labels, columns=columns)

    gain = table(None if seen.text_gain is None else seen.text_gain[..., None])
    blocks: Any = [table(one, variates) for one in seen.sensors]
    sensors = None
    if blocks:
        sensors = pd.concat(blocks, keys=range(len(blocks)), names=["block"])
    return AttentionReport(
        prompts=table(seen.prompts),
        prompt_shares=table(seen.prompt_shares),
        texts=known.descriptions,
        text_attention=table(seen.texts, variates),
        text_gain=None if gain is None else gain[0].rename("text_gain"),
        sensor_attention=sensors,
    )


def _numbers(known: KnownSeries, windows: pd.MultiIndex) -> list[int]:
    """Return the number by which the network knows the series of each window."""
    if "series" not in windows.names:
        return [next(iter(known.numbers.values()))] * len(windows)
    keys = windows.get_level_values("series")
    for key in keys:
        if key not in known.numbers:
            raise InputError(
                f"y{of_series(key)} is not described, expected series of fit or "
                f"update. Give it to update first, or leave it out."
            )
    return [known.numbers[key] for key in keys]


def _look(
    network: LLMTSNetwork, contexts: Contexts, numbers: torch.Tensor, batch_size: int
) -> Attention:
    parts = []
    with torch.inference_mode():
        for at in torch.arange(len(contexts.values)).split(batch_size):
            features = {"series": numbers[at].to(contexts.values.device)}
            if contexts.last_observed is not None:
                features["last_observed"] = contexts.last_observed[at]
            parts.append(network.attention(contexts.values[at], features))
    return Attention.join(parts)
