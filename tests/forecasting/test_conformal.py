from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from sktime_llm import CALFForecaster, LLMTSNetForecaster
from sktime_llm.errors import FewWindowsWarning, NoIntervalsError
from sktime_llm.forecasting._conformal import (
    FLOOR,
    Calibration,
    errors_of,
    window_scale,
)
from sktime_llm.training.windows import Windows, WindowShape

from .common import FORECASTERS


@pytest.mark.parametrize("n", [9, 10, 19, 100])
@pytest.mark.parametrize("coverage", [0.5, 0.8])
def test_new_errors_are_covered_as_often_as_promised(n, coverage):
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(3000):
        errors, new = rng.exponential(size=(n, 1, 1)), rng.exponential()
        levels = [(1 - coverage) / 2, (1 + coverage) / 2]
        low, high = Calibration(errors).quantiles(levels, 1)[0, 0]
        covered.append(low <= new <= high)
    assert coverage - 0.02 <= np.mean(covered) <= coverage + 2 / (n + 1) + 0.02


def test_ranks_are_exact_in_spite_of_rounding():
    errors = np.array([1, -2, 3, -4, 5, -6, 7, -8, 9.0])[:, None, None]
    levels = [0.05, 0.15, 0.35, 0.5, 0.65, 0.85, 0.95]  # 90, 70 and 30 % of 10 ranks
    expected = [-9.0, -7.0, -3.0, 0.0, 3.0, 7.0, 9.0]
    assert Calibration(errors).quantiles(levels, 1)[0, 0].tolist() == expected
    between = [0.375, 0.625]  # 25 %, rank 2.5
    assert Calibration(errors).quantiles(between, 1)[0, 0].tolist() == [-3.0, 3.0]


def test_missing_truth_does_not_count():
    errors = np.random.default_rng(0).normal(size=(30, 2, 1))
    errors[20:, 1] = np.nan
    found = Calibration(errors).quantiles([0.1, 0.9], 2)
    few = Calibration(errors[:20, 1:]).quantiles([0.1, 0.9], 1)
    np.testing.assert_array_equal(found[1], few[0])


def test_beyond_the_calibrated_steps_errors_grow_as_of_a_random_walk():
    errors = np.random.default_rng(0).normal(size=(50, 4, 2))
    found = Calibration(errors).quantiles([0.2, 0.8], 16)
    np.testing.assert_allclose(found[15], 2 * found[3])
    np.testing.assert_array_equal(
        found[:4], Calibration(errors).quantiles([0.2, 0.8], 4)
    )


def test_as_many_windows_as_a_level_needs():
    errors = np.ones((9, 1, 1))
    Calibration(errors).quantiles([0.05, 0.95], 1)
    with pytest.warns(
        FewWindowsWarning, match=r"of 0\.9 needs 9 .* are 8: .* cover 89%"
    ):
        Calibration(errors[1:]).quantiles([0.05, 0.95], 1)


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 1)])
def test_the_step_of_the_fewest_windows_has_as_many_as_a_level_needs(place):
    errors = np.ones((30, 3, 3))
    errors[(slice(9, None), *place)] = np.nan
    levels = [0.05, 0.25, 0.75, 0.95]
    Calibration(errors).quantiles(levels, 3)
    errors[(8, *place)] = np.nan
    with pytest.warns(FewWindowsWarning, match=r"of 0\.9 needs 9 .* are 8: "):
        Calibration(errors).quantiles(levels, 3)


def test_newer_errors_replace_the_oldest():
    calibration = Calibration(np.arange(5.0)[:, None, None])
    newer = calibration.with_errors(np.array([7.0, 8.0])[:, None, None])
    assert newer.errors.ravel().tolist() == [2.0, 3.0, 4.0, 7.0, 8.0]


def test_newer_windows_without_truth_replace_nothing():
    errors = np.arange(8.0).reshape(4, 1, 2)
    newer = np.array([[[90.0, np.nan]], [[91.0, np.nan]]])
    joined = Calibration(errors).with_errors(newer).errors
    assert joined[:, 0, 0].tolist() == [4.0, 6.0, 90.0, 91.0]
    assert joined[:, 0, 1].tolist() == [1.0, 3.0, 5.0, 7.0]


def test_a_variate_without_truth_has_the_mean_of_the_others():
    errors = np.random.default_rng(0).normal(size=(30, 2, 3))
    errors[:, :, 1] = np.nan
    calibration = Calibration(errors)
    with pytest.warns(FewWindowsWarning, match="1 of 3 variates have no value in"):
        found = calibration.quantiles([0.1, 0.9], 2)
    others = Calibration(errors[:, :, [0, 2]]).quantiles([0.1, 0.9], 2)
    np.testing.assert_array_equal(found[:, [0, 2]], others)
    np.testing.assert_allclose(found[:, 1], others.mean(axis=1))
    with pytest.raises(NoIntervalsError, match="no variate has a value in the rows"):
        Calibration(errors[:, :, 1:2]).quantiles([0.1, 0.9], 2)


