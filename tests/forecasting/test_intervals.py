import numpy as np
import pandas as pd
import pytest
import torch

import sktime_llm
from sktime_llm.errors import FewWindowsWarning, NoIntervalsError
from sktime_llm.forecasting._conformal import window_scale
from tests.forecasting.common import each_forecaster, make_panel, make_series

pytestmark = each_forecaster
HELD_OUT = {"calibration_fraction": 0.3, "max_epochs": 1}


def bounds(forecaster, fh, coverage):
    intervals = forecaster.predict_interval(fh, coverage=coverage)
    return intervals.xs("lower", axis=1, level=2), intervals.xs(
        "upper", axis=1, level=2
    )


class TestForecasters:
    def test_a_forecast_does_not_depend_on_rows_that_calibrate(self, make):
        y = make_series(100)
        other = y.copy()
        other.iloc[70:] += np.random.default_rng(1).normal(size=(30, 1))
        fitted = [make(**HELD_OUT).fit(each) for each in (y, other)]
        for one, two in zip(*(f.network_.parameters() for f in fitted), strict=True):
            assert (one == two).all()
        assert fitted[0].history_["loss"].equals(fitted[1].history_["loss"])
        assert not np.array_equal(*(f._calibration.errors for f in fitted))

    def test_without_intervals_every_row_trains(self, make):
        y = make_series(500)
        forecaster = make(intervals=None, **HELD_OUT).fit(y)
        other = make(calibration_fraction=0.0, max_epochs=1).fit(y)
        pd.testing.assert_frame_equal(forecaster.predict([1, 2]), other.predict([1, 2]))
        assert not forecaster.get_tag("capability:pred_int")

    def test_errors_are_those_of_a_forecaster_at_that_time(self, make):
        y = make_series(100, n_columns=2)
        forecaster = make(**HELD_OUT).fit(y)
        errors = forecaster._calibration.errors
        assert errors.shape == (30 - 3 + 1, 3, 2)
        scaling = forecaster._known.scalings[None]
        scaled = scaling.apply(y.to_numpy()).astype(np.float32)
        context, truth = scaled[62:70], scaled[70:73]
        features = {"series": torch.tensor([forecaster._known.numbers[None]])}
        with torch.no_grad():
            window = torch.from_numpy(context[None])
            forecast = forecaster.network_(window, features=features).forecast
        expected = (truth - forecast[0].numpy()) / window_scale(context[None])
        np.testing.assert_allclose(errors[0], expected, rtol=1e-3, atol=1e-5)

    def test_quantiles_never_cross_and_intervals_are_quantiles(self, make):
        forecaster = make(**HELD_OUT).fit(make_panel((100, 80), n_columns=2))
        levels = [0.05, 0.2, 0.5, 0.8, 0.95]
        quantiles = forecaster.predict_quantiles([1, 3, 7], alpha=levels)
        assert list(quantiles.columns) == [(c, a) for c in ("y0", "y1") for a in levels]
        values = quantiles.to_numpy().reshape(len(quantiles), 2, 5)
        assert (np.diff(values) >= 0).all()
        lower, upper = bounds(forecaster, [1, 3, 7], [0.9])
        np.testing.assert_array_equal(lower.to_numpy(), values[:, :, 0])
        np.testing.assert_array_equal(upper.to_numpy(), values[:, :, 4])
        variances = forecaster.predict_var([1, 3, 7])
        assert (variances > 0).all(axis=None)

    def test_an_update_moves_the_width(self, make):
        forecaster = make(**HELD_OUT, update_epochs=0).fit(make_series(100))
        new = make_series(160).iloc[100:]
        new += 5 * np.random.default_rng(2).normal(size=new.shape)
        lower, upper = bounds(forecaster, [1], [0.8])
        before, n = (upper - lower).iloc[0, 0], forecaster._calibration.n
        lower, upper = bounds(forecaster.update(new), [1], [0.8])
        assert (upper - lower).iloc[0, 0] > 2 * before
        assert forecaster._calibration.n == n

    def test_the_oldest_errors_of_a_panel_go_first(self, make):
        y = make_panel((100, 100))
        forecaster = make(**HELD_OUT, update_epochs=0).fit(y)
        both = forecaster._calibration.errors
        alone = make(**HELD_OUT, update_epochs=0).fit(y)
        new = make_panel((101, 101)).groupby(level=0).tail(1)
        kept = alone.update(new)._calibration.errors
        # of each series the newest errors are last, and the oldest one is replaced
        np.testing.assert_allclose(kept[:-2], both[2:])
        values = y.xs("s0").to_numpy()
        scaling = forecaster._known.scalings["s0"]
        scale = window_scale(scaling.apply(values[89:97])[None])
        first = {"series": torch.tensor([forecaster._known.numbers["s0"]])}
        window = torch.from_numpy(scaling.apply(values[89:97])[None].astype(np.float32))
        with torch.no_grad():
            forecast = forecaster.network_(window, features=first).forecast[0].numpy()
        expected = (scaling.apply(values[97:100]) - forecast) / scale
        np.testing.assert_allclose(both[-2], expected, rtol=1e-3, atol=1e-5)

    def test_a_failed_update_leaves_the_calibration_as_it_was(self, make):
        forecaster = make(**HELD_OUT).fit(make_series(100))
        before = forecaster._calibration.errors.copy()
        new = make_series(110).iloc[100:] * np.inf
        with pytest.raises(ValueError, match="finite"):
            forecaster.update(new)
        np.testing.assert_array_equal(forecaster._calibration.errors, before)

    def test_where_there_are_none_it_is_said_what_to_do(self, make):
        forecaster = make(max_epochs=1).fit(make_series())
        with pytest.raises(NoIntervalsError, match=r"at most 60 rows.*such as 0\.2"):
            forecaster.predict_interval([1])
        forecaster = make(max_epochs=1, intervals=None).fit(make_series())
        for kind in ("interval", "quantiles", "var", "proba"):
            with pytest.raises(NoIntervalsError, match='Set intervals="conformal"'):
                getattr(forecaster, f"predict_{kind}")(fh=[1])

    def test_too_few_windows_for_a_level(self, make):
        forecaster = make(**HELD_OUT).fit(make_series(60))  # 18 rows, 16 windows
        forecaster.predict_interval([1], coverage=0.8)
        with pytest.warns(FewWindowsWarning, match="needs 99 windows .* there are 16"):
            lower, upper = bounds(forecaster, [1], [0.99])
        assert (lower < upper).all(axis=None)

    def test_a_saved_forecaster_keeps_them(self, make, tmp_path):
        forecaster = make(**HELD_OUT).fit(make_series(100))
        forecaster.save(tmp_path / "one")
        loaded = sktime_llm.load(tmp_path / "one")
        pd.testing.assert_frame_equal(
            loaded.predict_interval([1, 2]), forecaster.predict_interval([1, 2])
        )
