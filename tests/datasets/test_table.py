"""Tables as people have them, and what reading each must give."""

import bz2
import gzip
import lzma
import re

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.naive import NaiveForecaster

from sktime_llm.datasets import format_time, infer_seasonal_period, read_table
from sktime_llm.datasets._frequency import format_times, period_alias
from sktime_llm.errors import AmbiguousNumbersWarning, InputError


@pytest.fixture
def parquet(tmp_path):
    """Write a table into a Parquet file and return its path."""
    pytest.importorskip("pyarrow")

    def write(frame):
        path = tmp_path / "sales.parquet"
        frame.to_parquet(path)
        return path

    return write


@pytest.fixture(params=["csv", "parquet"])
def zoned(request, csv, parquet):
    """Write a table of times with a time zone into a file and return its path."""
    if request.param == "csv":
        return lambda times: csv(*dated([time.isoformat() for time in times]))
    return lambda times: parquet(pd.DataFrame({"date": times, "y": 1.0}))


def dated(stamps, values=None):
    """Lines of a table with the columns date and y."""
    values = range(len(stamps)) if values is None else values
    return ["date,y", *(f"{t},{v}" for t, v in zip(stamps, values, strict=True))]


def written(start, n, freq, notation="%Y-%m-%d"):
    return list(pd.date_range(start, periods=n, freq=freq).strftime(notation))


def read(path, time_column="date", **options):
    """Read a table; return it with what was reported, as one text."""
    lines = []
    y = read_table(path, time_column=time_column, report=lines.append, **options)
    return y, "\n".join(lines)


def assert_fails(path, *words, time_column="date", **options):
    """Reading fails with a message that holds every one of the words."""
    with pytest.raises(InputError) as caught:
        read_table(path, time_column=time_column, **options)
    absent = [word for word in words if word not in str(caught.value)]
    assert not absent, f"{absent} not in: {caught.value}"


SECONDS = "%Y-%m-%d %H:%M:%S"


@pytest.mark.parametrize(
    ("stamps", "first", "frequency"),
    [
        (written("2020-01-01", 5, "D"), "2020-01-01", "D"),
        (written("2020-01-01", 5, "MS"), "2020-01", "M"),
        (written("2020-01-31", 5, "ME"), "2020-01", "M"),
        (written("2020-01-01", 5, "BMS"), "2020-01", "M"),
        (written("2020-01-01", 5, "BME"), "2020-01", "M"),
        (written("2020-01-01", 5, "MS", "%Y-%m"), "2020-01", "M"),
        (written("2020-01-01", 5, "2MS"), "2020-01", "2M"),
        (written("2020-01-01", 5, "QS"), "2020Q1", "Q-DEC"),
        (written("2020-01-01", 5, "YS"), "2020", "Y-DEC"),
        (written("2020-01-05", 5, "W-WED"), "2020-01-08", "W-WED"),
        (["2020Q3", "2020Q4", "2021Q1"], "2020Q3", "Q-DEC"),
        (["1970 Q3", "1970 Q4", "1971 Q1"], "1970Q3", "Q-DEC"),
        (["2020-W52", "2020-W53", "2021-W01"], "2020-12-27", "W-SUN"),
        (["2020-01-06/2020-01-12", "2020-01-13/2020-01-19"], "2020-01-12", "W-SUN"),
        (["20200130", "20200131", "20200201"], "2020-01-30", "D"),
        (written("2020-01-01 09:00", 5, "2h", SECONDS), "2020-01-01 09:00", "2h"),
        (written("2020-01-01", 5, "15min", SECONDS), "2020-01-01", "15min"),
        (written("2020-01-01", 5, "s", "%Y%m%dT%H%M%S"), "2020-01-01", "s"),
    ],
)
def test_times_that_are_read_as_they_are(csv, stamps, first, frequency):
    y, report = read(csv(*dated(stamps)))
    expected = pd.period_range(first, periods=len(stamps), freq=frequency, name="date")
    pd.testing.assert_index_equal(y.index, expected)
    assert y.tolist() == list(range(len(stamps)))
    assert f"frequency {frequency}" in report
    assert (", inferred" in report) == (not re.search("[QW/]", stamps[0]))


@pytest.mark.parametrize(
    ("freq", "notation"),
    [
        *((f"{n}W-{day}", "%Y-%m-%d") for n in (1, 2, 3, 10) for day in ("SUN", "MON")),
        *((freq, "%Y-%m-%d") for freq in ("D", "2D", "B")),
        *((freq, "%Y-%m") for freq in ("MS", "2MS", "5ME")),
        ("4QS", "%YQ1"),
        *((freq, "%Y-%m-%d %H:%M") for freq in ("h", "3h", "min", "5min")),
    ],
)
def test_a_time_is_written_as_it_was_read(csv, freq, notation):
    stamps = written("2020-01-01", 5, freq, notation)
    path = csv(*dated(stamps))
    y, report = read(path, frequency=period_alias(freq))
    assert [format_time(time) for time in y.index] == stamps
    assert f"{stamps[0]} to {stamps[-1]}" in report


