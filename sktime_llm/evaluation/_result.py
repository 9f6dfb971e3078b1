"""What a comparison of forecasters finds."""

from dataclasses import dataclass

import pandas as pd

from sktime_llm.datasets import Dataset


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores and forecasts of several forecasters, as `compare_forecasters` finds them.

    Parameters
    ----------
    datasets : tuple of Dataset
        The data that were forecast.
    n_folds : int
        Number of folds.
    scores : pandas.DataFrame
        One row per data set and forecaster, the best one first: ``dataset``,
        ``forecaster``, ``n_variates``, the scores ``MASE``, ``sMAPE`` (from 0 to 2) and
        ``MAE``, the seconds ``fit_seconds`` and ``predict_seconds`` of one fold, and
        ``error``, empty unless the forecaster failed. Scores are means over folds, and
        then over variates and series, which for ``MAE`` mixes their units.
    forecasts : pandas.DataFrame
        Forecasts of the last fold, one row per value: ``dataset``, ``forecaster``,
        ``id`` (empty unless a panel), ``time``, ``variate``, ``truth`` and
        ``forecast``.

    Examples
    --------
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.evaluation import compare_forecasters, default_forecasters
    >>> forecasters = default_forecasters(12, ["naive"])
    >>> comparison = compare_forecasters(load_dataset("airline"), forecasters)
    >>> comparison.forecasts[["time", "truth", "forecast"]].head(2)
          time  truth  forecast
    0  1960-01  417.0     405.0
    1  1960-02  391.0     405.0
    """

    datasets: tuple[Dataset, ...]
    n_folds: int
    scores: pd.DataFrame
    forecasts: pd.DataFrame

    def mean_mase(self) -> pd.DataFrame:
        """Average the MASE of each forecaster over the univariate data sets.

        Returns
        -------
        pandas.DataFrame
            One row per forecaster, the best one first: ``forecaster``, ``MASE``,
            ``n_datasets`` and ``n_failed``. A forecaster that failed on a data set has
            no mean, which would be over fewer data sets than the others.
        """
        univariate = self.scores[self.scores["n_variates"] == 1]
        failed = univariate["error"] != ""
        groups = univariate.assign(failed=failed).groupby("forecaster", sort=False)
        means = groups.agg(
            MASE=("MASE", lambda values: values.mean(skipna=False)),
            n_datasets=("MASE", "size"),
            n_failed=("failed", "sum"),
        )
        return means.reset_index().sort_values("MASE", kind="stable", ignore_index=True)
