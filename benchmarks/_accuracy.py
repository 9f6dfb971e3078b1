"""Tables of accuracy: each method with and without its language model."""

import numpy as np
import pandas as pd
from _tables import (
    DEFAULT_BACKBONE,
    NAMES,
    comparable,
    difference,
    markdown,
    means,
    number,
    numbers,
    of,
    ordered,
    percent,
    percents,
    published,
    published_as,
    read,
)

MODES = {
    "pretrained": "pretrained",
    "none": "none",
    "random": "random weights",
    "attention": "one attention layer",
    "transformer": "one Transformer layer",
}
BACKBONES = {
    DEFAULT_BACKBONE: "MiniLM",
    "openai-community/gpt2": "GPT-2",
    "SmolLM2-135M-Instruct": "SmolLM2",
}
TASK = ["method", "dataset", "context_length", "horizon"]
HORIZONS = [96, 192, 336, 720]


def long_term_errors(records: pd.DataFrame) -> pd.DataFrame:
    """Return the mean errors over the seeds by task and language model."""
    model = records["backbone"].map(lambda name: BACKBONES.get(name, name))
    mode = records["backbone_mode"].map(lambda name: MODES.get(name, name))
    kinds = mode.where(mode != "pretrained", model + ", pretrained")
    kinds = kinds.where(records["backbone_mode"] != "random", model + ", " + mode)
    table = records.assign(kind=kinds)
    table = comparable(table, TASK, "kind")
    return means(table, [*TASK, "kind"], ["mse", "mae"])


def long_term(records: pd.DataFrame) -> str:
    """Long-term forecasts beside the published errors; means of four horizons."""
    rows = []
    for (method, dataset, context), found in long_term_errors(records).groupby(
        TASK[:3]
    ):
        name = NAMES[method]
        start = {"method": name}
        for horizon, own in found.groupby("horizon"):
            start["data"] = f"{dataset}, {horizon} from {context}"
            rows += [
                start | row for row in _beside_paper(own, name, dataset, [horizon])
            ]
        of_four = found[found["horizon"].isin(HORIZONS)]
        whole = of_four.groupby("kind").filter(lambda own: len(own) == len(HORIZONS))
        if len(whole):
            start["data"] = f"{dataset}, mean of {', '.join(map(str, HORIZONS))}"
            how = {"mse": "mean", "mae": "mean", "seeds": "min"}
            mean = whole.groupby("kind", as_index=False).agg(how)
            rows += [
                start | row for row in _beside_paper(mean, name, dataset, HORIZONS)
            ]
    return markdown(rows)


def _beside_paper(
    found: pd.DataFrame, name: str, dataset: str, horizons: list[int]
) -> list[dict]:
    """Return a row for each language model, and one of the published errors."""
    rows = []
    paper = [
        np.mean([published(dataset, h, metric).get(name, np.nan) for h in horizons])
        for metric in ("MSE", "MAE")
    ]
    for kind in _with_none(list(found["kind"])):
        errors = [of(found, error, kind=kind) for error in ("mse", "mae")]
        beside = [difference(*each) for each in zip(errors, paper, strict=True)]
        row = {"language model": kind}
        row |= {"seeds": number(of(found, "seeds", kind=kind), 0)}
        row |= {"MSE / MAE": numbers(*errors), "vs. published": percents(*beside)}
        rows.append(row)
    # from memory, if any is
    said = max((published_as(name, dataset, h) for h in horizons), key=len)
    last = {"language model": f"GPT-2, {said}", "seeds": ""}
    return [*rows, last | {"MSE / MAE": numbers(*paper), "vs. published": ""}]


def deep_models(records: pd.DataFrame) -> str:
    """Current deep models beside ours, by task."""
    ours = long_term_errors(read("long_term.jsonl"))
    task, rows = TASK[1:], []
    for (dataset, context, horizon), found in records.groupby(task, sort=False):
        start = {"data": f"{dataset}, {horizon} from {context}"}
        named = means(found, ["model"], ["mse", "mae"])
        same = ours[ours[task].eq([dataset, context, horizon]).all(axis=1)]
        for _, run in same.iterrows():
            name = f"{NAMES[run['method']]}, {_language_model(run['kind'])}"
            named.loc[len(named)] = [name, run["mse"], run["mae"], run["seeds"]]
        for _, run in named.sort_values("mse").iterrows():
            errors = numbers(run["mse"], run["mae"])
            row = {"model": run["model"], "seeds": number(run["seeds"], 0)}
            rows.append(start | row | {"MSE / MAE": errors})
    return markdown(rows)


def _language_model(kind: str) -> str:
    return "without language model" if kind == "none" else kind


def _with_none(kinds: list[str]) -> list[str]:
    """Put the row without a language model second, recorded or not."""
    others = [kind for kind in kinds if kind != "none"]
    return [*others[:1], "none", *others[1:]]


def _kind(run: pd.Series) -> str:
    """Name the language model of a run, the default one by its mode alone."""
    mode, backbone = run["backbone_mode"], run["backbone"]
    if mode not in ("pretrained", "random") or backbone == DEFAULT_BACKBONE:
        return MODES[mode]
    return f"{BACKBONES.get(backbone, backbone)}, {MODES[mode]}"