@pytest.mark.parametrize("day", ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"])
@pytest.mark.parametrize("n", ["", "1", "2"])
def test_weeks_end_on_the_weekday_of_all_times(csv, day, n):
    stamps = written("2020-01-01", 9, f"{n}W-{day}")
    del stamps[3]
    y, report = read(csv(*dated(stamps)), frequency=f"{n}W", missing="keep")
    assert [format_time(time) for time in y.dropna().index] == stamps
    assert f"frequency {n.strip('1')}W-{day}\n" in report
    lines = [f"{key},{stamp},1" for key in "ab" for stamp in stamps]
    path = csv("id,date,y", *lines)
    y, _ = read(path, id_column="id", frequency=f"{n}W", missing="keep")
    assert y.index.levels[-1].freqstr == f"{n.strip('1')}W-{day}"


@pytest.mark.parametrize(
    ("stamps", "frequency", "expected"),
    [
        (written("2020-01-01", 6, "W-WED"), "W-SUN", "W-SUN"),
        (written("2020-01-01", 6, "W-WED"), "W-FRI", "W-FRI"),
        (["2020-01-01", "2020-01-09", "2020-01-15"], "W", "W-SUN"),
        (["2020-W01", "2020-W02", "2020-W03"], "W", "W-SUN"),
        (["2019-12-26/2020-01-01", "2020-01-02/2020-01-08"], "W", "W-WED"),
    ],
)
def test_weeks_that_end_on_a_given_weekday(csv, stamps, frequency, expected):
    y, _ = read(csv(*dated(stamps)), frequency=frequency)
    assert y.index.freqstr == expected


@pytest.mark.parametrize("n", range(12))
@pytest.mark.parametrize("kind", ["QE", "QS", "YE", "YS"])
def test_quarters_and_years_have_the_same_names_given_or_inferred(csv, kind, n):
    months = pd.date_range("2020-01-01", periods=9 * 12, freq=f"M{kind[1]}")
    stamps = months[n :: 3 if kind[0] == "Q" else 12][:8].strftime("%Y-%m-%d")
    path = csv(*dated(stamps))
    given, inferred = (read(path, frequency=one)[0] for one in (kind[0], None))
    names = [format_time(time) for time in given.index]
    assert names == [format_time(time) for time in inferred.index]
    assert [name[:4] for name in names] == [stamp[:4] for stamp in stamps]


@pytest.mark.parametrize("alias", ["W-SUN", "W-WED", "Q-DEC", "M", "D", "h"])
def test_periods_that_pandas_writes_are_read_back(csv, alias):
    periods = pd.period_range("2020-01-01", periods=6, freq=alias, name="date")
    path = csv("")
    pd.Series(range(6), index=periods, name="y").to_csv(path)
    pd.testing.assert_index_equal(read(path)[0].index, periods)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    ("step", "alias"), [("D", "D"), ("W-MON", "W-MON"), ("MS", "M")]
)
def test_local_dates_are_the_labels(zoned, zone, step, alias):
    times = pd.date_range("2020-01-01", "2020-12-31", freq=step, tz=zone)
    path = zoned(times)
    expected = times.tz_localize(None).to_period(alias)
    assert read(path)[0].index.equals(expected)
    assert read(path, frequency=alias)[0].index.equals(expected)


def test_hours_with_offsets_over_a_change_of_the_clock_are_utc(zoned):
    times = pd.date_range("2020-03-28", periods=48, freq="h", tz="Europe/Berlin")
    assert read(zoned(times))[0].index.equals(times.tz_convert(None).to_period("h"))


@pytest.mark.parametrize("frequency", [None, "12h"])
def test_half_days_with_offsets_are_utc(zoned, frequency):
    times = pd.date_range("2020-01-01", periods=20, freq="12h", tz="Europe/Berlin")
    index = read(zoned(times), frequency=frequency)[0].index
    assert index.equals(times.tz_convert(None).to_period("12h"))


def test_an_offset_may_end_the_date_format(csv):
    path = csv(*dated(written("2020-01-01", 3, "D", "%d.%m.%Y 00:00 +0130")))
    y, _ = read(path, date_format="%d.%m.%Y %H:%M %z")
    assert y.index.equals(pd.period_range("2020-01-01", periods=3, freq="D"))


@pytest.mark.parametrize("stamp", ["2020-01-01T01:00", "2020-01-01T01:00+99:00"])
def test_every_row_has_an_offset_or_none_has(csv, stamp):
    path = csv(*dated(["2020-01-01T00:00Z", stamp, "2020-01-01T02:00Z"]))
    assert_fails(path, "line 3", repr(stamp), "offset from UTC as in other rows")


def test_consecutive_integers_are_row_numbers(csv):
    y, report = read(csv("date,y", "12,3", "10,1", "11,2"))
    assert y.index.tolist() == [10, 11, 12]
    assert y.tolist() == [1.0, 2.0, 3.0]
    assert report.startswith("sales.csv: 3 rows, 10 to 12, row numbers\n")


def test_years_are_row_numbers_unless_a_format_is_given(csv):
    path = csv(*dated(range(1999, 2003)))
    y, report = read(path)
    assert y.index.tolist() == [1999, 2000, 2001, 2002]
    assert "row numbers (if these are dates, give `--date-format %Y`)" in report
    assert_fails(path, "frequency 'Y-DEC'", "`--date-format %Y`.", frequency="Y")
    y, _ = read(path, date_format="%Y")
    assert y.index.equals(pd.period_range("1999", "2002", freq="Y"))


def test_business_days_are_time_stamps_with_a_frequency(csv):
    days = written("2020-01-01", 12, "B")
    y, _ = read(csv(*dated(days)))
    assert y.index.equals(pd.DatetimeIndex(days))
    assert y.index.freqstr == "B"
    lines = [f"{key},{day},1" for key in "ab" for day in days]
    path = csv("id,date,y", *lines)
    assert infer_seasonal_period(read(path, id_column="id")[0]) == 5
    path = csv(*dated(["2020-01-02", "2020-01-03", "2020-01-04"]))
    assert_fails(path, "line 4: 2020-01-04", "business day", frequency="B")


@pytest.mark.parametrize(
    ("start", "n"), [("2020-01-06", 5), ("2020-01-10", 2), ("2020-01-10", 1)]
)
def test_short_panels_of_business_days_keep_their_frequency(csv, start, n):
    days = pd.bdate_range(start, periods=n + 2).strftime("%Y-%m-%d").tolist()
    lines = [f"{key},{day},1" for key in "ab" for day in days[:n]]
    y, _ = read(csv("id,date,y", *lines), id_column="id", frequency="B")
    assert y.index.equals(
        pd.MultiIndex.from_product([list("ab"), pd.DatetimeIndex(days[:n])])
    )
    assert infer_seasonal_period(y) == 5
    forecasts = NaiveForecaster().fit(y, fh=[1, 2]).predict()
    assert forecasts.loc["b"].index.equals(pd.DatetimeIndex(days[n:]))


@pytest.mark.parametrize(
    ("stamps", "date_format", "index"),
    [
        (written("2020-01-10", 9, "D", "%d/%m/%Y"), "%d/%m/%Y", "D"),
        (written("2020-01-10", 9, "D", "%m/%d/%Y"), "%m/%d/%Y", "D"),
        (written("2020-01-01", 9, "MS", "%d/%m/%Y"), "%d/%m/%Y", "M"),
        (written("2020-01-01", 9, "MS", "%d/%m/%Y"), "%m/%d/%Y", "D"),
        (written("2020-01-10", 9, "D", "%y-%m-%d"), "%y-%m-%d", "D"),
        (written("2020-01-10", 9, "D", "%Y/%m/%d"), "%Y/%m/%d", "D"),
        (written("2020-01-01", 9, "MS", "%b-%y"), "%b-%y", "M"),
        (written("2015-01-01", 9, "MS", "%Y-M%m"), "%Y-M%m", "M"),
        (written("2010", 9, "h", "%d %b %Y %I:%M %p"), "'%d %b %Y %I:%M %p'", "h"),
    ],
)
def test_other_notations_need_a_date_format(csv, stamps, date_format, index):
    path = csv(*dated(stamps))
    words = ["line 2, column 'date'", repr(stamps[0]), f"`--date-format {date_format}`"]
    assert_fails(path, *words)
    date_format = date_format.strip("'")
    y, _ = read(path, date_format=date_format)
    first = pd.to_datetime(stamps[0], format=date_format)
    assert y.index.equals(pd.period_range(first, periods=9, freq=index))


