"""The command ``sktime-llm``."""

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.naive import NaiveForecaster

import sktime_llm.evaluation
from sktime_llm import CALFForecaster, __version__
from sktime_llm.cli import main
from sktime_llm.cli._arguments import TABLE_OPTIONS
from sktime_llm.cli._output import shown_progress
from sktime_llm.datasets import dataset_names, load_dataset
from sktime_llm.errors import BackboneNotFoundError, ShortSeriesWarning
from sktime_llm.evaluation import forecaster_names

NAIVE = ["--forecasters", "naive", "seasonal-naive"]
STORES = ["--time-column", "date", "--id-column", "store", "--target", "units"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    """Run the command; return its exit code, standard output and standard error."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def sales(tmp_path):
    """A CSV file with two series of 40 months each."""
    dates = pd.date_range("2015-01-01", periods=40, freq="MS")
    rng = np.random.default_rng(0)
    columns = {"store": np.repeat(["north", "east"], 40), "date": [*dates, *dates]}
    frame = pd.DataFrame(columns).assign(units=rng.poisson(50, 80))
    frame["price"] = frame["units"] / 7 + 1
    path = tmp_path / "sales.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def steps(tmp_path):
    """A CSV file with 40 numbered rows."""
    path = tmp_path / "steps.csv"
    path.write_text("step,y\n" + "".join(f"{i},{i % 5}\n" for i in range(40)))
    return path


class Failing(NaiveForecaster):
    def _fit(self, y, X, fh):
        raise ValueError("cannot do this")


class FailingToPredict(NaiveForecaster):
    def _predict(self, fh, X):
        raise ValueError("cannot do this")


class Loud(NaiveForecaster):
    def _fit(self, y, X, fh):
        warnings.warn("rather short", ShortSeriesWarning, stacklevel=2)
        return super()._fit(y, X, fh)


class WithoutBackbone(NaiveForecaster):
    def _fit(self, y, X, fh):
        raise BackboneNotFoundError("no such language model; install it")


@pytest.fixture
def with_calf(monkeypatch):
    """Put another forecaster in the place of CALF, beside others or alone."""

    def replace(forecaster_class, beside="naive"):
        def make(seasonal_period, names=None, **options):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                season = seasonal_period if beside == "seasonal-naive" else 1
                others = {beside: NaiveForecaster(sp=season)} if beside else {}
                return {"calf": forecaster_class(), **others}

        monkeypatch.setattr(sktime_llm.evaluation, "default_forecasters", make)

    return replace


def stop(*arguments):
    """Run arguments after which the command stops; return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


def test_version(capsys):
    assert stop("--version") == 0
    assert capsys.readouterr().out == f"sktime-llm {__version__}\n"


def test_help_names_all_there_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no name is broken at its hyphen
    assert stop("compare", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in [*dataset_names(), *forecaster_names()]:
        assert name in text


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from sktime_llm.cli import main\n"
        "try:\n"
        "    main(['compare', '--help'])\n"
        "except SystemExit:\n"
        "    heavy = {'torch', 'sktime', 'pandas', 'transformers', 'matplotlib'}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    sys.exit(7)\n"
    )
    folder = Path(sktime_llm.__file__).parents[1]
    options = {"capture_output": True, "text": True, "cwd": folder}
    done = subprocess.run([sys.executable, "-c", code], **options)
    assert done.returncode == 7, done.stderr
    assert "--time-column" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["predict"],
        ["forecast", "--levels", "100"],
        ["forecast", "--levels", "0.0"],
        ["forecast", "--levels", "80", "0.95"],
        ["compare", "--levels", "0.8"],
        ["compare", "--folds", "0"],
        ["compare", "--horizon", "-3"],
        ["compare", "--max-epochs", "many"],
        ["compare", "--seasonal-period", "1.5"],
    ],
)
def test_arguments_that_cannot_be_parsed(arguments, capsys):
    assert stop(*arguments) == 2
    error = capsys.readouterr().err
    assert "required" in error or "invalid" in error or "expected a p" in error


