"""Make the checkpoints of format 1, and what they forecast; run once, by 0.1.

    python -m tests.forecasting.checkpoints.make_v1

Never run it again once a version is released: these files are what users have.
"""

import json
from pathlib import Path

import pandas as pd

from tests.forecasting.common import FORECASTERS, make_panel

FH = [-3, 1, 2, 3, 5]
SMALLER = {"calf": {"lora_rank": 2}, "llm-ts-net": {"lora_rank": 4}}


def make():
    folder = Path(__file__).parent / "v1"
    for method, make_forecaster in FORECASTERS.items():
        days = make_panel((60, 50), n_columns=2)
        times = pd.date_range("2024-01-01", periods=60, freq="D", tz="Europe/Berlin")
        ids = days.index.get_level_values(0)
        steps = days.groupby(level=0).cumcount().to_numpy()
        days.index = pd.MultiIndex.from_arrays([ids, times[steps]], names=["id", "day"])
        forecaster = make_forecaster(calibration_fraction=0.2)
        forecaster.set_params(**SMALLER.get(method, {})).fit(days, fh=[1, 2])
        forecaster.save_pretrained(folder / method)
        y_pred = forecaster.predict(FH)
        expected = {
            "fh": FH,
            "index": [str(time) for time in y_pred.index],
            "forecast": y_pred.to_numpy().tolist(),
            "interval": forecaster.predict_interval(FH, coverage=0.8).values.tolist(),
        }
        (folder / f"{method}.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    make()
