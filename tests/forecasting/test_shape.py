import pandas as pd
import pytest

from sktime_llm.errors import ClippedParameterWarning, SeriesTooShortError
from sktime_llm.forecasting._panel import Panel
from sktime_llm.forecasting._shape import (
    choose_shape,
    customary_horizon,
    share_held_out,
)
from sktime_llm.training.windows import WindowShape, n_training_rows


def choose(n_rows, **kwargs):
    defaults = {
        "context_length": None,
        "prediction_length": None,
        "longest_step": None,
        "validation_fraction": 0.1,
    }
    shape = choose_shape([n_rows], **{**defaults, **kwargs})
    return shape.context_length, shape.prediction_length


@pytest.mark.parametrize(
    ("n_rows", "longest_step", "expected"),
    [
        (10_000, 96, (96, 96)),  # the published long-term setting
        (10_000, 336, (96, 336)),
        (10_000, 18, (36, 18)),  # twice the forecast, as published for M4
        (10_000, 1, (24, 1)),
        (10_000, None, (48, 24)),
        (144, 12, (24, 12)),
        (36, 12, (9, 9)),  # at most a quarter; half of 36 - 9 - 9
        (12, None, (3, 3)),
        (2, None, (1, 1)),
    ],
)
def test_defaults_fit_the_data(n_rows, longest_step, expected):
    assert choose(n_rows, longest_step=longest_step) == expected


CONTEXTS = {10_000: 512, 1035: 512, 1034: 511, 524: 256, 523: 256, 30: 9}


@pytest.mark.parametrize(("n_rows", "expected"), CONTEXTS.items())
def test_a_default_context_leaves_as_many_rows_for_windows(n_rows, expected):
    given = {"prediction_length": 12, "validation_fraction": 0.0}
    assert choose(n_rows, default_context=512, **given) == (expected, 12)


def test_parameters_count():
    assert choose(100, context_length=7, prediction_length=5, longest_step=50) == (7, 5)


@pytest.mark.parametrize("n_rows", [20, 57, 100])
def test_a_clipped_context_leaves_windows_to_train_and_to_validate(n_rows):
    with pytest.warns(ClippedParameterWarning, match=f"=500 .* the {n_rows} rows"):
        context, prediction = choose(n_rows, context_length=500, prediction_length=4)
    n_validation = max(4, round(0.1 * n_rows))
    assert n_rows - n_validation - context - prediction + 1 >= context
    assert prediction == 4


@pytest.mark.parametrize(
    ("n_rows", "given", "share"),
    [
        ([1000], None, 0.1),
        ([420], None, 0.1),  # 42 - 11 windows
        ([400], None, 0.0),
        ([200] * 50, None, 0.1),  # the windows of a panel count together
        ([200] * 2, None, 0.0),
        ([10], 0.3, 0.3),
        ([1000], 0.0, 0.0),
    ],
)
def test_who_is_validated(n_rows, given, share):
    assert share_held_out(n_rows, 11, given) == share


def test_nothing_fits():
    with pytest.raises(SeriesTooShortError, match=r"5 row\(s\), expected at least 6"):
        choose(5, prediction_length=5)


def test_validation_gives_way_before_training_does():
    context, prediction = choose(8, prediction_length=4, validation_fraction=0.2)
    assert (context, prediction) == (2, 4)
    assert n_training_rows(8, WindowShape(context, prediction), 0.2) == 8


HORIZONS = {"YS": 6, "QS-FEB": 8, "MS": 18, "ME": 18, "BME": 18, "W-MON": 13, "D": 14}
HORIZONS |= {"B": 14, "h": 48, "2D": 24, "15min": 24, "SMS": 24, "WOM-1MON": 24}


OF_PERIODS = {"Y": 6, "Q": 8, "M": 18, "W": 13, "D": 14}
INDEXES = [
    (pd.RangeIndex(5), 24),
    *((pd.date_range("2020", periods=5, freq=f), n) for f, n in HORIZONS.items()),
    *((pd.period_range("2020", periods=5, freq=f), n) for f, n in OF_PERIODS.items()),
]


@pytest.mark.parametrize(("index", "expected"), INDEXES)
def test_horizon_without_fh_is_customary_for_the_frequency(index, expected):
    panel = Panel.of(pd.DataFrame({"y": range(5)}, index))
    assert customary_horizon(panel) == expected
