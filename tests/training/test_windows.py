import math

import numpy as np
import pytest
import torch

from sktime_llm.errors import SeriesTooShortError
from sktime_llm.networks._interface import ForecastNetwork
from sktime_llm.training import windows as windows_module
from sktime_llm.training.windows import (
    Split,
    Windows,
    WindowShape,
    last_observed_before,
    n_training_rows,
    stack_windows,
)

from .toy import split_windows

CPU = torch.device("cpu")
NAN = np.nan
SHAPE = WindowShape(context_length=3, prediction_length=2)


def all_of(windows):
    return windows.gather(torch.arange(len(windows)))


def test_windows_are_views_of_one_tensor():
    values = torch.arange(2000.0).reshape(1000, 2)
    windows = Windows(values, torch.arange(900), WindowShape(90, 10))
    assert windows._views.data_ptr() == values.data_ptr()
    assert windows._views.untyped_storage().nbytes() == values.nbytes
    starts = [[np.array([0])], [np.array([3])]]
    first, second = stack_windows([np.arange(8.0)[:, None]], starts, SHAPE, CPU)
    assert first._views.data_ptr() == second._views.data_ptr()
    assert second.gather(torch.tensor([0]))[1].flatten().tolist() == [6.0, 7.0]


def test_gather_gives_what_slicing_gives():
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, 2)).astype(np.float32) for n in (12, 9)]
    training, validation = split_windows(series, SHAPE, 0.0)
    expected = [s[i : i + 5] for s in series for i in range(len(s) - 4)]
    assert len(training) == len(expected) == 8 + 5
    assert len(validation) == 0
    np.testing.assert_array_equal(torch.cat(all_of(training), dim=1), expected)


def test_values_that_are_observed_in_targets_are_counted():
    values = np.arange(20.0).reshape(10, 2)
    values[[0, 5, 6, 6], [0, 1, 0, 1]] = NAN
    windows, _ = split_windows([values], SHAPE, 0.0)
    n = windows.n_observed(torch.arange(len(windows)))
    assert n.tolist() == (~all_of(windows)[1].isnan()).sum((1, 2)).tolist()
    assert n.tolist() == [4, 3, 1, 2, 4, 4]
    assert windows.n_observed(torch.tensor([3, 1])).tolist() == [2, 3]


@pytest.mark.parametrize("n", [1, 2, 7, 19, 20, 50])
def test_validation_windows_are_evenly_spread(n):
    series = [np.arange(40.0)[:, None], 100 + np.arange(10.0)[:, None]]
    training, every = split_windows(series, SHAPE, 0.4)
    same, some = split_windows(series, SHAPE, 0.4, max_validation=n)
    assert len(same) == len(training)
    assert len(every) == 18
    kept = torch.isin(every.starts, some.starts).nonzero().flatten()
    assert len(some) == len(kept) == min(n, 18)
    gaps = kept.diff(append=kept[:1] + len(every))  # also from the last to the first
    assert gaps.max() - gaps.min() <= 1
    assert [int(s) for s in some.series] == [int(every.series[i]) for i in kept]


def test_validation_targets_are_never_trained_on():
    values = np.arange(20.0)[:, None]
    training, validation = split_windows([values], SHAPE, 0.25)
    boundary = n_training_rows(20, SHAPE, 0.25)
    assert boundary == 15
    train_context, train_target = all_of(training)
    valid_context, valid_target = all_of(validation)
    assert max(train_context.max(), train_target.max()) == boundary - 1
    assert valid_target.min() == boundary
    assert valid_target.max() == 19
    assert valid_context.min() == boundary - SHAPE.context_length


def test_no_window_reaches_into_the_next_series():
    series = [np.full((n, 1), float(i)) for i, n in enumerate((7, 5, 11))]
    for windows in split_windows(series, SHAPE, 0.2):
        whole = torch.cat(all_of(windows), dim=1)
        assert torch.equal(whole.amin(1), whole.amax(1))


