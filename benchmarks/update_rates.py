"""At which rate should `update` train? Chosen on M1, one series at a time.

A forecaster is fitted on the first 60 % of a series; then it goes on as in
`updates.py`, block after block, with a share of its learning rate, or without training.
Series are the longest of each period.

    python benchmarks/update_rates.py --data-dir DATA

A run that is already in the results file is not repeated.
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from _records import RESULTS, provenance, run_missing
from competitions import CALF_ALONE, LLM_TS_NET_ALONE, PERIODS, read
from updates import Stream, goes_on

from sktime_llm import BALMTSFForecaster, CALFForecaster
from sktime_llm._devices import resolve_device
from sktime_llm.training import config

METHODS = {
    "CALF": (CALFForecaster, {}),
    "CALF without language model": CALF_ALONE,
    "LLM-TS Net without text": LLM_TS_NET_ALONE,
    "BALM-TSF without language model": (BALMTSFForecaster, {"backbone_mode": "none"}),
}
SHARES = (0.0, 0.04, 0.2, 1.0)
BLOCK = {"yearly": 6, "quarterly": 8, "monthly": 12}


def streams(data_dir: Path, n_series: int) -> list[Stream]:
    """Return the longest series of each period."""
    found = []
    for period in PERIODS["M1"]:
        block = BLOCK[period]
        whole = [
            np.concatenate(parts) for parts in read(data_dir, "M1", period).values()
        ]
        for values in sorted(whole, key=len, reverse=True)[:n_series]:
            table = pd.DataFrame({"value": values})
            n_fit = max(int(0.6 * len(values)), 3 * block)
            found.append(Stream(table, n_fit, block, block, {}))
    return found


def run(args: argparse.Namespace, method: str) -> dict:
    """Fit every series once, and go on at every rate.

    Errors are relative to those without training: their geometric mean over the series,
    the share of series with lower ones, and the highest.
    """
    forecaster_class, own = METHODS[method]
    errors = []
    for stream in streams(args.data_dir, args.n_series):
        forecaster = forecaster_class(
            prediction_length=stream.horizon,
            intervals=None,
            random_state=args.seed,
            device=args.device,
            verbose=0,
            **own,
        ).fit(stream.table.iloc[: stream.n_fit])
        errors.append({share: error_of(forecaster, stream, share) for share in SHARES})
    table = pd.DataFrame(errors)
    ratios = table.div(table[0.0], axis=0).drop(columns=0.0)
    return {
        "ratio": {str(s): float(np.exp(np.log(r).mean())) for s, r in ratios.items()},
        "better": {str(s): float((r < 1).mean()) for s, r in ratios.items()},
        "highest": {str(s): float(r.max()) for s, r in ratios.items()},
        "series": len(table),
        **provenance(resolve_device(args.device)),
    }


def error_of(forecaster, stream: Stream, share: float) -> float:
    """Return the MAE of all blocks but the first, in deviations of what fit saw."""
    way = "training" if share else "no training"
    with patch.multiple(config, UPDATE_SHARE=share, CYCLE_START=share):
        return goes_on(forecaster, stream, way)["mae"]


def main() -> None:
    """Run what is not in the results yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--method", choices=list(METHODS), nargs="+", default=[*METHODS]
    )
    parser.add_argument("--n-series", type=int, default=20, help="of each period")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS / "update_rates.jsonl")
    args = parser.parse_args()
    for record in run_missing(
        args.results,
        [
            {"method": name, "n_series": args.n_series, "seed": args.seed}
            for name in args.method
        ],
        lambda settings: run(args, settings["method"]),
        lambda settings: settings["method"],
    ):
        print(f"{record['method']}, {record['series']} series")
        for share, ratio in record["ratio"].items():
            better, highest = record["better"][share], record["highest"][share]
            line = f"MAE x {ratio:.3f}, lower for {better:.0%}, at most x {highest:.2f}"
            print(f"  rate x {share}: {line}")


if __name__ == "__main__":
    main()