def attempts(records: pd.DataFrame) -> str:
    """Return all long-term runs, with their settings and how far they trained."""
    rows = []
    for _, run in records.sort_values([*TASK, "date"]).iterrows():
        row = {"method": NAMES[run["method"]]}
        row |= {"data": f"{run['dataset']}, {run['horizon']}"}
        row |= {"language model": _kind(run)}
        row |= {"batch": run["batch_size"], "rate": run["learning_rate"]}
        row |= {"d_ff": f"{run['d_ff']:.0f}" if pd.notna(run["d_ff"]) else ""}
        row |= {"losses": _losses(run), "EMA": _decay(run)}
        row |= {"seed": run["seed"], "epoch": f"{run['best_epoch']} of {run['epochs']}"}
        lowest = min(run["history"]["validation_loss"])
        row |= {"validation": number(lowest)}
        row |= {"MSE / MAE": numbers(run["mse"], run["mae"])}
        row |= {"seconds": number(run["fit_seconds"], 0)}
        rows.append(row)
    return markdown(rows)


def few_shot(records: pd.DataFrame) -> str:
    """Few-shot, by the epochs of the lowest validation error, and zero-shot."""
    rows = []
    by = ["method", "dataset", "horizon", "share", "trained_on"]
    records = records.assign(kind=records.apply(_kind, axis=1))
    for (method, dataset, horizon, share, source), found in records.groupby(
        by, sort=False, dropna=False
    ):
        seen = f"{share:.0%} of it" if share > 0 else source
        start = {"method": NAMES[method], "data": f"{dataset}, {horizon}"}
        start |= {"trained on": seen}
        kinds = dict(iter(found.groupby("kind", sort=False)))
        for kind in _with_none(list(kinds)):
            if kind not in kinds:
                continue
            own = kinds[kind]
            best = own.loc[own.groupby("seed")["validation_mse"].idxmin()]
            row = {"language model": kind, "seeds": len(best)}
            row |= {"epochs": ", ".join(map(str, sorted(set(best["epochs"]))))}
            row |= {"validation": number(best["validation_mse"].mean())}
            row |= {"MSE / MAE": numbers(best["mse"].mean(), best["mae"].mean())}
            row |= {"seconds": number(own["fit_seconds"].sum() / len(best), 0)}
            rows.append(start | row)
    return markdown(rows)


def _decay(run: pd.Series) -> str:
    return f"{run['ema_decay']:g}" if run["ema_decay"] > 0 else ""


def _losses(run: pd.Series) -> str:
    """Say which of CALF's losses a network was trained by."""
    if pd.isna(run["consistency_loss_weight"]):
        return ""
    consistency, feature = run["consistency_loss_weight"], run["feature_loss_weight"]
    weights = {"task": 1, "consistency": consistency, "feature": feature}
    parts = [name for name, weight in weights.items() if weight]
    named = "all three" if len(parts) == 3 else " and ".join(parts)
    if consistency and run["consistency_loss"] != "mae":
        return f"{named}, consistency {run['consistency_loss'].upper()}"
    return named


def single_series(records: pd.DataFrame) -> str:
    """Each series by itself: errors on test parts, the best method first."""
    rows = []
    own = records[records["part"] == "test"]
    drawn = own["competition"].map(" and ".join)
    for keys, found in own.groupby([own["n_series"], drawn, "without_fh"], sort=False):
        start = {"series": f"{keys[0]} of {keys[1]}"}
        start |= {"horizon in fit": "unknown" if keys[2] else "known"}
        for _, run in found.sort_values("mase").iterrows():
            row = start | {"method": _of_single(run)}
            row |= {period: number(e) for period, e in run["mase_by_period"].items()}
            middle = np.median(list(run["mase_of_each"].values()))
            row |= {"MASE": number(run["mase"]), "median": number(middle)}
            row |= {"sMAPE": number(run["smape"], 2)}
            rows.append(row | {"s": number(run["seconds_per_series"], 1)})
    return markdown(rows)


def _of_single(run: pd.Series) -> str:
    """Name a method of single series, and what was done to its values."""
    name = NAMES.get(run["name"], run["name"])
    name += ", deseasonalized" * (run["deseasonalize"] is True)
    return name + ", relative to the last value" * bool(run["set"].get("subtract_last"))