def test_a_series_too_short_for_both_only_trains():
    assert n_training_rows(100, SHAPE, 0.001) == 98  # one whole target to validate
    assert n_training_rows(6, SHAPE, 0.2) == 6
    assert n_training_rows(7, SHAPE, 0.2) == 5  # just enough
    assert n_training_rows(15, SHAPE, 0.25) == 11  # 3.75 rows to validate
    training, validation = split_windows([np.zeros((6, 1))], SHAPE, 0.2)
    assert (len(training), len(validation)) == (2, 0)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([np.zeros((4, 1)), np.zeros((2, 1))], r"4 rows.* 5: context_length=3"),
        ([np.full((9, 1), NAN)], "the longest series has 9 rows"),
        ([np.arange(40.0)[:, None] / ([[1.0]] * 3 + [[NAN]] * 37)], "value in its tar"),
    ],
)
def test_series_without_a_window_to_train_on(series, message):
    with pytest.raises(SeriesTooShortError, match=message):
        split_windows(series, SHAPE, 0.0)


def has_target(rows, start):
    """Whether any value of the target of the window at `start` is there."""
    target = rows[start + SHAPE.context_length : start + SHAPE.total]
    return any(not np.isnan(value) for row in target for value in row)


@pytest.mark.parametrize("fraction", [0.0, 0.4])
def test_windows_without_any_target_are_left_out(fraction):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    rows[5:9] = np.nan  # of two windows the whole target
    rows[15:18, 0] = np.nan  # of one variate only
    rows[28:31] = np.nan
    rows[39] = np.nan  # the last target has one row
    boundary = n_training_rows(40, SHAPE, fraction)
    first = boundary - SHAPE.context_length
    ranges = [range(boundary - 4), range(first, 36)]
    parts = split_windows([rows], SHAPE, fraction)
    for windows, starts in zip(parts, ranges, strict=True):
        expected = [start for start in starts if has_target(rows, start)]
        assert windows.starts.tolist() == expected
        assert len(expected) < len(starts) or not starts


def test_missing_contexts_are_kept():
    rows = np.arange(8.0)[:, None]
    rows[:3] = np.nan
    training, _ = split_windows([rows], SHAPE, 0.0)
    assert training.starts.tolist() == [0, 1, 2, 3]


def test_windows_know_their_series():
    series = [np.zeros((n, 1)) for n in (7, 2, 6)]
    training, _ = split_windows(series, SHAPE, 0.0)
    assert training.series.tolist() == [0, 0, 0, 2, 2]
    starts = Split.of(series, SHAPE, 0.0).training
    (training,) = stack_windows(series, [starts], SHAPE, CPU, numbers=[4, 1, 3])
    assert training.series.tolist() == [4, 4, 4, 3, 3]
    for windows in split_windows([np.zeros((n, 1)) for n in (12, 20)], SHAPE, 0.25):
        assert torch.equal(windows.series, (windows.starts >= 12).long())
        assert len(windows.series.unique()) == 2
    picked = training.features(torch.tensor([4, 0]))
    assert list(picked) == ["series"]
    assert picked["series"].tolist() == [3, 4]


class Describing(ForecastNetwork):
    """Says as many integers of a window as its first value, and its last value."""

    context_length, prediction_length = SHAPE.context_length, SHAPE.prediction_length

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.sizes = []

    def forward(self, context, target=None, features=None):
        raise AssertionError("not to be called")

    def window_features(self, context, last_observed=None):
        self.sizes.append(len(context))
        lengths = context[:, 0, 0].long()
        columns = torch.arange(int(lengths.max()))
        ids = (context[:, -1].long() + columns).int()
        last = self.weight * context[:, -1]
        return {"ids": ids.masked_fill(columns >= lengths[:, None], -1), "last": last}