@pytest.mark.parametrize(
    ("notation", "date_format"),
    [("%Y%m", "%Y%m"), ("%Y%m01%H", "%Y%m%d%H"), ("%Y%m010000", "%Y%m%d%H%M")],
)
@pytest.mark.parametrize("missing", ["error", "keep"])
def test_integers_that_are_dates_need_a_date_format(
    csv, notation, date_format, missing
):
    stamps = written("2015-06-01", 12, "MS", notation)
    path = csv(*dated(stamps))
    words = ["--date-format", date_format, "line", "row numbers"]
    assert_fails(path, *words, missing=missing)
    months = read(path, date_format=date_format, frequency="M")[0].index
    assert months[0] == pd.Period("2015-06")


@pytest.mark.parametrize(
    "stamps",
    [
        ["10:00", "11:00", "12:00"],
        ["123456789012345678901", "123456789012345678902", "123456789012345678903"],
        ["3 Mai 2020", "4 Mai 2020", "5 Mai 2020"],
    ],
)
def test_times_of_which_no_format_is_known(csv, stamps):
    path = csv(*dated(stamps))
    assert_fails(path, "line 2", repr(stamps[0]), "--date-format FORMAT", "ISO 8601")


@pytest.mark.parametrize(
    "bad", ["Total", "2020-13-01", "2020-01-03T25:00", "01/03/2020"]
)
def test_one_time_that_cannot_be_read(csv, bad):
    path = csv(*dated(["2020-01-01", "2020-01-02", bad]))
    assert_fails(path, "line 4, column 'date'", repr(bad), "as in other rows")


@pytest.mark.parametrize("week", ["2021-W53", "2021W53", "2020-W54", "2021-W00"])
def test_a_week_that_the_year_does_not_have(csv, week):
    path = csv(*dated(["2021-W52", week, "2022-W02"]))
    assert_fails(path, "line 3, column 'date'", repr(week), "as in other rows")


@pytest.mark.parametrize(
    "date_format", ["%Y-%m-%d %H-%M", "%a %d-%m-%y", "%A, %d %m-%y", "%j-%Y T%H-%M"]
)
def test_a_date_format_whose_end_looks_like_an_offset(csv, date_format):
    times = pd.date_range("2019-02-01 09:00", periods=5, freq="D")
    path = csv("date;y", *(f"{t.strftime(date_format)};1" for t in times))
    y, _ = read(path, date_format=date_format, separator=";")
    assert list(y.index.to_timestamp().normalize()) == list(times.normalize())


@pytest.mark.parametrize("year", ["0500", "1677", "2262", "3020"])
@pytest.mark.parametrize(
    "rest",
    ["-01-01", "-02", "-01-01T09:00Z", "0101T09", "Q1", "-W03", "-01-06/{}-01-12"],
)
def test_years_beyond_what_time_stamps_hold_are_named(csv, year, rest):
    stamps = [f"{each}{rest.format(each)}" for each in (year, "2020", year)]
    words = [repr(stamps[0]), "expected a year from 1678 to 2261"]
    assert_fails(csv(*dated(stamps)), "line 2", *words)
    assert_fails(csv(*dated(stamps[1:])), "line 3", *words)


@pytest.mark.parametrize(
    "date_format", ["YYYY", "%Q", "%Y %Y", "%", "", "%H:%M", "%z %Y"]
)
def test_date_format_that_is_none(csv, date_format):
    path = csv(*dated(written("2020-01-01", 3, "D")))
    assert_fails(path, repr(date_format), "'%d.%m.%Y", date_format=date_format)


def test_date_format_that_does_not_fit(csv, parquet):
    path = csv(*dated(["01.01.2018", "02.01.2018", "2018-01-03"]))
    assert_fails(path, "line 4", "'2018-01-03'", "'%d.%m.%Y'", date_format="%d.%m.%Y")
    days = pd.date_range("2018-01-01", periods=3)
    path = parquet(pd.DataFrame({"date": days, "y": 1.0}))
    assert_fails(path, "not text", "--date-format %d", date_format="%d")


@pytest.mark.parametrize(
    ("stamps", "alias"),
    [
        # 4-4-5 weeks, third Fridays, 29th, mid-month, a second late
        (["2020-01-26", "2020-02-23", "2020-03-29", "2020-04-26"], "M"),
        (written("2020-01-01", 9, "WOM-3FRI"), "M"),
        (["2020-01-29", "2020-02-29", "2020-03-29", "2020-04-29"], "M"),
        (["2020-01-15", "2020-02-15", "2020-03-15", "2020-04-15"], "M"),
        (["2020-01-01 00:00", "2020-01-01 01:00:01", "2020-01-01 02:00"], "h"),
        (["2020-01-01", "2020-01-02"], "D"),
    ],
)
@pytest.mark.parametrize("missing", ["error", "keep"])
def test_no_frequency_is_found(csv, stamps, alias, missing):
    path = csv(*dated(stamps))
    advice = f"`--frequency {alias}` would make each row one period"
    assert_fails(path, "no frequency found", advice, stamps[1], missing=missing)
    y, report = read(path, frequency=alias)
    assert y.index.equals(pd.DatetimeIndex(stamps, freq=None).to_period(alias))
    assert "inferred" not in report


