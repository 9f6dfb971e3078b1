"""Tables of all but point accuracy: intervals, missing values, speed, memory."""

import pandas as pd
from _tables import (
    NAMES,
    difference,
    markdown,
    number,
    numbers,
    of,
    ordered,
    percent,
)

COVERAGES = (50, 80, 90, 95)


def named(records: pd.DataFrame) -> pd.DataFrame:
    """Name the methods as in the tables."""
    return records.assign(
        method=records["name"].map(lambda name: NAMES.get(name, name))
    )


def intervals(records: pd.DataFrame) -> str:
    """Coverage and scores of intervals."""
    rows = []
    for dataset, found in named(records).groupby("dataset", sort=False):
        for method in ordered(found["method"]):
            row = {"data": dataset, "method": method}
            for coverage in COVERAGES:
                share = of(found, f"covered_{coverage}%", method=method)
                row[f"{coverage} %"] = number(100 * share, 1)
            row["80 % by origin"] = _by_origin(found[found["method"] == method])
            row |= {"Winkler": number(of(found, "winkler_95", method=method), 2)}
            row |= {"pinball": number(of(found, "crps", method=method))}
            rows.append(row | {"values": number(found["values"].max(), 0)})
    return markdown(rows)


def _by_origin(found: pd.DataFrame) -> str:
    name = "covered_80%_by_origin"
    kept = found[name].dropna() if name in found else []
    return ", ".join(number(100 * share, 1) for shares in kept for share in shares)


def missing(records: pd.DataFrame) -> str:
    """MASE from data with holes, as they are or filled."""
    rows = []
    for _, found in named(records).groupby("hidden"):
        share = f"{100 * found['missing'].mean():.0f} %"
        for method in ordered(found["method"]):
            own = found[found["method"] == method]
            errors = {h: of(own, "mase", holes=h) for h in ("as they are", "filled")}
            row = {"missing": share, "method": method}
            row |= {holes: number(error) for holes, error in errors.items()}
            beside = percent(difference(errors["as they are"], errors["filled"]))
            rows.append(row | {"vs. filled": beside})
    return markdown(rows)


def interval_costs(records: pd.DataFrame) -> str:
    """Point errors of M3 with and without a head that forecasts quantiles."""
    kinds = records["set"].map(lambda chosen: chosen["intervals"])
    records = records.assign(intervals=kinds)
    rows = []
    for (period, method), found in records.groupby(["period", "method"], sort=False):
        row = {"series": f"M3, {period}", "method": method}
        errors = [of(found, "smape", intervals=k) for k in ("conformal", "quantiles")]
        row |= {"without": number(errors[0], 2), "with quantiles": number(errors[1], 2)}
        rows.append(row | {"change": percent(difference(*errors[::-1]))})
    return markdown(rows)


def simulated_text(records: pd.DataFrame) -> str:
    """MASE where a text tells the answer, and where it does not."""
    rows = []
    several = records[records["seeds"].map(len) > 1]
    for _, run in several.iterrows():
        for variant, mase in run["mase"].items():
            row = {"texts": run["texts"], "seeds": len(run["seeds"])}
            row |= {"tuning steps": run["language_model_steps"]}
            row |= {"LLM-TS Net": variant, "MASE": number(mase)}
            gain = run["gain"].get(variant)
            row["gain of the whole method"] = percent(gain["gain"]) if gain else ""
            bounds = (
                [percent(gain[side]) for side in ("lower", "upper")] if gain else []
            )
            row["95 % interval"] = " to ".join(bounds)
            rows.append(row | {"verdict": _in_a_word(run["verdict"].get(variant, ""))})
    return markdown(rows)


def _in_a_word(verdict: str) -> str:
    """Return what a sentence of ``ablate`` comes to."""
    if verdict.startswith("Cannot tell"):
        return "cannot tell"
    return next((w for w in ("does not help", "helps") if f" {w}:" in verdict), "")


def ablations(records: pd.DataFrame) -> str:
    """MASE of a method, and its gain over each variant."""
    rows = []
    for _, run in named(records.assign(name=records["method"])).iterrows():
        data = {"data": run["data"], "method": run["method"]}
        for variant, mase in run["mase"].items():
            row = data | {"with": variant, "MASE": number(mase)}
            gain = run["gain"].get(variant)
            row["gain of the whole"] = percent(gain["gain"]) if gain else ""
            bounds = (
                [percent(gain[side]) for side in ("lower", "upper")] if gain else []
            )
            row["95 % interval"] = " to ".join(bounds)
            seconds = run["costs"][variant]["fit_seconds"]
            rows.append(row | {"seconds of a fit": _one(seconds)})
    return markdown(rows)


def ablation_sentences(records: pd.DataFrame) -> str:
    """What ``ablate`` says of the language model."""
    found = named(records.assign(name=records["method"]))
    return "\n".join(
        f"- {run['method']}. {run['verdict']['no language model']}"
        for _, run in found.iterrows()
    )


