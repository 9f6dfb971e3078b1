import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from sktime.datasets import load_airline
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter

import sktime_llm
from sktime_llm import _threads
from sktime_llm._threads import mean_flops, threads_for
from sktime_llm.training import rollout, trainer

FORECASTERS = ["CALFForecaster", "BALMTSFForecaster", "LLMTSNetForecaster"]
AIRLINE = load_airline()[:72]


def make(name, **parameters):
    common = {"backbone": "tiny-random", "max_epochs": 1, "verbose": 0, "device": "cpu"}
    if name == "LLMTSNetForecaster":
        common["language_model_steps"] = 3
    return getattr(sktime_llm, name)(random_state=5, **common, **parameters)


def in_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def inside(flops):
    with threads_for(flops):
        return torch.get_num_threads()


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    assert in_thread(torch.get_num_threads) == 2
    torch.set_num_threads(before)


@pytest.fixture
def counts(monkeypatch):
    """Count threads in every step of training and of forecasting."""
    counts = {"train": set(), "forecast": set()}

    def counting(name, function):
        def call(*arguments):
            counts[name].add(torch.get_num_threads())
            return function(*arguments)

        return call

    step = counting("train", trainer._Run.train_step)
    monkeypatch.setattr(trainer._Run, "train_step", step)
    monkeypatch.setattr(rollout, "_roll", counting("forecast", rollout._roll))
    return counts


@pytest.mark.parametrize(("flops", "n"), [(0.0, 1), (1e5, 1), (1e9, 2), (math.inf, 2)])
def test_threads_are_as_many_as_pay(flops, n):
    assert inside(flops) == n


def test_never_more_threads_than_the_caller_allows():
    torch.set_num_threads(1)
    assert inside(math.inf) == 1
    torch.set_num_threads(2)


def test_one_thread_in_a_thread_of_a_pool():
    assert in_thread(lambda: inside(math.inf)) == 1
    pool = joblib.Parallel(n_jobs=2, backend="threading")
    assert pool(joblib.delayed(inside)(math.inf) for _ in range(2)) == [1, 1]


def test_workers_of_loky_have_the_threads_that_joblib_gives_them():
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=2):
        pool = joblib.Parallel()
        allowed = pool(joblib.delayed(inside)(flops) for flops in (0.0, math.inf))
    assert allowed == [1, 2]


def test_threads_that_start_inside_are_not_limited():
    with threads_for(0.0):
        assert in_thread(torch.get_num_threads) == 2
        assert in_thread(lambda: inside(0.0)) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_threads_are_as_before_after_an_error(error):
    with pytest.raises(error), threads_for(0.0):
        raise error


def test_flops_of_matrix_products():
    a = torch.ones(3, 4)
    assert mean_flops(lambda: (a @ torch.ones(4, 5), a.T @ torch.ones(3, 1))) == 72
    assert mean_flops(lambda: a + a) == 0


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize(("at_least", "n"), [(1e7, 1), (0.0, 2)])
def test_forecasters_choose_their_threads(name, at_least, n, counts, monkeypatch):
    monkeypatch.setattr(_threads, "MIN_FLOPS", at_least)
    make(name).fit(AIRLINE, fh=[1, 2, 3]).predict()
    assert counts == {"train": {n}, "forecast": {n}}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fit_that_fails_leaves_threads_and_random_numbers(error, monkeypatch):
    def fail(*arguments):
        assert torch.get_num_threads() == 1
        raise error

    monkeypatch.setattr(trainer, "clip_grad_norm_", fail)
    state = torch.get_rng_state()
    with pytest.raises(error):
        make("CALFForecaster", gradient_clip=1.0).fit(AIRLINE, fh=[1, 2, 3])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("backbone", ["tiny-random", "tiny-random-decoder"])
def test_fits_in_threads_give_the_serial_forecasts(name, backbone):
    start = threading.Barrier(2)

    def forecast(seed):
        forecaster = make(name).set_params(backbone=backbone, random_state=seed)
        start.wait(60)
        return forecaster.fit(AIRLINE, fh=[1, 2, 3]).predict().to_numpy()

    state = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(forecast, [1, 2]))
    assert torch.equal(torch.get_rng_state(), state)
    start = threading.Barrier(1)
    for seed, found in zip([1, 2], together, strict=True):
        np.testing.assert_array_equal(found, forecast(seed))


@pytest.mark.parametrize("name", FORECASTERS)
def test_evaluate_in_threads_gives_the_serial_result(name):
    folds = ExpandingWindowSplitter(fh=[1, 2, 3], initial_window=60, step_length=6)
    score = "test_MeanAbsolutePercentageError"
    options = {"n_jobs": 2}
    serial, threads = (
        evaluate(
            make(name), folds, AIRLINE, backend=backend, backend_params=parameters
        )[score]
        for backend, parameters in [(None, None), ("threading", options)]
    )
    np.testing.assert_array_equal(serial, threads)


IMPORT = """
import os
def openmp(): return {{k: v for k, v in os.environ.items() if "OMP" in k}}
before = openmp()
{}
assert openmp() == before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only libgomp tells what it read")
@pytest.mark.parametrize(
    "how",
    [
        "from sktime_llm import CALFForecaster",
        "from sktime_llm.forecasting.llm_ts_net import LLMTSNetForecaster",
        "from sktime_llm import load",
        "import sktime_llm.evaluation as e; e.default_forecasters(12)",
    ],
)
def test_threads_of_torch_wait_briefly(how):
    told = run_python(IMPORT.format(how))
    assert told.count(f"GOMP_SPINCOUNT = '{_threads._SPINS}'") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only libgomp tells what it read")
@pytest.mark.parametrize(
    "variable", [{"GOMP_SPINCOUNT": "77"}, {"OMP_WAIT_POLICY": "PASSIVE"}]
)
def test_what_the_environment_says_of_waiting_holds(variable):
    told = run_python(IMPORT.format("from sktime_llm import CALFForecaster"), variable)
    assert f"GOMP_SPINCOUNT = '{_threads._SPINS}'" not in told


def run_python(code, variables=None):
    """Return what every copy of libgomp says as it is loaded."""
    environment = os.environ | {"OMP_DISPLAY_ENV": "VERBOSE"} | (variables or {})
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return done.stderr


FIRST_FITS = """
import threading
import numpy as np, sktime_llm
from sktime.datasets import load_airline

def forecast(name):
    forecaster = getattr(sktime_llm, name)(
        backbone="tiny-random", max_epochs=1, random_state=0, verbose=0, device="cpu"
    )
    return forecaster.fit(load_airline()[:48], fh=[1, 2]).predict().to_numpy()

def run(i, name):
    start.wait()
    found[i] = forecast(name)

names = 3 * ["CALFForecaster", "BALMTSFForecaster", "LLMTSNetForecaster"]
found, start = [None] * 9, threading.Barrier(9)
threads = [threading.Thread(target=run, args=pair) for pair in enumerate(names)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for name, own in zip(names, found):
    np.testing.assert_allclose(own, forecast(name), rtol=1e-4)

from accelerate import Accelerator
assert Accelerator(mixed_precision="bf16").mixed_precision == "bf16"
"""


@pytest.mark.slow
def test_the_first_fits_of_a_process_may_be_in_threads_and_leave_accelerate_free():
    code = [sys.executable, "-W", "ignore", "-c", FIRST_FITS]
    subprocess.run(code, check=True, timeout=240)
