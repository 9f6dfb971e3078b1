"""The tables and pictures of the docs are what the records say."""

import importlib
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
if not (ROOT / "docs").exists():  # as in the sdist
    pytest.skip("there are no docs here", allow_module_level=True)
pytest.importorskip("matplotlib")
MARKED = re.compile(r"<!-- table: \S+ -->.*?<!-- end -->", re.DOTALL)
DECIMAL = re.compile(r"(?<![\d.])\d+\.\d+(?!\d|\.\d)")
# With three digits, or of percents; others may be versions.
SCORE = re.compile(r"(?<![\d.])\d+\.(?:\d{3}(?!\d)|\d+(?= %))")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def load():
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} - before:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def report(load):
    return load("report")


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/ablation.md",
        "docs/results.md",
        "docs/lora_amr.md",
        "docs/performance.md",
        "docs/large_panels.md",
    ],
)
def test_pages_have_what_the_records_say(report, page):
    assert page in report.PAGES
    text = (ROOT / page).read_text(encoding="utf-8")
    assert MARKED.search(text)
    assert report.fill(text, report.make) == text, "run `make report`"


def test_every_table_has_a_place(report):
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in report.PAGES)
    places = re.findall(r"<!-- table: (\S+) -->", text)
    assert sorted(places) == sorted({*report.TABLES, *report.OVERVIEWS})


def test_every_results_file_has_a_table(report):
    files = {path.name for path in (BENCHMARKS / "results").glob("*.*")}
    assert files - {"README.md"} <= {file for file, _ in report.TABLES.values()}


def test_filling_again_changes_nothing(report):
    page = "a\n<!-- table: x -->\nold\n<!-- end -->\nb <!-- table: y -->1<!-- end --> c"
    filled = report.fill(page, {"x": "| new |", "y": "2"}.get)
    assert filled.endswith("b <!-- table: y -->2<!-- end --> c")
    assert "<!-- table: x -->\n\n| new |\n\n<!-- end -->\n" in filled
    assert report.fill(filled, {"x": "| new |", "y": "2"}.get) == filled


def test_a_table_that_is_not_there_is_an_error(report):
    with pytest.raises(SystemExit, match="no table 'x'"):
        report.make("x")


def test_a_table_without_records_says_so(report, load, monkeypatch, tmp_path):
    monkeypatch.setattr(load("_tables"), "RESULTS", tmp_path)
    for name in report.TABLES:
        assert report.make(name) == report.NOT_RECORDED


def test_pictures_are_drawn_of_these_records(load):
    pictures = load("pictures")
    for name, (draw, tabulate) in pictures.PICTURES.items():
        shown = pictures.fingerprint(tabulate(), draw)
        assert pictures.fingerprint_of(pictures.IMAGES / name) == shown, "make report"


