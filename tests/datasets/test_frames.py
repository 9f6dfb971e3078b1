import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.statsforecast import StatsForecastAutoARIMA
from sktime.transformations.series.difference import Differencer

from sktime_llm import CALFForecaster
from sktime_llm.datasets import forecast_frame
from sktime_llm.errors import InputError


def long_frame(ids=("b", "a"), n=60):
    days = pd.date_range("2024-01-01", periods=n)
    parts = [
        pd.DataFrame({"unique_id": each, "ds": days, "y": np.arange(n) + 100.0 * i})
        for i, each in enumerate(ids)
    ]
    return pd.concat(parts).sample(frac=1, random_state=0)


def test_a_long_frame_comes_out_long():
    found = forecast_frame(NaiveForecaster(), long_frame(), 2, levels=[80])
    assert list(found) == ["unique_id", "ds", "y", "y-lo-80", "y-hi-80"]
    assert found["unique_id"].tolist() == ["a", "a", "b", "b"]
    assert found["ds"].tolist() == 2 * list(pd.date_range("2024-03-01", periods=2))
    assert found["y"].tolist() == [159.0, 159.0, 59.0, 59.0]
    assert (found["y-lo-80"] < found["y"]).all()
    assert (found["y"] < found["y-hi-80"]).all()


def test_a_wide_frame_comes_out_wide():
    frame = pd.DataFrame({"t": range(30), "x": np.arange(30.0), "z": 1.0, "note": "-"})
    names = {"id_column": None, "time_column": "t", "target": ["x", "z"]}
    found = forecast_frame(NaiveForecaster(), frame, 3, **names)
    assert list(found) == ["t", "x", "z"]
    assert found["t"].tolist() == [30, 31, 32]
    assert found["x"].tolist() == [29.0] * 3


@pytest.mark.parametrize("id_column", ["unique_id", None])
def test_times_may_be_periods(id_column):
    frame = long_frame("a")
    frame["ds"] = frame["ds"].dt.to_period("D")
    found = forecast_frame(NaiveForecaster(), frame, 2, id_column=id_column)
    assert found["ds"].tolist() == list(pd.period_range("2024-03-01", periods=2))
    assert found["y"].tolist() == [59.0, 59.0]


def test_bounds_are_of_their_levels_and_targets():
    frame = long_frame().assign(z=lambda one: -2 * one["y"])
    levels = [99.5, 99, 50]
    found = forecast_frame(
        NaiveForecaster(), frame, 2, target=["y", "z"], levels=levels
    )
    bounds = [f"{n}-{s}-{p:g}" for n in "yz" for p in levels for s in ("lo", "hi")]
    assert list(found) == ["unique_id", "ds", "y", "z", *bounds]
    for name in "yz":
        order = [*(f"{name}-lo-{p:g}" for p in levels), name]
        order += [f"{name}-hi-{p:g}" for p in levels[::-1]]
        assert (np.diff(found[order], axis=1) > 0).all()


def test_our_forecasters_stay_fitted():
    forecaster = CALFForecaster(
        backbone="tiny-random",
        max_epochs=1,
        calibration_fraction=0.3,
        random_state=0,
        verbose=0,
    )
    found = forecast_frame(forecaster, long_frame([7, 3]), 4, levels=[50])
    assert found["unique_id"].tolist() == [3] * 4 + [7] * 4
    assert forecaster.predict()["y"].tolist() == found["y"].tolist()
    assert (found["y-lo-50"] < found["y-hi-50"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "sales"}, "no column 'sales'; it has 'unique_id', 'ds', 'y'"),
        ({"id_column": "shop"}, r"no column 'shop'.*None in a wide frame"),
        ({"target": "unique_id"}, r"targets \['unique_id'\]; .*no column twice"),
        ({"target": "ds", "id_column": None}, "no column twice"),
        ({"target": ["y", "y"]}, "no column twice"),
        ({"id_column": "ds"}, "no column twice"),
        ({"target": []}, "at least one target"),
        ({"frame": long_frame().iloc[:0]}, "frame has no rows"),
        ({"frame": long_frame().iloc[:0], "id_column": None}, "frame has no rows"),
        ({"horizon": 0}, "horizon=0"),
        ({"levels": [100]}, r"levels=\[100\]"),
        ({"levels": [0.8]}, r"levels=\[0.8\], expected .* percent.*: 80, not 0.8"),
        ({"levels": ["80"]}, r"levels=\['80'\], expected a sequence of levels"),
    ],
)
def test_what_cannot_be_forecast(change, message):
    with pytest.raises(InputError, match=message):
        forecast_frame(
            NaiveForecaster(), **{"frame": long_frame(), "horizon": 2, **change}
        )


def polars_frame():
    return pytest.importorskip("polars").DataFrame({"ds": [1, 2, 3], "y": [1.0, 2, 3]})


