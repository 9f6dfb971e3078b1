import numpy as np
import pytest
import torch

from sktime_llm.errors import SeriesTooShortError
from sktime_llm.training.windows import (
    Windows,
    WindowShape,
    split_windows,
    stack_windows,
    train_rows,
)

CPU = torch.device("cpu")
SHAPE = WindowShape(context_length=3, prediction_length=2)


def naive_windows(series, first, last):
    """Each window that begins in [first, last], by slicing."""
    n = SHAPE.context_length
    for start in range(first, last + 1):
        rows = series[start : start + SHAPE.total]
        yield rows[:n], rows[n:]


def test_windows_are_views_of_one_tensor():
    values = torch.arange(2000.0).reshape(1000, 2)
    windows = Windows(values, torch.arange(900), WindowShape(90, 10))
    assert windows._views.data_ptr() == values.data_ptr()
    assert windows._views.untyped_storage().nbytes() == values.nbytes


def test_gather_gives_what_slicing_gives():
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, 2)).astype(np.float32) for n in (12, 9)]
    training, validation = split_windows(series, SHAPE, 0.0, CPU)
    context, target = training.gather(torch.arange(len(training)))
    expected = [w for s in series for w in naive_windows(s, 0, len(s) - 5)]
    assert len(training) == len(expected) == 8 + 5
    assert len(validation) == 0
    np.testing.assert_array_equal(context, np.stack([c for c, _ in expected]))
    np.testing.assert_array_equal(target, np.stack([t for _, t in expected]))


def test_validation_targets_are_never_trained_on():
    values = np.arange(20.0)[:, None]
    training, validation = split_windows([values], SHAPE, 0.25, CPU)
    boundary = train_rows(20, SHAPE, 0.25)
    assert boundary == 15
    train_context, train_target = training.gather(torch.arange(len(training)))
    valid_context, valid_target = validation.gather(torch.arange(len(validation)))
    assert max(train_context.max(), train_target.max()) == boundary - 1
    assert valid_target.min() == boundary
    assert valid_target.max() == 19
    assert valid_context.min() == boundary - SHAPE.context_length


def test_no_window_reaches_into_the_next_series():
    series = [np.full((n, 1), float(i)) for i, n in enumerate((7, 5, 11))]
    for windows in split_windows(series, SHAPE, 0.2, CPU):
        context, target = windows.gather(torch.arange(len(windows)))
        whole = torch.cat([context, target], dim=1)
        assert torch.equal(whole.amin(1), whole.amax(1))


def test_a_series_too_short_for_both_only_trains():
    assert train_rows(6, SHAPE, 0.2) == 6
    training, validation = split_windows([np.zeros((6, 1))], SHAPE, 0.2, CPU)
    assert (len(training), len(validation)) == (2, 0)


def test_validation_has_at_least_one_whole_target():
    assert train_rows(100, SHAPE, 0.001) == 98


def test_too_short_for_one_window_tells_the_numbers():
    with pytest.raises(SeriesTooShortError, match=r"4 rows.* 5: context_length=3"):
        split_windows([np.zeros((4, 1)), np.zeros((2, 1))], SHAPE, 0.0, CPU)


def test_sets_of_windows_share_the_data():
    values = np.arange(8.0)[:, None]
    first, second = stack_windows(
        [values], [[np.array([0])], [np.array([3])]], SHAPE, CPU
    )
    assert first._views.data_ptr() == second._views.data_ptr()
    assert second.gather(torch.tensor([0]))[1].flatten().tolist() == [6.0, 7.0]