@pytest.mark.slow
def test_pictures_have_the_same_bytes_every_time(load, tmp_path):
    pictures = load("pictures")
    for folder in ("first", "second"):
        pictures.draw_results(tmp_path / folder)
    for name in pictures.PICTURES:
        first, second = (tmp_path / folder / name for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_a_picture_that_is_there_is_not_drawn_again(load, monkeypatch, tmp_path):
    pictures = load("pictures")
    pictures.draw_results(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    pictures.draw_results(tmp_path)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before
    monkeypatch.setattr(pictures, "fingerprint", lambda table, draw: "another table")
    pictures.draw_results(tmp_path)
    assert pictures.fingerprint_of(tmp_path / "standing.png") == "another table"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scores_in_prose_are_in_the_tables(page):
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    generated = {n for text in MARKED.findall(results) for n in DECIMAL.findall(text)}
    text = MARKED.sub("", page.read_text(encoding="utf-8"))
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    scores = DECIMAL if page.name == "results.md" else SCORE
    assert set(scores.findall(prose)) - generated <= {"97.5"}  # a level


def long_term_run(mode, seed, mse, **settings):
    run = {"method": "calf", "dataset": "ETTh1", "horizon": 96, "context_length": 96}
    run |= {"backbone": "sentence-transformers/all-MiniLM-L6-v2", "epochs": 6}
    return run | {
        "backbone_mode": mode,
        "seed": seed,
        "mse": mse,
        "mae": 0.5,
        **settings,
    }


def test_what_is_not_recorded_is_an_empty_cell(load):
    records = load("_tables").from_records([long_term_run("pretrained", 0, 0.4)])
    table = load("_accuracy").long_term(records).replace("\N{NBSP}", " ")
    lines = [line.split("|")[3:-1] for line in table.splitlines()[2:]]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert rows == [
        ["MiniLM, pretrained", "1", "0.400 / 0.500", "+8.4 % / +28.5 %"],
        ["none", "", "", ""],
        ["GPT-2, published (from memory)", "", "0.369 / 0.389", ""],
    ]


def test_the_mean_of_four_horizons_is_of_what_has_all_four(load):
    runs = [
        long_term_run(mode, 0, mse, horizon=horizon)
        for horizon, mse in [(96, 0.1), (192, 0.2), (336, 0.3), (720, 0.6), (24, 9.0)]
        for mode in ("pretrained", "none")
        if (mode, horizon) != ("none", 336)
    ]
    records = load("_tables").from_records(runs)
    table = load("_accuracy").long_term(records).replace("\N{NBSP}", " ")
    lines = [line.split("|") for line in table.splitlines() if "mean of" in line]
    rows = {line[3].strip(): line[5].strip() for line in lines}
    assert rows == {
        "MiniLM, pretrained": "0.300 / 0.500",
        "none": "",
        "GPT-2, published (from memory)": "0.433 / 0.429",
    }


def test_an_average_without_all_periods_is_not_told(load, monkeypatch):
    lines = load("_lines")

    def told(*runs):
        records = load("_tables").from_records(list(runs))
        monkeypatch.setattr(lines, "read", lambda _: records)
        return lines.mean_of_four()

    yearly, other = (competition_run("four", p, 10.0) for p in ("yearly", "other"))
    assert told(yearly, other).startswith("10.00 where")
    assert told(yearly, other).endswith("without language models (not recorded)")
    assert told(yearly, competition_run("CALF", "other", 9.0)) == ""


def test_half_of_auto_ets_is_told_where_all_periods_are_recorded(load, monkeypatch):
    lines, name = load("_lines"), "four and AutoETS without language model"
    runs = [competition_run(name, p, 10.0) for p in ("yearly", "other")]
    joint = {"competition": "Tourism", "also_train_on": ["M1", "M3"], "mape": 20.0}
    runs += [competition_run(name, p, 15.0) | joint for p in ("yearly", "quarterly")]

    def told(runs):
        records = load("_tables").from_records(runs)
        monkeypatch.setattr(lines, "read", lambda _: records)
        return lines.half_of_ets()

    start, end = told(runs).split("; ")
    assert start.startswith("without language models, M3, sMAPE, 10.00, ")
    assert end == (
        "Tourism, MAPE, trained on M1 and M3, 20.00, 8.0 % higher than N-BEATS (18.52)"
    )
    assert "Tourism" not in told(runs[:3])
    assert told([competition_run("CALF", "yearly", 9.0)]) == ""
    several = [run | {"seeds": [0, 1, 2], "mape": 19.0} for run in runs[2:]]
    assert told(runs + several).endswith(
        "; Tourism, MAPE, three seeds of these, "
        "19.00, 2.6 % higher than N-BEATS (18.52)"
    )


def test_a_mean_over_seeds_is_not_put_beside_one_network(load):
    joint = {"competition": "Tourism", "also_train_on": ["M1", "M3"], "mape": 20.0}
    alone = competition_run("CALF", "yearly", 15.0, competition="Tourism", mape=21.0)
    runs = [alone, alone | joint, alone | joint | {"seeds": [0, 1, 2], "mape": 19.0}]
    table = load("_competitions").several(load("_tables").from_records(runs))
    rows = [line.split(" | ")[3:6] for line in table.splitlines()[2:]]
    assert rows == [["1", "20.00", "21.00"], ["3", "19.00", ""]]


@pytest.mark.parametrize(
    ("percents", "expected"),
    [
        (-1.26, "1.3 % lower than X"),
        (2, "2.0 % higher than X"),
        (0.04, "the same as X"),
    ],
)
def test_errors_beside_others_in_words(load, percents, expected):
    assert load("_lines").more_or_less(percents, "X") == expected


def test_runs_compare_if_only_the_language_model_differs(load):
    runs = [
        long_term_run("none", 0, 0.1, epochs=9),
        long_term_run("pretrained", 0, 0.4),
        long_term_run("none", 0, 0.5),
        long_term_run("none", 1, 0.7),
        long_term_run("none", 1, 0.6),  # run again
        long_term_run("pretrained", 0, 0.2, epochs=8),
    ]
    records = load("_tables").from_records(runs)
    found = load("_accuracy").long_term_errors(records).set_index("kind")
    assert found["mse"].to_dict() == {"MiniLM, pretrained": 0.4, "none": 0.55}
    assert found["seeds"].to_dict() == {"MiniLM, pretrained": 1, "none": 2}


def competition_run(method, period, smape, **settings):
    run = {"competition": "M3", "part": "test", "seeds": [0], "epochs": 10}
    run |= {"method": method, "period": period, "smape": smape, "mape": 9.0}
    return run | {"mase": 1.0, "series": 2, "points": 4, "of_each": [{}], **settings}


def test_a_method_without_all_periods_has_no_error_over_all(load):
    runs = [
        competition_run("LLM-TS Net", "yearly", 10.0),
        competition_run("LLM-TS Net", "other", 20.0, points=12),
        competition_run("LLM-TS Net without text", "yearly", 11.0),
    ]
    records = load("_tables").from_records(runs)
    found = load("_competitions").competition_errors(records, "M3")
    of_all = found[found["period"] == "all"].set_index("method")
    assert of_all["smape"].to_dict() == {"LLM-TS Net": 17.5}
    assert of_all["series"].to_dict() == {"LLM-TS Net": 4}
    assert load("_competitions").competition_errors(records, "M4").empty


def test_other_language_models_have_a_table_of_their_own(load, monkeypatch):
    tables, models = load("_tables"), load("_language_models")
    other = {"backbone": "SmolLM2-135M-Instruct"}
    default = {"backbone": "sentence-transformers/all-MiniLM-L6-v2"}
    runs = [
        competition_run("CALF", "yearly", 10.0, **default),
        competition_run("CALF", "yearly", 30.0, **default, epochs=20),
        competition_run("CALF without language model", "yearly", 20.0, **default),
        competition_run("CALF", "yearly", 25.0, **other, epochs=20),
        competition_run("CALF", "yearly", 15.0, **other),
        competition_run("CALF without language model", "yearly", 5.0, **other),
    ]
    records = tables.from_records(runs)
    of_default = load("_competitions").competition_errors(records.drop(1), "M3")
    assert of_default["smape"].tolist() == [10.0, 20.0]
    # beside another model, and without those that were run in another way
    runs = [
        long_term_run("pretrained", 0, 0.4),
        long_term_run("pretrained", 0, 0.3, **other),
        long_term_run("none", 0, 0.6),
        long_term_run("none", 0, 0.2, **other),
        long_term_run("pretrained", 1, 0.2),
        long_term_run("none", 0, 0.1, epochs=1),
        long_term_run("pretrained", 0, 0.1, horizon=192),
    ]
    monkeypatch.setattr(models, "read", lambda _: tables.from_records(runs))
    table = models.language_models(records).replace("\N{NBSP}", " ").splitlines()
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:]] == [
        ["M3, yearly, sMAPE", "CALF", "20.00", "10.00 (-50.0 %)", "15.00 (-25.0 %)"],
        ["ETTh1, 96 steps, MSE", "CALF", "0.600", "0.400 (-33.3 %)", "0.300 (-50.0 %)"],
    ]