@pytest.mark.parametrize("seed", ["-1", str(2**32), "1.5", "one"])
def test_seeds_that_cannot_be_are_refused_before_anything_runs(
    seed, capsys, monkeypatch
):
    monkeypatch.delattr(sktime_llm.evaluation, "compare_forecasters")
    assert stop("compare", "--random-state", seed) == 2
    expected = f"expected an integer from 0 to 4294967295, got {seed!r}"
    assert f"argument --random-state: {expected}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--time-column", "date"], ["--time-column", "FILE", "first"]),
        (["--date-format", "%d"], ["--date-format", "FILE", "first"]),
        (["--min-length", "9"], ["--min-length", "FILE", "first"]),
        (["FILE"], ["sales.csv", "--time-column"]),
        (["FILE", "--dataset", "lynx"], ["both a FILE and --dataset"]),
        (["FILE", "--time-column", "when"], ["'when'", "'date'", "'units'"]),
        (["FILE", "--time-column", "date"], ["repeats", "line 42", "--id-column"]),
        (["nowhere.csv", "--time-column", "date"], ["no file", "nowhere.csv"]),
        (["--dataset", "airlines"], ["'airlines'", "'airline', 'lynx'"]),
        (["--dataset", "lynx", "--forecasters", "best"], ["'best'", "auto-arima"]),
        (["--dataset", "lynx", "lynx", *NAIVE], ["its own name"]),
        (["--dataset", "shampoo_sales", "--horizon", "12", *NAIVE], ["too short"]),
    ],
)
def test_user_errors_are_one_paragraph(run, sales, arguments, words):
    arguments = [str(sales) if one == "FILE" else one for one in arguments]
    code, out, err = run("compare", "--quiet", *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("sktime-llm: error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_a_file_without_season_needs_a_horizon(run, steps):
    arguments = ["compare", steps, "--time-column", "step", "--no-plot", *NAIVE]
    code, _, err = run(*arguments)
    assert code == 2
    assert "--horizon" in err
    code, out, _ = run(*arguments, "--horizon", "1")
    assert code == 0
    assert "horizon 1, seasonal period 1" in out


@pytest.mark.parametrize("module", ["statsforecast", "matplotlib"])
def test_missing_extras_are_named_before_anything_runs(run, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run("compare", "--dataset", "lynx", "--forecasters", "theta")
    extra = {"statsforecast": "baselines", "matplotlib": "plots"}[module]
    assert (code, out) == (2, "")
    assert f"pip install sktime-llm[{extra}]" in err
    assert "[1/1]" not in err


def test_output_that_is_no_folder(run, tmp_path, sales):
    (tmp_path / "taken").write_text("a file")
    code, _, err = run("compare", "--dataset", "lynx", "--output", "taken", *NAIVE)
    assert code == 2
    assert "to the folder 'taken'" in err
    for option in (["--output", "taken/a.csv"], ["--save", "taken"]):
        code, _, err = run("forecast", sales, "--time-column", "date", *option)
        assert code == 2
        assert "to the folder 'taken'" in err


def test_shipped_data_sets(run):
    code, out, err = run("compare", "--dataset", "airline", "us_change", *NAIVE)
    assert code == 0
    airline = "airline: 3 folds, horizon 12, seasonal period 12\n"
    us_change = "us_change: 3 folds, horizon 8, seasonal period 4, 5 variates\n"
    assert out.index(airline) < out.index(us_change)
    table = out[out.index(airline) : out.index(us_change)]
    assert table.index("seasonal-naive  1.213") < table.index("naive           2.468")
    assert "mean MASE" not in out
    assert "\n  forecast: Number of airline passengers\n" in out
    assert "\n  forecast: Consumption, Income, Production, Savings, Unempl" in out
    steps = [
        r"\[1/4\] airline: naive \.\.\. \d+\.\d s, 3 to go",
        r"\[2/4\] airline: seasonal-naive \.\.\. \d+\.\d s, 2 to go",
        r"\[3/4\] us_change: naive \.\.\. \d+\.\d s, 1 to go",
        r"\[4/4\] us_change: seasonal-naive \.\.\. \d+\.\d s",
    ]
    assert re.fullmatch("\n".join([*steps, ""]), err)
    folder = Path("compare_results")
    pictures = ["forecasts.png", "ranks.png"]
    names = ["errors.csv", "forecasts.csv", *pictures, "results.csv"]
    assert sorted(os.listdir(folder)) == sorted(names)
    for name in pictures:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    errors = pd.read_csv(folder / "errors.csv")
    assert len(errors) == 2 * (1 + 5)
    wide = errors.pivot(
        index=["dataset", "variate"], columns="forecaster", values="MASE"
    )
    wins = int((wide["naive"] < wide["seasonal-naive"]).sum())
    ranks = out[out.index("mean rank by MASE over all series (6):") :]
    assert f"naive                {2 - wins / 6:.2f}\n" in ranks
    assert "On 6 series, " in ranks
    results = pd.read_csv(folder / "results.csv")
    assert len(results) == 4
    assert results.loc[0, "MASE"] == pytest.approx(1.213, abs=1e-3)
    forecasts = pd.read_csv(folder / "forecasts.csv")
    assert len(forecasts) == 2 * (12 + 5 * 8)
    airline = forecasts[forecasts["dataset"] == "airline"]
    assert airline["time"].iloc[0] == "1960-01"
    truth = load_dataset("airline").y[-12:].tolist()
    assert airline["truth"].iloc[:12].tolist() == truth


def test_without_arguments_all_data_sets_are_compared(run, monkeypatch):
    seen = []

    def stop(datasets, *args, **options):
        seen.extend(dataset.name for dataset in datasets)
        raise KeyboardInterrupt

    monkeypatch.setattr(sktime_llm.evaluation, "compare_forecasters", stop)
    code, _, err = run("compare")
    assert seen == dataset_names()
    assert code == 130
    assert "interrupted" in err


def test_options_reach_the_forecasters(run, monkeypatch):
    seen = {}

    def make(seasonal_period, **options):
        seen.update(options, seasonal_period=seasonal_period)
        return {}

    monkeypatch.setattr(sktime_llm.evaluation, "default_forecasters", make)
    arguments = ["compare", "--dataset", "lynx", "--forecasters", "calf", "theta"]
    arguments += ["--seasonal-period", "5", "--backbone", "here", "--max-epochs", "3"]
    arguments += ["--device", "cpu", "--random-state", "8", "--levels", "80"]
    run(*arguments, "--set", "lora_rank=2", "task_loss=mse", "--quiet")
    expected = {"seasonal_period": 5, "names": ["calf", "theta"], "backbone": "here"}
    expected |= {"max_epochs": 3, "device": "cpu", "random_state": 8, "verbose": 0}
    expected["calibration_fraction"] = 0.2
    expected["parameters"] = {"lora_rank": 2, "task_loss": "mse"}
    assert seen == expected
    run("compare", "--dataset", "lynx")
    expected = dict.fromkeys(expected) | {"seasonal_period": 10, "random_state": 0}
    expected["parameters"] = {}
    assert seen == expected


def test_own_panel(run, sales):
    options = ["--horizon", "4", "--folds", "2"]
    code, out, _ = run("compare", sales, *STORES, *options, *NAIVE)
    assert code == 0
    assert "sales: 2 folds, horizon 4, seasonal period 12\n" in out
    forecasts = pd.read_csv("compare_results/forecasts.csv")
    assert set(forecasts["id"]) == {"north", "east"}
    assert set(forecasts["variate"]) == {"units"}
    north = forecasts[(forecasts["id"] == "north") & (forecasts.forecaster == "naive")]
    assert north["time"].tolist() == ["2018-01", "2018-02", "2018-03", "2018-04"]
    expected = pd.read_csv(sales).query("store == 'north'")["units"].tolist()
    assert north["truth"].tolist() == expected[-4:]
    assert north["forecast"].tolist() == [expected[-5]] * 4


def test_how_a_file_is_read_is_said_by_options_and_printed(run, tmp_path):
    dates = pd.date_range("2018-01-01", periods=12, freq="MS")
    path = tmp_path / "months.csv"
    rows = [f"{date:%d/%m/%Y};1.000,{i % 5};x;" for i, date in enumerate(dates)]
    path.write_text("\n".join(["Sales", "date;y;note;z", *rows]))
    arguments = ["--time-column", "date", "--horizon", "1", "--seasonal-period", "1"]
    arguments = ["compare", path, *arguments, "--no-plot", "--quiet", *NAIVE]
    for fitting in (
        ["--skip-rows", "1", "--separator", ";", "--decimal", ","],
        ["--thousands", "."],
        ["--date-format", "%d/%m/%Y"],
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        for word in fitting:
            assert word in err
        arguments += fitting
    code, _, err = run(*arguments)
    assert code == 0
    assert err.splitlines() == [
        "months.csv: 12 rows, 2018-01 to 2018-12, frequency M, inferred",
        "  times: date",
        "  targets: y",
        "  left out: note (line 3: 'x' is not a number), z (holds no values)",
    ]
    written = pd.read_csv("compare_results/forecasts.csv")["time"].unique()
    assert written.tolist() == ["2018-12"]


@pytest.mark.parametrize("ids", [["store"], ["store", "price"]])
def test_a_short_series_is_named_and_can_be_left_out(run, sales, ids):
    frame = pd.read_csv(sales).assign(price="p")
    frame.drop(index=range(50, 80)).to_csv(sales, index=False)
    arguments = ["--time-column", "date", "--id-column", *ids, "--target", "units"]
    arguments = ["compare", sales, *arguments, "--horizon", "2", "--no-plot", *NAIVE]
    code, _, err = run(*arguments)
    assert code == 2
    name = " / ".join(["east", "p"][: len(ids)])
    assert f"too short in the series '{name}': of 10 time points" in err
    assert "--min-length" in err
    code, _, err = run(*arguments, "--min-length", "20")
    assert code == 0
    assert f"  left out, shorter than 20 rows: {name}\n" in err


def test_missing_values_go_to_the_forecasters_that_take_them(run, sales):
    frame = pd.read_csv(sales).query("store == 'east'").reset_index()
    frame.loc[3, "units"] = np.nan
    frame.to_csv(sales, index=False)
    arguments = ["--time-column", "date", "--target", "units", "--no-plot", "--quiet"]
    arguments = ["compare", sales, *arguments, "--folds", "1", "--forecasters"]
    code, _, err = run(*arguments, "naive", "theta")
    assert code == 2
    assert "line 5, column 'units': missing value ('')" in err
    assert "--missing interpolate" in err
    code, _, err = run(*arguments, "naive")
    assert code == 0
    assert "  missing, kept as NaN: 1 value" in err
    code, _, err = run(*arguments, "naive", "theta", "--missing", "ffill")
    assert code == 0
    assert "  missing, filled by ffill: 1 value" in err


def test_weeks_are_written_as_in_the_file(run, tmp_path):
    dates = pd.date_range("2020-01-06", periods=20, freq="W-MON")
    path = tmp_path / "weeks.csv"
    pd.DataFrame({"week": dates, "y": np.arange(20)}).to_csv(path, index=False)
    arguments = ["--time-column", "week", "--horizon", "2", "--seasonal-period", "1"]
    code, _, _ = run("compare", path, *arguments, "--no-plot", *NAIVE)
    assert code == 0
    written = pd.read_csv("compare_results/forecasts.csv")["time"].unique()
    assert written.tolist() == [str(date.date()) for date in dates[-2:]]


@pytest.mark.parametrize("freq", ["s", "30s", "h", "D", "2W-MON"])
@pytest.mark.parametrize(
    ("command", "options", "output"),
    [
        ("compare", NAIVE, "compare_results/forecasts.csv"),
        ("forecast", ["--method", "naive", "--levels"], "forecast.csv"),
    ],
)
def test_all_times_are_written_in_one_format(
    run, tmp_path, freq, command, options, output
):
    dates = pd.date_range(end="2024-01-01 00:00", periods=22, freq=freq)
    dates = dates.append(pd.date_range(dates[-1], periods=3, freq=freq)[1:])
    path = tmp_path / "times.csv"
    known = dates if command == "compare" else dates[:-4]
    pd.DataFrame({"t": known, "y": np.arange(len(known))}).to_csv(path, index=False)
    arguments = ["--time-column", "t", "--horizon", "4", "--seasonal-period", "1"]
    assert run(command, path, *arguments, "--no-plot", *options)[0] == 0
    times = pd.read_csv(output)["time"].unique()
    assert pd.to_datetime(times).tolist() == dates[-4:].tolist()


@pytest.mark.parametrize(
    ("freq", "notation"), [("h", "%Y-%m-%d %H:%M:%S"), ("D", "%Y-%m-%d")]
)
def test_time_stamps_are_without_midnight_only_if_all_have_it(run, freq, notation):
    times = pd.date_range("2024-01-01", periods=len(VALUES) + 24, freq=freq)
    y = pd.Series(VALUES, times[: len(VALUES)])
    assert run(*saved_in_python(y, fh=range(1, 25)))[0] == 0
    written = pd.read_csv("forecast.csv")["time"].tolist()
    assert written == list(times[len(VALUES) :].strftime(notation))


def test_quiet_and_no_plot(run):
    options = ["--quiet", "--no-plot", "--output", "a/b"]
    code, out, err = run("compare", "--dataset", "lynx", *options, *NAIVE)
    assert (code, err) == (0, "")
    assert "lynx" in out
    assert sorted(os.listdir("a/b")) == ["errors.csv", "forecasts.csv", "results.csv"]
    assert "no ranks: 2 forecaster(s) cannot be ranked over 1 series" in out


def test_a_context_that_does_not_fit_is_named(run, monkeypatch):
    def make(seasonal_period, names=None, **options):
        return {name: NaiveForecaster() for name in names}

    monkeypatch.setattr(sktime_llm.evaluation, "default_forecasters", make)
    options = ["--dataset", "airline", "--no-plot", "--forecasters", "naive"]
    words = "contexts of 512 steps; here it sees less, as there are few values"
    assert words in run("compare", *options, "balm-tsf")[1]
    assert "contexts of" not in run("compare", *options)[1]


def test_lines_are_written_again_on_a_terminal(run, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, _, err = run("compare", "--dataset", "lynx", "--no-plot", *NAIVE)
    assert code == 0
    lines = err.rstrip("\n").split("\n")
    assert len(lines) == 2
    for line in lines:
        started, ended = line.split("\r")
        assert ended.startswith(started)
        assert ended.removeprefix(started)[0].isdigit()


def test_the_summary_says_where_ours_stands(run, with_calf):
    with_calf(NaiveForecaster, "seasonal-naive")
    code, out, _ = run("compare", "--dataset", "airline", "--no-plot")
    assert code == 0
    sentence = "  calf is 2nd of 2; seasonal-naive is 51 % better\n"
    assert out.count(sentence) == 1
    code, out, _ = run("compare", "--dataset", "airline", "lynx", "--no-plot")
    assert out.count(sentence) == 1
    means = out[out.index("mean MASE over the univariate data sets (2):") :]
    assert "  calf is 2nd of 2; seasonal-naive is 55 % better\n" in means


def test_failure_is_visible(run, with_calf):
    with_calf(WithoutBackbone)
    code, out, err = run("compare", "--dataset", "airline", "--quiet")
    assert (code, out) == (2, "")
    assert err == "sktime-llm: error: no such language model; install it\n"
    with_calf(Failing)
    code, out, err = run("compare", "--dataset", "airline", "lynx")
    assert code == 1
    assert "Traceback" not in out + err
    assert out.count("calf failed: ValueError: cannot do this") == 2
    assert "calf has no mean: it failed on 2 of 2" in out
    assert re.search(r"naive +2\.468", out)
    results = pd.read_csv("compare_results/results.csv")
    assert results.query("forecaster == 'calf'")["error"].str.contains("cannot").all()
    with_calf(Failing, None)
    code, out, _ = run("compare", "--dataset", "airline", "--output", "no_picture")
    assert code == 1
    assert "forecasts.png" not in out
    assert not Path("no_picture/forecasts.png").exists()


def test_a_series_that_never_changes_is_left_out_of_mase(run, sales):
    frame = pd.read_csv(sales)
    frame.loc[frame["store"] == "east", "units"] = 3
    frame.to_csv(sales, index=False)
    arguments = [*STORES, "--horizon", "2", "--no-plot", "--quiet", *NAIVE]
    code, _, err = run("compare", sales, *arguments)
    assert code == 0
    assert "\nwarning: sales: MASE leaves out 1 of 2 series, which in " in err
    assert "'east'" in err
    assert (pd.read_csv("compare_results/results.csv")["MASE"] < 5).all()

    frame.query("store == 'east'").to_csv(sales, index=False)
    code, out, err = run("compare", sales, *arguments)
    assert (code, out) == (2, "")
    assert "\nsktime-llm: error: The data set 'sales' has no MASE, which" in err


def test_warnings_are_lines(run, with_calf):
    with_calf(Loud)
    code, _, err = run("compare", "--dataset", "airline", "--no-plot", "--quiet")
    assert code == 0
    assert err == "warning: calf on airline: rather short\n"
    code, _, err = run("compare", "--dataset", "airline", "--no-plot")
    lines = err.splitlines()
    assert lines[0] == "[1/2] airline: calf ... "
    assert lines[1] == "warning: calf on airline: rather short"
    assert lines[2].startswith("[1/2] airline: calf ... ")
    assert lines[2].endswith(" s, 1 to go")
    assert len(lines) == 4


def test_with_calf_itself(run):
    code, out, _ = run(
        "compare",
        *("--dataset", "shampoo_sales", "--folds", "1", "--no-plot"),
        *("--forecasters", "calf", "calf-no-llm", "naive"),
        *("--backbone", "tiny-random", "--max-epochs", "1"),
    )
    assert code == 0
    results = pd.read_csv("compare_results/results.csv")
    names = ["calf", "calf-no-llm", "naive"]
    assert sorted(results["forecaster"]) == names
    assert np.isfinite(results["MASE"]).all()
    assert "calf-no-llm" in out
    forecasts = pd.read_csv("compare_results/forecasts.csv")
    assert forecasts.groupby("forecaster").size().to_dict() == dict.fromkeys(names, 4)


@pytest.fixture
def panel(sales):
    """Arguments that forecast the two series of a file."""
    return ["forecast", sales, *STORES, "--horizon", "3", "--quiet"]


def test_forecast_of_a_file(run, panel, sales):
    code, out, err = run(*panel, "--method", "naive")
    assert code == 0
    assert out == "Written: forecast.csv, forecast.png\n"
    assert "  targets: units\n" in err
    table = pd.read_csv("forecast.csv")
    names = ["lower_80", "upper_80", "lower_95", "upper_95"]
    assert list(table) == ["series", "time", "variate", "forecast", *names]
    assert table["series"].tolist() == ["east"] * 3 + ["north"] * 3
    assert table["time"].tolist() == ["2018-05", "2018-06", "2018-07"] * 2
    last = pd.read_csv(sales).groupby("store")["units"].last()
    assert table["forecast"].tolist() == [last["east"]] * 3 + [last["north"]] * 3
    bounds = table[["lower_95", "lower_80", "forecast", "upper_80", "upper_95"]]
    assert (bounds.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert Path("forecast.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["naive", "calf"])
def test_a_week_of_business_days_in_each_series_has_no_weekend(run, method):
    days = pd.bdate_range("2024-04-01", periods=5).strftime("%Y-%m-%d")
    lines = [f"{store},{day},{day[-1]}" for store in "ab" for day in days]
    Path("week.csv").write_text("\n".join(["store,date,units", *lines]))
    tiny = ["--backbone", "tiny-random", "--max-epochs", "1", "--quiet"]
    arguments = ["week.csv", *STORES, "--frequency", "B", "--horizon", "2"]
    code, out, _ = run(
        "forecast", *arguments, "--method", method, *tiny, "--output", "-"
    )
    assert code == 0
    times = [line.split(",")[1] for line in out.splitlines()[1:]]
    assert times == ["2024-04-08", "2024-04-09"] * 2


def test_forecast_to_standard_output(run, panel):
    code, out, _ = run(*panel, "--method", "naive", "--levels", "--output", "-")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "series,time,variate,forecast"
    assert lines[1].startswith("east,2018-05,units,")
    assert len(lines) == 7
    assert not list(Path().glob("forecast*"))


def test_forecast_to_parquet(run, panel):
    pytest.importorskip("pyarrow")
    arguments = [*panel, "--method", "naive", "--no-plot", "--output"]
    assert run(*arguments, "new/f.parquet")[:2] == (0, "Written: new/f.parquet\n")
    assert run(*arguments, "f.csv")[0] == 0
    table = pd.read_parquet("new/f.parquet")
    pd.testing.assert_frame_equal(table, pd.read_csv("f.csv"), check_dtype=False)


def test_forecast_of_hierarchies_variates_and_missing_rows(run, sales):
    frame = pd.read_csv(sales).assign(region=lambda frame: "far " + frame["store"])
    frame.drop(index=[20, 50]).to_csv(sales, index=False)
    arguments = ["forecast", sales, "--time-column", "date", "--quiet", "--no-plot"]
    arguments += ["--id-column", "region", "store", "--target", "units", "price"]
    arguments += ["--method", "llm-ts-net", "--backbone", "tiny-random"]
    arguments += ["--max-epochs", "1", "--levels", "50", "--horizon", "2"]
    code, _, err = run(*arguments)
    assert code == 2
    assert "--missing" in err
    code, _, err = run(*arguments, "--missing", "keep")
    assert code == 0, err
    table = pd.read_csv("forecast.csv")
    assert set(table["series"]) == {"far east / east", "far north / north"}
    assert set(table["variate"]) == {"units", "price"}
    assert len(table) == 8
    assert (table["lower_50"] < table["forecast"]).all()
    assert (table["forecast"] < table["upper_50"]).all()


def test_ablate(run):
    arguments = ["ablate", "--dataset", "airline", "--folds", "1", "--seeds", "0", "1"]
    arguments += ["--backbone", "tiny-random", "--max-epochs", "1", "--quiet"]
    code, out, err = run(*arguments, "--output", "out")
    assert code == 0, err
    assert "no language model" in out
    assert re.search(r"(language model (helps|does not help)|Cannot tell)", out)
    errors = pd.read_csv("out/errors.csv")
    assert len(errors) == 5 * 2
    effects = pd.read_csv("out/effects.csv", index_col="variant")
    assert list(effects)[:4] == ["MASE", "trained", "all", "memory_mb"]
    assert Path("out/ablation.png").stat().st_size > 10_000


def test_ablate_takes_seeds_alone(capsys):
    assert stop("ablate", "--dataset", "airline", "--random-state", "3") == 2
    assert "unrecognized arguments: --random-state" in capsys.readouterr().err


def test_pictures_of_an_earlier_comparison_are_removed(run):
    arguments = [
        "compare",
        "--dataset",
        "us_change",
        *["--quiet", "--forecasters", "naive"],
    ]
    assert run(*arguments, "theta")[0] == 0
    assert Path("compare_results/ranks.png").exists()
    _, out, _ = run(*arguments)
    assert not Path("compare_results/ranks.png").exists()
    assert "forecasts.png" in out
    assert "ranks.png" not in out


def test_without_plots_no_picture_is_touched(run):
    Path("mine").mkdir()
    Path("mine/forecasts.png").write_text("not yours")
    arguments = ["compare", "--dataset", "airline", "--quiet", *NAIVE]
    assert run(*arguments, "--no-plot", "--output", "mine")[0] == 0
    assert Path("mine/forecasts.png").read_text() == "not yours"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "theta", "--dataset", "airline"], "--method theta, expected one"),
        ([], "Name a FILE, before the options, or a data set"),
        (["FILE", "--dataset", "airline"], "Got both a FILE and --dataset"),
    ],
)
def test_ablate_refuses(run, arguments, words):
    code, _, err = run("ablate", *arguments)
    assert code == 2
    assert words in err


@pytest.mark.parametrize("command", ["ablate", "compare"])
@pytest.mark.parametrize("name", TABLE_OPTIONS)
def test_a_data_set_takes_no_options_of_files(run, command, name):
    option = f"--{name.replace('_', '-')}"
    value = {"missing": "keep"}.get(name, "1")
    code, out, err = run(command, "--dataset", "us_change", option, value)
    assert (code, out) == (2, "")
    assert f"{option} says how a FILE is read, and none was given." in err
    assert f"sktime-llm {command} FILE" in err


def test_compare_scores_intervals(run):
    arguments = ["compare", "--dataset", "airline", "--folds", "1", "--quiet"]
    arguments += ["--forecasters", "calf", "naive", "--backbone", "tiny-random"]
    arguments += ["--max-epochs", "1", "--levels", "50", "--output", "out"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "within 50 %  MSIS 50" in out
    assert pd.read_csv("out/results.csv")["coverage_50"].between(0, 1).all()
    table = pd.read_csv("out/forecasts.csv")
    assert (table["lower_50"] < table["upper_50"]).all()


@pytest.mark.parametrize("method", ["calf", "balm-tsf", "llm-ts-net"])
def test_levels_let_a_language_model_calibrate_intervals(run, panel, method):
    small = ["--method", method, "--backbone", "tiny-random", "--max-epochs", "1"]
    assert run(*panel, *small, "--quiet", "--no-plot", "--levels", "50")[0] == 0
    table = pd.read_csv("forecast.csv")
    assert (table["lower_50"] < table["forecast"]).all()
    assert (table["forecast"] < table["upper_50"]).all()


def test_a_saved_forecaster_forecasts_the_same_in_another_process(run, panel):
    fast = ["--backbone", "tiny-random", "--max-epochs", "1"]
    arguments = [*panel, "--method", "calf", *fast, "--save", "kept/model"]
    code, out, _ = run(*arguments)
    assert code == 0
    assert out == f"Written: forecast.csv, forecast.png, kept/model{os.sep}\n"
    expected = ["README.md", "config.json", "model.safetensors", "series.safetensors"]
    assert sorted(os.listdir("kept/model")) == expected
    done = run_in_shell("sktime-llm forecast --load kept/model --output again.csv")
    assert done.returncode == 0, done.stderr
    assert Path("again.csv").read_text() == Path("forecast.csv").read_text()
    assert Path("again.png").exists()
    loaded = ["forecast", "--load", "kept/model"]
    code, out, _ = run(*loaded, "--horizon", "2", "--output=-")
    assert code == 0
    assert len(out.splitlines()) == 5


def test_a_saved_forecaster_forecasts_other_rows(run, panel, tmp_path):
    fast = ["--backbone", "tiny-random", "--max-epochs", "1", "--no-plot", "--quiet"]
    assert run(*panel, "--method", "calf", *fast, "--save", "model")[0] == 0
    fitted = pd.read_csv("forecast.csv")
    command, path, *reading = panel
    horizon = reading.index("--horizon")
    reading = reading[:horizon] + reading[horizon + 2 :]
    load = ["--load", "model", "--no-plot", "--quiet"]
    assert run(command, path, *reading, *load)[0] == 0
    pd.testing.assert_frame_equal(pd.read_csv("forecast.csv"), fitted, rtol=1e-5)
    rows = pd.read_csv(path)
    rows["units"] = 1000 * rows["units"] + 5
    rows["store"] = "new " + rows["store"].astype(str)
    rows.to_csv(tmp_path / "new.csv", index=False)
    more = ["--horizon", str(len(fitted))]
    code, out, _ = run(command, tmp_path / "new.csv", *reading, *load, *more)
    assert (code, out) == (0, "Written: forecast.csv\n")
    found = pd.read_csv("forecast.csv")
    assert len(found) == len(fitted) * fitted["series"].nunique()
    known = found.merge(fitted.assign(series="new " + fitted["series"].astype(str)),
                        on=["series", "time"])  # fmt: skip
    assert len(known) == len(fitted)
    np.testing.assert_allclose(
        known["forecast_x"], 1000 * known["forecast_y"] + 5, rtol=1e-4
    )


def test_a_saved_forecaster_for_rows_of_other_columns(run, panel, sales):
    saved_in_python(pd.DataFrame({"a": VALUES, "b": VALUES}), fh=[1])
    code, _, err = run(*panel, "--load", "model")
    assert code == 2
    assert "fitted on 2 variate(s), but the data have 1: units" in err


def saved_in_python(y, **fit):
    """Fit a CALF on a few rows, none of which are held out, and save it."""
    forecaster = CALFForecaster(backbone="tiny-random", max_epochs=1, verbose=0)
    forecaster.fit(y, **fit).save_pretrained("model")
    return "forecast", "--load", "model"


VALUES = np.arange(80.0) % 7
TWO = [pd.DataFrame({"a": VALUES}), pd.DataFrame({"a": VALUES})]


@pytest.mark.parametrize(
    ("y", "ids"),
    [
        (pd.Series(VALUES, name="units"), [""]),
        (VALUES, [""]),
        (np.stack([VALUES, VALUES])[:, None], ["0", "1"]),
        (TWO, ["0", "1"]),
        (pd.concat({("x", "y"): TWO[0], ("x", "z"): TWO[1]}), ["x / y", "x / z"]),
    ],
)
def test_a_forecaster_from_python_forecasts_without_intervals(run, y, ids):
    load = saved_in_python(y, fh=[1, 2])
    code, out, err = run(*load)
    assert (code, out) == (0, "Written: forecast.csv, forecast.png\n")
    assert "No intervals are written." in err
    assert "calibration_fraction" in err
    table = pd.read_csv("forecast.csv", dtype={"series": str}, keep_default_na=False)
    assert list(table) == ["series", "time", "variate", "forecast"]
    assert table["series"].tolist() == np.repeat(ids, 2).tolist()
    assert table["time"].tolist() == [80, 81] * len(ids)
    assert "No intervals" not in run(*load, "--levels", "--output=-")[2]
    code, out, err = run(*load, "--levels", "80")
    assert (code, out) == (2, "")
    assert "error: CALFForecaster has no prediction intervals" in err


def test_a_forecaster_that_knows_no_horizon_needs_one(run):
    load = saved_in_python(pd.Series(VALUES))
    code, out, err = run(*load)
    assert (code, out) == (2, "")
    assert "fitted without fh" in err
    assert "Give it with --horizon." in err
    assert len(run(*load, "--horizon", "3", "--output=-")[1].splitlines()) == 4


def test_a_forecaster_that_would_be_pickled_is_not_saved(run, panel):
    code, out, err = run(*panel, "--method", "naive", "--save", "kept/model")
    assert (code, out) == (2, "")
    assert "--method naive can only be pickled" in err
    assert not Path("forecast.csv").exists()


def test_a_folder_of_other_files_is_refused_before_the_fit(run, panel):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    code, out, err = run(*panel, "--save", "mine")
    assert (code, out) == (2, "")
    assert "files that are not of a checkpoint (notes.txt)" in err
    assert "calf ... " not in err
    assert os.listdir("mine") == ["notes.txt"]


def test_levels_of_a_forecaster_that_was_saved_without(run):
    forecaster = CALFForecaster(
        backbone="tiny-random", max_epochs=1, intervals=None, verbose=0
    )
    forecaster.fit(pd.Series(VALUES), fh=[1]).save_pretrained("model")
    code, out, err = run("forecast", "--load", "model", "--levels", "80")
    assert (code, out) == (2, "")
    assert "the forecaster in 'model' has no intervals" in err
    assert "make it anew with --save and --levels" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["FILE", "--load"]),
        (["FILE", "--load", "x", "--set", "dropout=0"], ["--load and --set"]),
        (["FILE", "--load", "x", "--covariates", "y"], ["--load and --covariates"]),
        (["--load", "x", "--target", "y"], ["--load and --target"]),
        (["--load", "x", "--max-epochs", "1"], ["--load and --max-epochs"]),
        (["--load", "x", "--random-state", "0"], ["--load and --random-state"]),
        (["--load", "x"], ["no fitted forecaster in 'x'", "--save"]),
        (["--load", "broken"], ["Cannot load the forecaster in 'broken'", "--save"]),
        (["FILE"], ["--time-column"]),
        (["FILE", "--save", "model", "--output", "model/a.csv"], ["folder of --save"]),
        (["FILE", "--output", "a.xlsx"], ["'.xlsx'", ".parquet, or -"]),
        (["FILE", "--time-column", "date", "--method", "x"], ["'x'", "auto-ets"]),
        (["STEPS", "--time-column", "step"], ["no season", "--horizon"]),
    ],
)
def test_forecasts_that_cannot_be_made(run, sales, steps, tmp_path, arguments, words):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("no JSON")
    files = {"FILE": sales, "STEPS": steps}
    code, out, err = run("forecast", *[files.get(one, one) for one in arguments])
    assert (code, out) == (2, "")
    error = err[err.index("sktime-llm: error: ") :]
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert not Path("forecast.csv").exists()


@pytest.mark.parametrize("make", [Failing, FailingToPredict])
def test_a_forecaster_that_fails_is_a_message(run, panel, with_calf, make):
    with_calf(make)
    code, out, err = run(*panel)
    assert (code, out) == (1, "")
    assert "sktime-llm: the forecaster failed: ValueError: cannot do this" in err


@pytest.mark.parametrize(
    ("stores", "words"),
    [
        (["east"], "the series has 40 rows"),
        (["north", "east"], "the shortest of 2 series, 'east', has 5 rows"),
    ],
)
def test_a_fit_that_fails_says_how_short_the_series_are(
    run, sales, with_calf, stores, words
):
    with_calf(Failing)
    frame = pd.read_csv(sales).query("store in @stores")
    if len(stores) > 1:
        frame = frame[(frame["store"] == "north") | (frame["date"] < "2015-06")]
    frame.to_csv(sales, index=False)
    arguments = STORES if len(stores) > 1 else [*STORES[:2], *STORES[-2:]]
    code, _, err = run("forecast", sales, *arguments)
    assert code == 1
    assert err.endswith(f" failed: ValueError: cannot do this ({words})\n")


@pytest.fixture
def seasons(sales):
    """Return a function that gives two shops rows, and arguments to forecast them."""

    def cut(north, east, *variates):
        frame = pd.read_csv(sales)
        groups = frame.groupby("store")
        kept = groups.cumcount() < frame["store"].map({"north": north, "east": east})
        frame[kept].to_csv(sales, index=False)
        naive = ["--method", "seasonal-naive", "--quiet", "--horizon", "2"]
        return ["forecast", sales, *STORES, *variates, *naive]

    return cut


@pytest.mark.parametrize(
    ("rows", "variates", "words"),
    [
        ((40, 5), [], "1 of 2 series: east / units (5 values)"),
        ((11, 5), [], "2 of 2 series: east / units (5 values), north / units (11 val"),
        ((40, 5), ["price"], "2 of 4 series: east / units (5 values), east / price (5"),
        ((0, 5), [], "1 of 1 series: east / units (5 values)"),
    ],
)
def test_missing_forecasts_are_not_written(run, seasons, rows, variates, words):
    code, out, err = run(*seasons(*rows, *variates), "--no-plot")
    assert (code, out) == (2, "")
    assert f"error: Forecasts are missing for {words}" in err
    assert "--min-length" in err
    assert not Path("forecast.csv").exists()


def test_missing_bounds_are_a_warning(run, seasons):
    arguments = seasons(40, 12)
    code, out, err = run(*arguments)
    assert (code, out) == (0, "Written: forecast.csv, forecast.png\n")
    words = (
        "Bounds of intervals are missing for 1 of 2 series: east / units (12 values)"
    )
    assert f"warning: {words}. Their cells are empty." in err
    table = pd.read_csv("forecast.csv").set_index("series")
    assert table["forecast"].notna().all()
    assert table.loc["east"].filter(like="_").isna().all(axis=None)
    assert table.loc["north"].notna().all(axis=None)
    assert "missing" not in run(*arguments, "--levels")[2]


def test_five_months_are_too_few_for_auto_ets(run, tmp_path):
    pytest.importorskip("statsforecast")
    lines = [f"2024-0{month},{10 + month % 3}" for month in range(1, 6)]
    (tmp_path / "m.csv").write_text("\n".join(["date,y", *lines]))
    options = ["--time-column", "date", "--horizon", "2", "--method", "auto-ets"]
    code, _, err = run("forecast", "m.csv", *options)
    assert code == 1
    assert err.endswith("tiny datasets (the series has 5 rows)\n")


def test_warnings_of_libraries_to_developers_are_not_shown(capsys):
    with shown_progress(show=False):
        warnings.warn("is deprecated", DeprecationWarning, stacklevel=1)
        warnings.warn("will change", FutureWarning, stacklevel=1)
        warnings.warn("the series is short", ShortSeriesWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: the series is short\n"


def run_in_shell(command, **options):
    program = f"{sys.executable} -m sktime_llm.cli"
    # With unbuffered streams, argparse itself passes over what it cannot write.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment |= options.pop("env", {})
    command = ["bash", "-c", command.replace("sktime-llm", program)]
    options = {"capture_output": True, "text": True, "env": environment} | options
    return subprocess.run(command, **options)


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
COMPARE = "sktime-llm compare --dataset lynx --no-plot --quiet --forecasters naive"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(f"{COMPARE} > /dev/full", marks=needs_full),
        pytest.param("sktime-llm --help > /dev/full", marks=needs_full),
        f"{COMPARE} > >(exec true)",
        pytest.param(f"{COMPARE} > /dev/full 2> /dev/full", marks=needs_full),
    ],
)
def test_output_that_cannot_be_written_is_a_message(command, tmp_path):
    done = run_in_shell(command, cwd=tmp_path)
    assert done.returncode == 2
    if "--help" not in command:  # no result is lost
        assert (tmp_path / "compare_results" / "results.csv").exists()
    if "2>" not in command:
        assert done.stderr.startswith("sktime-llm: error: Cannot write to standard out")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
