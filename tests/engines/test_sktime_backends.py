"""sktime's own tools on dask and ray, with two workers, give the serial results."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.split import ExpandingWindowSplitter

from ..forecasting.common import FORECASTERS, make_series

CV = ExpandingWindowSplitter(fh=[1, 2, 3], initial_window=50, step_length=4)


@contextmanager
def dask_workers():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    )
    with cluster, distributed.Client(cluster) as client:
        yield {}
        assert any(client.run(lambda: "torch" in sys.modules).values())


@contextmanager
def ray_workers():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        yield {"backend_params": {"shutdown_ray": False, "mute_warnings": True}}
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "workers"), [("dask", dask_workers), ("ray", ray_workers)]
)
def test_evaluate_and_grid_search_give_the_serial_results(backend, workers):
    make, y = FORECASTERS["calf"], make_series()
    grid = {"learning_rate": [1e-4, 1e-2]}
    found = []
    with workers() as options:
        for how in ({"backend": None}, {"backend": backend, **options}):
            scoring = {"scoring": MeanAbsoluteError(), "error_score": "raise"}
            scores = evaluate(make(), CV, y, **scoring, **how)
            search = ForecastingGridSearchCV(make(), CV, grid, **scoring, **how).fit(y)
            forecast = search.predict(fh=[1, 2, 3])
            found.append((scores["test_MeanAbsoluteError"], search, forecast))
    (serial, first, expected), (parallel, second, forecast) = found
    np.testing.assert_allclose(parallel, serial, rtol=1e-5)
    assert second.best_params_ == first.best_params_
    name = "mean_test_MeanAbsoluteError"
    np.testing.assert_allclose(
        second.cv_results_[name], first.cv_results_[name], rtol=1e-5
    )
    np.testing.assert_allclose(forecast, expected, rtol=1e-5)