def last_value(records: pd.DataFrame) -> str:
    """MASE on held-out blocks of single series, by what is done to their values.

    Changes are from the first row of the same series, the geometric mean over them.
    """
    own = (
        records[records["part"] == "validation"]
        .assign(
            context=records["set"].map(
                lambda own: own.get("context_length", "24 to 96")
            ),
            location=records["set"].map(lambda own: own.get("subtract_last")),
            data=records["competition"].map(" and ".join),
            values=records["deseasonalize"].map({True: "deseasonalized"}),
        )
        .fillna({"values": "as they are"})
    )
    rows = []
    own = own.dropna(subset="location")
    for (name, data), found in own.groupby(["name", "data"], sort=False):
        first = None
        by = ["context", "location", "values"]
        for keys, runs in found.groupby(by, sort=False):
            errors = pd.concat([pd.Series(run) for run in runs["mase_of_each"]])
            errors = errors.groupby(level=0).first()  # draws may share series
            first = errors if first is None else first
            change = np.log(errors.clip(lower=0.01) / first.clip(lower=0.01)).mean()
            row = {"method": NAMES[name], "series": f"{len(errors)} of {data}"}
            row |= {"values": keys[2], "context": keys[0]}
            row |= {"relative to their": "last value" if keys[1] else "mean"}
            row |= {"MASE": number(errors.mean())}
            row |= {
                "change": "" if errors is first else percent(100 * np.expm1(change))
            }
            rows.append(row)
    return markdown(rows)


def compare(records: pd.DataFrame) -> str:
    """MASE by data set and method; the last rows are of the univariate data sets."""
    table = records.assign(forecaster=records["forecaster"].map(NAMES))
    wide = table.pivot_table("MASE", "dataset", "forecaster", sort=False)
    univariate = table[table["n_variates"] == 1].groupby("forecaster")
    wide.loc["mean of the univariate ones"] = univariate["MASE"].mean()
    order = ordered(wide.columns)
    wide = wide.reindex(columns=sorted(order, key=list(NAMES.values()).index))
    rows = [
        {"": name} | {m: number(e) for m, e in row.items()}
        for name, row in wide.iterrows()
    ]
    seconds = univariate["fit_seconds"].mean().reindex(wide.columns)
    rows.append(
        {"": "seconds of a fit, the same mean"}
        | {m: number(s, 1) for m, s in seconds.items()}
    )
    return markdown(rows)


TRAFFIC = {
    "LLM-TS Net": "LLM-TS Net",
    "without text": "LLM-TS Net without text",
    "without pool": "LLM-TS Net without the prompt pool",
    "without inter-series": "LLM-TS Net without inter-series attention",
    "with uncertainty": "LLM-TS Net with uncertainty",
    "with squared error": "LLM-TS Net trained on squared errors",
}
# of methods that know more, as ``traffic.py`` names them
BOTH = "with level and time of day"
_KNOWN = (BOTH, "with level", "with time of day")
TRAFFIC |= {
    f"with {error}{name.removeprefix('with ')}{text}": f"LLM-TS Net {title}{name}{text}"
    for error, title in (
        ("", ""),
        ("squared error, ", "trained on squared errors, "),
    )
    for name in _KNOWN
    for text in ("", ", without text")
}


def traffic_errors(records: pd.DataFrame) -> pd.DataFrame:
    """Return the mean errors over the seeds."""
    by = ["dataset", "missing", "method", "horizon"]
    return means(records, by, ["rmse", "mae"])


def traffic(records: pd.DataFrame) -> str:
    """RMSE / MAE by horizon, with a share of the readings hidden."""
    table, rows = traffic_errors(records), []
    horizons = sorted(table["horizon"].unique())
    for (dataset, missing), found in table.groupby(["dataset", "missing"], sort=False):
        others = [m for m in found["method"].unique() if m not in TRAFFIC]
        ours = [m for m in TRAFFIC if m in set(found["method"]) or m in _PAIR]
        for method in [*ours, *others]:
            own = found[found["method"] == method]
            row = {"data": dataset, "hidden": f"{missing:.0%}"}
            row |= {"method": TRAFFIC.get(method, method)}
            row |= {"seeds": number(own["seeds"].min(), 0)}
            for horizon in horizons:
                errors = [of(own, e, horizon=horizon) for e in ("rmse", "mae")]
                row[f"H={horizon}"] = numbers(*errors, digits=2)
            rows.append(row)
    return markdown(rows)


_PAIR = ("LLM-TS Net", "without text")
_KNOWING = (BOTH, f"with squared error, {BOTH.removeprefix('with ')}")


def traffic_published(records: pd.DataFrame) -> str:
    """RMSE / MAE with nothing hidden beside the published ones."""
    table, rows = traffic_errors(records), []
    for dataset, found in table[table["missing"] == 0].groupby("dataset", sort=False):
        shown = [*_PAIR, *(m for m in _KNOWING if m in set(found["method"]))]
        for horizon in sorted(found["horizon"].unique()):
            papers = [published(dataset, horizon, metric) for metric in ("RMSE", "MAE")]
            for other in papers[0].index:
                row = {"data": dataset, "steps": horizon}
                paper = [errors[other] for errors in papers]
                for method in shown:
                    own = [
                        of(found, e, method=method, horizon=horizon)
                        for e in ("rmse", "mae")
                    ]
                    row[TRAFFIC[method]] = numbers(*own, digits=2)
                    beside = [
                        difference(*each) for each in zip(own, paper, strict=True)
                    ]
                    row[f"{TRAFFIC[method]}, vs. published"] = percents(*beside)
                title = f"{other}, {published_as(other, dataset)}"
                rows.append(row | {title: numbers(*paper, digits=2)})
    return markdown(rows)