@pytest.mark.parametrize(
    ("freq", "at", "odd"),
    [
        ("D", 150, "2020-05-30 12:00:00"),
        ("W-MON", 5, "2020-02-11"),
        ("h", 60, "2020-01-03 12:00:01"),
        ("15min", 199, "2020-01-03 01:46:00"),
    ],
)
@pytest.mark.parametrize("missing", ["error", "keep"])
def test_the_first_time_off_the_usual_step_is_named(csv, freq, at, odd, missing):
    stamps = written("2020-01-01", 200, freq, SECONDS)
    stamps[at] = odd
    before = stamps[at - 1].removesuffix(" 00:00:00")
    words = ["no frequency found", f"{odd} (line {at + 2}) follows {before}"]
    assert_fails(csv(*dated(stamps)), *words, missing=missing)
    lines = [f"{key},{stamp},1" for key in "ab" for stamp in stamps[:2]]
    lines += [f"c,{stamp},1" for stamp in stamps]
    words[1] = words[1].replace(f"line {at + 2}", f"line {at + 6}")
    assert_fails(csv("id,date,y", *lines), *words, missing=missing, id_column="id")


def test_no_step_is_usual_that_hardly_more_than_half_of_the_rows_have(csv):
    steps = pd.to_timedelta([1, 1, 1, 1, 1.5, 2.25, 1, 1, 3.5, 2.75], "D")
    times = pd.Timestamp("2020-01-01") + steps.to_series().cumsum()
    stamps = times.dt.strftime(SECONDS).tolist()
    with pytest.raises(
        InputError, match="no frequency found in the times 2020"
    ) as told:
        read_table(csv(*dated(stamps)), time_column="date")
    assert "follows" not in str(told.value)


def test_one_row_of_each_series_suggests_no_frequency(csv):
    path = csv("id,date,y", "a,2020-01-01,1", "b,2021-03-05,2", "c,2020-07-09,3")
    assert_fails(
        path, "no frequency", "Give --frequency, such as D or M", id_column="id"
    )


def test_times_are_formatted_alike():
    days = pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"]))
    assert format_times(days).tolist() == ["2020-01-01", "2020-01-02"]
    noon = days + pd.to_timedelta([0, 12], "h")
    assert format_times(noon).tolist() == ["2020-01-01 00:00:00", "2020-01-02 12:00:00"]


def test_rows_of_several_units_have_to_be_that_far_apart(csv):
    clocks = ["00:02:03", "00:07:01", "00:12:59", "00:17:30"]
    path = csv(*dated([f"2020-01-01 {clock}" for clock in clocks]))
    index = read(path, frequency="5min")[0].index
    assert index.equals(pd.period_range("2020-01-01 00:02", periods=4, freq="5min"))
    path = csv(*dated([f"2020-01-01 {clock}" for clock in ("00:00:03", "00:06:01")]))
    for missing in ("error", "keep"):
        words = ["line 3: 2020-01-01 00:06:01", "expected 2020-01-01 00:05"]
        assert_fails(path, *words, frequency="5min", missing=missing)


def test_series_at_different_days_need_a_frequency(csv):
    lines = [f"a,{day},1" for day in written("2020-01-01", 6, "MS")]
    lines += [f"b,{day},1" for day in written("2020-01-01", 6, "ME")]
    path = csv("id,date,y", *lines)
    assert_fails(path, "no frequency", "--frequency M", id_column="id")
    assert len(read(path, id_column="id", frequency="M")[0]) == 12


@pytest.mark.parametrize("step", [60, 86400])
def test_integers_that_number_no_rows(csv, step):
    path = csv(*dated(range(1577836800, 1577836800 + 5 * step, step)))
    assert_fails(path, "line 3", "consecutive row numbers", "seconds since 1970")


DAYS = written("2020-01-01", 4, "D")


def test_separators_and_decimal_commas(csv):
    lines = [line.replace(",", ";") for line in dated(DAYS)]
    lines = [f"{line},5" if i else line for i, line in enumerate(lines)]
    path = csv(*lines)
    assert_fails(path, "line 1", "'date;y'", "Give `--separator ';' --decimal ,`.")
    assert_fails(path, "'0,5'", "--decimal ,", separator=";")
    y, _ = read(path, separator=";", decimal=",")
    assert y.tolist() == [0.5, 1.5, 2.5, 3.5]
    path = csv(*(line.replace(",", "\t") for line in dated(DAYS)))
    assert_fails(path, r"Give `--separator '\t'`.")
    assert read(path, separator=r"\t")[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("cell", "options", "value"),
    [
        ("1,200.50", {"thousands": ","}, 1200.5),
        ("1,200,000", {"thousands": ","}, 1.2e6),
        ("12,00,000", {"thousands": ","}, 1.2e6),
        ("-12,345.", {"thousands": ","}, -12345),
        ("1.200,50", {"decimal": ",", "thousands": "."}, 1200.5),
        ("1 200,5", {"decimal": ",", "thousands": " "}, 1200.5),
        ("0,5", {"decimal": ","}, 0.5),
        ("$1,234.50", None, None),
        ("12%", None, None),
        ("twelve", None, None),
    ],
)
def test_numbers_in_other_notations(csv, cell, options, value):
    """They are an error in a target, and leave out a column that none was named."""
    lines = [f'{day},"{cell}",1' for day in DAYS]
    path = csv("date,sales,other", *lines)
    spelled = [
        f"--{name} {value!r}" if value == " " else f"--{name} {value}"
        for name, value in (options or {}).items()
    ]
    fitting = f"`{' '.join(spelled)}`" if spelled else "1234.5"
    assert_fails(path, "line 2, column 'sales'", repr(cell), fitting, target="sales")
    y, report = read(path)
    assert y.name == "other"
    why = f"sales (line 2: {cell!r} is not a number" + f"; {fitting}" * bool(options)
    assert f"left out: {why})" in report
    if options:
        y, report = read(path, **options)
        assert y["sales"].tolist() == [value] * 4
        assert "left out" not in report


ENGLISH, GERMAN = {"thousands": ","}, {"decimal": ",", "thousands": "."}