def kinds(records: pd.DataFrame) -> str:
    """MAE of series of each kind, and by how much it is above the best possible."""
    named_ = named(records)
    rows = []
    for method in ordered(named_["method"]):
        row = {"method": method}
        for kind, found in named_.groupby("kind", sort=False):
            own = found[found["method"] == method]
            mae, best = own["mae"].mean(), found["best_mae"].iloc[0]
            above = percent(difference(mae, best))
            row[kind] = f"{number(mae)} ({above})" if above else ""
        rows.append(row)
    best = records.groupby("kind", sort=False)["best_mae"].first()
    return markdown([*rows, {"method": "best possible", **best.map(number).to_dict()}])


def calf_questions(records: pd.DataFrame) -> str:
    """MSE / MAE of CALF, trained briefly, by question and variant."""
    rows, by = [], ["question", "variant"]
    records = records.sort_values("question", kind="stable")
    for (question, variant), found in records.groupby(by, sort=False):
        errors = found[["mse", "mae"]].mean()
        row = {"question": question, "variant": variant, "MSE / MAE": numbers(*errors)}
        row["CPU seconds"] = number(found["cpu_seconds"].mean(), 0)
        row["MiB"] = number(found["peak_mib"].max(), 0)
        trained = found["trained_parameters"].iloc[0] / 1e6
        rows.append(row | {"trained, in millions": number(trained, 2)})
    return markdown(rows)


def covariates(records: pd.DataFrame) -> str:
    """MAE of the load, and the gain of covariates."""
    rows, kinds = [], ("none", "temperature", "temperature and calendar")
    for horizon, found in named(records).groupby("horizon", sort=False):
        naive = min(found["mae_of_last_day"].iloc[0], found["mae_of_last_week"].iloc[0])
        for method in ordered(found["method"]):
            own = found[found["method"] == method]
            mean = own.groupby("covariates")["mae"].mean()
            errors = [mean.get(kind, float("nan")) for kind in kinds]
            row = {"ahead": f"a {horizon}", "method": method}
            row |= dict(zip(("without X", *kinds[1:]), map(_one, errors), strict=True))
            gains = [percent(difference(error, errors[0])) for error in errors[1:]]
            row |= {"by the temperature": gains[0], "by both": gains[1]}
            rows.append(row | {"vs. naive": percent(difference(errors[0], naive))})
        for season in ("day", "week"):
            error = found[f"mae_of_last_{season}"].iloc[0]
            row = dict.fromkeys(rows[-1], "") | {"ahead": f"a {horizon}"}
            row |= {"method": f"last {season} repeated", "without X": _one(error)}
            rows.append(row)
    return markdown(rows)


def simulated_covariates(records: pd.DataFrame) -> str:
    """MAE by what is known of X, and by how much it is above the best possible."""
    named_, rows = named(records), []
    for method in ordered(named_["method"]):
        row = {"method": method}
        for known, found in named_.groupby("known", sort=False):
            mae = found.loc[found["method"] == method, "mae"].mean()
            above = percent(difference(mae, found["best_mae"].iloc[0]))
            row[known] = f"{number(mae)} ({above})" if above else ""
        rows.append(row)
    best = named_.groupby("known", sort=False)["best_mae"].first()
    return markdown([*rows, {"method": "best possible", **best.map(number).to_dict()}])


def _one(value: float) -> str:
    return number(value, 1)


def updates(records: pd.DataFrame) -> str:
    """MSE / MAE of methods that go on in several ways."""
    titles = {"no training": "no training", "training": "training (default)"}
    titles |= {"task loss": "training (default)", "all losses": "by all three losses"}
    records = records.fillna({"method": "CALF"})
    rows = []
    for (method, dataset), found in records.groupby(["method", "dataset"], sort=False):
        row = {"method": method, "data": dataset, "seeds": len(found)}
        row |= dict.fromkeys(titles.values(), "")
        for way, title in titles.items():
            if way in found and found[way].notna().all():
                errors = pd.DataFrame(list(found[way]))[["mse", "mae"]].mean()
                row[title] = numbers(*errors)
        rows.append(row)
    return markdown(rows)


def update_rates(records: pd.DataFrame) -> str:
    """MAE of updates by their rate, beside that without training."""
    rows = []
    for _, run in records.iterrows():
        for share, ratio in run["ratio"].items():
            row = {"method": run["method"], "series": run["series"]}
            row |= {"of the highest rate of fit": f"{100 * float(share):.0f} %"}
            row |= {"MAE vs. no training": percent(difference(ratio, 1.0))}
            row |= {"lower for": f"{100 * run['better'][share]:.0f} %"}
            row |= {"MAE at most": f"{run['highest'][share]:.1f} x"}
            rows.append(row)
    return markdown(rows)