def test_a_step_without_truth_has_the_errors_of_the_nearest_step():
    errors = np.random.default_rng(0).normal(size=(30, 6, 2))
    errors[:, [0, 1, 3, 5], 0] = np.nan
    with pytest.warns(
        FewWindowsWarning, match=r"4 of 12 steps of 2 variates have no value"
    ):
        found = Calibration(errors).quantiles([0.1, 0.9], 8)
    errors[:, :, 0] = errors[:, [2, 2, 2, 4, 4, 4], 0]
    np.testing.assert_array_equal(found, Calibration(errors).quantiles([0.1, 0.9], 8))


def test_steps_without_truth_are_not_in_the_mean_of_the_others():
    errors = np.random.default_rng(0).normal(size=(30, 2, 3))
    errors[:, :, 1] = np.nan
    errors[:, 0, 0] = np.nan
    with pytest.warns(FewWindowsWarning):
        found = Calibration(errors).quantiles([0.1, 0.9], 2)
    np.testing.assert_allclose(found[:, 1], found[:, [0, 2]].mean(axis=1))


def test_steps_without_truth_are_not_said_to_have_too_few_windows():
    errors = np.ones((9, 3, 1))
    errors[:, 1] = np.nan
    with pytest.warns(FewWindowsWarning) as told:
        Calibration(errors).quantiles([0.05, 0.95], 1)
    assert len(told) == 1
    assert str(told[0].message).startswith("1 of 3 steps have no value in the rows")
    with pytest.warns(FewWindowsWarning) as told:
        Calibration(errors[1:]).quantiles([0.05, 0.95], 1)
    assert "there are 8: the largest errors are taken" in str(told[1].message)


def test_steps_whose_targets_are_all_missing_have_intervals():
    y = pd.Series(np.sin(np.arange(120.0) / 3))
    y.iloc[-16:-8] = np.nan
    calf = FORECASTERS["calf"](
        context_length=16,
        prediction_length=12,
        max_epochs=1,
        missing="mask",
        calibration_fraction=0.13,
    ).fit(y, fh=range(1, 13))
    with pytest.warns(FewWindowsWarning) as told:
        intervals = calf.predict_interval(coverage=0.8)
    assert str(told[0].message).startswith("4 of 12 steps have no value in the rows")
    assert intervals.notna().all(axis=None)
    with pytest.warns(FewWindowsWarning):
        assert (calf.predict_var() > 0).all(axis=None)


def test_scale_of_a_window_is_its_deviation_without_gaps():
    rows = [[1.0, 1.0, 1.0], [0.0, np.nan, 2.0], [np.nan, 5.0, np.nan], [np.nan] * 3]
    found = window_scale(np.array(rows)[:, :, None]).ravel()
    np.testing.assert_allclose(found, [FLOOR, np.sqrt(1 + FLOOR**2), FLOOR, FLOOR])


@pytest.mark.parametrize(
    "forecaster_class", [CALFForecaster, LLMTSNetForecaster], ids=["calf", "llm-ts-net"]
)
def test_coverage_and_width_follow_the_window(forecaster_class):
    rng = np.random.default_rng(0)
    t = np.arange(2600)
    loud = np.where((t // 100) % 2, 1.0, 0.2)  # calm and loud stretches
    y = pd.Series(loud * rng.standard_normal(2600))
    forecaster = forecaster_class(
        backbone="tiny-random",
        context_length=24,
        prediction_length=2,
        max_epochs=1,
        calibration_fraction=0.4,
        random_state=0,
        verbose=0,
    ).fit(y[:2000])
    covered, widths = [], []
    for end in range(2007, 2600, 7):
        forecaster.update(y[end - 7 : end], update_params=False)
        interval = forecaster.predict_interval([1], coverage=0.8).to_numpy()[0]
        covered.append(interval[0] <= y[end] <= interval[1])
        if end % 100 >= 40:
            widths.append((loud[end], interval[1] - interval[0]))
    widths = pd.DataFrame(widths).groupby(0)[1].mean()
    assert widths[1.0] > 2 * widths[0.2]
    assert 0.7 <= np.mean(covered) <= 0.9


@pytest.mark.filterwarnings("ignore::sktime_llm.errors.ShortSeriesWarning")
def test_a_series_that_is_too_short_to_calibrate_is_told_what_to_do():
    y = pd.Series(np.sin(np.arange(5.0)))
    small = partial(FORECASTERS["calf"], context_length=None)
    calf = small(calibration_fraction=0.2).fit(y, fh=[1])
    with pytest.raises(NoIntervalsError, match="too short for prediction_length=3"):
        calf.predict_interval()
    calf = small(calibration_fraction=0.0).fit(y, fh=[1])
    with pytest.raises(NoIntervalsError, match=r"Set calibration_fraction, such as"):
        calf.predict_interval()


def test_more_windows_than_float32_can_count():
    settings = {"context_length": 2, "prediction_length": 1, "max_epochs": 1}
    y = pd.DataFrame({"y0": np.arange(30.0) % 7})
    network = FORECASTERS["calf"](**settings).fit(y).network_
    n = 2**24 + 4
    values = torch.zeros(1).expand(n + 2, 1)
    windows = Windows(values, torch.arange(n), WindowShape(2, 1))
    errors = errors_of(network, windows, batch_size=256, precision="float32")
    assert errors.shape == (1000, 1, 1)
