"""The engines, with two workers each."""

import os
import signal
import time
from types import SimpleNamespace

import pandas as pd
import pytest

from sktime_llm import forecast_partitions
from sktime_llm.engines import _engines, _work
from sktime_llm.errors import InputError, WorkerDiedError

from .common import N_SERIES, NAMES, read

OPTIONS = NAMES | {"partition_size": 2}
PACKAGES = {"local": "joblib", "dask": "distributed", "ray": "ray"}


@pytest.fixture(scope="module")
def expected(panel, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "out"
    return read(forecast_partitions(panel, model, out, **OPTIONS))


# That of dask is compared below.
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_two_workers_forecast_as_one_process(panel, model, expected, tmp_path, engine):
    pytest.importorskip(PACKAGES[engine])
    out = forecast_partitions(
        panel, model, tmp_path / "out", engine=engine, workers=2, **OPTIONS
    )
    pd.testing.assert_frame_equal(read(out), expected, rtol=1e-6)


def probe(item):
    """Return how many threads PyTorch would take, or fail after the two others."""
    folder, name = item
    if name == "bad":
        for _ in range(600):  # on a busy machine a worker starts seconds later
            if len(os.listdir(folder)) == 2:
                break
            time.sleep(0.1)
        time.sleep(2)
        raise InputError("row 7 is bad")
    open(os.path.join(folder, name), "w").close()
    return os.environ.get("OMP_NUM_THREADS")


@pytest.mark.slow
@pytest.mark.parametrize("engine", PACKAGES)
def test_workers_have_one_thread_and_tell_their_errors(engine, monkeypatch, tmp_path):
    pytest.importorskip(PACKAGES[engine])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    items = [(str(tmp_path), name) for name in ("one", "two", "bad")]
    results = _engines.run(engine, probe, items, workers=2, scheduler=None)
    assert [next(results), next(results)] == ["1", "1"]
    with pytest.raises(InputError, match=r"^row 7 is bad$"):
        next(results)


class FakeRay:
    """Run items one after the other, and count those that wait or run."""

    def __init__(self, n_cpus, is_initialized):
        self.n_cpus, self.is_on = n_cpus, is_initialized
        self.asked_for = self.most = None
        died = type("Died", (Exception,), {})
        names = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError")
        self.exceptions = SimpleNamespace(
            RayTaskError=died, **dict.fromkeys(names, died)
        )

    def is_initialized(self):
        return self.is_on

    def init(self, address, num_cpus, include_dashboard):
        self.asked_for = address, num_cpus
        self.n_cpus = num_cpus or self.n_cpus

    def shutdown(self):
        pass

    def cluster_resources(self):
        return {"CPU": float(self.n_cpus)}

    def remote(self, call):
        return SimpleNamespace(remote=call)

    def wait(self, pending):
        self.most = max(self.most or 0, len(pending))
        return pending[:1], pending[1:]

    def get(self, done):
        return done


@pytest.mark.parametrize(
    ("is_initialized", "workers", "scheduler", "asked_for", "most"),
    [
        (False, 2, None, (None, 2), 8),
        (False, None, None, (None, None), 20),
        (False, None, "auto", ("auto", None), 20),  # the CPUs of the cluster
        (True, 2, None, None, 2),  # no more run at once
        (True, None, None, None, 20),
    ],
)
def test_ray_has_the_workers_that_were_asked_for_or_its_own(
    monkeypatch, is_initialized, workers, scheduler, asked_for, most
):
    ray = FakeRay(5, is_initialized)
    monkeypatch.setattr(_engines, "require", lambda engine: ray)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)  # where the run is begun
    found = _engines.run("ray", abs, range(50), workers=workers, scheduler=scheduler)
    assert list(found) == list(range(50))
    assert (ray.asked_for, ray.most) == (asked_for, most)


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(file):
    if not os.path.exists(file):
        open(file, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.mark.slow
def test_a_local_worker_that_dies_is_an_error():
    with pytest.raises(WorkerDiedError, match=r"start again with the same arguments"):
        list(_engines.run("local", die, [0], workers=2, scheduler=None))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_clusters_go_on_without_a_worker_that_dies(engine, tmp_path):
    pytest.importorskip(PACKAGES[engine])
    how = {"workers": 2, "scheduler": None}
    items = [str(tmp_path / "died")]
    assert list(_engines.run(engine, die_once, items, **how)) == ["done"]
    with pytest.raises(WorkerDiedError, match=r"worker after the other died"):
        list(_engines.run(engine, die, [0], **how))


@pytest.mark.slow
def test_dask_goes_on_without_a_worker_that_dies(panel, model, expected, tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        killed = []

        def kill_one(done, total):
            if 0 < done < total and not killed:
                killed.extend(client.run(os.getpid).values())
                os.kill(killed[0], signal.SIGKILL)

        out = forecast_partitions(
            panel,
            model,
            tmp_path / "out",
            engine="dask",
            scheduler=cluster.scheduler_address,
            progress=kill_one,
            **OPTIONS,
        )
        loads = client.run(lambda: _work._load.cache_info())
    assert killed
    table = read(out)
    assert table["series"].nunique() == N_SERIES
    pd.testing.assert_frame_equal(table, expected, rtol=1e-6)
    assert all(info.misses <= 1 for info in loads.values())  # once in each worker
    assert any(info.hits for info in loads.values())
