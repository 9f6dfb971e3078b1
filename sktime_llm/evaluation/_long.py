"""Tables with one row per value."""

from collections.abc import Mapping

import pandas as pd


def long_table(values: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put frames side by side that have the same rows and columns, a row per value.

    The columns are ``id`` (empty unless a panel), ``time``, ``variate``, and the names
    of the frames.
    """
    first = next(iter(values.values()))
    index = first.index
    is_panel = index.nlevels > 1
    keys = {
        "id": [" / ".join(map(str, key[:-1])) for key in index] if is_panel else "",
        "time": index.get_level_values(-1).astype("object"),
    }
    parts = []
    for place, name in enumerate(first.columns):
        own = {
            key: frame.iloc[:, place].to_numpy(float) for key, frame in values.items()
        }
        parts.append(pd.DataFrame({**keys, "variate": str(name), **own}))
    return pd.concat(parts, ignore_index=True)
