"""Tables of forecasting competitions."""

import pandas as pd
from _tables import (
    AVERAGES,
    PAIRS,
    comparable,
    difference,
    is_default,
    markdown,
    means,
    number,
    numbers,
    ordered,
    over_periods,
    percent,
    published,
    published_as,
)

ERRORS = {  # how each is written, and with how many digits
    "mape": ("MAPE", 2),
    "smape": ("sMAPE", 2),
    "mase": ("MASE", 3),
    "owa": ("OWA", 3),
}
PERIODS = ("weekly", "daily", "hourly", "yearly", "quarterly", "monthly", "other")
MAX_PUBLISHED = 4  # rows beside ours
LEADING = {
    "M4": "owa",
    "Tourism": "mape",
}  # the error that is compared, by default sMAPE


def competition_errors(records: pd.DataFrame, competition: str) -> pd.DataFrame:
    """Return errors of the test part by method and period, and over all periods."""
    own = records[(records["competition"] == competition) & is_default(records)]
    own = own[_is_alone(own)]
    if own.empty:
        return pd.DataFrame(columns=["method", "period", "series", "seeds"])
    own = own[(own["part"] == "test") & (own["seeds"].map(len) == 1)]
    own = own.assign(seed=own["seeds"].map(lambda seeds: seeds[0]))
    own = comparable(own, ["competition", "period"], "method")
    errors = ["smape", "mape", "mase", *(["owa"] if "owa" in own else [])]
    found = means(own, ["method", "period"], [*errors, "series", "points"])
    totals = over_periods(found).assign(period="all", series=_all_series(found))
    fewest = found.groupby("method")["seeds"].min()
    totals["seeds"] = totals["method"].map(fewest)
    # the OWA of M4 is of each period
    has_all = found["period"].nunique() > 1 and "owa" not in LEADING.get(
        competition, ""
    )
    return pd.concat([found, totals]) if has_all else found


def _all_series(found: pd.DataFrame) -> float:
    return found.drop_duplicates("period")["series"].sum()


def competition(records: pd.DataFrame, name: str) -> str:
    """One competition: ours by period, beside the best that were published."""
    found = competition_errors(records, name)
    leading = LEADING.get(name, "smape")
    columns = _columns(found, leading)
    methods = [m for m in ordered(found["method"]) if m in set(found["method"])]
    rows = []
    for period in [p for p in (*PERIODS, "all") if p in set(found["period"])]:
        own = found[found["period"] == period].set_index("method").reindex(methods)
        others = published_errors(name, period)
        best = others[leading].min()
        for method, errors in own.iterrows():
            without = own[leading].get(PAIRS.get(method))
            rows.append(
                _line(period, method, errors, columns)
                | {
                    "by the language model": percent(
                        difference(errors[leading], without)
                    ),
                    "vs. the best": percent(difference(errors[leading], best)),
                }
            )
        rows += [
            _line(period, f"{method}, {_as(method, name, period)}", errors, columns)
            | {"by the language model": "", "vs. the best": ""}
            for method, errors in _leaders(others).iterrows()
        ]
    return markdown(rows)


def _leaders(others: pd.DataFrame) -> pd.DataFrame:
    """Keep the methods that are the best in any error, or all of a few."""
    if len(others) <= MAX_PUBLISHED:
        return others
    return others.loc[others.dropna(axis=1, how="all").idxmin().unique()]


def _columns(errors: pd.DataFrame, leading: str) -> list[str]:
    """Return the errors to show: MAPE only where a competition is about it."""
    there = [error for error in ERRORS if errors.get(error, pd.Series()).notna().any()]
    return [error for error in there if error != "mape" or leading == "mape"]


def _line(period: str, method: str, errors: pd.Series, columns: list[str]) -> dict:
    texts = {ERRORS[e][0]: number(errors.get(e), ERRORS[e][1]) for e in columns}
    return {"period": period, "method": method, **texts}


def published_errors(competition: str, period: str) -> pd.DataFrame:
    """Return the published errors of a period, one method a row."""
    series = {
        error: published(f"{competition} {period}", None, title)
        for error, (title, _) in ERRORS.items()
    }
    return pd.DataFrame(series)


def _as(method: str, competition: str, period: str) -> str:
    return published_as(method, f"{competition} {period}")


def ranking(records: pd.DataFrame, name: str) -> str:
    """All methods of a competition and ours over all periods, the best first."""
    found = competition_errors(records, name)
    own = found[found["period"] == "all"].set_index("method")
    others = published_errors(name, "all").rename(
        index=lambda m: f"{m}, {_as(m, name, 'all')}"
    )
    leading = LEADING.get(name, "smape")
    both = pd.concat([own, others]).sort_values(leading, kind="stable")
    columns = _columns(others, leading)
    rows = []
    for place, (method, errors) in enumerate(both.iterrows(), start=1):
        beside = percent(difference(errors[leading], others[leading].min()))
        row = {"": place} | _line("", method, errors, columns)
        del row["period"]
        rows.append(row | {"vs. the best published": beside})
    return markdown(rows)


def averaged(records: pd.DataFrame) -> str:
    """Forecasts that are the mean of several networks."""
    found = records[is_default(records) & _is_alone(records)]
    found = found.assign(n_seeds=found["seeds"].map(len))
    found = found[(found["of_each"].map(len) > 1) & (found["part"] == "test")]
    one = ["competition", "n_seeds", "period", "method"]
    found = found.drop_duplicates([*one, "settings"], keep="last")
    rows = [
        _averaged(run, _also(run, context=True))
        for _, run in found.iterrows()
        if not _is_of_both(run)
    ]
    last = found.drop_duplicates(one, keep="last")
    for (competition, n), own in last.groupby(["competition", "n_seeds"]):
        periods = records.loc[records["competition"] == competition, "period"]
        if own["period"].nunique() == periods.nunique() > 1:
            totals = over_periods(own).assign(competition=competition, n_seeds=n)
            totals = totals.assign(period="all", of_each=[[]] * len(totals))
            rows += [_averaged(run, "the last runs") for _, run in totals.iterrows()]
    return markdown(rows)