@pytest.mark.parametrize("sign", ["", "-", "+"])
@pytest.mark.parametrize(
    ("cell", "options"),
    [
        *((cell, ENGLISH) for cell in ("1.234,567", "1.234,567.8", "1.5,000")),
        *((cell, ENGLISH) for cell in ("0,123", "0,123,456", "012,345", ",123")),
        *((cell, ENGLISH) for cell in ("1234,567", "1,23", "1,2345", "1,,234", "1,")),
        *((cell, ENGLISH) for cell in ("1,23,45", "123,45,678", "1,234,56,789")),
        *((cell, GERMAN) for cell in ("1,234.567", "0.123", "1234.567", "1.2345")),
    ],
)
def test_thousands_separators_are_only_between_groups_of_digits(
    csv, cell, options, sign
):
    path = csv("date;y", f"{DAYS[0]};1", f"{DAYS[1]};2", f"{DAYS[2]};{sign}{cell}")
    words = ["line 4", repr(sign + cell), "finite number"]
    assert_fails(path, *words, separator=";", **options)


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        ("1.234,567 2.345,678 3.111,222 4.000,100", "--decimal , --thousands ."),
        ("1,234.567 2,345.678 3,111.222 4,000.100", "--thousands ,"),
        ("0,750 1,250 2,500 0,125", "--decimal ,"),
        ("1,250 2,500 3,750 4,125", "--thousands ,` or `--decimal ,"),
    ],
)
def test_only_notations_that_fit_all_cells_are_suggested(csv, cells, advice):
    lines = [f"{day};{cell}" for day, cell in zip(DAYS, cells.split(), strict=True)]
    assert_fails(csv("date;y", *lines), f"Give `{advice}`.", separator=";", target="y")


@pytest.mark.parametrize(
    ("cell", "options"),
    [("1.5", {"decimal": ","}), ("1,5", {"thousands": ","}), ("inf", {}), ("True", {})],
)
def test_a_cell_that_is_no_number_in_a_column_of_numbers(csv, cell, options):
    path = csv("date;y", f"{DAYS[0]};1", f"{DAYS[1]};2", f"{DAYS[2]};{cell}")
    assert_fails(path, "line 4", repr(cell), "finite number", separator=";", **options)


@pytest.mark.parametrize("name", ["sales.csv", "sales.parquet"])
@pytest.mark.parametrize(
    "cells",
    ["990 1.000 1.010 980", "12.500 -1.100 -990 NA", "0 1.000 999 123.456", "5 1.000"],
)
def test_thousands_that_are_read_as_decimals_are_a_warning(csv, parquet, name, cells):
    rows = list(zip(DAYS, cells.split(), strict=False))
    if name == "sales.csv":
        path = csv("date;y", *map(";".join, rows))
    else:
        path = parquet(pd.DataFrame(rows, columns=["date", "y"]))
    how = {"separator": ";"} if name == "sales.csv" else {}
    how |= {"missing": "values", "frequency": "D"}
    first = next(cell for cell in cells.split() if "." in cell)
    with pytest.warns(AmbiguousNumbersWarning) as caught:
        read(path, **how)
    message = str(caught[0].message)
    assert f"column 'y': '{first}' is read as {float(first):g}, but" in message
    assert message.endswith("give `--decimal , --thousands .`.")
    thousands, _ = read(path, decimal=",", thousands=".", **how)
    expected = [float(cell.replace(".", "")) for cell in cells.split() if cell != "NA"]
    assert thousands.dropna().tolist() == expected


@pytest.mark.parametrize(
    "cells",
    [
        *("1.000 1.010 2.345 9.875", "0.990 1.000 2 3", "990 1.00 1.010 5"),
        *("1990 1.000 1.010 5", "1 2 3 4", "NA 1.000 1.010 -", "1e3 1.000 5 6"),
        *("1000.125 1.500 3 4", "01.000 1.010 7 8"),
    ],
)
def test_three_decimals_alone_are_no_warning(csv, cells):
    lines = [f"{day},{cell}" for day, cell in zip(DAYS, cells.split(), strict=True)]
    read(csv("date,y", *lines), missing="values")


def test_an_unnamed_column_of_row_numbers_is_left_out(csv, parquet):
    path = csv(",date,sales", *(f"{i},{day},{i + 5}" for i, day in enumerate(DAYS)))
    y, report = read(path)
    assert (y.name, y.tolist()) == ("sales", [5, 6, 7, 8])
    assert "targets: sales\n  left out: Unnamed: 0 (has no name)" in report
    frame = pd.DataFrame({"date": pd.to_datetime(DAYS), "sales": 1}, index=[3, 5, 7, 9])
    y, report = read(parquet(frame))
    assert y.name == "sales"
    assert "left out: index (has no name)" in report


def test_parquet_keeps_periods_and_names(parquet):
    frame = pd.DataFrame({7: [1, 2, 3], 10: [4.0, 5.0, 6.0]})
    weeks = pd.period_range("2020-01-06", periods=3, freq="W-SUN", name="week")
    path = parquet(frame.set_axis(weeks))
    y, report = read(path, "week")
    pd.testing.assert_frame_equal(y, frame.set_axis(weeks).astype("float64"))
    assert "frequency W-SUN\n  times: week\n  targets: 7, 10" in report
    assert read(path, "week", target="7")[0].name == 7
    days = pd.DatetimeIndex(pd.date_range("2020-01-01", periods=3))
    y, _ = read(parquet(frame.set_axis(days)), "index")
    assert y.index.equals(days.to_period("D"))


@pytest.mark.parametrize("option", [{"separator": ";"}, {"skip_rows": 1}])
def test_parquet_has_no_options_of_text(parquet, option):
    path = parquet(pd.DataFrame({"date": ["2020-01", "2020-02"], "y": 1.0}))
    assert_fails(path, "Parquet file", "separator and rows to skip", **option)


def test_parquet_columns_of_other_types(parquet):
    frame = pd.DataFrame({"date": pd.to_datetime(DAYS), "when": pd.to_datetime(DAYS)})
    frame = frame.assign(open=True, y=[1.0, None, 3.0, np.inf], empty=None)
    path = parquet(frame)
    assert_fails(path, "row 4, column 'y'", "'inf'", target="y")
    for name in ("when", "open"):
        assert_fails(path, f"row 1, column '{name}'", "number", target=name)
    y, report = read(parquet(frame.replace(np.inf, 4.0)), missing="values")
    np.testing.assert_array_equal(y, [1.0, np.nan, 3.0, 4.0])
    assert "when (row 1: '2020-01-01 00:00:00' is not a number)" in report
    assert "empty (holds no values)" in report


def test_several_id_columns(csv):
    lines = [f"1,{item},{day},{i}" for item in "ab" for i, day in enumerate(DAYS)]
    path = csv("store,item,date,sales", *lines)
    assert_fails(path, "line 6", "2020-01-01", "line 2", "--id-column")
    _, report = read(path, id_column="item")
    assert "8 rows of 2 series" in report
    assert "targets: store, sales\n  ids: item" in report
    y, report = read(path, id_column=["store", "item"])
    assert y.index.names == ["store", "item", "date"]
    assert y.index.droplevel("date").unique().tolist() == [("1", "a"), ("1", "b")]
    assert "targets: sales\n  ids: store, item" in report
    assert infer_seasonal_period(y) == 7


