"""Data that sktime refuses, and the sentence that says why."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from sktime_llm.errors import ColumnTypeError, DataFormatError, InputError

from .common import FORECASTERS, each_forecaster, make_panel, make_series

Y, PANEL = make_series(n_columns=2), make_panel()
COVARIATES = pd.DataFrame({"price": np.arange(60.0)}, Y.index)
make_calf = FORECASTERS["calf"]


def shuffled(frame):
    return frame.sample(frac=1, random_state=0)


def with_times(frame, times):
    """Put other times into the last level of the index."""
    if not isinstance(frame.index, pd.MultiIndex):
        return frame.set_axis(times(frame.index))
    levels = frame.index.levels
    return frame.set_axis(frame.index.set_levels(times(levels[-1]), level=-1))


def as_dates(periods):
    return pd.Index([date(t.year, t.month, 1) for t in periods], dtype=object)


def without_a_time(frame):
    return with_times(frame, lambda t: t.where(t != t[3]))


def twice(frame):
    return pd.concat([frame, frame], axis=1)


ANY = [
    (shuffled, r"{} has .* in row \d+, after later times .*sort_index"),
    (without_a_time, r"{} has no time \(NaT\) in row \d+, expected one"),
    (lambda frame: with_times(frame, as_dates)[:0], "{} has no rows, expected"),
    (twice, r"{} has the column '.*' more than once, .*columns\.duplicated"),
    (lambda frame: with_times(frame, as_dates), r"of {} has .*date\(20.*to_datetime"),
    (lambda frame: with_times(frame, lambda t: t.astype(str)), r"of {} has .*'200.-"),
    (
        lambda frame: with_times(frame, lambda t: np.arange(len(t)) / 2),
        r"index of {} has values .* number the rows",
    ),
]


@each_forecaster
@pytest.mark.parametrize(("spoil", "message"), ANY)
@pytest.mark.parametrize("of_panel", [False, True])
def test_series(make, spoil, message, of_panel):
    y = PANEL if of_panel else Y
    with pytest.raises(DataFormatError, match=message.format("y")):
        make().fit(spoil(y), fh=[1])


@pytest.mark.parametrize(("spoil", "message"), ANY)
def test_covariates(spoil, message):
    with pytest.raises(DataFormatError, match=message.format("X")):
        make_calf().fit(Y, X=spoil(COVARIATES), fh=[1])
    forecaster = make_calf(max_epochs=1).fit(Y[:50], X=COVARIATES[:50], fh=[1])
    with pytest.raises(DataFormatError, match=message.format("X")):
        forecaster.predict(X=spoil(COVARIATES[50:]))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (PANEL["y0"], r"y is a Series with the index levels .*to_frame"),
        (PANEL.swaplevel(), r"last level .* 's0', .*reorder_levels"),
        (PANEL.swaplevel().sort_index(), r"last level .* 's0', .*reorder_levels"),
        (pd.concat([PANEL, PANEL]), r"the row \('s0', .* more than once"),
        ([1.0, 2.0, 3.0], r"y is of type list, expected a pandas"),
        ({"a": [1.0, 2.0]}, r"y is of type dict, expected a pandas"),
    ],
)
def test_other_formats(y, message):
    with pytest.raises(DataFormatError, match=message):
        make_calf().fit(y, fh=[1])


def test_the_first_row_that_is_not_in_order():
    order = [*range(30), 31, 30, *range(32, 60)]
    message = r"y has 2002-07 in row 31, after later times"
    with pytest.raises(DataFormatError, match=message):
        make_calf().fit(Y.iloc[order], fh=[1])


@pytest.mark.parametrize("keys", ["ba", "ab"])
def test_panels_in_any_order_have_their_own_faults_named(keys):
    y = pd.concat(dict.fromkeys(keys, Y), names=["series", "time"])
    mixed = y.iloc[np.arange(len(y)).reshape(2, -1).T.ravel()]
    for panel in (y, mixed):
        make_calf(max_epochs=1).fit(panel, fh=[1])
        with pytest.raises(ColumnTypeError, match=r"not numbers: \{'y1'"):
            make_calf().fit(panel.assign(y1="text"), fh=[1])
        with pytest.raises(DataFormatError, match=r"X has 1 index level\(s\) and y"):
            make_calf().fit(panel, X=COVARIATES, fh=[1])


def test_the_frame_of_a_list_that_is_wrong():
    y = Y.reset_index(drop=True)
    with pytest.raises(DataFormatError, match=r"^y\[1\] has 58 in row 1, after"):
        make_calf().fit([y, y.iloc[::-1]], fh=[1])
    make_calf(max_epochs=1).fit([y, y], fh=[1])


def test_covariates_with_other_levels_than_the_series():
    message = r"X has 1 index level\(s\) and y has 2, .*pd\.concat\(\{key: X for key"
    with pytest.raises(DataFormatError, match=message):
        make_calf().fit(PANEL, X=COVARIATES, fh=[1])
    with pytest.raises(DataFormatError, match=r"X has 2 .* and y has 1,[^:]*: a row"):
        make_calf().fit(Y, X=PANEL, fh=[1])


def test_numbers_of_another_type_are_no_categories():
    X = COVARIATES.map(lambda value: Decimal(int(value))).assign(
        other=np.arange(60) % 3
    )
    message = r"X\.astype\(\{'price': 'float'\}\)"
    with pytest.raises(ColumnTypeError, match=message) as caught:
        make_calf().fit(Y, X=X, fh=[1])
    assert "get_dummies" not in str(caught.value)
    make_calf(max_epochs=1).fit(Y, X=X.astype({"price": "float"}), fh=[1])


@pytest.mark.parametrize("values", [80, 0.0, 1.5, [0.5, 95], "0.8", np.array([0, 0.5])])
def test_levels_that_are_not_shares(values):
    fitted = make_calf(max_epochs=1, intervals="quantiles").fit(Y, fh=[1])
    with pytest.raises(InputError, match=r"^coverage=.*between 0 and 1, .*=0\.8 for"):
        fitted.predict_interval(coverage=values)
    with pytest.raises(InputError, match=r"^alpha=.*, expected shares between 0 and 1"):
        fitted.predict_quantiles(alpha=values)


def test_levels_in_an_array():
    fitted = make_calf(max_epochs=1, intervals="quantiles").fit(Y, fh=[1])
    pd.testing.assert_frame_equal(
        fitted.predict_quantiles(alpha=np.array([0.1, 0.9])),
        fitted.predict_quantiles(alpha=[0.1, 0.9]),
    )
