"""Callbacks as a parameter of the forecasters."""

import pickle

import pandas as pd
import pytest

from sktime_llm.callbacks import Callback
from sktime_llm.errors import InputError

from .common import each_forecaster, make_panel, make_series

pytestmark = each_forecaster


class Keeper(Callback):
    """Keep records, and fail in an epoch of a stage."""

    def __init__(self, fails_in=None):
        self.fails_in, self.records = fails_in, []

    def on_epoch_end(self, record):
        self.records.append(record)
        if (record["stage"], record["epoch"]) == self.fails_in:
            raise ConnectionError("no tracker")


def test_records_are_rows_of_the_history(make):
    y, keeper = make_series(), Keeper()
    forecaster = make(callbacks=[keeper]).fit(y[:50]).update(y[50:])
    told = pd.DataFrame(keeper.records).drop(columns="best")
    columns = list(told.columns)
    assert {"epoch", "loss", "validation_loss", "stage"} <= set(columns)
    pd.testing.assert_frame_equal(told, forecaster.history_[columns])
    keeper.records.clear()
    make(callbacks=(keeper,)).pretrain(make_panel())
    assert {record["stage"] for record in keeper.records} == {"pretrain"}


def test_they_change_no_forecast(make):
    y = make_series()
    expected = make().fit(y).predict(fh=[1, 2])
    found = make(callbacks=[Keeper()]).fit(y).predict(fh=[1, 2])
    pd.testing.assert_frame_equal(found, expected)


def test_an_error_leaves_what_an_interruption_leaves(make):
    y = make_series()
    settings = {"lr_schedule": "constant"}
    forecaster = make(callbacks=[Keeper(("fit", 1))], **settings)
    with pytest.raises(ConnectionError, match="no tracker"):
        forecaster.fit(y[:50])
    assert forecaster.is_fitted
    assert forecaster.history_["epoch"].tolist() == [1]
    expected = make(max_epochs=1, **settings).fit(y[:50]).predict(fh=[1])
    pd.testing.assert_frame_equal(forecaster.predict(fh=[1]), expected)
    forecaster.set_params(callbacks=[Keeper(("update", 1))])
    forecaster.fit(y[:50])
    with pytest.raises(ConnectionError, match="no tracker"):
        forecaster.update(y[50:53])
    assert list(forecaster.predict(fh=[1]).index) == [y.index[53]]


def test_clones_parameters_and_pickles(make):
    keeper = Keeper()
    forecaster = make(callbacks=[keeper])
    assert forecaster.get_params()["callbacks"] == [keeper]
    clone = forecaster.clone()
    (copied,) = clone.callbacks
    assert type(copied) is Keeper
    assert copied is not keeper
    clone.fit(make_series())
    assert len(copied.records) == 2
    assert not keeper.records
    (loaded,) = pickle.loads(pickle.dumps(clone)).callbacks
    assert repr(loaded.records) == repr(copied.records)  # NaN equals NaN
    clone.set_params(callbacks=None).fit(make_series())
    assert len(copied.records) == 2


@pytest.mark.parametrize("value", [Keeper(), [print], "tensorboard", {Keeper()}])
def test_what_is_no_list_of_callbacks_is_refused(make, value):
    with pytest.raises(InputError, match=r"callbacks=.*, expected a list of instances"):
        make(callbacks=value).fit(make_series())