def test_ids_are_text_as_written_and_rows_in_any_order(csv):
    ids = ("NA", "None", "007")
    lines = [f"{key},{d},{i}" for key in ids for i, d in enumerate(DAYS)]
    path = csv("id,date,y", *lines[::-1], "c,2021-05-01,7")
    y, _ = read(path, id_column="id")
    assert y.index.levels[0].tolist() == ["007", "NA", "None", "c"]
    assert y.loc["None", "y"].tolist() == [0, 1, 2, 3]
    assert y.loc["c"].index.equals(pd.PeriodIndex(["2021-05-01"], freq="D"))


def test_short_series_are_left_out_when_asked(csv):
    lines = [f"{key},{day},1" for key in "ab" for day in DAYS]
    path = csv("id,date,y", *lines, "c,2020-01-01,1", "c,2020-01-09,1")
    y, report = read(path, id_column="id", min_length=3)
    assert y.index.levels[0].tolist() == ["a", "b"]
    assert "left out, shorter than 3 rows: c" in report
    assert_fails(path, "4 rows", "--min-length", id_column="id", min_length=5)


@pytest.mark.parametrize("id_column", [None, "id", ["id", "kind"]])
@pytest.mark.parametrize("stamps", [DAYS, range(2, 6), written("2020", 4, "B")])
def test_sktime_accepts_the_result(csv, id_column, stamps):
    from sktime.datatypes import check_is_mtype

    lines = [f"{time},a,x,1,2" for time in stamps]
    if id_column:
        lines += [f"{time},b,x,3,4" for time in stamps[1:]]
    y, _ = read(csv("date,id,kind,y1,y2", *lines), id_column=id_column)
    kinds = {None: ("pd.DataFrame", "Series"), "id": ("pd-multiindex", "Panel")}
    hierarchy = ("pd_multiindex_hier", "Hierarchical")
    kind = hierarchy if isinstance(id_column, list) else kinds[id_column]
    valid, message, _ = check_is_mtype(y, *kind, return_metadata=[])
    assert valid, message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decimal": ""}, ["decimal=''", "one character"]),
        ({"thousands": ",,"}, ["thousands=',,'", "one character"]),
        ({"thousands": "."}, ["'.' as both"]),
        ({"separator": ""}, ["separator=''", "one character or more"]),
        ({"separator": "(("}, ["sales.csv", "separated by '(('"]),
        ({"skip_rows": -1}, ["skip_rows=-1", "at least 0"]),
        ({"min_length": 0}, ["min_length=0", "at least 1"]),
        ({"missing": "drop"}, ["missing='drop'", "interpolate"]),
        ({"frequency": "2B"}, ["'2B'", "not supported", "15min"]),
        ({"frequency": "SME"}, ["'SME'", "not supported"]),
        ({"frequency": "W-XYZ"}, ["'W-XYZ'", "not supported"]),
        ({"frequency": "fortnight"}, ["'fortnight'", "not supported"]),
        ({"time_column": "when"}, ["'when'", "time column", "'date', 'y'"]),
        ({"target": ["y", "when"]}, ["'when'", "target", "'date', 'y'"]),
        ({"id_column": "when"}, ["'when'", "id column", "'date', 'y'"]),
        ({"target": "date"}, ["no column twice"]),
        ({"target": ["y", "y"]}, ["no column twice"]),
        ({"target": []}, ["at least one target"]),
    ],
)
def test_options_that_cannot_be(csv, options, words):
    assert_fails(csv(*dated(DAYS)), *words, **options)


def test_no_column_of_numbers(csv):
    path = csv("date,place,none", *(f"{day},here," for day in DAYS))
    words = ["place (line 2: 'here' is not a number)", "none (holds no values)"]
    assert_fails(path, "no column of numbers", *words)


def test_a_column_that_mostly_holds_numbers_is_a_target(csv):
    for cells, is_target in (("1 x 2 y", False), ("1 x 2 3", True), ("1 x - -", False)):
        lines = [f"{day},{c},0" for day, c in zip(DAYS, cells.split(), strict=True)]
        path = csv("date,sales,other", *lines)
        if is_target:
            assert_fails(path, "line 3, column 'sales'", "'x'", "finite number")
        else:
            y, report = read(path)
            assert y.name == "other"
            assert "left out: sales (line 3: 'x' is not a number" in report


NO_VALUES = ["", " ", "-", "NA", "na", "nan", "NaN", "n/a", "N/A", "#N/A", "#n/a"]
NO_VALUES += ["<NA>", "<na>", "None", "none", "NULL", "null", "NaT", "nat"]


@pytest.mark.parametrize("cell", NO_VALUES)
def test_missing_values(csv, cell):
    path = csv(*dated(DAYS, [1, cell, 3, cell]))
    words = [f"line 3, column 'y': missing value ({cell!r})", "--missing keep"]
    assert_fails(path, *words)
    for missing in ("values", "keep"):
        y, report = read(path, missing=missing)
        np.testing.assert_array_equal(y, [1, np.nan, 3, np.nan])
        assert "missing, kept as NaN: 2 values" in report
    assert read(path, missing="ffill")[0].tolist() == [1, 1, 3, 3]
    assert_fails(path, "'y'", "2020-01-04", "--missing keep", missing="interpolate")


@pytest.mark.parametrize(
    ("freq", "at", "expected", "alias"),
    [
        ("D", 6, "2020-01-07", "D"),
        ("W-SUN", 3, "2020-01-26", "W-SUN"),
        ("MS", 2, "2020-03", "M"),
        ("B", 4, "2020-01-07", "B"),
        ("2h", 5, "2020-01-01 10:00", "2h"),
    ],
)
def test_missing_rows(csv, freq, at, expected, alias):
    times = pd.date_range("2020-01-01", periods=30, freq=freq)
    kept = np.delete(np.arange(30), [at, at + 1])
    path = csv(*dated(times[kept], kept))
    words = [f"line {at + 2}:", f"expected {expected} (frequency {alias}, inferred)"]
    for missing in ("error", "values"):
        assert_fails(path, *words, "--missing keep", missing=missing)
    y, report = read(path, missing="keep")
    assert "missing, kept as NaN: 2 rows" in report
    assert y.index.equals(times if freq == "B" else times.to_period(alias))
    assert np.flatnonzero(y.isna()).tolist() == [at, at + 1]
    assert read(path, missing="interpolate")[0].tolist() == list(range(30))
    assert read(path, missing="ffill")[0].iloc[at + 1] == at - 1
    path = csv(*dated([1, 2, 4]))
    assert_fails(path, "line 4: 4 follows 2 (line 3), expected 3", "--missing")
    assert read(path, missing="keep")[0].index.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("missing", ["keep", "interpolate", "ffill"])