def busy(records: pd.DataFrame) -> str:
    """Seconds of a training step beside other processes."""
    rows = [
        {
            "": f"{run['method']}, {run['shape']}",
            "alone": number(run["alone"]),
            "beside": number(run["beside"]),
            "beside / alone": number(run["beside"] / run["alone"], 2),
            "plain": number(run["plain"]),
            "alone / plain": number(run["alone"] / run["plain"], 2),
        }
        for _, run in records.iterrows()
    ]
    return markdown(rows)


def outliers(records: pd.DataFrame) -> str:
    """MAE of forecasts after outliers, by two scalings."""
    rows = [
        {
            "method": run["method"],
            "outliers": run["outliers"],
            "times": f"{run['factor']:,.0f}",
            "usual scaling": _one(run["mae"]),
            "robust scaling": _one(run["mae_robust"]),
        }
        for _, run in records.iterrows()
    ]
    return markdown(rows)


def text_branch(records: pd.DataFrame) -> str:
    """Speeds of BALM-TSF beside its published text branch."""
    run = records.iloc[-1]
    base, rows = run["speeds"]["published"], []
    for name, speeds in run["speeds"].items():
        row = {"text": name, "tokens": ""}
        if name != "no language model":
            row["tokens"] = _one(speeds["tokens"])
        for kind in ("train", "forecast", "forecast in a row"):
            ratio = speeds[kind] / base[kind]
            text = f"{speeds[kind]:.1f}/s" if name == "published" else f"{ratio:.1f} x"
            row[kind] = text
        errors = run["errors"].get(name, {})
        rows.append(row | {"MSE / MAE": numbers(errors.get("mse"), errors.get("mae"))})
    return markdown(rows)


def one_line(records: pd.DataFrame) -> str:
    """Seconds of the first lines that a person writes."""
    rows = [
        {
            "recorded": f"{run['date'][:10]} at {run['commit']}",
            "import": f"{run['import_seconds']:.3f} s",
            "first fit and forecast": f"{run['first_fit_seconds']:.1f} s",
            "the same again": f"{run['second_fit_seconds']:.1f} s",
            "saved forecaster": f"{run['saved_megabytes']:.1f} MB",
        }
        for _, run in records.iterrows()
    ]
    return markdown(rows)


def lora_amr(records: pd.DataFrame) -> str:
    """Bytes that adapters keep for backward, and how fast they learn."""
    lora = (
        records[records["method"] == "LoRA"].drop_duplicates("rank").set_index("rank")
    )
    rows = []
    for _, run in records.iterrows():
        row = {"method": run["method"], "r": run["rank"] or ""}
        row |= {"learning rate": run["learning_rate"]}
        row |= {"trained parameters": f"{run['trained_parameters']:,}"}
        for title, column in (
            ("kept", "kept_bytes"),
            ("in projections", "kept_bytes_projections"),
        ):
            row[title] = f"{run[column] / 1e6:.2f} MB"
            is_amr = run["method"] == "LoRA-AMR"
            of_lora = lora[column].get(run["rank"]) if is_amr else None
            row[f"{title}, vs. LoRA"] = percent(difference(run[column], of_lora))
        row |= {"loss after 60 steps": number(run["loss_after"], 2)}
        rows.append(row)
    return markdown(rows)


def lora_amr_projections(records: pd.DataFrame) -> str:
    """Bytes that adapters keep for backward in the adapted layers."""
    kept = records.drop_duplicates(["method", "rank"]).pivot(
        index="rank", columns="method", values="kept_bytes_projections"
    )
    rows = [
        {"r": rank}
        | {m: f"{row[m] / 1e6:.2f} MB" for m in ("LoRA", "LoRA-AMR")}
        | {"vs. LoRA": percent(difference(row["LoRA-AMR"], row["LoRA"]))}
        for rank, row in kept.drop(index=0).iterrows()
    ]
    return markdown(rows)


def prompt_pool(records: pd.DataFrame) -> str:
    """How well chosen prompts tell patterns, means over the seeds."""
    columns = {
        "agreement": "agreement",
        "mutual_information": "mutual information, adjusted",
    }
    columns |= {"n_prompts": "prompts", "share_in_use": "in use", "mse": "MSE"}
    rows = []
    for keys, found in records.groupby("keys", sort=False):
        row = {"": keys, "seeds": len(found)}
        rows.append(row | {t: number(found[c].mean(), 2) for c, t in columns.items()})
    return markdown(rows)


def pool_sizes(records: pd.DataFrame) -> str:
    """Errors by the size and the selection loss of prompt pools, means over seeds."""
    rows = []
    for pool, found in records.groupby("pool", sort=False):
        in_use = found["share_in_use"].mean()
        rows.append(
            {
                "pool": pool,
                "seeds": len(found),
                "MASE": number(found["mase"].mean()),
                "lowest and highest": " to ".join(
                    number(found["mase"].agg(edge)) for edge in ("min", "max")
                ),
                "sMAPE": number(found["smape"].mean(), 2),
                "in use": "" if pd.isna(in_use) else f"{100 * in_use:.0f} %",
                "CPU s": number(found["cpu_seconds"].mean(), 0),
            }
        )
    return markdown(rows)
