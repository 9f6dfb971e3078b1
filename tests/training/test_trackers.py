import copy
import pickle

import pytest
from accelerate.tracking import GeneralTracker

from sktime_llm.callbacks import MLflowCallback, TensorBoardCallback
from sktime_llm.errors import MissingPackageError
from sktime_llm.training import trackers
from sktime_llm.training.trainer import train

from .toy import make_config, make_network, make_windows


class FakeTracker(GeneralTracker):
    """Keep what accelerate's trackers would write."""

    name, requires_logging_directory, made = "fake", False, []

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.given, self.calls = (args, kwargs), []
        self.made.append(self)

    tracker = property(lambda self: self)

    def start(self):
        self.calls.append("start")

    def store_init_configuration(self, values):
        self.calls.append(("settings", values))

    def log(self, values, step=None):
        self.calls.append((step, values))

    def finish(self):
        self.calls.append("finish")


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: name)
    monkeypatch.setattr(trackers, "TensorBoardTracker", FakeTracker)
    monkeypatch.setattr(trackers, "MLflowTracker", FakeTracker)
    monkeypatch.setattr(FakeTracker, "made", [])
    return FakeTracker.made


def run(callback, **settings):
    config = make_config(max_epochs=2, **settings)
    return train(make_network(), *make_windows(), config, callbacks=[callback])


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (
            lambda: TensorBoardCallback("runs", "first"),
            (("first",), {"logging_dir": "runs"}),
        ),
        (
            lambda: MLflowCallback("llm", run_name="first"),
            (("llm",), {"run_name": "first"}),
        ),
    ],
)
def test_a_tracker_is_opened_told_and_closed(made, make, given):
    callback = make()
    records = run(callback)
    (tracker,) = made
    assert tracker.given == given
    start, (_, settings), *epochs, finish = tracker.calls
    assert (start, finish) == ("start", "finish")
    assert settings["batch_size"] == 8
    assert [step for step, _ in epochs] == [1, 2]
    assert epochs[0][1]["loss"] == records[0]["loss"]
    assert all(isinstance(v, int | float) for v in epochs[0][1].values())
    run(callback)  # may be used again
    assert len(made) == 2


def test_copies_and_pickles_leave_the_open_tracker_behind(made):
    callback = TensorBoardCallback("runs")
    callback.on_fit_start({})
    for copied in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert vars(copied) == {"folder": "runs", "run_name": "sktime-llm"}
        copied.on_epoch_end({"epoch": 1})  # is not told of a fit that is not its own
    callback.on_fit_end([])


@pytest.mark.parametrize(
    ("make", "package"),
    [(lambda: TensorBoardCallback("runs"), "tensorboard"), (MLflowCallback, "mlflow")],
)
def test_a_missing_package_is_named(make, package, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=f"`pip install {package}`"):
        make()


def test_a_real_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator

    records = run(TensorBoardCallback(tmp_path))
    events = event_accumulator.EventAccumulator(str(tmp_path / "sktime-llm"))
    events.Reload()
    losses = [event.value for event in events.Scalars("loss")]
    assert losses == pytest.approx([record["loss"] for record in records])


def test_a_real_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    monkeypatch.chdir(tmp_path)
    records = run(MLflowCallback())
    found = mlflow.search_runs(experiment_names=["sktime-llm"])
    assert found["metrics.loss"].tolist() == pytest.approx([records[-1]["loss"]])
    assert mlflow.active_run() is None