@pytest.mark.parametrize(
    ("stamps", "mistyped", "words"),
    [
        (range(1, 6), 60000000000, ["line 7: 60000000000 follows 5 (line 6)"]),
        (range(1, 6), -(10**17), ["line 2: 1 follows -100000000000000000 (line 7)"]),
        (written("2024-01-01", 366, "D"), "2042-05-30", ["line 368: 2042-05-30"]),
        (written("2024-01-01", 366, "D"), "1924-05-30", ["1924-05-30 (line 368)"]),
        (written("2024-01-01", 5, "h", SECONDS), "2224-01-01", ["--frequency"]),
    ],
)
def test_a_mistyped_time_is_not_filled_up_to(csv, stamps, mistyped, words, missing):
    path = csv(*dated([*stamps, mistyped]))
    assert_fails(path, *words, "rows missing", "Correct the time", missing=missing)
    lines = [f"b,{time},1" for time in [*stamps, mistyped]]
    path = csv("id,date,y", f"a,{stamps[0]},1", *lines)
    assert_fails(path, "of 'b' follows", id_column="id", missing=missing)


def test_a_long_gap_of_sparse_data_is_filled(csv):
    path = csv(*dated(["2020-01-01", "2020-01-02", "2020-01-03", "2020-02-01"]))
    assert len(read(path, missing="ffill")[0]) == 32


def test_each_series_is_filled_on_its_own(csv):
    rows = [("a", 0, 1), ("a", 1, ""), ("a", 3, 4), ("b", 0, 10), ("b", 2, 30)]
    path = csv("id,date,y", *(f"{key},{DAYS[i]},{v}" for key, i, v in rows))
    words = ["2020-01-04 of 'a' follows 2020-01-02", "expected 2020-01-03"]
    assert_fails(path, *words, id_column="id", frequency="D", missing="values")
    y, report = read(path, id_column="id", frequency="D", missing="interpolate")
    assert y["y"].tolist() == [1, 2, 3, 4, 10, 20, 30]
    assert "missing, filled by interpolate: 2 rows, 1 value" in report
    y, _ = read(path, id_column="id", frequency="D", missing="ffill")
    assert y["y"].tolist() == [1, 1, 1, 4, 10, 10, 30]
    path.write_text(path.read_text().replace("b,2020-01-01,10", "b,2020-01-01,"))
    for missing in ("interpolate", "ffill"):
        options = {"id_column": "id", "frequency": "D", "missing": missing}
        assert_fails(path, "'b'", "2020-01-01", "no value", **options)


def test_repeated_times(csv):
    path = csv(*dated([*DAYS, "2020-01-02"]))
    assert_fails(path, "line 6", "repeats 2020-01-02 (line 3)", "--id-column")
    lines = [f"{key},{day},1" for key in "ab" for day in DAYS]
    path = csv("id,date,y", *lines, "b,2020-01-01,1")
    assert_fails(path, "line 10: 2020-01-01 of 'b' repeats", id_column="id")
    words = ["line 3: 2020-01-02 follows", "same period (frequency M)"]
    assert_fails(csv(*dated(DAYS)), *words, frequency="M")


@pytest.mark.parametrize("step", ["h", "15min"])
@pytest.mark.parametrize("frequency", [None, "h"])
def test_hours_that_clocks_repeat_are_named(csv, parquet, step, frequency):
    times = pd.date_range("2020-10-24", "2020-10-26", freq=step, tz="Europe/Berlin")
    words = ["repeats 2020-10-25 02:00", "--id-column. If clocks were set back there"]
    for local in (times.tz_localize(None), times.tz_localize(None).to_period(step)):
        table = pd.DataFrame({"date": local, "y": 1.0})
        for path in (csv(*dated(local)), parquet(table)):
            assert_fails(path, *words, "offset from UTC.", frequency=frequency)
    assert read(csv(*dated(times)))[0].index.freqstr == step
    days = csv(*dated(["2020-01-01", "2020-01-02", "2020-01-02"]))
    with pytest.raises(InputError, match=r"with --id-column\.$"):
        read_table(days, time_column="date")


@pytest.mark.parametrize("column", ["date", "id"])
def test_times_and_ids_may_not_be_empty(csv, column):
    lines = [f"a,{day},1" for day in DAYS]
    lines[2] = ",2020-01-03,1" if column == "id" else "a,,1"
    path = csv("id,date,y", *lines)
    assert_fails(path, f"line 4, column '{column}'", "empty", id_column="id")


OPTIONS = [{"encoding": "utf-8-sig"}, {"encoding": "utf-16"}, {"newline": "\r"}]


@pytest.mark.parametrize("options", [*OPTIONS, {"newline": "\r\n"}])
def test_encodings_and_line_ends(csv, options):
    lines = [line.replace("y", "größe") for line in dated(DAYS)]
    y, _ = read(csv(*lines, "", "", **options))
    assert (y.name, y.tolist()) == ("größe", [0, 1, 2, 3])


COMPRESSIONS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_compressed_tables(csv, suffix):
    plain = csv(*dated(DAYS), encoding="utf-16")
    path = plain.with_name(f"{plain.name}{suffix}")
    content = COMPRESSIONS[suffix](plain.read_bytes())
    path.write_bytes(content)
    assert read(path)[0].equals(read(plain)[0])
    for altered in (content[:-5], b"date,y", content[:10] + b"xxxxxx" + content[16:]):
        path.write_bytes(altered)
        assert_fails(path, path.name, "cannot be decompressed", "Compress it again")
    other = path.rename(path.with_name(f"sales.doc{suffix}"))
    assert_fails(other, repr(suffix), ".csv.gz")


