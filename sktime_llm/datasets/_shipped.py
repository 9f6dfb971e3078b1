"""The real data sets that come with sktime, ready for a comparison."""

from dataclasses import dataclass

import pandas as pd

from sktime_llm._validation import one_of


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named series (or several) with what a comparison needs to know about it.

    Parameters
    ----------
    name : str
        Name in tables and plots.
    y : pandas.Series or pandas.DataFrame
        The data in one of sktime's pandas formats: a Series, a DataFrame with one
        column per variate, or a DataFrame with index levels (instance, time).
    seasonal_period : int
        Steps in one season; 1 if there is none.
    horizon : int
        Steps to forecast.
    X : pandas.DataFrame, optional
        Covariates that are known in the future, with the index of `y`; rows beyond it
        are left alone. Forecasters that take covariates get them.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_llm.datasets import Dataset
    >>> y = pd.Series([3.0, 5.0, 4.0], name="sales")
    >>> Dataset("shop", y, seasonal_period=1, horizon=1).n_variates
    1
    """

    name: str
    y: pd.Series | pd.DataFrame
    seasonal_period: int
    horizon: int
    X: pd.DataFrame | None = None

    @property
    def n_variates(self) -> int:
        """Number of columns of the data."""
        return 1 if self.y.ndim == 1 else self.y.shape[1]


# Loader of sktime, seasonal period and horizon. Horizons leave at least two seasons to
# train on in the first of three folds.
_SHIPPED = {
    "airline": ("load_airline", 12, 12),
    "lynx": ("load_lynx", 10, 10),
    "shampoo_sales": ("load_shampoo_sales", 12, 4),
    "pbs": ("load_PBS_dataset", 12, 12),
    "us_consumption": ("load_uschange", 4, 8),
    "us_change": ("load_uschange", 4, 8),
}


def dataset_names() -> list[str]:
    """Return the names that `load_dataset` knows.

    Returns
    -------
    list of str
        The univariate data sets come first.

    Examples
    --------
    >>> from sktime_llm.datasets import dataset_names
    >>> dataset_names()
    ['airline', 'lynx', 'shampoo_sales', 'pbs', 'us_consumption', 'us_change']
    """
    return list(_SHIPPED)


def load_dataset(name: str) -> Dataset:
    """Load one of the real data sets that come with sktime; nothing is downloaded.

    ``"airline"``, ``"shampoo_sales"`` and ``"pbs"`` are monthly, ``"lynx"`` is yearly
    with a cycle of about ten years, ``"us_consumption"`` is quarterly, and
    ``"us_change"`` holds that series and four others as variates. The last 39 months
    of ``"pbs"`` are all zero, so scores on it tell little.

    Parameters
    ----------
    name : str
        One of `dataset_names`.

    Returns
    -------
    Dataset
        The data with its seasonal period and its usual horizon.

    Raises
    ------
    InputError
        If there is no data set of this name.

    Examples
    --------
    >>> from sktime_llm.datasets import load_dataset
    >>> airline = load_dataset("airline")
    >>> len(airline.y), airline.seasonal_period, airline.horizon
    (144, 12, 12)
    """
    one_of(*_SHIPPED).check("name", name)
    import sktime.datasets

    loader, seasonal_period, horizon = _SHIPPED[name]
    y = getattr(sktime.datasets, loader)()
    if loader == "load_uschange":
        y = pd.concat(y, axis=1)  # the consumption and the others
        # The file starts in the first quarter of 1970; sktime drops its time column.
        y.index = pd.period_range("1970Q1", periods=len(y), freq="Q", name="Quarter")
        y = y["Consumption"] if name == "us_consumption" else y
    return Dataset(name, y, seasonal_period, horizon)