def _is_of_both(run: pd.Series) -> bool:
    """Tell whether "four" are two, as the period has no season."""
    four = run["method"] in ("four", AVERAGES["four"])
    return four and len(run["of_each"]) == 2 * run["n_seeds"]


def _averaged(run: pd.Series, also: str) -> dict:
    row = {"period": f"{run['competition']}, {run['period']}", "method": run["method"]}
    row |= {"also": also, "seeds": number(run["n_seeds"], 0)}
    row |= {"sMAPE": number(run["smape"], 2), "MASE": number(run["mase"])}
    each = [errors["smape"] for errors in run["of_each"]]
    return row | {"sMAPE of each": numbers(*each, digits=2)}


def choices(records: pd.DataFrame) -> str:
    """Settings that were tried without the test part."""
    tried = records[(records["part"] == "validation") & is_default(records)]
    rows = [
        {
            "period": f"{run['competition']}, {run['period']}",
            "method": run["method"],
            "context, in horizons": run["horizons_of_context"],
            "epochs": run["epochs"],
            "seed": ", ".join(map(str, run["seeds"])),
            "also": _also(run),
            "sMAPE": number(run["smape"], 2),
            "MASE": number(run["mase"]),
            "OWA": number(run.get("owa"), 3),
        }
        for _, run in tried.iterrows()
    ]
    return markdown(rows)


def _also(run: pd.Series, context: bool = False) -> str:
    """Name the other settings of a run, and whether it is of logarithms."""
    chosen = run.get("set")
    parts = [f"{k}={v}" for k, v in chosen.items()] if isinstance(chosen, dict) else []
    parts = [f"`{part}`" for part in parts]
    if context and run["horizons_of_context"] != 2:
        parts.insert(0, f"{run['horizons_of_context']} horizons of context")
    if isinstance(others := run.get("also_train_on"), list):
        parts.insert(0, f"trained on {' and '.join(others)}, too")
    return ", ".join(["logarithms", *parts] if run.get("log") is True else parts)


def several(records: pd.DataFrame) -> str:
    """Errors of networks that were trained on several competitions, beside one.

    Those of several seeds are the errors of the mean of all their forecasts.
    """
    joint = records[(records["part"] == "test") & ~_is_alone(records)]
    kinds = zip(
        joint["competition"],
        joint["also_train_on"].map(tuple),
        joint["seeds"].map(len),
        strict=True,
    )
    rows = []
    for name, others, n_seeds in sorted(set(kinds)):
        found = joint_errors(records, name, others, n_seeds)
        found = found.set_index(["period", "method"])
        alone = competition_errors(records, name).set_index(["period", "method"])
        same = (alone if n_seeds == 1 else alone[:0]).reindex(found.index)
        methods = ordered(found.index.unique("method"))
        for at in [(p, m) for p in (*PERIODS, "all") for m in methods]:
            if at in found.index:
                row = {"series": f"{name}, {at[0]}", "method": at[1]}
                row |= {"also trained on": " and ".join(others), "seeds": n_seeds}
                rows.append(row | _beside(found.loc[at], same.loc[at], name))
    return markdown(rows)


def joint_errors(
    records: pd.DataFrame, competition: str, others: tuple[str, ...], n_seeds: int
) -> pd.DataFrame:
    """Return errors of networks that were trained on others, too, as last recorded."""
    given = records.reindex(columns=["also_train_on"])["also_train_on"]
    is_joint = given.map(lambda names: names == list(others)).astype(bool)
    found = records[(records["competition"] == competition) & is_joint]
    found = found[(found["part"] == "test") & is_default(found)]
    found = found[found["seeds"].map(len) == n_seeds]
    found = found.drop_duplicates(["period", "method"], keep="last")
    if found["period"].nunique() > 1:
        found = pd.concat([found, over_periods(found).assign(period="all")])
    return found


def _beside(run: pd.Series, alone: pd.Series, competition: str) -> dict[str, str]:
    """Put errors beside those of a network of one competition."""
    leading, row = LEADING.get(competition, "smape"), {}
    for error in dict.fromkeys((leading, "smape", "mase")):
        title, digits = ERRORS[error]
        row[title] = number(run[error], digits)
        row[f"{title}, alone"] = number(alone[error], digits)
        if error == leading:
            row["change"] = percent(difference(run[error], alone[error]))
    return row


def _is_alone(records: pd.DataFrame) -> pd.Series:
    """Whether networks were trained on the series of one competition."""
    return records.reindex(columns=["also_train_on"])["also_train_on"].isna()


def seasons(records: pd.DataFrame) -> str:
    """Errors of M4's hourly series, which have a day and a week, by the context."""
    hourly = (records["competition"] == "M4") & (records["period"] == "hourly")
    validation = records["part"] == "validation"
    tried = records[hourly & validation & is_default(records)]
    rows = []
    for horizons, found in tried.groupby("horizons_of_context"):
        row = {"context": f"{48 * horizons} hours"}
        for _, run in found.iterrows():
            row[f"{run['method']}, sMAPE"] = number(run["smape"], 2)
            row[f"{run['method']}, MASE"] = number(run["mase"])
        rows.append(row)
    return markdown(rows)