@pytest.mark.parametrize(
    "command",
    ["forecast FILE --method naive", "compare FILE --forecasters naive --horizon 3"],
)
@pytest.mark.slow
def test_output_in_any_encoding(sales, command, encoding):
    sales.write_text(sales.read_text().replace("units", "売上"), encoding="utf-8")
    options = "--time-column date --id-column store --target 売上 --no-plot --output"
    command = f"sktime-llm {command.replace('FILE', sales.name)} {options}"
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    done = run_in_shell(f"{command} out.csv", env=env, encoding=encoding)
    assert done.returncode == 0, done.stderr
    file = "out.csv" if "--method" in command else "out.csv/forecasts.csv"
    table = pd.read_csv(file)
    assert set(table["variate"]) == {"売上"}
    name = "売上".encode(encoding, "backslashreplace").decode(encoding)
    assert name in done.stdout + done.stderr
    if "--method" in command:
        done = run_in_shell(f"{command} - --quiet", env=env, encoding="utf-8")
        assert done.stdout == Path(file).read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="needs ulimit")
def test_files_stay_whole_if_they_cannot_be_replaced():
    command = f"{COMPARE} theta --output out"
    assert run_in_shell(command).returncode == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    done = run_in_shell(f"ulimit -f 1; {command} --horizon 15")  # files of a kilobyte
    assert done.returncode == 2
    assert done.stderr.startswith("sktime-llm: error: Cannot write out/forecasts.csv: ")
    assert done.stderr.count("\n") == 1
    after = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert set(after) == set(before) == {"results.csv", "errors.csv", "forecasts.csv"}
    assert after["forecasts.csv"] == before["forecasts.csv"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mine.csv", ["forecast", "--method", "naive", "--output", "mine.csv"]),
        ("mine.csv", ["forecast", "--method", "naive", "--output", "link.csv"]),
        ("mine.csv", ["forecast", "--method", "naive", "--output", "./x/../mine.csv"]),
        ("results.csv", ["compare", *NAIVE, "--output", "."]),
        ("forecasts.csv", ["compare", *NAIVE, "--output", "."]),
        ("errors.csv", ["ablate", "--output", "."]),
        ("effects.csv", ["ablate", "--output", "."]),
    ],
)
def test_the_file_that_is_read_is_not_written_over(run, sales, name, arguments):
    file = sales.rename(name)
    Path("x").mkdir()
    Path("link.csv").symlink_to(file)
    before = file.read_bytes()
    code, out, err = run(*arguments, file.name, *STORES, "--no-plot")
    assert (code, out) == (2, "")
    assert f"would be written over the FILE that is read, {name}" in err
    assert file.read_bytes() == before


