"""Missing values and missing rows, for all forecasters."""

import copy
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch

from sktime_llm.errors import ConstantSeriesWarning, EmptySeriesWarning, InputError

from .common import FORECASTERS, each_forecaster, make_panel, make_series

FH = [1, 2, 3, 4]
LEFT_OUT = [7, 20, 21, 38]
INDICES = {
    "integers": pd.RangeIndex(5, 65),
    "periods": pd.period_range("2000-01", periods=60, freq="M"),
    "datetimes": pd.date_range("2000-01-01", periods=60, freq="MS"),
    "business days": pd.date_range("2000-01-03", periods=60, freq="B"),
}
each_index = pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)

close = torch.testing.assert_close


def without_rows(y, places=LEFT_OUT):
    return y.drop(y.index[places])


def with_nan(y, places=LEFT_OUT):
    gone = np.isin(np.arange(len(y)), places)
    return y.mask(np.repeat(gone[:, None], y.shape[1], axis=1))


@each_forecaster
@each_index
def test_missing_rows_are_missing_values_if_they_are_to_be(make, index):
    y = make_series(index=index, n_columns=2)
    forecaster = make(missing="mask").fit(without_rows(y))
    expected = make().fit(with_nan(y)).predict(fh=FH)
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)
    with pytest.raises(InputError, match=r'not regular.*set missing="mask"'):
        make().fit(without_rows(y))


@each_forecaster
def test_missing_rows_of_a_panel(make):
    y = make_panel((40, 30, 25), n_columns=2)
    expected = make(missing="mask").fit(with_nan(y)).predict(fh=FH)
    forecaster = make(missing="mask").fit(without_rows(y))
    pd.testing.assert_frame_equal(forecaster.predict(fh=FH), expected)


@each_forecaster
def test_missing_rows_of_updates_and_of_pretraining(make):
    y = make_series()
    fitted = make(missing="mask").fit(y[:30])
    expected = copy.deepcopy(fitted).update(with_nan(y)[30:]).predict(fh=FH)
    updated = fitted.update(without_rows(y).loc[y.index[30] :])
    pd.testing.assert_frame_equal(updated.predict(fh=FH), expected)
    panel = make_panel((40, 30))
    pair = [
        make(missing="mask").pretrain(rows).fit(y).predict(fh=FH)
        for rows in (with_nan(panel), without_rows(panel))
    ]
    pd.testing.assert_frame_equal(*pair)