def test_settings_that_were_tried_with_two_seeds_are_told_apart(load):
    run = {"competition": "M1", "period": "yearly", "method": "CALF", "epochs": 10}
    run |= {"part": "validation", "horizons_of_context": 2, "smape": 15.5, "mase": 2.5}
    records = load("_tables").from_records([{**run, "seeds": [s]} for s in (0, 1)])
    *_, first, second = load("_competitions").choices(records).splitlines()
    assert first == second.replace("| 10 | 1 |", "| 10 | 0 |") != second


def test_differences(load):
    tables = load("_tables")
    assert tables.percent(tables.difference(1.1, 1.0)) == "+10.0 %"
    assert tables.percent(tables.difference(0.99999, 1.0)) == "0.0 %"
    assert tables.percent(tables.difference(None, 1.0)) == ""
    assert tables.numbers(1.0, float("nan")) == "1.000 / "
    assert tables.numbers(None, float("nan")) == ""


def test_numbers_stand_on_the_right(load):
    table = load("_tables").markdown([{"a": "x", "b": "1.5"}, {"a": "y", "b": ""}])
    assert table.splitlines()[1] == "| --- | ---: |"


def test_the_best_other_is_a_classical_method(load):
    errors = pd.Series({"CALF": 1.0, "AutoETS": 3.0, "naive": 2.0, "other": 0.5})
    (row,) = load("_standing").rows_of("data", "task", "MASE", errors)
    assert (row["other"], row["error of other"]) == ("naive", 2.0)
    assert row["with"] == 1.0
    assert pd.isna(row["without"])