@needs_full
def test_devices_are_written_to_and_not_replaced(run, panel):
    Path("full.csv").symlink_to("/dev/full")
    Path("null.csv").symlink_to("/dev/null")
    arguments = [*panel, "--method", "naive", "--no-plot", "--output"]
    assert run(*arguments, "null.csv")[0] == 0
    code, _, err = run(*arguments, "full.csv")
    assert code == 2
    assert "Cannot write full.csv: No space left on device" in err
    assert Path("/dev/full").is_char_device()
    assert Path("/dev/null").is_char_device()


ENGINE = ["--load", "model", "--horizon", "2", "--time-column", "date"]
ENGINE += ["--id-column", "store", "--partition-size", "1", "--engine", "local"]


def test_forecasts_by_partition(run, panel, sales):
    fast = ["--method", "calf", "--backbone", "tiny-random", "--max-epochs", "1"]
    options = ["--no-plot", "--levels", "50", "--quiet"]
    assert run(*panel, *fast, *options, "--save", "model")[0] == 0
    frame = pd.read_csv(sales, parse_dates=["date"]).drop(columns="price")
    frame.loc[7, "units"] = np.nan
    frame.assign(note="new").to_parquet("sales.parquet", row_group_size=30)
    command = ["forecast", "sales.parquet", *ENGINE, "--output", "out"]
    code, out, err = run(*command, "--levels", "50")
    assert (code, out) == (0, f"Written: out{os.sep}\n")
    assert "2/2" in err
    for line in [
        "sales.parquet: 80 rows, series: 2, partitions: 2\n  left out: note\n",
        "sales.parquet: 40 rows of 1 series, 2015-01 to 2018-04, ",
        "  targets: units\n  ids: store\n  missing, kept as NaN: 1 value\n",
    ]:
        assert line in err
    table = pd.read_parquet("out")
    assert table["series"].tolist() == ["north"] * 2 + ["east"] * 2
    assert table["time"].tolist() == ["2018-05", "2018-06"] * 2
    assert (table["lower_50"] < table["upper_50"]).all()
    before = Path("out/part-00000.parquet").stat().st_mtime_ns
    Path("out/part-00001.parquet").unlink()
    code, out, err = run(*command, "--levels", "50", "--quiet")
    assert (code, err) == (0, "")
    assert Path("out/part-00000.parquet").stat().st_mtime_ns == before
    pd.testing.assert_frame_equal(pd.read_parquet("out"), table)
    code, _, err = run(*command, "--levels", "80")
    assert code == 2
    assert "has forecasts of another run: levels=[50.0] (now [80.0])" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "local"], ["FILE, --load, --time-column, --id-column"]),
        (["--workers", "2", "x.parquet"], ["--workers, which goes with --engine"]),
        (
            ["x.parquet", *ENGINE],
            ["folder with a Parquet file for each", "got forecast.csv. Name"],
        ),
        (["x.parquet", *ENGINE, "--output=x"], ["There is no file 'x.parquet'"]),
        (["x.parquet", *ENGINE, "--max-epochs", "1"], ["--engine and --max-epochs"]),
        (["x.parquet", *ENGINE, "--random-state", "0"], ["--engine and --random-s"]),
        (["x.parquet", *ENGINE, "--decimal", ","], ["--engine and --decimal"]),
        (["x.parquet", *ENGINE, "--output", "-"], ["writes a folder", "got -."]),
    ],
)
def test_partitions_that_cannot_be_forecast(run, arguments, words):
    code, out, err = run("forecast", *arguments)
    assert (code, out) == (2, "")
    for word in words:
        assert word in err


