import pytest

from ..forecasting.common import FORECASTERS, make_panel
from .common import make_table, write

pytest.importorskip("pyarrow")


@pytest.fixture(scope="package")
def model(tmp_path_factory):
    """The folder of a forecaster that was fitted on other series."""
    forecaster = FORECASTERS["calf"](calibration_fraction=0.2)
    forecaster.fit(make_panel(), fh=[1, 2, 3])
    return forecaster.save_pretrained(tmp_path_factory.mktemp("fitted") / "model")


@pytest.fixture(scope="package")
def panel(tmp_path_factory):
    """A file with ten series."""
    return write(make_table(), tmp_path_factory.mktemp("data") / "panel.parquet")
