"""Values of pandas, numpy and sktime as JSON and named arrays, and back to the digit.

Nothing that is read is run: every kind of value has its name in a table, and a name
that is not in it is an error.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.tseries.frequencies import to_offset
from sktime.forecasting.base import ForecastingHorizon

from sktime_llm._validation import plain
from sktime_llm.errors import SavedForecasterError
from sktime_llm.forecasting._time_zones import (
    unwritable_zone,
    zone_of_text,
    zone_text,
)
from sktime_llm.text.describers import TemplateDescriber

Arrays = dict[str, np.ndarray]
"""Arrays by name; reading a value takes out those that belong to it."""

_NUMERIC = "biuf"


def to_json(value: Any, arrays: Arrays, at: str) -> Any:
    """Return a value as JSON, and put its arrays under names that begin with `at`.

    Raise a SavedForecasterError that names the place, and what is there, if it has no
    such form.
    """
    value = plain(value)
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"kind": "float", "text": repr(value)}
    for kind, (type_, encode, _) in _KINDS.items():
        if encode is not None and isinstance(value, type_):
            return {"kind": kind, **encode(value, arrays, at)}
    raise SavedForecasterError(
        f"{at} is {_shown(value)}, a {type(value).__name__}, which cannot be written "
        "as JSON and read again without running code. Use numbers, text or lists "
        "instead, or save(), which pickles."
    )


def from_json(content: Any, arrays: Arrays) -> Any:
    """Return what `to_json` was given; it takes its arrays out."""
    if content is None or isinstance(content, bool | int | float | str):
        return content
    kind = content["kind"]
    if kind not in _KINDS:
        raise SavedForecasterError(
            f"a value is of the kind {_shown(kind)}, expected one of {list(_KINDS)}."
        )
    return _KINDS[kind][2](content, arrays)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


# indices


def _encode_index(index: pd.Index, arrays: Arrays, at: str) -> dict[str, Any]:
    content = {**_index_content(index, arrays, at)}
    if not isinstance(index, pd.MultiIndex):
        content["name"] = to_json(index.name, arrays, f"{at}.name")
    again = _decode_index(content, dict(arrays))
    if getattr(index, "tz", None) is not None and not _are_same_moments(again, index):
        raise unwritable_zone(index.tz, at)
    if not _are_same(again, index):
        raise SavedForecasterError(
            f"{at} is a {type(index).__name__} of {index.dtype}, which would be read "
            f"as a {type(again).__name__} of {again.dtype}. Use another kind of index, "
            "or save(), which pickles."
        )
    return content


def _are_same(again: pd.Index, index: pd.Index) -> bool:
    if isinstance(index, pd.MultiIndex):
        return all(map(_are_same, again.levels, index.levels)) and all(
            map(np.array_equal, again.codes, index.codes)
        )
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        return _are_same_moments(again, index)
    return again.equals(index) and str(again.dtype) == str(index.dtype)


def _are_same_moments(again: pd.DatetimeIndex, index: pd.DatetimeIndex) -> bool:
    """Whether times are the same by any clock; zones of two libraries never are."""
    if again.unit != index.unit or not np.array_equal(again.asi8, index.asi8):
        return False
    return bool(again.tz_localize(None).equals(index.tz_localize(None)))


def _index_content(index: pd.Index, arrays: Arrays, at: str) -> dict[str, Any]:
    if isinstance(index, pd.MultiIndex):
        names = [to_json(name, arrays, at) for name in index.names]
        for i, codes in enumerate(index.codes):
            arrays[f"{at}.codes.{i}"] = np.asarray(codes, dtype=np.int64)
        levels = [
            to_json(level, arrays, f"{at}.levels.{i}")
            for i, level in enumerate(index.levels)
        ]
        return {"of": "multi", "names": names, "levels": levels, "codes": at}
    if isinstance(index, pd.RangeIndex):
        return {"of": "range", "range": [index.start, index.stop, index.step]}
    if isinstance(index, pd.PeriodIndex):
        arrays[at] = index.asi8
        return {"of": "periods", "values": at, "freq": index.freqstr}
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        is_times = isinstance(index, pd.DatetimeIndex)
        arrays[at], freq = index.asi8, index.freq
        return {
            "of": "datetimes" if is_times else "durations",
            "values": at,
            "unit": index.unit,
            "freq": freq and _encode_offset(freq, arrays, f"{at}.freq")["text"],
            "tz": zone_text(index.tz, at) if is_times else None,
        }
    if isinstance(index.dtype, np.dtype) and index.dtype.kind in _NUMERIC:
        arrays[at] = index.to_numpy()
        return {"of": "numbers", "values": at}
    values = [to_json(value, arrays, f"{at}.{i}") for i, value in enumerate(index)]
    return {"of": "objects", "dtype": _text_dtype(index.dtype, at), "values": values}


def _text_dtype(dtype: Any, at: str) -> str:
    name = str(dtype)
    if name in ("object", "str", "string"):
        return name
    raise SavedForecasterError(
        f"{at} is of {name}, which cannot be written without pickling. Convert it to "
        "numbers or text and fit again, or use save(), which pickles."
    )


def _decode_index(content: Mapping[str, Any], arrays: Arrays) -> pd.Index:
    of = content["of"]
    if of == "multi":
        levels = [from_json(level, arrays) for level in content["levels"]]
        codes = [
            arrays.pop(f"{content['codes']}.codes.{i}") for i in range(len(levels))
        ]
        names = [from_json(name, arrays) for name in content["names"]]
        return pd.MultiIndex(levels, codes, names=names)
    name = from_json(content["name"], arrays)
    if of == "range":
        return pd.RangeIndex(*content["range"], name=name)
    if of == "objects":
        objects = [from_json(value, arrays) for value in content["values"]]
        return pd.Index(objects, dtype=content["dtype"], name=name, tupleize_cols=False)
    values = arrays.pop(content["values"])
    if of == "numbers":
        return pd.Index(values, name=name)
    if of == "periods":
        return pd.PeriodIndex.from_ordinals(values, freq=content["freq"], name=name)
    if of == "durations":
        typed = values.view(f"m8[{content['unit']}]")
        return pd.TimedeltaIndex(typed, freq=content["freq"], name=name)
    if of != "datetimes":
        raise SavedForecasterError(f"an index is of {_shown(of)}, which is unknown.")
    times = pd.DatetimeIndex(values.view(f"M8[{content['unit']}]"), name=name)
    if content["tz"] is not None:
        times = times.tz_localize("UTC").tz_convert(zone_of_text(content["tz"]))
    times.freq = to_offset(content["freq"])
    return times


# frames and series


def _encode_frame(frame: pd.DataFrame, arrays: Arrays, at: str) -> dict[str, Any]:
    blocks: dict[str, list[int]] = {}
    for i, dtype in enumerate(frame.dtypes):
        blocks.setdefault(str(dtype), []).append(i)
    return {
        "index": to_json(frame.index, arrays, f"{at}.index"),
        "columns": to_json(frame.columns, arrays, f"{at}.columns"),
        "blocks": [
            {
                "columns": columns,
                "values": _encode_values(
                    frame.iloc[:, columns], arrays, f"{at}.{dtype}"
                ),
            }
            for dtype, columns in blocks.items()
        ],
    }


def _decode_frame(content: Mapping[str, Any], arrays: Arrays) -> pd.DataFrame:
    index = from_json(content["index"], arrays)
    columns = from_json(content["columns"], arrays)
    parts: dict[int, Any] = {}
    for block in content["blocks"]:
        values, dtype = _decode_values(block["values"], arrays)
        if values.shape != (len(index), len(block["columns"])):
            raise SavedForecasterError(
                f"a frame of {len(index)} rows has values of shape {values.shape}."
            )
        for i, at in enumerate(block["columns"]):
            parts[at] = pd.Series(values[:, i], index=index, dtype=dtype)
    if sorted(parts) != list(range(len(columns))):
        raise SavedForecasterError(
            f"a frame of {len(columns)} columns has values for {len(parts)}."
        )
    frame = pd.DataFrame({at: parts[at] for at in sorted(parts)}, index=index)
    return frame.set_axis(columns, axis=1)


def _encode_series(series: pd.Series, arrays: Arrays, at: str) -> dict[str, Any]:
    return {
        "name": to_json(series.name, arrays, f"{at}.name"),
        "frame": _encode_frame(series.to_frame(), arrays, at),
    }


def _decode_series(content: Mapping[str, Any], arrays: Arrays) -> pd.Series:
    series = _decode_frame(content["frame"], arrays).iloc[:, 0]
    return series.rename(from_json(content["name"], arrays))


def _encode_values(frame: pd.DataFrame, arrays: Arrays, at: str) -> dict[str, Any]:
    """Encode columns of one dtype, (row, column)."""
    dtype = frame.dtypes.iloc[0]
    if isinstance(dtype, np.dtype) and dtype.kind in _NUMERIC:
        arrays[at] = frame.to_numpy()
        return {"array": at}
    rows = [[to_json(v, arrays, at) for v in row] for row in frame.to_numpy(object)]
    return {"dtype": _text_dtype(dtype, at), "rows": rows}


def _decode_values(
    content: Mapping[str, Any], arrays: Arrays
) -> tuple[np.ndarray, Any]:
    if "array" in content:
        return arrays.pop(content["array"]), None
    rows = content["rows"]
    values = np.empty((len(rows), len(rows[0]) if rows else 1), dtype=object)
    for i, row in enumerate(rows):
        values[i] = [from_json(value, arrays) for value in row]
    return values, content["dtype"]


# the rest


def _encode_array(value: np.ndarray, arrays: Arrays, at: str) -> dict[str, Any]:
    if value.dtype.kind not in _NUMERIC:
        raise SavedForecasterError(
            f"{at} is an array of {value.dtype}, expected numbers. Use a list instead."
        )
    arrays[at] = value
    return {"array": at}


def _encode_dict(value: Mapping[Any, Any], arrays: Arrays, at: str) -> dict[str, Any]:
    return {
        "items": [
            [to_json(key, arrays, f"{at}.key.{i}"), to_json(one, arrays, f"{at}.{i}")]
            for i, (key, one) in enumerate(value.items())
        ]
    }


def _encode_items(value: Any, arrays: Arrays, at: str) -> dict[str, Any]:
    return {"items": [to_json(v, arrays, f"{at}.{i}") for i, v in enumerate(value)]}


def _decode_items(content: Mapping[str, Any], arrays: Arrays) -> list[Any]:
    return [from_json(value, arrays) for value in content["items"]]


def _encode_time(value: pd.Timestamp, arrays: Arrays, at: str) -> dict[str, Any]:
    tz = zone_text(value.tz, at)
    content = {"text": value.isoformat(), "unit": value.unit, "tz": tz}
    if _decode_time(content, arrays).isoformat() != content["text"]:
        raise unwritable_zone(value.tz, at)
    return content


def _decode_time(content: Mapping[str, Any], arrays: Arrays) -> pd.Timestamp:
    time = pd.Timestamp(content["text"]).as_unit(content["unit"])
    zone = zone_of_text(content["tz"])
    return time if zone is None else time.tz_convert(zone)


def _encode_offset(value: Any, arrays: Arrays, at: str) -> dict[str, Any]:
    try:
        again = to_offset(value.freqstr)
    except ValueError:
        again = None
    if again != value:
        raise SavedForecasterError(
            f"{at} is the frequency {_shown(value)}, whose name {value.freqstr!r} does "
            "not tell all of it. Resample to a frequency that has a name, or use "
            "save(), which pickles."
        )
    return {"text": value.freqstr}


def _encode_horizon(
    value: ForecastingHorizon, arrays: Arrays, at: str
) -> dict[str, Any]:
    return {
        "values": to_json(value.to_pandas(), arrays, at),
        "is_relative": bool(value.is_relative),
        "freq": getattr(value, "freq", None),
    }


def _decode_horizon(content: Mapping[str, Any], arrays: Arrays) -> ForecastingHorizon:
    return ForecastingHorizon(
        from_json(content["values"], arrays),
        is_relative=content["is_relative"],
        freq=content["freq"],
    )


def _nothing(value: Any, arrays: Arrays, at: str) -> dict[str, Any]:
    return {}


def _text(value: Any, arrays: Arrays, at: str) -> dict[str, Any]:
    return {"text": str(value)}


_Kind = tuple[Any, Callable[..., dict[str, Any]] | None, Callable[..., Any]]
_KINDS: dict[str, _Kind] = {
    "float": (float, None, lambda content, arrays: float(content["text"])),
    "index": (pd.Index, _encode_index, _decode_index),
    "frame": (pd.DataFrame, _encode_frame, _decode_frame),
    "series": (pd.Series, _encode_series, _decode_series),
    "array": (
        np.ndarray,
        _encode_array,
        lambda content, arrays: arrays.pop(content["array"]),
    ),
    "mapping": (
        Mapping,
        _encode_dict,
        lambda content, arrays: {
            from_json(key, arrays): from_json(value, arrays)
            for key, value in content["items"]
        },
    ),
    "tuple": (tuple, _encode_items, lambda *given: tuple(_decode_items(*given))),
    "list": (list, _encode_items, _decode_items),
    "timestamp": (pd.Timestamp, _encode_time, _decode_time),
    "period": (
        pd.Period,
        lambda value, arrays, at: {"ordinal": value.ordinal, "freq": value.freqstr},
        lambda content, arrays: pd.Period(
            ordinal=content["ordinal"], freq=content["freq"]
        ),
    ),
    "offset": (
        pd.offsets.BaseOffset,
        _encode_offset,
        lambda content, arrays: to_offset(content["text"]),
    ),
    "horizon": (ForecastingHorizon, _encode_horizon, _decode_horizon),
    "device": (
        torch.device,
        _text,
        lambda content, arrays: torch.device(content["text"]),
    ),
    "template describer": (
        TemplateDescriber,
        _nothing,
        lambda content, arrays: TemplateDescriber(),
    ),
}
"""By name: the type, how it is written, and how it is read."""
