"""Every forecaster, small enough for tests; the shared tests run on each."""

import numpy as np
import pandas as pd
import pytest

from sktime_llm import BALMTSFForecaster, CALFForecaster, LLMTSNetForecaster

SMALL = {
    "backbone": "tiny-random",
    "context_length": 8,
    "prediction_length": 3,
    "max_epochs": 2,
    "batch_size": 32,
    "random_state": 0,
    "device": "cpu",
    "verbose": 0,
}
PATCHES = {"patch_length": 4, "patch_stride": 2, "d_model": 8, "d_ff": 16}
NET = {"patch_length": 4, "d_model": 8, "d_ff": 16, "language_model_steps": 2}
NET |= {"n_descriptions": 1}
FORECASTERS = {
    "calf": lambda **kwargs: CALFForecaster(**{**SMALL, "d_ff": 16, **kwargs}),
    "balm-tsf": lambda **kwargs: BALMTSFForecaster(**{**SMALL, **PATCHES, **kwargs}),
    "llm-ts-net": lambda **kwargs: LLMTSNetForecaster(**{**SMALL, **NET, **kwargs}),
}

each_forecaster = pytest.mark.parametrize("make", FORECASTERS.values(), ids=FORECASTERS)


def make_series(n_rows=60, n_columns=1, index=None, seed=0, level=10.0):
    rng = np.random.default_rng(seed)
    t = np.arange(n_rows)[:, None]
    phase = np.arange(n_columns)
    values = (
        level + 3 * np.sin(t / 2 + phase) + 0.2 * rng.normal(size=(n_rows, n_columns))
    )
    if index is None:
        index = pd.period_range("2000-01", periods=n_rows, freq="M")
    names = [f"y{i}" for i in range(n_columns)]
    return pd.DataFrame(values, index=index, columns=names)


def make_panel(lengths=(40, 30, 25), n_columns=1, **kwargs):
    parts = {
        f"s{i}": make_series(n, n_columns, seed=i, level=10.0 * (i + 1), **kwargs)
        for i, n in enumerate(lengths)
    }
    return pd.concat(parts, names=["series", "time"])