def arrow_table():
    arrow = pytest.importorskip("pyarrow")
    return arrow.table({"ds": [1, 2, 3], "y": [1.0, 2, 3]})


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (polars_frame, "DataFrame of polars"),
        (arrow_table, "Table of pyarrow"),
        (lambda: pd.Series([1.0, 2, 3], [1, 2, 3], name="y"), "Series of pandas"),
        (lambda: {"ds": [1, 2, 3], "y": [1.0, 2, 3]}, "dict of builtins"),
    ],
)
def test_what_is_no_frame_of_pandas_says_how_to_make_one(make, kind):
    given = make()
    how = {"id_column": None}
    message = f"frame is a {kind}, expected a pandas.DataFrame"
    with pytest.raises(InputError, match=message) as caught:
        forecast_frame(NaiveForecaster(), given, 2, **how)
    advice = str(caught.value).partition("for example by ")[2].removesuffix(".")
    frame = eval(advice, {"pandas": pd, "frame": given})
    if kind == "Series of pandas":
        how["time_column"] = "index"
    assert forecast_frame(NaiveForecaster(), frame, 2, **how)["y"].tolist() == [3, 3]


def test_a_row_without_an_id_is_named():
    frame = long_frame().reset_index(drop=True)
    frame.loc[5, "unique_id"] = None
    with pytest.raises(InputError, match="row 5 of frame has no unique_id"):
        forecast_frame(NaiveForecaster(), frame, 2)


@pytest.mark.parametrize("id_column", ["unique_id", None])
@pytest.mark.parametrize("kind", ["text", "date", "pyarrow", "pyarrow text", "float"])
def test_times_of_another_type_say_how_to_convert_them(kind, id_column):
    days = pd.date_range("2024-01-01", periods=6)
    frame = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.arange(6.0)})
    if "pyarrow" in kind:
        pytest.importorskip("pyarrow")
    times = {
        "text": lambda: days.astype(str),
        "date": lambda: days.date,
        "pyarrow": lambda: pd.array(days, "timestamp[ns][pyarrow]"),
        "pyarrow text": lambda: pd.array(days.astype(str), "string[pyarrow]"),
        "float": lambda: np.arange(6.0),
    }
    odd = frame.assign(ds=times[kind]())
    message = r"column 'ds' of frame has the type .*such as .*; expected datetimes"
    with pytest.raises(InputError, match=message) as caught:
        forecast_frame(NaiveForecaster(), odd, 2, id_column=id_column)
    advice = str(caught.value).partition("by frame['ds'] = ")[2].removesuffix(".")
    odd["ds"] = eval(advice, {"pandas": pd, "frame": odd})
    assert len(forecast_frame(NaiveForecaster(), odd, 2, id_column=id_column)) == 2


def test_a_target_need_not_be_text():
    frame = long_frame().rename(columns={"y": 0})
    found = forecast_frame(NaiveForecaster(), frame, 2, target=0)
    pd.testing.assert_frame_equal(
        found, forecast_frame(NaiveForecaster(), frame, 2, target=[0])
    )
    assert list(found) == ["unique_id", "ds", 0]
    with pytest.raises(InputError, match="no column 1; it has 'unique_id', 'ds', 0"):
        forecast_frame(NaiveForecaster(), frame, 2, target=1)


def priced(ends):
    """Return a frame of series that are ten times their price, known up to some day."""
    days = pd.date_range("2024-01-01", periods=60)
    rng = np.random.default_rng(0)
    frames = []
    for name, end in ends.items():
        price = rng.normal(5, 1, 60)
        y = np.where(np.arange(60) < end, 10 * price, np.nan)
        columns = {"unique_id": name, "ds": days, "y": y, "price": price}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames).sample(frac=1, random_state=0)


def test_covariates_are_known_after_the_last_value():
    pytest.importorskip("statsforecast")
    frame = priced({"a": 50, "b": 55})
    found = forecast_frame(
        StatsForecastAutoARIMA(), frame, 4, covariates="price", levels=[80]
    )
    known = frame.set_index(["unique_id", "ds"])["price"]
    expected = 10 * known.loc[list(found.set_index(["unique_id", "ds"]).index)]
    assert found["ds"].dt.dayofyear.tolist() == [51, 52, 53, 54, 56, 57, 58, 59]
    np.testing.assert_allclose(found["y"], expected, rtol=1e-3)
    assert list(found)[-2:] == ["y-lo-80", "y-hi-80"]


