"""A method without its language model, and without its other parts."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sktime_llm._validation import Constraint, check_parameters, integer, one_of
from sktime_llm.datasets import Dataset
from sktime_llm.datasets._covariates import check_takes_covariates
from sktime_llm.errors import InputError
from sktime_llm.evaluation._bootstrap import Gain, draws_that_would_tell, gain_of
from sktime_llm.evaluation._data import (
    as_datasets,
    check_length,
    find_scalable,
    seasonal_changes,
)
from sktime_llm.evaluation._folds import fold_errors, library_warnings_off

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

Progress = Callable[[int, int, str], None]

FULL, NONE = "pretrained", "no language model"
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    FULL: {"backbone_mode": "pretrained"},
    "random weights": {"backbone_mode": "random"},
    "one attention layer": {"backbone_mode": "attention"},
    "one Transformer layer": {"backbone_mode": "transformer"},
    NONE: {"backbone_mode": "none"},
}
"""Variants of the language model: parameters by name, the whole method first."""
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "CALFForecaster": {
        "no feature loss": {"feature_loss_weight": 0.0},
        "no consistency loss": {"consistency_loss_weight": 0.0},
    },
    "BALMTSFForecaster": {
        "no balancing": {"balance_text": False},
        "no contrastive loss": {"alignment_loss_weight": 0.0},
    },
    "LLMTSNetForecaster": {
        "no text": {"text_fusion": False},
        "no prompt pool": {"prompt_pool": False},
        "no attention over time": {"intra_series_attention": False},
        "no attention over series": {"inter_series_attention": False},
    },
}
_MIN_GAIN = 1.0

_CONSTRAINTS = {
    "horizon": integer(1) | None,
    "seasonal_period": integer(1) | None,
    "n_folds": integer(1),
    "seeds": Constraint(
        "different integers from 0 to 2**32 - 1, at least one",
        lambda seeds: (
            isinstance(seeds, Collection)
            and all(map(integer(0, 2**32 - 1).accepts, seeds))
            and 0 < len(seeds) == len(set(seeds))
        ),
    ),
    "progress": Constraint("a callable", callable) | None,
}


@dataclass(frozen=True, eq=False)
class Ablation:
    """Errors of a method and of its variants, returned by `ablate`.

    Parameters
    ----------
    name : str
        Name of the data.
    errors : pandas.DataFrame
        MASE of every ``variant``, ``seed``, ``fold`` and ``series``.
    costs : pandas.DataFrame
        By variant: ``trained`` and ``all`` parameters of the fitted network in
        millions, ``memory_mb`` of its weights, and the seconds ``fit_seconds`` and
        ``predict_seconds`` of one fold.

    Examples
    --------
    >>> from sktime_llm import CALFForecaster
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.evaluation import ablate
    >>> forecaster = CALFForecaster(
    ...     backbone="tiny-random", max_epochs=1, intervals=None
    ... )
    >>> variants = {"pretrained": {}, "no language model": {"backbone_mode": "none"}}
    >>> ablation = ablate(
    ...     forecaster, load_dataset("airline"), n_folds=1, seeds=[0], variants=variants
    ... )
    >>> list(ablation.effects().index)
    ['no language model']
    """

    name: str
    errors: pd.DataFrame
    costs: pd.DataFrame

    @property
    def variants(self) -> list[str]:
        """Names of the variants; the first one is the whole method."""
        return list(self.costs.index)

    def gain_over(self, variant: str) -> Gain:
        """Return by how many percent the method's error is below that of a variant."""
        return gain_of(self._errors_of(self.variants[0]), self._errors_of(variant))

    def _errors_of(self, variant: str) -> np.ndarray:
        """Return the errors of a variant, (seed, fold, series)."""
        rows = self.errors[self.errors["variant"] == variant]
        table = rows.pivot(index=["seed", "fold"], columns="series", values="MASE")
        return table.to_numpy().reshape(rows["seed"].nunique(), -1, table.shape[1])

    def effects(self) -> pd.DataFrame:
        """Compare the method with each variant.

        Returns
        -------
        pandas.DataFrame
            By variant: ``MASE``, the ``gain`` of the method over it in percent, and its
            95 % interval over seeds, folds and series, ``lower`` and ``upper``.
        """
        means = self.errors.groupby("variant")["MASE"].mean()
        gains = {variant: self.gain_over(variant) for variant in self.variants[1:]}
        rows = {
            variant: [means[variant], gain.mean, gain.lower, gain.upper]
            for variant, gain in gains.items()
        }
        columns = ["MASE", "gain", "lower", "upper"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def verdict(self, variant: str | None = None) -> str:
        """Say in a sentence whether the method is better than a variant.

        It helps if the 95 % interval of the gain is above 0, and does not help if the
        interval is below 1 %. Else the data cannot tell, and the sentence says how many
        more seeds, folds or series would, if they were like these. One fit of each has
        no interval.

        Parameters
        ----------
        variant : str, optional
            Name of the variant. Default: "no language model", or else the last one.

        Returns
        -------
        str
            The sentence.
        """
        if variant is None:
            variant = NONE if NONE in self.variants[1:] else self.variants[-1]
        one_of(*self.variants[1:]).check("variant", variant)
        gain = self.gain_over(variant)
        is_part = self.variants[0] == FULL and variant.startswith("no ")
        than = "without it" if is_part else f"with {variant} instead"
        if self.variants[0] == FULL and variant in LANGUAGE_MODELS:
            what = "The pretrained language model"
        else:
            what = f"The {variant[3:]}" if is_part else f'"{self.variants[0]}"'
        found = f"on {self.name} {_in_words(gain, than)}"
        if gain.lower > 0:
            return f"{what} helps: {found}."
        if gain.upper < _MIN_GAIN:
            return f"{what} does not help: {found}."
        what = what[0].lower() + what[1:]
        return f"Cannot tell whether {what} helps: {found}. {self._advice(gain)}"

    def _advice(self, gain: Gain) -> str:
        """Say how many more there should be of what the result depends on most."""
        shape = self._errors_of(self.variants[0]).shape
        names = zip(("seed", "fold", "series"), shape, strict=True)
        single = [name for name, n in names if n == 1]
        only = f" It rests on a single {' and '.join(single)}." if single else ""
        if not gain.deviation:
            return f"Try more seeds, folds or series.{only}"
        factor, n, wanted = draws_that_would_tell(gain, shape)
        if wanted is None:
            return f"To tell would take far more seeds, folds and series.{only}"
        return (
            f"It depends most on the {factor}: about {wanted} instead of {n} would "
            f"tell.{only}"
        )


def _in_words(gain: Gain, than: str) -> str:
    if np.isnan(gain.mean):
        return f"there is no error {than} that others could be below"
    interval = "one fit of each has no interval"
    if not np.isnan(gain.lower):
        interval = f"95 % interval of the gain: {gain.lower:.1f} to {gain.upper:.1f} %"
    side = "lower" if gain.mean >= 0 else "higher"
    return f"errors are {abs(gain.mean):.1f} % {side} than {than} ({interval})"


def ablate(
    forecaster: "BaseForecaster",
    data: Dataset | pd.Series | pd.DataFrame,
    *,
    X: pd.DataFrame | None = None,
    horizon: int | None = None,
    seasonal_period: int | None = None,
    n_folds: int = 3,
    seeds: Sequence[int] = (0, 1, 2),
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Ablation:
    """Fit a method with and without its language model, on several folds and seeds.

    Every variant is fitted anew for each seed on each of `n_folds` expanding windows,
    and forecasts the `horizon` steps after it, as in `compare_forecasters`. Errors are
    compared in pairs, of the same seed, fold and series.

    Parameters
    ----------
    forecaster : CALFForecaster, BALMTSFForecaster or LLMTSNetForecaster
        The method, which is not changed.
    data : Dataset, pandas.Series or pandas.DataFrame
        The data to forecast, in one of sktime's pandas formats.
    X : pandas.DataFrame, optional
        Covariates, as in `compare_forecasters`.
    horizon : int, optional
        Steps to forecast. Default: that of the `Dataset`; a pandas object needs one.
    seasonal_period : int, optional
        Steps in one season, for MASE. Default: as in `compare_forecasters`.
    n_folds : int, default 3
        Number of folds.
    seeds : sequence of int, default (0, 1, 2)
        Values of `random_state`.
    variants : mapping, optional
        Parameters by name; the first one is the whole method. Default: the pretrained
        language model, random weights, one attention layer, one Transformer layer, and
        none. `parts_of` has further ones of each method.
    progress : callable, optional
        Called with the number of fits done, the number of all, and the next variant.

    Returns
    -------
    Ablation
        Errors, costs, effects with intervals, and a verdict.

    Raises
    ------
    InputError
        If the data are too short, a parameter is invalid, or the forecaster has no
        language model, or takes no covariates where there are some.

    Examples
    --------
    >>> from sktime_llm import CALFForecaster
    >>> from sktime_llm.datasets import load_dataset
    >>> from sktime_llm.evaluation import ablate
    >>> forecaster = CALFForecaster(
    ...     backbone="tiny-random", max_epochs=1, intervals=None
    ... )
    >>> variants = {"pretrained": {}, "no language model": {"backbone_mode": "none"}}
    >>> ablation = ablate(
    ...     forecaster, load_dataset("airline"), n_folds=1, seeds=[0], variants=variants
    ... )
    >>> list(ablation.costs)
    ['trained', 'all', 'memory_mb', 'fit_seconds', 'predict_seconds']
    """
    given: dict[str, Any] = {"horizon": horizon, "seasonal_period": seasonal_period}
    given |= {"n_folds": n_folds, "seeds": seeds, "progress": progress}
    check_parameters(given, _CONSTRAINTS)
    _method_of(forecaster)
    variants = LANGUAGE_MODELS if variants is None else variants
    if len(variants) < 2:
        raise InputError(
            f"variants={dict(variants)}, expected at least two: the method, and "
            "another to compare it with."
        )
    (dataset,) = as_datasets(
        [data] if isinstance(data, Dataset) else data, horizon, seasonal_period, X
    )
    if dataset.X is not None:
        check_takes_covariates(forecaster)
    check_length(dataset, n_folds)
    changes = seasonal_changes(dataset)
    scalable = find_scalable(dataset, n_folds, changes)
    report = progress or (lambda done, total, label: None)
    jobs = [(name, seed) for name in variants for seed in seeds]
    errors, costs = [], []
    for done, (name, seed) in enumerate(jobs):
        report(done, len(jobs), f"{dataset.name}: {name}, seed {seed}")
        one = forecaster.clone().set_params(**variants[name], random_state=seed)
        with library_warnings_off(f"{name}: "):
            table, seconds, fitted = fold_errors(
                dataset, one, n_folds, scalable, changes
            )
        errors.append(table.assign(variant=name, seed=seed))
        costs.append({"variant": name, **_sizes(fitted), **seconds})
    report(len(jobs), len(jobs), "done")
    columns = ["variant", "seed", "fold", "series", "MASE"]
    by_variant = pd.DataFrame(costs).groupby("variant", sort=False).mean()
    return Ablation(
        dataset.name, pd.concat(errors, ignore_index=True)[columns], by_variant
    )


def parts_of(forecaster: "BaseForecaster") -> dict[str, dict[str, Any]]:
    """Return variants of a method: without its language model, and without its parts.

    Parameters
    ----------
    forecaster : CALFForecaster, BALMTSFForecaster or LLMTSNetForecaster
        The method.

    Returns
    -------
    dict
        Parameters by name of the variant, for `ablate`.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> from sktime_llm import BALMTSFForecaster
    >>> from sktime_llm.evaluation import parts_of
    >>> list(parts_of(BALMTSFForecaster()))[-2:]
    ['no balancing', 'no contrastive loss']
    """
    return LANGUAGE_MODELS | PARTS[_method_of(forecaster)]


def _method_of(forecaster: Any) -> str:
    names = [cls.__name__ for cls in type(forecaster).__mro__]
    for name in names:
        if name in PARTS:
            return name
    raise InputError(
        f"forecaster is a {names[0]}, expected one with a language model: "
        f"{', '.join(PARTS)}."
    )


def _sizes(fitted: Any) -> dict[str, float]:
    """Count the parameters of a network, in millions, and the bytes of its weights."""
    parameters = list(fitted.network_.parameters())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    weights = [*parameters, *fitted.network_.buffers()]
    return {
        "trained": trained / 1e6,
        "all": sum(p.numel() for p in parameters) / 1e6,
        "memory_mb": sum(w.numel() * w.element_size() for w in weights) / 1e6,
    }