@pytest.mark.parametrize("at_once", [1, 3, 256])
def test_described_windows_have_their_own_features(monkeypatch, at_once):
    monkeypatch.setattr(windows_module, "_FEATURES_AT_ONCE", at_once)
    values = np.array([2, 1, 3, 5, 4, 6, 1, 2, 3, 4, 5, 6.0])[:, None]
    windows, _ = split_windows([values], SHAPE, 0.0)
    network = Describing()
    windows.compute_features(network)
    assert sum(network.sizes) == len(windows)
    assert max(network.sizes) <= at_once

    for indices in (torch.tensor([5, 0, 3]), torch.arange(len(windows))):
        context, _ = windows.gather(indices)
        features = windows.features(indices)
        assert set(features) == {"series", "ids", "last"}
        assert features["ids"].dtype == torch.int32
        assert not features["last"].requires_grad
        assert torch.equal(features["last"], context[:, -1])
        for ids, window in zip(features["ids"], context, strict=True):
            n, first = int(window[0]), int(window[-1])
            assert ids[ids >= 0].tolist() == list(range(first, first + n))
    assert sum(network.sizes) == len(windows)


def test_a_network_without_features_is_not_asked():
    class Plain(Describing):
        window_features = ForecastNetwork.window_features

    windows, none = split_windows([np.zeros((9, 1))], SHAPE, 0.0)
    none.compute_features(network := Describing())
    assert network.sizes == []
    windows.gather = None
    windows.compute_features(Plain())
    assert set(windows.features(torch.tensor([0]))) == {"series"}


def test_last_before_by_hand():
    values = np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [4.0, NAN]])
    expected = [[9.0, 1.0], [2.0, 1.0], [2.0, 1.0], [4.0, 1.0]]
    assert last_observed_before(values, np.array([9.0, NAN])).tolist()[1:] == expected
    first_rows = last_observed_before(values)[:2]
    np.testing.assert_array_equal(first_rows, [[NAN, NAN], [NAN, 1.0]])


def test_windows_tell_what_was_observed_last_before_them():
    first = np.array([[1.0], [NAN], [NAN], [4.0], [NAN], [6.0], [7.0]])
    second = np.array([[NAN], [20.0], [NAN], [NAN], [50.0], [NAN], [NAN]])
    starts = [np.array([0, 1, 2]), np.array([0, 2])]
    known = {"last_observed": [None, np.array([5.0])]}
    (windows,) = stack_windows([first, second], [starts], SHAPE, CPU, **known)
    before = windows.features(torch.arange(5))["last_observed"].flatten().tolist()
    assert math.isnan(before[0])
    assert before[1:] == [1.0, 1.0, 5.0, 20.0]
    assert windows.features(torch.tensor([4]))["last_observed"].tolist() == [[20.0]]


def test_features_may_depend_on_what_was_before():
    class Remembering(Describing):
        def window_features(self, context, last_observed=None):
            return {"before": last_observed}

    values = np.array([[1.0], [2.0], [NAN], [4.0], [5.0], [6.0], [7.0]])
    (windows,) = stack_windows([values], [[np.array([1, 2])]], SHAPE, CPU)
    windows.compute_features(Remembering())
    features = windows.features(torch.tensor([1, 0]))
    assert features["before"].flatten().tolist() == [2.0, 1.0]


@pytest.mark.parametrize("hidden", ["validation", "training"])
def test_a_part_without_a_value_to_forecast(hidden):
    values = np.arange(40.0)[:, None]
    assert Split.of([values], SHAPE, 0.3).has_both
    values[slice(28, None) if hidden == "validation" else slice(28)] = NAN
    assert not Split.of([values], SHAPE, 0.3).has_both
    assert Split.of([values, np.arange(40.0)[:, None]], SHAPE, 0.3).has_both


def test_covariates_of_context_and_target_come_with_a_window():
    shape = WindowShape(3, 2)
    series = [np.arange(n, dtype=float)[:, None] for n in (6, 8)]
    covariates = [np.hstack([10 + rows, 20 + rows]) for rows in series]
    (windows,) = stack_windows(
        series,
        [[np.array([1]), np.array([0, 3])]],
        shape,
        torch.device("cpu"),
        covariates=covariates,
    )
    indices = torch.arange(3)
    rows = torch.cat(windows.gather(indices), dim=1)
    found = windows.features(indices)["covariates"]
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.cat([10 + rows, 20 + rows], dim=2))