@pytest.mark.parametrize(
    "above", [[""], ["# made by hand", ""], ["Report of 2020"], ["a,b,c,d"]]
)
def test_lines_above_the_column_names(csv, above):
    path = csv(*above, *dated(DAYS))
    n = len(above)
    words = ["line 1", repr(above[0]), "does not look like column names"]
    assert_fails(path, *words, f"line {n + 1}. Give `--skip-rows {n}`.")
    assert read(path, skip_rows=n)[0].tolist() == [0, 1, 2, 3]
    path = csv(*above, *dated(DAYS[:3]), "2020-01-04,x")
    assert_fails(path, f"line {n + 5}", "'x'", skip_rows=n, target="y")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["date,y", "2020-01-01,1,5"], ["line 2", "as the header in line 1"]),
        (["date,y,y", "2020-01-01,1,5"], ["two columns 'y'"]),
        (["date,y", "2020-01-01,1", "", "2020-01-02,1"], ["line 3", "empty"]),
        (["date,y", "2020-01-01,1", "2020-01-02"], ["line 3", "missing value"]),
        *((lines, ["sales.csv"]) for lines in ([], ["date,y"], ["date,y", "", ""])),
    ],
)
def test_malformed_tables(csv, lines, words):
    assert_fails(csv(*lines), *words, frequency="D")


def test_files_that_cannot_be_read(csv, tmp_path, monkeypatch):
    assert_fails(tmp_path / "nowhere.csv", "no file", "nowhere.csv")
    assert_fails(csv("date,y", name="sales.xlsx"), "'.xlsx'", ".csv", ".parquet")
    assert_fails(csv("date,größe", encoding="latin-1"), "UTF-8", "sales.csv")
    path = csv("date,y", name="sales.parquet")
    assert_fails(path, "sales.parquet", "not a Parquet file")

    def fail(path):
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", fail)
    with pytest.raises(ImportError, match=re.escape("sktime-llm[baselines]")):
        read_table(path, time_column="date")


PRICED = ["date,shop,units,price"]
PRICED += [f"2024-01-0{d},{s},{d if d < e else ''},{d / 2}" for s, e in
           (("b", 5), ("a", 4)) for d in range(1, 7)]  # fmt: skip


def test_covariates_go_on_after_the_last_value(csv):
    options = {"id_column": "shop", "target": "units", "covariates": "price"}
    (y, X), report = read(csv(*PRICED), **options)
    assert y.index.equals(X.index[[0, 1, 2, 6, 7, 8, 9]])
    assert list(y.columns) == ["units"]
    assert y["units"].tolist() == [1, 2, 3, 1, 2, 3, 4]
    assert list(X.columns) == ["price"]
    assert X["price"].tolist() == 2 * [0.5, 1, 1.5, 2, 2.5, 3]
    assert "12 rows of 2 series, 2024-01-01 to 2024-01-06" in report
    assert "\n  covariates: price\n  after the last value: 5 rows" in report


def test_a_single_series_with_a_single_covariate(csv):
    lines = [line.replace(",b,", ",") for line in PRICED if ",a," not in line]
    lines[0] = "date,units,price"
    y, X = read_table(csv(*lines), time_column="date", covariates=["price"])
    assert isinstance(y, pd.Series)
    assert y.tolist() == [1, 2, 3, 4]
    assert isinstance(X, pd.DataFrame)
    assert X.index[:4].equals(y.index)
    assert len(X) == 6


@pytest.mark.parametrize("missing", ["error", "values", "keep", "interpolate", "ffill"])
def test_rows_to_forecast_are_no_missing_values(csv, missing):
    options = {"id_column": "shop", "covariates": "price", "missing": missing}
    y, _ = read_table(csv(*PRICED), time_column="date", **options)
    assert y["units"].tolist() == [1, 2, 3, 1, 2, 3, 4]


def test_covariates_that_cannot_be_read(csv):
    options = {"id_column": "shop", "covariates": "price"}
    wrong = [line.replace("2.5", "high") for line in PRICED]
    assert_fails(csv(*wrong), "column 'price'", "got 'high'", **options)
    assert_fails(csv(*wrong), "leave the column out with --covariates", **options)
    gone = [line.replace(",1.5", ",") for line in PRICED]
    assert_fails(csv(*gone), "column 'price'", "missing value", **options)
    (_, X), _ = read(csv(*gone), missing="values", **options)
    assert X["price"].isna().sum() == 2
    empty = [re.sub("(b),[0-9]*", r"\1,", line) for line in PRICED]
    assert_fails(csv(*empty), "'units' has no value", "of 1 series: 'b'", **options)
    twice = options | {"covariates": ["price", "units"], "target": "units"}
    assert_fails(csv(*PRICED), "no column twice", "covariates", **twice)
    assert_fails(csv(*PRICED), "no column 'cost' (the cov", covariates="cost")


@pytest.mark.parametrize("missing", ["error", "values", "keep", "interpolate"])
def test_covariates_may_end_before_the_last_row(csv, missing):
    lines = [line.replace(",3.0", ",") for line in PRICED]
    options = {"id_column": "shop", "covariates": "price", "missing": missing}
    _, X = read_table(csv(*lines), time_column="date", **options)
    assert X["price"].isna().tolist() == 2 * [False, False, False, False, False, True]


def test_filled_covariates_are_counted(csv):
    lines = [line.replace(",2.5", ",") for line in PRICED]
    lines.remove("2024-01-05,b,,")
    options = {"id_column": "shop", "covariates": "price", "missing": "ffill"}
    (_, X), report = read(csv(*lines), **options)
    assert X["price"].tolist() == 2 * [0.5, 1, 1.5, 2, 2, 3]
    assert "after the last value: 5 rows" in report
    assert "missing in covariates, filled by ffill: 1 value" in report


def test_the_length_of_a_series_is_that_of_its_values(csv):
    new = [line for line in PRICED[1:] if ",b," in line]
    new = [re.sub("b,[0-9]*", "new,", line) for line in new]
    options = {"id_column": "shop", "covariates": "price"}
    (y, X), report = read(csv(*PRICED, *new), min_length=4, **options)
    for frame in (y, X):
        assert frame.index.get_level_values(0).unique().tolist() == ["b"]
    assert "left out, shorter than 4 rows: a, new" in report
    assert_fails(csv(*PRICED, *new), "'units' has no value", "'new'", **options)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_covariates_that_are_true_or_false(tmp_path, suffix):
    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=6)})
    frame["units"], frame["promo"] = range(6), [True, False] * 3
    path = tmp_path / f"sales.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    _, X = read_table(path, time_column="date", target="units", covariates="promo")
    assert X["promo"].tolist() == [1.0, 0.0] * 3