@pytest.fixture
def priced(tmp_path):
    """Arguments for a CSV of two shops whose sales are ten times the price."""
    rng = np.random.default_rng(0)
    dates = pd.date_range("2015-01-01", periods=60, freq="MS")
    rows = {"store": np.repeat(["north", "east"], 60), "date": [*dates, *dates]}
    frame = pd.DataFrame(rows).assign(price=rng.normal(5, 1, 120))
    known = frame["date"] < "2019-09"
    frame["units"] = (10 * frame["price"]).where(known)
    frame.to_csv(tmp_path / "priced.csv", index=False)
    return [tmp_path / "priced.csv", *STORES, "--covariates", "price", "--quiet"]


def test_covariates_that_are_known_in_the_future(run, priced):
    pytest.importorskip("statsforecast")
    method = ["--method", "auto-arima", "--horizon", "3", "--output", "out.csv"]
    code, _, err = run("forecast", *priced, *method)
    assert code == 0, err
    assert "covariates: price" in err
    found = pd.read_csv("out.csv")
    frame = pd.read_csv(priced[0]).query("date >= '2019-09' and date < '2019-12'")
    expected = 10 * frame.sort_values(["store", "date"])["price"].to_numpy()
    np.testing.assert_allclose(found["forecast"], expected, rtol=1e-3)
    code, _, err = run("forecast", *priced, *method, "--horizon", "5")
    assert code == 2
    assert "known for 4 of the 5 steps after the last value of the series 'east'" in err
    code, _, err = run("forecast", *priced, "--method", "naive", "--horizon", "3")
    assert code == 2
    assert "NaiveForecaster takes none" in err


