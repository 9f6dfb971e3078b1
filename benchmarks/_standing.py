"""Where the methods stand: each with and without its language model, beside others.

One row is a method on a task: its error with the language model and without it, and the
best error of others, of classical methods on the same data, or else what was published
of the method itself. What is not recorded is NaN.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from _accuracy import BOTH, TRAFFIC, long_term_errors, traffic_errors
from _competitions import (
    ERRORS,
    LEADING,
    PERIODS,
    competition_errors,
    published_errors,
)
from _further import named
from _questions import FIVE, SINGLE, fitted_to_each
from _simulated import PIECES
from _tables import (
    NAMES,
    WITHOUT,
    from_memory,
    markdown,
    number,
    of,
    percent,
    published,
    published_as,
    read,
)

COMPETITIONS = ("M1", "M3", "M4", "Tourism")
CLASSICAL = ("AutoETS", "AutoARIMA", "Theta", "seasonal naive", "naive")
TIMED = "ridge per sensor, time of day"
SIMPLE = ("last value", "historical average", "ridge per sensor", "ridge, all sensors")
SIMPLE += (TIMED,)
NAIVE2 = pd.Series({"Naive2": 1.0})  # by the definition of the OWA
LONG_TERM = ["dataset", "horizon", "method", "context_length"]
ONE_PASS = "a year, pretrained on others"
PRETRAINED = {
    FIVE: ("five small data sets", ONE_PASS),
    "M3 monthly, 24 values": ("M3 monthly", "from two years, pretrained on others"),
    "M3 monthly, 36 values": ("M3 monthly", "from three years, pretrained on others"),
}


def rows_of(
    data: str,
    task: str,
    metric: str,
    errors: pd.Series,
    others: pd.Series | None = None,
    is_detail: bool = False,
) -> Iterator[dict]:
    """Yield a row of each method in errors, beside the best of others.

    Others are by default the classical methods in errors. A detail is in the tables,
    not in the picture.
    """
    if others is None:
        others = errors[errors.index.isin((*CLASSICAL, *SIMPLE))]
    others = others.dropna()
    for method, without in WITHOUT.items():
        if {method, without} & set(errors.index):
            yield {
                "data": data,
                "task": task,
                "metric": metric,
                "method": method,
                "with": errors.get(method, np.nan),
                "without": errors.get(without, np.nan),
                "other": others.idxmin() if len(others) else "",
                "error of other": others.min() if len(others) else np.nan,
                "is detail": is_detail,
            }


def of_long_term() -> Iterator[dict]:
    """MSE beside what was published of the method with GPT-2."""
    found = long_term_errors(read("long_term.jsonl"))
    for (data, horizon, method, _), own in found.groupby(LONG_TERM):
        name = NAMES[method]
        model = of(own, "mse", kind="MiniLM, pretrained")
        errors = pd.Series({name: model, WITHOUT[name]: of(own, "mse", kind="none")})
        error = published(data, horizon, "MSE").get(name)
        said = published_as(name, data, horizon)
        paper = pd.Series({said: error}, dtype=float)
        yield from rows_of(data, f"{horizon} steps", "MSE", errors, paper)


def of_competitions() -> Iterator[dict]:
    """The error that a competition is about, by period, beside the best published."""
    records = read("competitions.jsonl")
    for name in COMPETITIONS:
        found, leading = competition_errors(records, name), LEADING.get(name, "smape")
        metric, has_all = ERRORS[leading][0], "all" in set(found["period"])
        for period in [p for p in (*PERIODS, "all") if p in set(found["period"])]:
            own = found[found["period"] == period]
            others = published_errors(name, period)[leading]
            data = f"{name} {period}"
            others.index = [one + from_memory(one, data) for one in others.index]
            if leading == "owa":
                others = others.combine_first(NAIVE2)
            errors = own.set_index("method")[leading]
            is_detail = has_all and period != "all"
            yield from rows_of(name, period, metric, errors, others, is_detail)


def of_traffic() -> Iterator[dict]:
    """MAE with nothing hidden, beside the best of the simple methods."""
    table = traffic_errors(read("traffic.jsonl")).query("missing == 0")
    for (data, horizon), own in table.groupby(["dataset", "horizon"], sort=False):
        errors = own.set_index("method")["mae"].rename(TRAFFIC)
        is_detail = horizon < table["horizon"].max()
        task, alone = f"{horizon} steps", errors.drop(TIMED, errors="ignore")
        yield from rows_of(data, task, "MAE", alone, is_detail=is_detail)
        if not is_detail:
            method, without = "LLM-TS Net", WITHOUT["LLM-TS Net"]
            knowing = {f"{method} {BOTH}": method}
            knowing[f"{method} {BOTH}, without text"] = without
            errors = errors.drop([method, without], errors="ignore").rename(knowing)
            yield from rows_of(data, f"{task}, {BOTH}", "MAE", errors)


def of_covariates() -> Iterator[dict]:
    """MAE of the load, beside the better of the last day and the last week."""
    table = named(read("covariates.jsonl"))
    for (horizon, given), own in table.groupby(["horizon", "covariates"], sort=False):
        errors = own.groupby("method")["mae"].mean()
        task = f"a {horizon}" + ("" if given == "none" else f", with {given}")
        naive = {s: own[f"mae_of_last_{s}"].iloc[0] for s in ("day", "week")}
        naive = pd.Series(naive).rename(lambda season: f"the last {season}")
        is_detail = "calendar" in given
        yield from rows_of("GEFCom2012", task, "MAE", errors, naive, is_detail)


def of_missing() -> Iterator[dict]:
    """MASE from data with holes, beside the best classical method on filled data."""
    table = named(read("missing.jsonl"))
    table = table[(table["holes"] == "as they are") | table["method"].isin(CLASSICAL)]
    for _, own in table.groupby("hidden"):
        share = f"{100 * own['missing'].mean():.0f} %"
        errors = own.set_index("method")["mase"]
        yield from rows_of("NN5", f"{share} missing", "MASE", errors)


def of_intervals() -> Iterator[dict]:
    """Pinball loss beside the better of AutoETS and the seasonal naive method."""
    for data, own in named(read("intervals.jsonl")).groupby("dataset", sort=False):
        errors = own.set_index("method")["crps"]
        yield from rows_of(data, "intervals", "pinball loss", errors)


def of_small_data() -> Iterator[dict]:
    """Mean MASE of the univariate data sets of the demo."""
    table = read("compare.csv").query("n_variates == 1")
    errors = table.groupby("forecaster")["MASE"].mean().rename(NAMES)
    yield from rows_of("five small data sets", "a year", "MASE", errors)


def of_single_series() -> Iterator[dict]:
    """MASE of series that are forecast one by one, with the horizon known in fit."""
    table = named(read("single_series.jsonl"))
    table = table[(table["part"] == "test") & ~table["without_fh"]]
    table = table[table["deseasonalize"].isna()]
    for _, own in table.groupby("settings", sort=False):
        data = " and ".join(own["competition"].iloc[0])
        task = f"{own['n_series'].iloc[0]} series one by one"
        errors = own.drop_duplicates("method", keep="last").set_index("method")["mase"]
        yield from rows_of(data, task, "MASE", errors)


def of_pretrained() -> Iterator[dict]:
    """MASE of networks that were pretrained on other series, and on no more."""
    found = read("pretrained_start.jsonl")
    untrained = found[(found["fine_tune_epochs"] == 0) & found["part"].isna()]
    plain = untrained[untrained["simulated"].isna()]
    own = plain[plain["target"] == SINGLE].set_index("method")["mase"]
    others = fitted_to_each().set_index("method")["mase"].rename(NAMES)
    others = others[others.index.isin(CLASSICAL)]
    task = "one by one, pretrained on M3"
    yield from rows_of("M1 and Tourism", task, "MASE", own, others)
    simulated = untrained[untrained["pieces"].map(lambda pieces: pieces == PIECES)]
    alone = found[found["fine_tune_epochs"].isna() & found["part"].isna()]
    for target, (data, task) in PRETRAINED.items():
        own = simulated[simulated["target"] == target].groupby("method")["mase"].mean()
        others = alone[alone["target"] == target].set_index("method")["mase"]
        yield from rows_of(data, task, "MASE", own, others.rename(NAMES))


SOURCES = (
    of_long_term,
    of_competitions,
    of_traffic,
    of_covariates,
    of_missing,
    of_intervals,
    of_small_data,
    of_single_series,
    of_pretrained,
)


def standing() -> pd.DataFrame:
    """Return all rows, with differences in percent.

    `gain` is how much lower the error is with the language model, `beside` by how much
    the error with it, or without it where only that is recorded, is above the other.
    """
    table = pd.DataFrame([row for source in SOURCES for row in source()])
    table["gain"] = 100 * (1 - table["with"] / table["without"])
    best = table["with"].fillna(table["without"])
    table["beside"] = 100 * (best / table["error of other"] - 1)
    return table


def digits_of(row: pd.Series) -> int:
    """Return with how many digits the errors of a row are written."""
    return 2 if row[["with", "without", "error of other"]].max() >= 4 else 3


def overview(table: pd.DataFrame) -> str:
    """All rows as a table."""
    rows = []
    for _, each in table.iterrows():
        digits = digits_of(each)
        other = number(each["error of other"], digits)
        rows.append(
            {
                "data": f"{each['data']}, {each['task']}, {each['metric']}",
                "method": each["method"],
                "with": number(each["with"], digits),
                "without": number(each["without"], digits),
                "change": percent(-each["gain"]),
                "best other": f"{each['other']} {other}".strip(),
                "vs. it": percent(each["beside"]),
            }
        )
    return markdown(rows)
