"""The forecasters inside sktime's own tools."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from sktime.benchmarking.forecasting import ForecastingBenchmark
from sktime.forecasting.compose import (
    BaggingForecaster,
    EnsembleForecaster,
    StackingForecaster,
    TransformedTargetForecaster,
)
from sktime.forecasting.conformal import ConformalIntervals
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.reconcile import ReconcilerForecaster
from sktime.forecasting.stream import UpdateRefitsEvery
from sktime.forecasting.trend import PolynomialTrendForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.split import ExpandingWindowSplitter, SlidingWindowSplitter
from sktime.transformations.bootstrap import MovingBlockBootstrapTransformer
from sktime.transformations.hierarchical.aggregate import Aggregator
from sktime.transformations.series.adapt import TabularToSeriesAdaptor
from sktime.transformations.series.detrend import Deseasonalizer, Detrender
from sktime.transformations.series.impute import Imputer

from .common import each_forecaster, make_panel, make_series

pytestmark = each_forecaster

FH = [1, 2, 3]
CV = ExpandingWindowSplitter(fh=FH, initial_window=50, step_length=3)


def test_grid_search(make):
    width = "lora_rank" if "lora_rank" in make().get_params() else "d_model"
    grid = {"learning_rate": [1e-4, 1e-2], width: [2, 4]}
    search = ForecastingGridSearchCV(
        make(), CV, grid, MeanAbsoluteError(), error_score="raise", backend=None
    )
    y = make_series()
    forecast = search.fit(y).predict(fh=FH)
    assert len(search.cv_results_) == 4
    ranked = search.cv_results_.sort_values("rank_test_MeanAbsoluteError")
    assert search.best_params_ == ranked["params"].iloc[0]
    best = make(**search.best_params_).fit(y).predict(fh=FH)
    np.testing.assert_allclose(forecast, best, rtol=1e-6)


def run_evaluation(make, **options):
    options = {"scoring": MeanAbsoluteError(), "error_score": "raise", **options}
    return evaluate(make(), CV, make_series(), **options)


@pytest.mark.parametrize("strategy", ["refit", "update", "no-update_params"])
def test_evaluate(make, strategy):
    results = run_evaluation(make, strategy=strategy, return_data=True)
    assert len(results) == 3
    assert np.isfinite(results["test_MeanAbsoluteError"]).all()
    for predicted, true in zip(results["y_pred"], results["y_test"], strict=True):
        assert list(predicted.index) == list(true.index)


@pytest.mark.slow
def test_evaluate_in_parallel_is_the_same(make):
    serial, parallel = (
        run_evaluation(make, backend=backend)["test_MeanAbsoluteError"]
        for backend in (None, "loky")
    )
    np.testing.assert_allclose(serial, parallel, rtol=1e-5)


@pytest.mark.parametrize("transform", ["detrend", "deseasonalize", "scale", "all"])
def test_pipelines(make, transform):
    steps = {
        "detrend": Detrender(PolynomialTrendForecaster(degree=1)),
        "deseasonalize": Deseasonalizer(sp=12),
        "scale": TabularToSeriesAdaptor(StandardScaler()),
    }
    chosen = steps if transform == "all" else {transform: steps[transform]}
    pipeline = TransformedTargetForecaster([*chosen.items(), ("forecast", make())])
    y = make_series() + np.arange(60)[:, None]
    forecast = pipeline.fit(y[:57]).predict(fh=FH)
    assert list(forecast.index) == list(y.index[57:])
    error = (forecast - y[57:]).abs().to_numpy().max()
    assert error < 20  # in the data's units, the trend included


def test_imputer_in_a_pipeline(make):
    y = make_series()
    y.iloc[[5, 20, 21]] = np.nan
    forecast = (Imputer("linear") * make()).fit(y).predict(fh=FH)
    assert forecast.notna().all(axis=None)


def test_residuals_of_unseen_rows(make):
    y = make_series()
    forecaster = make().fit(y[:57], fh=FH)
    residuals = forecaster.predict_residuals(y[57:])
    np.testing.assert_allclose(residuals, y[57:] - forecaster.predict())


def test_benchmark_without_a_failed_experiment(make, tmp_path):
    benchmark = ForecastingBenchmark()
    benchmark.add_estimator(make(), "llm")
    benchmark.add_estimator(NaiveForecaster(), "naive")
    splitter = SlidingWindowSplitter(fh=FH, window_length=50, step_length=7)
    benchmark.add_task(make_series, splitter, [MeanAbsoluteError()], task_id="toy")
    results = benchmark.run(str(tmp_path / "results.csv"))
    assert not getattr(benchmark, "failed_experiments", None)
    assert sorted(results["model_id"]) == ["llm", "naive"]


def test_fitted_parameters(make):
    fitted = make().fit(make_panel()).get_fitted_params()
    assert {"network", "history", "context_length", "prediction_length"} <= set(fitted)


def test_conformal_wrapper_beside_our_intervals(make):
    y = make_series(n_rows=120)
    ours = make(calibration_fraction=0.3).fit(y, fh=[1, 2]).predict_interval()
    wrapped = ConformalIntervals(make(), initial_window=100, sample_frac=0.2)
    theirs = wrapped.fit(y, fh=[1, 2]).predict_interval()
    assert theirs.columns.equals(ours.columns)
    for bounds in (ours, theirs):
        assert (bounds.to_numpy()[:, 0] < bounds.to_numpy()[:, 1]).all()


def test_bagging(make):
    y = make_series()
    bootstrap = MovingBlockBootstrapTransformer(n_series=2, random_state=0)
    bagging = BaggingForecaster(bootstrap, make(max_epochs=1))
    assert bagging.fit(y["y0"], fh=[1, 2]).predict().notna().all()


def test_reconciled_hierarchy(make):
    y = Aggregator().fit_transform(make_panel((40, 40)))
    reconciled = ReconcilerForecaster(make(max_epochs=1), method="ols")
    y_pred = reconciled.fit(y, fh=[1, 2]).predict()
    total = y_pred.loc["__total"].to_numpy()
    parts = y_pred.drop(index="__total").groupby(level=-1).sum().to_numpy()
    np.testing.assert_allclose(total, parts)


def test_stacking_and_ensembles(make):
    y = make_series(n_rows=80)["y0"]
    members = [("ours", make(max_epochs=1)), ("naive", NaiveForecaster(sp=12))]
    for combined in (StackingForecaster(members), EnsembleForecaster(members)):
        assert len(combined.fit(y, fh=[1, 2]).predict()) == 2


def test_an_ensemble_is_the_mean_of_networks_for_all_series(make):
    y = make_panel((40, 50))
    members = [make(max_epochs=1, random_state=seed) for seed in (0, 1)]
    ensemble = EnsembleForecaster([("a", members[0]), ("b", members[1])])
    y_pred = ensemble.fit(y, fh=[1, 2]).predict()
    each = [member.clone().fit(y, fh=[1, 2]).predict() for member in members]
    assert not each[0].equals(each[1])
    pd.testing.assert_frame_equal(y_pred, sum(each) / 2)


def test_refitting_on_every_update(make):
    y = make_series()
    refitted = UpdateRefitsEvery(make(max_epochs=1), refit_interval=5)
    refitted.fit(y[:50], fh=[1]).update(y[50:56])
    expected = make(max_epochs=1).fit(y[:56], fh=[1]).predict()
    assert refitted.predict().equals(expected)