def test_our_forecasters_take_covariates():
    frame = priced({"a": 50, "b": 55})
    forecasts = []
    for change in (0, 100):
        frame.loc[frame["y"].isna(), "price"] += change
        forecaster = CALFForecaster(
            backbone="tiny-random", context_length=8, max_epochs=1, random_state=0
        )
        forecasts.append(forecast_frame(forecaster, frame, 4, covariates=["price"]))
    assert (forecasts[0]["y"] != forecasts[1]["y"]).all()
    one = frame[frame["unique_id"] == "a"].drop(columns="unique_id")
    wide = forecast_frame(forecaster, one, 4, covariates=["price"], id_column=None)
    assert list(wide) == ["ds", "y"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda frame: (frame, 6), "known for 5 of the 6 steps .* of the series 'b'"),
        (
            lambda frame: (
                frame.assign(price=frame["price"].where(~is_last(frame))),
                5,
            ),
            "'price' has no value at b / 2024-02-29",
        ),
        (lambda frame: (frame.drop(columns="price"), 1), "no column 'price'"),
        (lambda frame: (frame.assign(y=np.nan), 1), "no value of 'y'"),
        (
            lambda frame: (frame.assign(price=frame["price"].astype(str) + " €"), 1),
            "'price' has the type .* expected numbers",
        ),
        (
            lambda frame: (pd.concat([frame, frame[is_last(frame)]]), 1),
            "more than one row at . / 2024-02-29",
        ),
    ],
)
def test_covariates_that_cannot_be_used(change, error):
    frame, horizon = change(priced({"a": 50, "b": 55}))
    pytest.importorskip("statsforecast")
    with pytest.raises(InputError, match=error):
        forecast_frame(StatsForecastAutoARIMA(), frame, horizon, covariates=["price"])


def is_last(frame):
    return frame["ds"] == frame["ds"].max()


def test_covariates_are_never_left_unused():
    with pytest.raises(InputError, match="NaiveForecaster takes none"):
        forecast_frame(NaiveForecaster(), priced({"a": 50}), 2, covariates=["price"])
    with pytest.raises(InputError, match=r"covariates \['y'\] .* no column twice"):
        forecast_frame(NaiveForecaster(), priced({"a": 50}), 2, covariates=["y"])


@pytest.mark.parametrize("skipped", [50, 51])
@pytest.mark.parametrize("id_column", ["unique_id", None])
@pytest.mark.parametrize(
    "times",
    [
        lambda days: days,
        lambda days: days.dt.tz_localize("Europe/Berlin"),
        lambda days: days.dt.to_period("D"),
        lambda days: (days - days.min()).dt.days,
        lambda days: pd.Timestamp("2024-01-01") + 7 * (days - days.min()),
    ],
)
def test_covariates_are_those_of_the_next_steps(times, id_column, skipped):
    pytest.importorskip("statsforecast")
    frame = priced({"a": 50, "b": 55} if id_column else {"a": 50})
    frame = frame.sort_values(["unique_id", "ds"], ignore_index=True)
    frame["ds"] = times(frame["ds"])
    if id_column is None:
        frame = frame.drop(columns="unique_id")
    options = {"covariates": "price", "id_column": id_column}
    found = forecast_frame(StatsForecastAutoARIMA(), frame, 3, **options)
    truth = frame.iloc[[50, 51, 52, 115, 116, 117] if id_column else [50, 51, 52]]
    assert found["ds"].tolist() == truth["ds"].tolist()
    np.testing.assert_allclose(found["y"], 10 * truth["price"], rtol=1e-3)
    frame = frame.drop(index=skipped)
    with pytest.raises(InputError, match=r"no row right after (a / )?.*, a step to"):
        forecast_frame(StatsForecastAutoARIMA(), frame, 3, **options)


def test_covariates_at_irregular_times():
    pytest.importorskip("statsforecast")
    frame = priced({"a": 50})
    n_days = (frame["ds"] - frame["ds"].min()).dt.days
    frame["ds"] += pd.to_timedelta(n_days**2, unit="D")
    with pytest.raises(InputError, match="no frequency that pandas can infer"):
        forecast_frame(StatsForecastAutoARIMA(), frame, 3, covariates="price")


def test_covariates_of_the_past_need_no_future():
    frame = priced({"a": 50, "b": 55})
    frame["visitors"] = 3 * frame["price"].where(frame["y"].notna())
    small = {"backbone": "tiny-random", "context_length": 8, "max_epochs": 1}
    options = {"horizon": 3, "covariates": ["price", "visitors"]}
    with pytest.raises(InputError, match=r"'visitors' has no value.* past_covariates"):
        forecast_frame(CALFForecaster(**small), frame, **options)
    forecaster = CALFForecaster(**small, past_covariates=["visitors"])
    for one in (forecaster, Differencer() * forecaster):
        found = forecast_frame(one, frame, **options)
        assert found["y"].notna().all()
    forecaster.set_params(past_covariates=["visitors", "price"])
    found = forecast_frame(forecaster, frame[frame["y"].notna()], **options)
    assert found.shape == (6, 3)


def test_covariates_of_truth_values():
    pytest.importorskip("statsforecast")
    frame = priced({"a": 50})
    frame["high"] = frame["price"] > 5
    found = [
        forecast_frame(StatsForecastAutoARIMA(), frame, 3, covariates="number")
        for frame in (
            frame.assign(number=frame["high"]),
            frame.assign(number=frame["high"].astype(float)),
        )
    ]
    pd.testing.assert_frame_equal(*found)


def test_no_covariates_may_be_none():
    frame = long_frame()
    found = [
        forecast_frame(NaiveForecaster(), frame, 2, covariates=none)
        for none in (None, (), [])
    ]
    assert all(one.equals(found[0]) for one in found)
