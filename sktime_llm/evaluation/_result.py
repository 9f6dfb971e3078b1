"""The result of a comparison of forecasters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sktime_llm.datasets import Dataset
from sktime_llm.evaluation._data import as_frame, instances_of
from sktime_llm.evaluation._forecasters import METHODS
from sktime_llm.evaluation._ranks import Ranks, rank_forecasters


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores and forecasts of several forecasters, returned by `compare_forecasters`.

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
        then over variates and series, which for ``MAE`` mixes their units. For each
        level of intervals, such as 80: ``coverage_80``, the share of values that they
        cover, and ``MSIS_80``, the mean scaled interval score; both NaN if a forecaster
        has no intervals.
    forecasts : pandas.DataFrame
        Forecasts of the last fold, one row per value: ``dataset``, ``forecaster``,
        ``id`` (empty unless a panel), ``time``, ``variate``, ``truth``, ``forecast``,
        and for each level, such as 80, ``lower_80`` and ``upper_80``.
    errors : pandas.DataFrame
        One row per data set, forecaster and series: ``dataset``, ``forecaster``, ``id``
        (empty unless a panel), ``variate``, and scores as in `scores`, means over
        folds. ``MASE`` is NaN where it is not defined.

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
    errors: pd.DataFrame

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

    def ranks(self, *, alpha: float = 0.05) -> Ranks:
        """Rank the forecasters by MASE over all series, and test what differs.

        A series that is in several data sets counts once. Forecasters that failed on a
        data set are left out.

        Parameters
        ----------
        alpha : float, default 0.05
            Level of the tests.

        Returns
        -------
        Ranks
            Mean ranks, p-values, groups that cannot be told apart, and a verdict;
            `sktime_llm.plotting.plot_ranks` draws them.

        Raises
        ------
        InputError
            If there are fewer than two forecasters, or fewer than five series.
        """
        # Names of series need not differ; their order is the same for all forecasters.
        number = self.errors.groupby(["dataset", "forecaster"]).cumcount()
        table = self.errors.assign(number=number).pivot(
            index=["dataset", "number"], columns="forecaster", values="MASE"
        )
        table = table.drop(index=_repeated(self.datasets), errors="ignore")
        names = self.scores["forecaster"].unique()
        return rank_forecasters(table.reindex(columns=names), alpha=alpha)

    def standings(
        self, dataset: str | None = None, forecasters: Sequence[str] = METHODS
    ) -> list[str]:
        """Describe how forecasters rank among all by MASE.

        Parameters
        ----------
        dataset : str, optional
            Name of a data set. Default: the mean over the univariate data sets.
        forecasters : sequence of str, default the three methods of this package
            Names of the forecasters to place. Those without a MASE are left out.

        Returns
        -------
        list of str
            A sentence for each, such as "calf is 4th of 6; auto-ets is 8 % better",
            which means that its MASE is 8 % lower.
        """
        table = self.mean_mase()
        if dataset is not None:
            table = self.scores[self.scores["dataset"] == dataset]
        mase = table.dropna(subset=["MASE"]).set_index("forecaster")["MASE"].to_dict()
        return [_compare_place(name, mase) for name in forecasters if name in mase]


def _repeated(datasets: Sequence[Dataset]) -> list[tuple[str, int]]:
    """Return the data set and the number of series that were in one before."""
    seen: set[bytes] = set()
    repeated = []
    for dataset in datasets:
        y = as_frame(dataset.y)
        parts = [part for _, part in y.groupby(instances_of(y))]
        columns = [part.iloc[:, i] for part in parts for i in range(y.shape[1])]
        for number, column in enumerate(columns):
            values = column.to_numpy(float).tobytes()
            if values in seen:
                repeated.append((dataset.name, number))
            seen.add(values)
    return repeated


def _compare_place(name: str, mase: dict[str, float]) -> str:
    """Compare a forecaster with the best one, or the best one with the next."""
    own = mase[name]
    place = 1 + sum(value < own for value in mase.values())
    others = {other: value for other, value in mase.items() if other != name}
    sentence = f"{name} is {_ordinal(place)} of {len(mase)}"
    if not others:
        return sentence
    rival = min(others, key=others.__getitem__)
    if others[rival] == own:
        return f"{sentence}, level with {rival}"
    change = 100 * (others[rival] / own - 1) if own else math.inf
    size = "less than 1 %" if abs(change) < 0.5 else f"{abs(change):.0f} %"
    size = "far" if math.isinf(change) else size
    return f"{sentence}; {rival} is {size} {'better' if change < 0 else 'worse'}"


def _ordinal(n: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{'th' if n % 100 in (11, 12, 13) else suffix}"