GRIDS = [
    *({"freq": freq} for freq in ("D", "B", "h", "W", "MS")),
    *({"freq": freq, "tz": "Europe/Berlin"} for freq in ("D", "2D", "h")),
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_gaps_of_datetimes_are_on_the_steps_that_fit_saw(grid):
    # 25 rows after the first day of March are beyond a change of the clock
    make, index = FORECASTERS["calf"], pd.date_range("2020-03-01", periods=60, **grid)
    y = make_series(index=index)
    rows = y.index.delete(range(51, 60, 2)).delete(20)._with_freq(None)
    forecaster = make(missing="mask").fit(y.loc[rows[rows < index[50]]])
    expected = make(missing="mask").fit(with_nan(y[:50], [20]))
    for n in (2, 3):  # too few to tell their own steps
        new = rows[rows >= index[50]][:n]
        one = copy.deepcopy(forecaster).update(y.loc[new])
        filled = y[50:].reindex(index[50 : index.get_loc(new[-1]) + 1]).copy()
        filled[~filled.index.isin(new)] = np.nan
        other = copy.deepcopy(expected).update(filled)
        pd.testing.assert_frame_equal(one.predict(fh=FH), other.predict(fh=FH))


@each_forecaster
def test_gaps_in_few_new_rows_of_a_panel(make):
    days = {"index": pd.date_range("2020-01-01", periods=40, freq="D")}
    y = make_panel((40, 40), **days)
    new = y.groupby(level=0).tail(3).drop(index=[(s, y.index[-2][1]) for s in ("s0",)])
    forecaster = make(missing="mask").fit(y.groupby(level=0).head(37))
    forecast = forecaster.update(new).predict(fh=[1])
    assert (forecast.index.get_level_values(1) == pd.Timestamp("2020-02-10")).all()


@each_forecaster
def test_times_on_no_grid_are_refused_however_rows_count(make):
    odd = pd.DatetimeIndex(["2000-01-01", "2000-01-02", "2000-01-03 07:13"])
    y = make_series(index=odd.append(pd.date_range("2000-01-04", periods=57)))
    with pytest.raises(InputError, match="not regular"):
        make(missing="mask").fit(y)
    twice = make_series(index=pd.Index([*range(30), *range(29, 59)]))
    with pytest.raises(InputError, match="29 more than once"):
        make(missing="mask").fit(twice)


@each_forecaster
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_forecasts_with_gaps_are_near_those_without(make, share):
    y = make_series(n_rows=200)
    gone = np.random.default_rng(0).random(y[:-4].shape) < share
    settings = {"context_length": 24, "max_epochs": 12, "learning_rate": 3e-3}
    forecaster = make(**settings, batch_size=16).fit(y[:-4].mask(gone))
    error = (forecaster.predict(fh=FH) - y[-4:]).abs().mean().item()
    of_mean = (y[:-4].mean() - y[-4:]).abs().mean().item()
    assert error < (0.6 if share < 0.5 else 0.9) * of_mean


@each_forecaster
def test_gaps_are_flagged_and_count_in_no_scale(make):
    y = make_series(n_rows=80, level=0.0)
    y.iloc[::3] = np.nan
    forecaster = make(validation_fraction=0.0).fit(y)
    scaling = forecaster._known.scalings[None]
    np.testing.assert_allclose(scaling.loc, y.mean())
    np.testing.assert_allclose(scaling.scale, y.std(ddof=0))
    whole = make(validation_fraction=0.0).fit(make_series())
    for with_flags, each in ((True, forecaster), (False, whole)):
        for weight in each.network_.missing_weights():
            assert weight.requires_grad == weight.any() == with_flags


@each_forecaster
def test_gaps_in_a_window_that_are_unknown_before_it(make):
    y = make_series()
    y.iloc[:9] = np.nan  # longer than a context
    forecaster = make().fit(y)
    assert forecaster.predict(fh=FH).notna().all(axis=None)
    assert forecaster.history_["loss"].notna().all()


@each_forecaster
@pytest.mark.parametrize("of_panel", [False, True])
def test_a_column_without_values(make, of_panel):
    y = make_panel() if of_panel else make_series(n_columns=3)
    if of_panel:
        y.iloc[3:20:2] = y.loc["s1"] = np.nan
        which, also = "'y0' of series 's1'", pytest.warns(ConstantSeriesWarning)
    else:
        y["y1"] = np.nan
        which, also = "'y1'", nullcontext()
    message = rf"^1 of 3 variates have no value at all, such as {which}\. They"
    with pytest.warns(EmptySeriesWarning, match=message), also:
        forecaster = make().fit(y)
    forecast = forecaster.predict(fh=FH)
    assert forecast.notna().all(axis=None)
    assert of_panel or forecast["y1"].abs().max() < 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(60, np.nan), "no value: all of its 60 rows are NaN"),
        ([np.nan] + 59 * [4.0], r"never changes: .* is \[4.0\]"),
    ],
)
@each_forecaster
def test_no_value_at_all(make, values, message):
    with pytest.raises(InputError, match=message):
        make().fit(make_series().assign(y0=values))


@each_forecaster
def test_an_update_without_values_moves_the_context(make):
    y = make_series()
    y.iloc[48:51] = np.nan  # all that the one new window has to forecast
    forecaster = make().fit(y[:50])
    before = copy.deepcopy(forecaster.network_.state_dict())
    forecaster.update(y[50:51])
    assert "update" not in set(forecaster.history_["stage"])
    for name, weight in forecaster.network_.state_dict().items():
        assert torch.equal(weight, before[name])
    forecast = forecaster.predict(fh=FH)
    assert forecast.index[0] == y.index[51]
    assert forecast.notna().all(axis=None)


CALENDARS = {
    "every second business day": "2B",
    "half months": "SMS",
    "a week from Sunday": pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu"),
    "holidays": pd.offsets.CustomBusinessDay(holidays=["2024-01-15", "2024-02-19"]),
}


@pytest.mark.parametrize("freq", CALENDARS.values(), ids=CALENDARS)
@pytest.mark.parametrize("panel", [False, True])
def test_the_frequency_that_an_index_carries_is_kept(freq, panel):
    make = FORECASTERS["calf"]
    index = pd.date_range("2024-01-02", periods=64, freq=freq)
    y = make_series(index=index[:60])
    if panel:
        y = pd.concat({"a": y, "b": 2 * y})
    masked, plain = (make(missing=m).fit(y) for m in ("mask", "error"))
    assert masked._known.past["y0"].notna().all()
    forecast = masked.predict(fh=FH)
    pd.testing.assert_frame_equal(forecast, plain.predict(fh=FH))
    assert forecast.index.get_level_values(-1)[:4].tolist() == list(index[60:])


@each_forecaster
@each_index
def test_missing_rows_of_series_that_are_inspected(make, index):
    y = make_series(index=index)
    forecaster = make(missing="mask").fit(without_rows(y))
    found = forecaster.inspect_alignment(without_rows(y))
    expected = forecaster.inspect_alignment(with_nan(y))
    table = next(name for name in ("texts", "distances") if hasattr(found, name))
    assert getattr(found, table).equals(getattr(expected, table))
    with pytest.raises(InputError, match=r"not regular.*If only rows are missing"):
        make().fit(y).inspect_alignment(without_rows(y))