def test_covariates_in_a_comparison(run, priced):
    pytest.importorskip("statsforecast")
    options = ["--horizon", "3", "--seasonal-period", "1", "--no-plot"]
    forecasters = ["--forecasters", "naive", "auto-arima"]
    code, _, err = run("compare", *priced, *options, *forecasters)
    assert code == 0, err
    assert "forecast without them: naive." in err
    results = pd.read_csv("compare_results/results.csv", index_col="forecaster")
    assert results.loc["auto-arima", "MASE"] < 0.01


def test_covariates_that_a_command_does_not_use_may_be_empty(run, priced):
    frame = pd.read_csv(priced[0])
    frame["visitors"] = frame["units"]
    frame["price"] = frame["price"].where(frame["date"] < "2019-11-15")
    frame.to_csv(priced[0], index=False)
    options = [*priced[:-1], "visitors", "--backbone", "tiny-random", "--no-plot"]
    options += ["--max-epochs", "1", "--horizon", "3", "--seasonal-period", "1"]
    code, _, err = run("compare", *options, "--forecasters", "calf")
    assert code == 0, err
    code, _, err = run("forecast", *options)
    assert code == 2
    assert "'visitors' has no value at east / 2019-09, a step to forecast" in err
    code, _, err = run("forecast", *options, "--set", "past_covariates=['visitors']")
    assert code == 0, err
    assert pd.read_csv("forecast.csv")["forecast"].notna().all()


