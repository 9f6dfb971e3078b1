"""The example of docs/serving.md answers as the forecaster itself does."""

import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from sktime.datasets import load_airline

from sktime_llm import CALFForecaster, load_pretrained

testclient = pytest.importorskip("fastapi.testclient")
EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "serve.py"
if not EXAMPLE.exists():  # as in the sdist
    pytest.skip("there are no docs here", allow_module_level=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    forecaster = CALFForecaster(
        backbone="tiny-random", max_epochs=1, calibration_fraction=0.2, random_state=0
    )
    forecaster.fit(load_airline()[:-12], fh=range(1, 13))
    return forecaster.save_pretrained(tmp_path_factory.mktemp("saved") / "airline")


@pytest.fixture(scope="module")
def client(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORECASTER", str(folder))
        return testclient.TestClient(runpy.run_path(str(EXAMPLE))["make_app"]())


@pytest.fixture(params=["periods", "time stamps", "integers"])
def any_client(request, tmp_path, monkeypatch):
    """Return a client, and the rows that come after those of its forecaster."""
    index = {
        "periods": pd.period_range("2020-01", periods=60, freq="M"),
        "time stamps": pd.date_range("2020-01-01", periods=60, freq="MS"),
        "integers": pd.RangeIndex(60),
    }
    y = pd.Series(range(60), index[request.param], dtype=float)
    forecaster = CALFForecaster(
        backbone="tiny-random", max_epochs=1, calibration_fraction=0.2, random_state=0
    )
    forecaster.fit(y[:-4], fh=[1, 2]).save_pretrained(tmp_path / "model")
    monkeypatch.setenv("FORECASTER", str(tmp_path / "model"))
    app = runpy.run_path(str(EXAMPLE))["make_app"]()
    return testclient.TestClient(app, raise_server_exceptions=False), rows_of(y[-4:])


def rows_of(y):
    return [{"time": str(t), "value": v} for t, v in y.items()]


def earlier(time, n):
    """Return the time that is n steps before."""
    if time.isdecimal():
        return str(int(time) - n)
    return str(pd.Period(time[:7], "M") - n)


def test_it_forecasts_after_the_saved_rows(client, folder):
    answer = client.post("/forecast", json={"horizon": 3}).json()
    forecaster = load_pretrained(folder)
    assert [row["time"] for row in answer] == ["1960-01", "1960-02", "1960-03"]
    values = forecaster.predict([1, 2, 3])
    assert [row["value"] for row in answer] == pytest.approx(list(values))
    bounds = forecaster.predict_interval([1, 2, 3], coverage=0.8)
    assert [row["upper"] for row in answer] == pytest.approx(list(bounds.iloc[:, 1]))


def test_it_forecasts_after_the_rows_that_it_gets_and_forgets_them(client, folder):
    new = load_airline()[-12:]
    question = {"rows": rows_of(new), "horizon": 2}
    before = client.post("/forecast", json={"horizon": 2}).json()
    answer = client.post("/forecast", json=question).json()
    forecaster = load_pretrained(folder).update(new, update_params=False)
    assert answer[0]["time"] == "1961-01"
    values = forecaster.predict([1, 2])
    assert [row["value"] for row in answer] == pytest.approx(list(values))
    assert client.post("/forecast", json={"horizon": 2}).json() == before


def test_requests_run_side_by_side(client):
    new = load_airline()[-12:]
    questions = [{"rows": rows_of(new[:n]), "horizon": 2} for n in (3, 6, 9, 12)]

    def ask(question):
        return client.post("/forecast", json=question).json()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, questions)) == [ask(each) for each in questions]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"horizon": 0}, "greater than or equal to 1"),
        ({"rows": [{"time": "1960-03", "value": 1.0}]}, "1960-0"),
        ({"rows": [{"time": "soon", "value": 1.0}]}, "SOON"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(client, question, reason):
    answer = client.post("/forecast", json=question)
    assert answer.status_code == 422
    assert reason in str(answer.json()["detail"])


def test_rows_may_come_in_any_order(any_client):
    client, rows = any_client
    answers = [
        client.post("/forecast", json={"rows": each, "horizon": 2})
        for each in (rows, rows[::-1], rows[2:] + rows[:2])
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert answers[0].json()[0]["time"] > rows[-1]["time"]


@pytest.mark.filterwarnings("ignore::sktime_llm.errors.LaterRowsDroppedWarning")
@pytest.mark.parametrize("n", [2, 10, 56])
def test_rows_that_end_before_the_last_known_one_are_refused(any_client, n):
    client, rows = any_client
    stale = {"time": earlier(rows[0]["time"], n), "value": 1.0}
    answer = client.post("/forecast", json={"rows": [stale], "horizon": 1})
    assert answer.status_code == 422
    assert f"the last row is of {stale['time']}" in answer.json()["detail"]
    assert "expected one of that time or later" in answer.json()["detail"]


def test_the_last_known_row_may_be_sent_again(any_client):
    client, rows = any_client
    last = {"time": earlier(rows[0]["time"], 1), "value": 1.0}
    for each in ([last], [last, *rows]):
        answer = client.post("/forecast", json={"rows": each, "horizon": 1})
        assert answer.status_code == 200
        assert answer.json()[0]["time"] > each[-1]["time"]


@pytest.mark.parametrize("n", [57, 100])
def test_rows_before_the_first_known_one_are_refused(any_client, n):
    client, rows = any_client
    first = {"time": earlier(rows[0]["time"], n), "value": 1.0}
    for each in ([first], [first, *rows]):
        answer = client.post("/forecast", json={"rows": each, "horizon": 1})
        assert answer.status_code == 422, answer.text
        assert "before the first row that is known" in answer.json()["detail"]


@pytest.mark.parametrize(
    "time", ["", "NaT", "nan", "soon", "9" * 30, "2024-12Z", "1.5"]
)
def test_rows_of_other_times_are_refused(any_client, time):
    client, rows = any_client
    for each in ([{"time": time, "value": 1.0}], [*rows, {"time": time, "value": 1}]):
        answer = client.post("/forecast", json={"rows": each, "horizon": 2})
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"]


def test_a_repeated_time_is_refused(any_client):
    client, rows = any_client
    answer = client.post("/forecast", json={"rows": rows[:2] + rows[:1], "horizon": 2})
    assert answer.status_code == 422
    assert "each once" in answer.json()["detail"]
