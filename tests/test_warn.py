"""Warnings point at the line of the user's code."""

import inspect
import warnings

import numpy as np
import pandas as pd
from sktime.forecasting.compose import EnsembleForecaster
from sktime.transformations.series.difference import Differencer

from sktime_llm import CALFForecaster, LLMTSNetForecaster
from sktime_llm.errors import ShortSeriesWarning, SktimeLLMWarning
from sktime_llm.evaluation import compare_forecasters

SMALL = {"backbone": "tiny-random", "max_epochs": 1, "intervals": None, "verbose": 0}


def short_panel():
    months = pd.period_range("2015-01", periods=60, freq="M")
    index = [("long", month) for month in months]
    index += [("short", month) for month in months[:5]]
    values = np.sin(np.arange(65))
    return pd.DataFrame({"y": values}, pd.MultiIndex.from_tuples(index))


def lines_of_warnings(call):
    """Return where our warnings say that they come from, and where the call is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    ours = [one for one in caught if issubclass(one.category, SktimeLLMWarning)]
    assert any(issubclass(one.category, ShortSeriesWarning) for one in ours)
    first = inspect.getsourcelines(call)[1]
    return {(one.filename, one.lineno) for one in ours}, {(__file__, first)}


def test_fit_by_the_user():
    y, forecaster = short_panel(), CALFForecaster(**SMALL)
    found, expected = lines_of_warnings(lambda: forecaster.fit(y, fh=[1, 2, 3]))
    assert found == expected


def test_fit_within_a_pipeline_of_sktime():
    y, forecaster = short_panel(), Differencer() * LLMTSNetForecaster(**SMALL)
    found, expected = lines_of_warnings(lambda: forecaster.fit(y, fh=[1, 2, 3]))
    assert found == expected


def test_fit_within_an_ensemble():
    y = short_panel()
    forecaster = EnsembleForecaster([("one", CALFForecaster(**SMALL))])
    found, expected = lines_of_warnings(lambda: forecaster.fit(y, fh=[1, 2, 3]))
    assert found == expected


def test_fit_within_a_comparison():
    y = pd.concat([short_panel().loc[["long"]]] * 2, keys=["a", "b"]).droplevel(1)
    y = y.drop(y.index[-37:])
    forecasters = {"it": CALFForecaster(**SMALL, context_length=24)}
    options = {"horizon": 3, "seasonal_period": 1, "n_folds": 1}
    found, expected = lines_of_warnings(
        lambda: compare_forecasters(y, forecasters, **options)
    )
    assert found == expected
