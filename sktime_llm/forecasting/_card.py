"""The model card of a checkpoint, in the Hub's format."""

import json
import os
from typing import Any

import pandas as pd

from sktime_llm._version import __version__

_CARD = """---
library_name: sktime-llm
pipeline_tag: time-series-forecasting
tags:
- sktime
- time-series
- forecasting
{base_model}---

# {name}

A time series forecaster {around}, of sktime-llm
{version}. {what}

| | |
|---|---|
{rows}

```python
from sktime_llm import {name}

forecaster = {name}.from_pretrained({where})
{use}
```

The folder has the weights that were trained{data}.
Nothing in it is run when it is loaded.
"""
_TINY = ("tiny-random", "tiny-random-decoder")


def write_card(forecaster: Any, repo_id: str | None, *, keep_past: bool) -> str:
    """Return the text of a model card."""
    is_fitted = hasattr(forecaster, "network_")
    facts = _facts_of_fit(forecaster) if is_fitted else _facts_of_pretrain(forecaster)
    if forecaster.quantization is not None:
        facts = {"quantization": forecaster.quantization, **facts}
    facts = {"backbone mode": forecaster.backbone_mode, **facts}
    backbone, base_model = str(forecaster.backbone), ""
    is_folder = os.path.isabs(backbone) or os.path.isdir(backbone)
    if is_folder:  # the Hub knows none, nor should others
        backbone = os.path.basename(os.path.abspath(backbone))
    has_text = getattr(forecaster, "text_fusion", True)
    is_around = has_text and forecaster.backbone_mode == "pretrained"
    if is_around and not is_folder and backbone not in _TINY:
        base_model = f"base_model: {json.dumps(backbone)}\n"
    return _CARD.format(
        base_model=base_model,
        name=type(forecaster).__name__,
        around=f"around the language model `{backbone}`"
        if is_around
        else "without a pretrained language model",
        version=__version__,
        what="It is fitted." if is_fitted else "It is pretrained, and fit goes on.",
        rows="\n".join(f"| {what} | {value} |" for what, value in facts.items()),
        where=json.dumps(repo_id or "path/of/this/folder"),
        data=f", and {_rows_kept(forecaster, keep_past)} of the data"
        if is_fitted
        else "",
        use="forecaster.predict(fh=[1, 2, 3])" if is_fitted else "forecaster.fit(y)",
    )


def _rows_kept(forecaster: Any, keep_past: bool) -> str:
    if keep_past and forecaster._known.past is not None:
        return "all rows"
    n_rows = forecaster.context_length_ + forecaster.prediction_length_
    return f"the last {n_rows} rows"


def _facts_of_fit(forecaster: Any) -> dict[str, Any]:
    known = forecaster._known
    return {
        "steps seen and forecast": f"{forecaster.context_length_} and "
        f"{forecaster.prediction_length_}",
        "series": len(known.numbers),
        "variates": known.rows.shape[1],
        "rows of the longest series in fit": forecaster._n_rows,
        "frequency": _frequency(known),
        "windows that calibrate intervals": forecaster._calibration.n,
        **_best(forecaster.history_),
    }


def _facts_of_pretrain(forecaster: Any) -> dict[str, Any]:
    network = forecaster.pretrained_network_
    return {
        "steps seen and forecast": f"{network.context_length} and "
        f"{network.prediction_length}",
        **_best(forecaster.pretrain_history_),
    }


def _frequency(known: Any) -> str:
    index = known.rows.index
    times = index.levels[-1] if isinstance(index, pd.MultiIndex) else index
    if isinstance(times, pd.PeriodIndex):
        return str(times.freqstr)
    if known.frequency is not None:
        return str(known.frequency.freqstr)
    return "unknown" if isinstance(times, pd.DatetimeIndex) else "numbered steps"


def _best(history: pd.DataFrame) -> dict[str, Any]:
    """Return how many epochs there were, and the lowest validation error."""
    facts: dict[str, Any] = {"epochs, those of updates included": len(history)}
    if "validation_loss" in history and history["validation_loss"].notna().any():
        facts["best validation error"] = f"{history['validation_loss'].min():.4g}"
    return facts
