"""Which of several forecasters can be told apart by their errors on many series."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from sktime_llm._validation import real
from sktime_llm.errors import InputError

MIN_SERIES = 5
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Ranks:
    """Mean ranks of forecasters over series, returned by `Comparison.ranks`.

    On every series the forecaster of the lowest error has rank 1; equal errors, also
    those that differ by less than 1e-9 of them, share their mean rank. Forecasters are
    told apart by Friedman's test and, if it finds a difference, by Wilcoxon's signed-
    rank test of each pair, with Holm's correction [1]_ [2]_. The tests take series as
    independent, which they are not quite if they are of one data set.

    Parameters
    ----------
    mean_ranks : pandas.Series
        Mean rank by forecaster, the best one first.
    n_series : int
        Number of series.
    p_values : pandas.DataFrame of shape (forecaster, forecaster)
        Corrected p-values of Wilcoxon's test of each pair, in the order of
        `mean_ranks`; 1 on the diagonal.
    friedman : float
        P-value of Friedman's test, for which there have to be three forecasters; of
        two it is that of Wilcoxon's test.
    left_out : tuple of str
        Forecasters without an error on some series, as they failed there.
    alpha : float, default 0.05
        Level of the tests.

    References
    ----------
    .. [1] J. Demsar (2006), Statistical comparisons of classifiers over multiple data
       sets, JMLR 7.
    .. [2] A. Benavoli, G. Corani, F. Mangili (2016), Should we really use post-hoc
       tests based on mean-ranks?, JMLR 17.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sktime_llm.evaluation import rank_forecasters
    >>> easy, noise = np.arange(12.0), np.random.default_rng(0).normal(size=12)
    >>> errors = pd.DataFrame({"a": easy, "b": easy + noise, "c": easy + 9})
    >>> ranks = rank_forecasters(errors)
    >>> ranks.groups
    [('a', 'b')]
    >>> ranks.verdict()
    'On 12 series, one cannot tell apart (5 % level): a and b.'
    """

    mean_ranks: pd.Series
    n_series: int
    p_values: pd.DataFrame
    friedman: float
    left_out: tuple[str, ...] = ()
    alpha: float = 0.05

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The largest groups without a significant difference, each in rank order."""
        names = list(self.mean_ranks.index)
        same = self.p_values.to_numpy() >= self.alpha
        if self.friedman >= self.alpha:
            same = np.ones_like(same)
        groups = [group for group in _maximal_groups(same) if len(group) > 1]
        return [tuple(names[i] for i in group) for group in groups]

    @property
    def n_series_needed(self) -> int:
        """Series without which even the clearest difference could not be told."""
        n = len(self.mean_ranks)
        return 2 + math.floor(math.log2(n * (n - 1) / 2 / self.alpha))

    def verdict(self) -> str:
        """Say in a sentence which forecasters cannot be told apart.

        Returns
        -------
        str
            The sentence. Where there are so few series that even one forecaster that
            is better on all of them could not be told from another, it says so.
        """
        n = len(self.mean_ranks)
        if self.n_series < self.n_series_needed:
            return (
                f"{self.n_series} series cannot tell {n} forecasters apart, whatever "
                f"their errors; at least {self.n_series_needed} could."
            )
        level = f"({100 * self.alpha:g} % level)"
        if not self.groups:
            return f"On {self.n_series} series, all {n} can be told apart {level}."
        if len(self.groups[0]) == n > 2:
            what = f"no two of the {n} forecasters can"
            return f"On {self.n_series} series, {what} be told apart {level}."
        groups = "; ".join(
            f"{', '.join(group[:-1])} and {group[-1]}" for group in self.groups
        )
        return f"On {self.n_series} series, one cannot tell apart {level}: {groups}."


_ALPHA = real(above=0, below=1)


def rank_forecasters(errors: pd.DataFrame, *, alpha: float = 0.05) -> Ranks:
    """Rank forecasters by their errors on many series, and test what differs.

    Parameters
    ----------
    errors : pandas.DataFrame of shape (series, forecaster)
        Errors, lower is better. A series without any error is left out, and so is a
        forecaster without an error on some of the others.
    alpha : float, default 0.05
        Level of the tests: the chance to tell any two apart that are equally good.

    Returns
    -------
    Ranks
        Mean ranks, p-values, groups that cannot be told apart, and a verdict.

    Raises
    ------
    InputError
        If fewer than two forecasters, or fewer than five series, are left, or if
        `alpha` is not between 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_llm.evaluation import rank_forecasters
    >>> errors = pd.DataFrame({"a": range(6), "b": range(1, 7)})
    >>> rank_forecasters(errors).mean_ranks.to_dict()
    {'a': 1.0, 'b': 2.0}
    """
    _ALPHA.check("alpha", alpha)
    scored = errors.dropna(how="all")
    left_out = tuple(scored.columns[scored.isna().any()])
    scored = scored.drop(columns=list(left_out))
    n_series, n = scored.shape
    if n < 2 or n_series < MIN_SERIES:
        raise InputError(
            f"{n} forecaster(s) cannot be ranked over {n_series} series; expected at "
            f"least 2 with an error on each of at least {MIN_SERIES} series."
        )
    scored = scored.apply(_without_rounding, axis=1, raw=True)
    ranks = scored.rank(axis=1).mean().sort_values(kind="stable")
    values = scored[ranks.index].to_numpy(float)
    pairs = list(combinations(range(n), 2))
    corrected = _holm([_wilcoxon(values[:, i] - values[:, j]) for i, j in pairs])
    table = np.ones((n, n))
    for (i, j), p in zip(pairs, corrected, strict=True):
        table[i, j] = table[j, i] = p
    friedman = float(corrected[0])
    if n > 2 and (values != values[:, :1]).any():
        friedman = float(stats.friedmanchisquare(*values.T).pvalue)
    p_values = pd.DataFrame(table, index=ranks.index, columns=ranks.index)
    return Ranks(ranks, n_series, p_values, friedman, left_out, alpha)


def _without_rounding(errors: np.ndarray) -> np.ndarray:
    """Make those errors equal, (forecaster,), that differ by rounding only."""
    order = errors.argsort()
    values = errors[order].astype(float)
    same = values[1:] <= values[:-1] + _ROUNDING * np.abs(values[:-1])
    values[1:][same] = -np.inf
    rounded = np.empty_like(values)
    rounded[order] = np.maximum.accumulate(values)
    return rounded


def _maximal_groups(same: np.ndarray) -> list[list[int]]:
    """Return the largest sets of rows of a symmetric table in which all pairs hold."""
    groups: set[frozenset[int]] = {frozenset()}
    for i in range(len(same)):
        near = frozenset(np.flatnonzero(same[i, :i]).tolist())
        groups |= {(group & near) | {i} for group in groups}
        groups = {one for one in groups if not any(one < other for other in groups)}
    return sorted(sorted(group) for group in groups)


def _wilcoxon(difference: np.ndarray) -> float:
    """Return the p-value of differences; zeros count half to either side."""
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference, zero_method="zsplit").pvalue)


def _holm(p_values: list[float]) -> np.ndarray:
    """Correct the p-values of several tests, by Holm's step-down method."""
    p = np.array(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(stepped, 1.0)[np.argsort(order)]
