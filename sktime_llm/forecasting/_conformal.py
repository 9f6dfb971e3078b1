"""Conformal intervals: how far off forecasts were where nothing was fitted.

Split conformal prediction by absolute errors, for each step and variate by itself, over
the windows of all series together. Errors are relative to the scale of their window,
so that calm windows get narrow intervals. Source: J. Lei et al. (2018),
Distribution-free predictive inference for regression, arXiv 1604.04173, section 5.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from sktime_llm._warn import warn
from sktime_llm.errors import FewWindowsWarning, NoIntervalsError
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training.rollout import roll_forward
from sktime_llm.training.windows import Windows

MIN_WINDOWS, MAX_WINDOWS, MAX_ERRORS = 40, 1000, 1_000_000
_ROUNDING = 1e-9
FLOOR = 0.1
"""Scale of a constant window, as a share of the deviation of its series."""


@dataclass(frozen=True)
class Calibration:
    """Errors of a network on windows that it had not learned from when it made them.

    Attributes
    ----------
    errors : array of shape (window, step, channel)
        Truth minus forecast, divided by `window_scale`; NaN where there is no truth.
    """

    errors: np.ndarray

    @property
    def n(self) -> int:
        """Number of windows."""
        return len(self.errors)

    def with_errors(self, errors: np.ndarray) -> "Calibration":
        """Put the errors of newer windows in the place of the oldest ones.

        A window without truth of a channel takes no other's place there.
        """
        if not len(errors):
            return self
        joined = np.concatenate([self.errors, errors])
        has_truth = np.isfinite(joined).any(axis=1, keepdims=True)
        order = np.argsort(has_truth, axis=0, kind="stable")
        return Calibration(np.take_along_axis(joined, order, axis=0)[-self.n :])

    def quantiles(self, levels: Sequence[float], n_steps: int) -> np.ndarray:
        """Return quantiles of shape (step, channel, level), which never cross.

        An interval is at the rank that covers its share even for few windows. Beyond
        the calibrated steps, errors grow by the square root of the step, as in a random
        walk. Where there are too few windows for a level, a warning says which coverage
        the largest errors have. A step without truth in any window has the errors of
        the nearest step of its channel that has some; a channel without truth the mean
        of the others', relative as all are to its own scale. Warnings say so.
        """
        coverages = np.abs(2 * np.asarray(levels) - 1)
        sizes = np.sort(np.abs(self.errors), axis=0)  # NaN last
        n = np.isfinite(self.errors).sum(axis=0)
        has_truth = n.any(axis=0)
        _check_truth(has_truth)
        _warn_of_steps(n[:, has_truth])
        _warn_of_few(int(n[n > 0].min()), float(coverages.max()))
        known = np.stack([_covering(sizes, n, one) for one in coverages], axis=-1)
        known = np.take_along_axis(known, _nearest(n > 0)[:, :, None], axis=0)
        known[:, ~has_truth] = known[:, has_truth].mean(axis=1, keepdims=True)
        steps = np.arange(1, n_steps + 1)
        growth = np.sqrt(np.maximum(steps / len(known), 1.0))
        last = np.minimum(steps, len(known)) - 1
        return known[last] * growth[:, None, None] * np.sign(np.asarray(levels) - 0.5)


def _check_truth(has_truth: np.ndarray) -> None:
    """Raise if no variate is calibrated, and warn if some are not."""
    n = int((~has_truth).sum())
    if n == len(has_truth):
        raise NoIntervalsError(
            "There are no intervals: no variate has a value in the rows that calibrate "
            "them. Set a larger calibration_fraction, or fit on rows up to the last "
            "value."
        )
    if n:
        warn(
            f"{n} of {n + int(has_truth.sum())} variates have no value in the rows "
            "that calibrate intervals. Their intervals are as wide as the mean of the "
            "others', relative to what they vary by.",
            FewWindowsWarning,
        )


def _warn_of_steps(n: np.ndarray) -> None:
    """Warn of steps without truth, given how much of it there is, (step, channel)."""
    lacking = int((n == 0).sum())
    if lacking:
        n_steps, n_variates = n.shape
        of = f" of {n_variates} variates" if n_variates > 1 else ""
        warn(
            f"{lacking} of {n_steps * n_variates} steps{of} have no value in the rows "
            "that calibrate intervals. Their intervals are those of the nearest step "
            "of the same variate that has one. Set a larger calibration_fraction.",
            FewWindowsWarning,
        )


def _nearest(has_truth: np.ndarray) -> np.ndarray:
    """Return for each step and channel the nearest step with truth, of two the later.

    Both (step, channel); a channel without truth has the first or the last step.
    """
    n = len(has_truth)
    steps = np.arange(n)[:, None]
    before = np.maximum.accumulate(np.where(has_truth, steps, -n))
    after = np.minimum.accumulate(np.where(has_truth, steps, 2 * n)[::-1])[::-1]
    nearest = np.where(steps - before < after - steps, before, after)
    return np.clip(nearest, 0, n - 1)


def _warn_of_few(n: int, coverage: float) -> None:
    needed = int(np.ceil(1 / (1 - coverage) - _ROUNDING)) - 1
    if n < needed:
        warn(
            f"A coverage of {coverage:.3g} needs {needed} windows to calibrate on, but "
            f"there are {n}: the largest errors are taken, which cover "
            f"{n / (n + 1):.0%}. Set a larger calibration_fraction, or ask for a lower "
            "coverage.",
            FewWindowsWarning,
        )


def _covering(sizes: np.ndarray, n: np.ndarray, coverage: float) -> np.ndarray:
    """Take the order statistic of sorted (window, ...) that covers a share of n."""
    rank = np.ceil(coverage * (n + 1) - _ROUNDING).astype(np.int64)
    index = np.clip(rank, 1, np.maximum(n, 1)) - 1
    return np.take_along_axis(sizes, index[None], axis=0)[0]


def errors_of(
    network: ForecastNetwork,
    windows: Windows | None,
    *,
    batch_size: int,
    precision: str,
) -> np.ndarray:
    """Return the errors of a network on windows, (window, step, channel), oldest first.

    Of many windows, 1,000 at equal distances count, or as many as have a million errors
    where a forecast has many values; at least 40, for 95 %.
    """
    n_steps = network.prediction_length
    if windows is None:
        return np.zeros((0, n_steps, 0))
    one_target = windows.gather(torch.zeros_like(windows.starts[:1]))[1]
    room = MAX_ERRORS // one_target.numel()
    n = min(len(windows), max(MIN_WINDOWS, min(room, MAX_WINDOWS)))
    last = len(windows) - 1  # float32 has not all integers
    which = torch.linspace(0, last, n, dtype=torch.float64).round().long()
    which = which.to(windows.starts.device)
    context, target = windows.gather(which)
    features = windows.features(which)
    forecast = roll_forward(
        network,
        context,
        n_steps,
        batch_size=batch_size,
        precision=precision,
        series=features["series"],
        last_observed=features.get("last_observed"),
        covariates=features.get("covariates"),
    )
    errors = (target - forecast.mean).cpu().numpy()
    errors /= window_scale(context.cpu().numpy())[:, None]
    owners = pd.Series(features["series"].cpu().numpy())
    from_end = owners.groupby(owners).cumcount(ascending=False).to_numpy()
    return errors[np.argsort(-from_end, kind="stable")]


def window_scale(contexts: np.ndarray) -> np.ndarray:
    """Return the deviation of contexts, (window, time, channel), as (window, channel).

    Contexts are standardized and may have NaN; a constant one has a scale of `FLOOR`.
    """
    there = np.isfinite(contexts)
    n = np.maximum(there.sum(axis=1, keepdims=True), 1)
    mean = np.where(there, contexts, 0.0).sum(axis=1, keepdims=True) / n
    square = np.where(there, contexts - mean, 0.0) ** 2
    return np.sqrt(square.sum(axis=1) / n[:, 0] + FLOOR**2)