def test_a_saved_forecaster_with_covariates(run, priced):
    small = ["--backbone", "tiny-random", "--max-epochs", "1", "--horizon", "3"]
    assert run("forecast", *priced, *small, "--no-plot", "--save", "fitted")[0] == 0
    code, _, err = run("forecast", "--load", "fitted")
    assert code == 2
    assert "needs the future of its covariates price, which --load cannot give" in err


@pytest.mark.parametrize("command", ["forecast", "ablate"])
def test_a_file_behind_an_option_of_several_values(run, sales, command):
    code, _, err = run(command, "--time-column", "date", "--target", "units", sales)
    assert code == 2
    assert "Name a FILE" in err
    assert ", before the options" in err


def test_further_parameters_are_set(run, sales):
    small = ["--backbone", "tiny-random", "--max-epochs", "1", "--horizon", "3"]
    arguments = ["forecast", sales, *STORES, *small, "--quiet", "--no-plot"]
    found = []
    further = ["--set", "subtract_last=True", "--set", "task_loss=mse"]
    for settings in ([], further):
        assert run(*arguments, *settings, "--save", "fitted")[0] == 0
        found.append(pd.read_csv("forecast.csv")["forecast"])
    assert (found[0] != found[1]).all()
    parameters = json.loads(Path("fitted/config.json").read_text())["parameters"]
    assert parameters["subtract_last"] is True
    assert parameters["task_loss"] == "mse"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (["ema_decay=2"], "ema_decay=2, expected"),
        (["task_loss=huber"], "task_loss='huber', expected"),
        (["lora=8"], "has no parameter 'lora'; it has backbone, "),
        (["describer=template"], "calf has no parameter 'describer'"),
        (["ema_decay=0.9", "--set", "ema_decay=0.8"], "--set ema_decay twice"),
        (["dropout=0", "max_epochs=2"], "'max_epochs' among the further parameters"),
        (["backbone_mode=none"], "Choose a forecaster by its name instead"),
        (["intervals=None"], "intervals if levels are asked for"),
        (["dropout={[]:1}"], "dropout='{[]:1}', expected"),
    ],
)
@pytest.mark.parametrize("command", ["forecast", "compare", "ablate"])
def test_parameters_that_cannot_be_set(run, sales, command, settings, error):
    chosen = ["--forecasters", "naive", "llm-ts-net", "calf"]
    arguments = [*STORES, "--horizon", "3", *(chosen if command == "compare" else [])]
    code, _, err = run(command, sales, *arguments, "--set", *settings)
    assert code == 2
    assert error in err


def test_parameters_of_no_forecaster(run, sales, capsys):
    code, _, err = run("compare", sales, *STORES, *NAIVE, "--set", "ema_decay=0.9")
    assert code == 2
    assert "none of naive, seasonal-naive is a language-model forecaster" in err
    assert stop("compare", str(sales), *STORES, "--set", "ema_decay") == 2
    assert "expected NAME=VALUE, got 'ema_decay'" in capsys.readouterr().err
