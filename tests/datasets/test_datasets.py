"""Shipped data sets, seasonal periods, and reading a person's own table."""

import re

import numpy as np
import pandas as pd
import pytest

from sktime_llm.datasets import (
    Dataset,
    dataset_names,
    infer_seasonal_period,
    load_dataset,
    read_table,
)
from sktime_llm.errors import InputError, OddTimeStampWarning


@pytest.fixture
def csv(tmp_path):
    """Write lines into a CSV file and return its path."""

    def write(*lines, name="sales.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write


def assert_fails(path, *words, time_column="date", **options):
    """Reading fails with a message that holds every one of the words."""
    with pytest.raises(InputError) as caught:
        read_table(path, time_column=time_column, **options)
    message = str(caught.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    return message


def days(n, start="2020-01-01"):
    return [str(day.date()) for day in pd.date_range(start, periods=n)]


# ------------------------------------------------------------------ shipped data sets

LENGTHS = {
    "airline": (144, 1),
    "lynx": (114, 1),
    "shampoo_sales": (36, 1),
    "pbs": (204, 1),
    "us_consumption": (187, 1),
    "us_change": (187, 5),
}


def test_every_shipped_dataset_has_a_known_shape():
    assert dataset_names() == list(LENGTHS)


@pytest.mark.parametrize("name", LENGTHS)
def test_shipped_dataset(name):
    data = load_dataset(name)
    assert isinstance(data, Dataset)
    assert (data.name, len(data.y), data.n_variates) == (name, *LENGTHS[name])
    assert isinstance(data.y.index, pd.PeriodIndex)
    assert np.isfinite(data.y.to_numpy(dtype=float)).all()
    # At least two seasons are left in front of three folds.
    assert len(data.y) - 3 * data.horizon >= 2 * data.seasonal_period


def test_us_change_ends_when_its_source_ends():
    y = load_dataset("us_change").y
    assert str(y.index[-1]) == "2016Q3"
    pd.testing.assert_series_equal(load_dataset("us_consumption").y, y["Consumption"])


def test_unknown_dataset_names_the_known_ones():
    with pytest.raises(InputError, match=r"'airlines'.*airline, lynx, .*us_change"):
        load_dataset("airlines")


# -------------------------------------------------------------------- seasonal period


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ("Y", 1),
        ("Q", 4),
        ("Q-NOV", 4),
        ("M", 12),
        ("2M", 6),
        ("W", 52),
        ("W-WED", 52),
        ("D", 7),
        ("2D", 1),
        ("h", 24),
        ("2h", 12),
        ("30min", 48),
        ("15min", 96),
        ("5min", 288),
        ("min", 60),
        ("10s", 6),
        ("ms", 1),
    ],
)
def test_seasonal_period_of_periods(frequency, expected):
    index = pd.period_range("2020-01-01", periods=20, freq=frequency)
    assert infer_seasonal_period(pd.Series(0.0, index=index)) == expected


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ("YS", 1),
        ("QS-FEB", 4),
        ("QE", 4),
        ("MS", 12),
        ("ME", 12),
        ("W-MON", 52),
        ("D", 7),
        ("B", 5),
        ("h", 24),
        ("SME", 1),
        ("BMS", 12),
        ("BME", 12),
        ("BQS", 4),
    ],
)
@pytest.mark.parametrize("keep_frequency", [True, False])
def test_seasonal_period_of_time_stamps(frequency, expected, keep_frequency):
    index = pd.date_range("2020-01-01", periods=20, freq=frequency)
    if not keep_frequency:
        index = pd.DatetimeIndex(index.to_numpy())
        assert index.freq is None
    assert infer_seasonal_period(pd.Series(0.0, index=index)) == expected


def test_seasonal_period_of_no_time_stamps_is_one():
    assert (
        infer_seasonal_period(pd.Series(dtype=float, index=pd.DatetimeIndex([]))) == 1
    )


def test_seasonal_period_of_integers_is_one():
    assert infer_seasonal_period(pd.Series(range(10))) == 1
    assert infer_seasonal_period(pd.Series(range(10), index=range(5, 15))) == 1


@pytest.mark.parametrize("n_levels", [1, 2])
def test_seasonal_period_of_a_panel(n_levels):
    short = pd.date_range("2020-01-01", periods=2, freq="MS")
    long = pd.date_range("2020-01-01", periods=9, freq="MS")
    series = {
        ("a",) * n_levels: pd.DataFrame({"y": 0.0}, index=short),
        ("b",) * n_levels: pd.DataFrame({"y": 0.0}, index=long),
    }
    y = pd.concat(series)
    assert y.index.nlevels == n_levels + 1
    assert infer_seasonal_period(y) == 12


# --------------------------------------------------------------------- wide and long


def test_one_target_gives_a_sorted_series(csv):
    path = csv("date,sales", "2020-01-03,3", "2020-01-01,1", "2020-01-02,2.5")
    y = read_table(path, time_column="date", target="sales")
    expected = pd.Series(
        [1.0, 2.5, 3.0],
        index=pd.period_range("2020-01-01", periods=3, freq="D", name="date"),
        name="sales",
    )
    pd.testing.assert_series_equal(y, expected)


def test_several_targets_keep_their_order(csv):
    path = csv("date,a,b,c", *(f"{day},1,2,3" for day in days(4)))
    y = read_table(path, time_column="date", target=["c", "a"])
    assert list(y.columns) == ["c", "a"]
    assert y.dtypes.eq("float64").all()
    assert y.iloc[0].tolist() == [3.0, 1.0]


def test_default_targets_are_the_numeric_columns(csv):
    lines = [f"{i},{day},shop,{i}.5,{i}" for i, day in enumerate(days(5))]
    path = csv("a,date,place,b,c", *lines)
    y = read_table(path, time_column="date")
    assert list(y.columns) == ["a", "b", "c"]


def test_default_targets_do_not_drop_a_column_with_one_bad_value(csv):
    path = csv("date,a,b", *(f"{day},1,2" for day in days(4)), "2020-01-05,1,x")
    assert_fails(path, "line 6", "'b'", "'x'")


def test_long_table_gives_a_panel(csv):
    path = csv(
        "store,date,sales,price",
        *(f"north,{day},{i},9" for i, day in enumerate(days(4))),
        *(f"east,{day},{i},8" for i, day in enumerate(days(3, start="2020-02-01"))),
    )
    y = read_table(path, time_column="date", id_column="store", target="sales")
    assert isinstance(y, pd.DataFrame)
    assert y.index.names == ["store", "date"]
    assert y.loc["north", "sales"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert y.loc["east", "sales"].tolist() == [0.0, 1.0, 2.0]
    assert y.loc["east"].index.equals(pd.period_range("2020-02-01", "2020-02-03"))
    assert infer_seasonal_period(y) == 7


@pytest.mark.parametrize("id_column", [None, "store"])
@pytest.mark.parametrize("stamp", ["date", "integer"])
def test_sktime_accepts_the_result(csv, id_column, stamp):
    from sktime.datatypes import check_is_mtype

    times = days(5) if stamp == "date" else [str(i) for i in range(2, 7)]
    lines = [f"{time},a,1,2" for time in times]
    if id_column:
        lines += [f"{time},b,3,4" for time in times[1:]]
    path = csv("date,store,y1,y2", *lines)
    y = read_table(path, time_column="date", id_column=id_column)
    mtype = "pd-multiindex" if id_column else "pd.DataFrame"
    scitype = "Panel" if id_column else "Series"
    valid, message, _ = check_is_mtype(y, mtype, scitype, return_metadata=[])
    assert valid, message


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("id_column", [None, "store"])
def test_csv_and_parquet_agree(tmp_path, suffix, id_column):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    dates = pd.date_range("2020-01-01", periods=6, freq="MS")
    frame = pd.DataFrame({"date": dates, "store": "a", "y": np.arange(6.0) / 3})
    path = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    y = read_table(path, time_column="date", id_column=id_column, target="y")
    values = y if id_column is None else y.loc["a", "y"]
    np.testing.assert_array_equal(values.to_numpy(), frame["y"])
    assert values.index.equals(pd.period_range("2020-01", periods=6, freq="M"))


def test_parquet_with_the_time_in_its_index(tmp_path):
    pytest.importorskip("pyarrow")
    index = pd.date_range("2020-01-01", periods=4, freq="h", name="time")
    path = tmp_path / "table.parquet"
    pd.DataFrame({"y": [1, 2, 3, 4]}, index=index).to_parquet(path)
    y = read_table(path, time_column="time")
    assert y.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert y.index.freqstr == "h"


def test_parquet_error_names_the_row_and_ignores_times_and_truth(tmp_path):
    pytest.importorskip("pyarrow")
    dates = pd.date_range("2020-01-01", periods=3)
    frame = pd.DataFrame({"date": dates, "y": [1.0, None, 3.0], "when": dates})
    frame["open"] = [True, False, True]
    path = tmp_path / "table.parquet"
    frame.to_parquet(path)
    assert_fails(path, "row 2", "'y'", "empty", target="y")
    assert_fails(path, "row 1", "'when'", "number", target="when")
    assert_fails(path, "row 1", "'open'", "number", target="open")
    frame.fillna(2.0).to_parquet(path)
    assert read_table(path, time_column="date").name == "y"


# ------------------------------------------------------------------------ time stamps


@pytest.mark.parametrize(
    ("stamps", "first", "frequency"),
    [
        (["2020-01-01", "2020-02-01", "2020-03-01"], "2020-01", "M"),
        (["2020-01-31", "2020-02-29", "2020-03-31"], "2020-01", "M"),
        (["2020-01-15", "2020-02-15", "2020-03-15"], "2020-01", "M"),
        (["2020-07-15", "2020-08-15", "2020-09-15"], "2020-07", "M"),
        (["2019-01-28", "2019-02-28", "2019-03-28"], "2019-01", "M"),
        (["2021-02-28", "2022-02-28", "2023-02-28"], "2021", "Y-FEB"),
        (["2020-02-03", "2020-03-02", "2020-04-01"], "2020-02", "M"),
        (["2020-01-31", "2020-02-28", "2020-03-31"], "2020-01", "M"),
        (["2020-01", "2020-02", "2020-03"], "2020-01", "M"),
        (["2020-01-01", "2020-04-01", "2020-07-01"], "2020Q1", "Q-DEC"),
        (["1970 Q1", "1970 Q2", "1970 Q3"], "1970Q1", "Q-DEC"),
        (["2020Q4", "2021Q1", "2021Q2"], "2020Q4", "Q-DEC"),
        (["2020-01-05", "2020-01-12", "2020-01-19"], "2020-01-05", "W-SUN"),
        (["20200130", "20200131", "20200201"], "2020-01-30", "D"),
        (["30.01.2020", "31.01.2020", "01.02.2020"], "2020-01-30", "D"),
        (["01/30/2020", "01/31/2020", "02/01/2020"], "2020-01-30", "D"),
        (["30.01.20", "31.01.20", "01.02.20"], "2020-01-30", "D"),
        (["01/30/20", "01/31/20", "02/01/20"], "2020-01-30", "D"),
        (["Jan 2020", "Feb 2020", "Mar 2020"], "2020-01", "M"),
        (["2020-01-01 00:00", "2020-01-01 02:00", "2020-01-01 04:00"], None, "2h"),
        (["2020-01-01", "2020-01-01 00:15", "2020-01-01 00:30"], None, "15min"),
        (
            ["2020-01-01T01:00+01:00", "2020-01-01T01:00Z", "2020-01-01T02:00Z"],
            "2020-01-01 00:00",
            "h",
        ),
    ],
)
def test_notations_of_time_stamps(csv, stamps, first, frequency):
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    index = read_table(path, time_column="date").index
    assert isinstance(index, pd.PeriodIndex)
    assert index.freqstr == frequency
    first = first or stamps[0]
    assert index.equals(pd.period_range(first, periods=3, freq=frequency))


def written(dates, notation):
    return [date.strftime(notation) for date in dates]


MONTHS = pd.date_range("2018-01-01", periods=14, freq="MS")
DAYS = pd.date_range("2018-01-01", periods=12)


@pytest.mark.parametrize("notation", ["%d.%m.%Y", "%m/%d/%Y", "%d-%m-%y", "%m %d %Y"])
@pytest.mark.parametrize(
    "dates", [MONTHS, MONTHS[::3], pd.date_range("2018-01-28", periods=9)]
)
def test_the_notation_is_taken_that_makes_dates_regular(csv, notation, dates):
    path = csv("date,y", *(f"{stamp},1" for stamp in written(dates, notation)))
    index = read_table(path, time_column="date").index
    assert index.equals(dates.to_period(index.freq))


def test_the_frequency_may_tell_the_notation(csv):
    stamps = written(MONTHS[:12], "%d.%m.%Y")
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    for frequency, dates in (("M", MONTHS[:12]), ("D", DAYS)):
        index = read_table(path, time_column="date", frequency=frequency).index
        assert index.equals(dates.to_period(frequency))


@pytest.mark.parametrize(
    ("date_format", "stamps", "first", "frequency"),
    [
        ("%d/%m/%Y", written(MONTHS[:12], "%d/%m/%Y"), "2018-01", "M"),
        ("%m/%d/%Y", written(MONTHS[:12], "%d/%m/%Y"), "2018-01-01", "D"),
        ("%y%m%d", ["180130", "180131", "180201"], "2018-01-30", "D"),
        ("%Y", ["1999", "2000", "2001"], "1999", "Y-DEC"),
        ("%d %H:%M %m %Y", ["02 09:00 01 2018", "02 10:00 01 2018"], None, "h"),
        ("%d.%m.%Y%z", ["01.01.2018+00:00", "02.01.2018Z"], "2018-01-01", "D"),
    ],
)
def test_date_format(csv, date_format, stamps, first, frequency):
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    given = frequency if len(stamps) == 2 else None
    y = read_table(path, time_column="date", frequency=given, date_format=date_format)
    first = first or "2018-01-02 09:00"
    expected = pd.period_range(first, periods=len(stamps), freq=frequency)
    assert y.index.equals(expected)


def test_a_stamp_inside_its_period_gives_a_warning(csv):
    stamps = [str(month.date()) for month in MONTHS]
    stamps[4] = "2018-05-17"
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    words = r"2018-05-17 in line 6 .* taken for 2018-05 \(frequency 'M'\).* 1 of 14 "
    for frequency in (None, "M"):
        with pytest.warns(OddTimeStampWarning, match=words) as caught:
            y = read_table(path, time_column="date", frequency=frequency)
        assert caught[0].filename == __file__
        assert y.index.equals(MONTHS.to_period("M"))


@pytest.mark.parametrize(
    ("frequency", "odd", "period"),
    [
        ("D", "2020-01-05 13:00:00", "2020-01-05"),
        ("h", "2020-01-01 04:10:00", "2020-01-01 04:00"),
        ("W-MON", "2020-02-05", "2020-02-10"),
        ("QS", "2020-11-01", "2020Q4"),
        ("YS", "2023-02-01", "2023"),
    ],
)
def test_stamps_inside_their_periods(csv, frequency, odd, period):
    dates = pd.date_range("2020-01-01", periods=20, freq=frequency)
    place = dates.to_period(frequency.replace("S", "")).get_loc(
        pd.Period(odd).start_time
    )
    stamps = [str(date) for date in dates]
    stamps[place] = odd
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    with pytest.warns(
        OddTimeStampWarning, match=f"{odd} in line .* {period} .*1 of 20"
    ):
        read_table(path, time_column="date")


def test_every_series_of_a_panel_has_its_own_place(csv):
    ends = MONTHS + pd.offsets.MonthEnd()
    lines = [f"a,{date.date()},1" for date in MONTHS]
    path = csv("id,date,y", *lines, *(f"b,{date.date()},1" for date in ends))
    read_table(path, time_column="date", id_column="id", target="y")
    path = csv("id,date,y", *lines, *(f"b,{date.date()},1" for date in ends[:9]))
    lines = path.read_text().replace("b,2018-03-31", "b,2018-03-03")
    path.write_text(lines)
    with pytest.warns(OddTimeStampWarning, match="2018-03-03 in line 18 .*1 of 23 "):
        read_table(path, time_column="date", id_column="id", target="y")


@pytest.mark.parametrize("step", [1, 3, 12])
@pytest.mark.parametrize("place", ["15", "30", "ME", "BMS", "BME"])
def test_stamps_at_the_same_place_of_their_periods(csv, step, place):
    firsts = pd.date_range("2015-02-01", periods=30, freq="MS")[::step]
    if place.isdecimal():
        ends = firsts + pd.offsets.MonthEnd()
        dates = [end.replace(day=min(int(place), end.day)) for end in ends]
    else:
        dates = firsts + pd.tseries.frequencies.to_offset(place) * 0
    path = csv("date,y", *(f"{date.date()},1" for date in dates))
    frequency = {1: "M", 3: "Q", 12: "Y"}[step]
    assert len(read_table(path, time_column="date", frequency=frequency)) == len(dates)


@pytest.mark.parametrize(
    "stamps",
    [
        ["2018-01-31", "2018-02-28", "2018-03-29", "2018-04-30", "2018-05-31"],
        ["2018-07-02", "2018-08-01", "2018-09-04", "2018-10-01", "2018-11-01"],
        ["2020-01-06", "2020-02-03", "2020-03-02", "2020-04-01", "2020-05-01"],  # Japan
        ["2020-09-01", "2020-10-09", "2020-11-02", "2020-12-01", "2021-01-04"],  # China
    ],
)
def test_holidays_move_first_and_last_business_days(csv, stamps):
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    assert len(read_table(path, time_column="date", frequency="M")) == 5


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("step", ["D", "W", "MS"])
def test_clocks_move_local_midnights(csv, zone, step):
    times = pd.date_range("2019-01-01", "2020-01-31", freq=step, tz=zone)
    path = csv("date,y", *(f"{time.isoformat()},1" for time in times))
    assert len(read_table(path, time_column="date")) == len(times)


def test_business_days_are_time_stamps_with_a_frequency(csv):
    dates = pd.bdate_range("2020-01-01", periods=12)
    path = csv("date,y", *(f"{date.date()},1" for date in dates))
    y = read_table(path, time_column="date")
    assert isinstance(y.index, pd.DatetimeIndex)
    assert y.index.freqstr == "B"
    assert infer_seasonal_period(y) == 5


def test_business_days_of_a_panel(csv):
    dates = pd.bdate_range("2020-01-01", periods=12)
    path = csv("id,date,y", *(f"{key},{d.date()},1" for key in "ab" for d in dates))
    y = read_table(path, time_column="date", id_column="id", target="y")
    assert infer_seasonal_period(y) == 5


def test_integers_stay_integers(csv):
    path = csv("step,y", "12,3", "10,1", "11,2")
    y = read_table(path, time_column="step")
    assert y.index.tolist() == [10, 11, 12]
    assert y.index.dtype == "int64"
    assert y.tolist() == [1.0, 2.0, 3.0]


def test_years_are_integers_unless_a_frequency_is_given(csv):
    path = csv("year,y", "1999,1", "2000,2", "2001,3")
    assert read_table(path, time_column="year").index.tolist() == [1999, 2000, 2001]
    y = read_table(path, time_column="year", frequency="Y")
    assert y.index.equals(pd.period_range("1999", "2001", freq="Y"))


@pytest.mark.parametrize("frequency", ["M", "MS", "ME"])
def test_frequency_says_how_to_read_irregular_days(csv, frequency):
    path = csv("date,y", "2020-01-15,1", "2020-02-14,2", "2020-03-16,3")
    assert_fails(path, "time between rows", "frequency")
    y = read_table(path, time_column="date", frequency=frequency)
    assert y.index.equals(pd.period_range("2020-01", periods=3, freq="M"))


@pytest.mark.parametrize(("old", "new"), [("H", "h"), ("15T", "15min")])
def test_frequencies_in_old_spelling(csv, old, new):
    stamps = pd.date_range("2020-01-01", periods=3, freq=new)
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    assert read_table(path, time_column="date", frequency=old).index.freqstr == new


def test_short_series_of_a_panel_take_the_frequency_of_the_others(csv):
    path = csv("id,date,y", *(f"a,{day},1" for day in days(5)), "b,2020-03-01,1")
    y = read_table(path, time_column="date", id_column="id", target="y")
    assert len(y.loc["b"]) == 1


# ----------------------------------------------------------------------------- errors


def test_missing_file(tmp_path):
    assert_fails(tmp_path / "nowhere.csv", "no file", "nowhere.csv", "Check the path")


@pytest.mark.parametrize("name", ["sales.xlsx", "sales"])
def test_unsupported_suffix(csv, name):
    path = csv("date,y", "2020-01-01,1", name=name)
    assert_fails(path, repr(path.suffix), ".csv", ".parquet")


@pytest.mark.parametrize("lines", [[], ["date,y"], ["date,y", "", ""]])
def test_no_data_rows(csv, lines):
    assert_fails(csv(*lines), "sales.csv", "no data rows", "at least one")


def test_blank_lines_at_the_end_do_no_harm(csv):
    path = csv("date,y", *(f"{day},1" for day in days(3)), "", "")
    assert len(read_table(path, time_column="date")) == 3


@pytest.mark.parametrize(
    ("options", "role"),
    [
        ({"time_column": "when"}, "time column"),
        ({"target": "when"}, "target"),
        ({"target": ["y", "when"]}, "target"),
        ({"id_column": "when"}, "id column"),
    ],
)
def test_unknown_column_lists_the_present_ones(csv, options, role):
    path = csv("date,y", *(f"{day},1" for day in days(3)))
    assert_fails(path, "'when'", role, "'date', 'y'", **options)


def test_other_separators_are_recognized(csv):
    assert_fails(csv("date;y", "2020-01-01;1"), "separated by commas", "'date;y'")


@pytest.mark.parametrize("target", ["date", "id", ["y", "y"]])
def test_columns_given_twice(csv, target):
    path = csv("id,date,y", *(f"a,{day},1" for day in days(3)))
    assert_fails(path, "given twice", "different", target=target, id_column="id")


def test_empty_target(csv):
    path = csv("date,y", *(f"{day},1" for day in days(3)))
    assert_fails(path, "at least one", target=[])


def test_no_numeric_column(csv):
    path = csv("date,place", *(f"{day},here" for day in days(3)))
    assert_fails(path, "no numeric column", "'place'")


def test_value_that_is_no_number(csv):
    path = csv("date,y", "2020-01-01,1", "2020-01-02,twelve", "2020-01-03,3")
    assert_fails(path, "line 3", "'y'", "'twelve'", "number", target="y")


def test_infinite_value(csv):
    path = csv("date,y", "2020-01-01,1", "2020-01-02,2", "2020-01-03,inf")
    assert_fails(path, "line 4", "'y'", "'inf'", "finite")


@pytest.mark.parametrize("empty", ["", " ", "NA", "NaN"])
def test_missing_value(csv, empty):
    path = csv("date,y", "2020-01-01,1", "2020-01-02,2", f"2020-01-03,{empty}")
    assert_fails(path, "line 4", "'y'", "empty", target="y")


def test_missing_time_stamp_and_id(csv):
    path = csv("id,date,y", "a,2020-01-01,1", "a,,2", ",2020-01-03,3")
    assert_fails(path, "line 3", "'date'", "empty", target="y")
    path = csv("id,date,y", "a,2020-01-01,1", ",2020-01-02,2")
    assert_fails(path, "line 3", "'id'", "empty", target="y", id_column="id")


def test_blank_line_in_the_middle(csv):
    path = csv("date,y", "2020-01-01,1", "", "2020-01-03,3")
    assert_fails(path, "line 3", "empty")


@pytest.mark.parametrize("lines", [["2020-01-01,1,5"], ["2020-01-01,1", "a,b,c,d"]])
def test_row_with_too_many_cells(csv, lines):
    assert_fails(csv("date,y", *lines), "as many cells", "header")


def test_file_that_is_not_utf8(csv):
    path = csv("date,größe", "2020-01-01,1", encoding="latin-1")
    assert_fails(path, "UTF-8", "sales.csv")


def test_file_that_is_not_parquet(csv):
    pytest.importorskip("pyarrow")
    path = csv("date,y", "2020-01-01,1", name="sales.parquet")
    assert_fails(path, "sales.parquet", "not a Parquet file")


def test_parquet_without_pyarrow(csv, monkeypatch):
    def fail(path):
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", fail)
    path = csv("date,y", "2020-01-01,1", name="sales.parquet")
    with pytest.raises(ImportError, match=re.escape("sktime-llm[baselines]")):
        read_table(path, time_column="date")


@pytest.mark.parametrize("bad", ["soon", "2020-13-01", "3 Mai"])
def test_time_stamp_that_cannot_be_read(csv, bad):
    path = csv("date,y", "2020-01-01,1", "2020-01-02,2", f"{bad},3")
    assert_fails(path, "line 4", "'date'", repr(bad), "'2020-01-01'", "YYYY-MM-DD")


def test_dates_that_are_regular_in_two_notations(csv):
    stamps = written(MONTHS[:12], "%d/%m/%Y")
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    assert_fails(
        path,
        "'01/01/2018' and '01/02/2018'",
        "month first as 2018-01-01 and 2018-01-02",
        "day first as 2018-01-01 and 2018-02-01",
        "date_format",
        "--date-format",
        "YYYY-MM-DD",
    )


@pytest.mark.parametrize("n_rows", [12, 31])
@pytest.mark.parametrize("notation", ["%y-%m-%d", "%y/%m/%d", "%y-%b-%d", "%d.%m.%y"])
def test_a_year_of_two_digits_may_come_first(csv, notation, n_rows):
    dates = pd.date_range("2019-01-01", periods=n_rows)
    path = csv("date,y", *(f"{stamp},1" for stamp in written(dates, notation)))
    words = ["year first as", "day first as", "date_format", "--date-format"]
    assert_fails(path, *words, "YYYY-MM-DD")
    index = read_table(path, time_column="date", date_format=notation).index
    assert index.equals(dates.to_period("D"))


def test_months_with_a_year_of_two_digits_first(csv):
    for n_rows, fails in ((12, True), (14, False)):
        stamps = written(MONTHS[:n_rows], "%y-%m-%d")
        path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
        if fails:
            assert_fails(path, "year first as 2018-01-01", "day first as 2001-01-18")
        else:
            index = read_table(path, time_column="date").index
            assert index.equals(MONTHS.to_period("M"))


def test_a_year_of_two_digits_in_an_irregular_notation(csv):
    stamps = written(MONTHS.delete(4), "%d.%m.%y")
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    assert_fails(path, "read month first", "If the day or the year comes first")


@pytest.mark.parametrize("notation", ["%b-%y", "%m/%y", "%y-%m", "%y-%b", "%B %y"])
def test_months_and_years_of_two_digits(csv, notation):
    stamps = written(pd.date_range("2019-01-01", periods=12, freq="MS"), notation)
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    assert_fails(path, repr(stamps[0]), "date_format", "--date-format", "YYYY-MM-DD")


def test_years_before_1000(csv):
    path = csv("date,y", "0998-01-01,1", "0999-01-01,1", "1000-01-01,1")
    assert_fails(path, "'0998-01-01'", "date_format", "YYYY-MM-DD")


def test_dates_that_are_irregular_in_two_notations(csv):
    stamps = written(MONTHS.delete(4), "%d.%m.%Y")
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    assert_fails(
        path,
        "not regular",
        "read month first, such as '01.02.2018' in line 3 as 2018-01-02",
        "If the day comes first",
        "date_format",
        "--date-format",
    )
    with pytest.raises(InputError, match="expected 2018-05") as caught:
        read_table(path, time_column="date", date_format="%d.%m.%Y")
    assert "read month first" not in str(caught.value)


def test_errors_of_other_kinds_do_not_mention_the_notation(csv):
    stamps = written(MONTHS, "%d.%m.%Y")
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    message = assert_fails(path, "not supported", frequency="fortnight")
    assert "first" not in message


def test_notations_of_two_kinds_in_one_file(csv):
    path = csv("date,y", "13/01/20,1", "14/01/20,2", "01/15/20,3")
    assert_fails(path, "line 4", "'01/15/20'", "notation of '13/01/20'")


def test_date_format_that_does_not_fit(csv):
    path = csv("date,y", "01.01.2018,1", "02.01.2018,2", "2018-01-03,3")
    assert_fails(path, "line 4", "'2018-01-03'", "'%d.%m.%Y'", date_format="%d.%m.%Y")


@pytest.mark.parametrize("date_format", ["YYYY-MM-DD", "%Q", "%Y-%m-%d %d", "%", ""])
def test_date_format_that_is_none(csv, date_format):
    path = csv("date,y", *(f"{day},1" for day in days(3)))
    assert_fails(path, repr(date_format), "'%d.%m.%Y", date_format=date_format)


def test_date_format_for_time_stamps(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.parquet"
    pd.DataFrame({"date": DAYS, "y": 1.0}).to_parquet(path)
    assert_fails(path, "no text", "'%d'", "Leave the date format", date_format="%d")


def test_repeated_time_stamp(csv):
    path = csv("date,y", *(f"{day},1" for day in days(3)), "2020-01-02,7")
    assert_fails(path, "line 5", "repeats", "2020-01-02", "line 3", "id column")


def test_forgotten_id_column(csv):
    lines = [f"{key},{day},1" for day in days(2) for key in "ab"]
    path = csv("id,date,y", *lines)
    assert_fails(path, "line 3", "repeats", "id column", target="y")


def test_repeated_time_stamp_in_a_panel(csv):
    lines = [f"{key},{day},1" for key in "ab" for day in days(3)]
    path = csv("id,date,y", *lines, "b,2020-01-01,1")
    assert_fails(path, "line 8", "of 'b'", "line 5", target="y", id_column="id")


def test_gap_says_what_was_expected(csv):
    stamps = days(10)
    del stamps[6]
    path = csv("date,y", *(f"{stamp},1" for stamp in stamps))
    assert_fails(
        path, "not regular", "line 7", "line 8", "expected 2020-01-07", "2020-01-08"
    )


def test_gap_in_weeks_and_in_a_panel(csv):
    stamps = [str(d.date()) for d in pd.date_range("2020-01-05", periods=9, freq="W")]
    lines = [f"{key},{stamp},1" for key in "ab" for stamp in stamps]
    del lines[13]
    path = csv("id,date,y", *lines)
    assert_fails(path, "of 'b'", "expected 2020-02-02", target="y", id_column="id")


def test_gap_in_business_days(csv):
    dates = pd.bdate_range("2020-01-01", periods=30).delete(20)
    path = csv("date,y", *(f"{date.date()},1" for date in dates))
    assert_fails(path, "not regular", "expected 2020-01-29", "'B'")


def test_gap_in_integers(csv):
    assert_fails(csv("date,y", "1,1", "2,1", "4,1"), "After 2", "expected 3", "got 4")


@pytest.mark.parametrize("step", [60, 3600, 86400])
def test_seconds_since_1970(csv, step):
    path = csv("date,y", *(f"{1577836800 + i * step},1" for i in range(5)))
    message = assert_fails(
        path,
        f"such as 1577836800 and {1577836800 + step}, are {step} apart",
        "consecutive row numbers",
        "seconds since 1970",
        "YYYY-MM-DD HH:MM:SS",
    )
    assert "gap" not in message


def test_seconds_since_1970_that_are_not_regular(csv):
    months = pd.date_range("2020-01-01", periods=5, freq="MS")
    path = csv("date,y", *(f"{int(month.timestamp())},1" for month in months))
    assert_fails(path, "are 2505600 or more apart", "write them as dates")


def test_seconds_since_1970_in_a_panel(csv):
    lines = ["a,1,1", "a,2,1", "b,0,1", "b,86400,1"]
    path = csv("id,date,y", *lines)
    assert_fails(path, "of 'b'", "86400 apart", target="y", id_column="id")


def test_one_row_of_integers(csv):
    assert len(read_table(csv("date,y", "1577836800,1"), time_column="date")) == 1


def test_time_stamps_without_any_frequency(csv):
    path = csv("date,y", "2020-01-01,1", "2020-01-04,2", "2020-01-09,3")
    assert_fails(path, "time between rows", "2020-01-04", "Give the frequency")


def test_two_rows_are_too_few_to_tell_the_frequency(csv):
    path = csv("date,y", "2020-01-01,1", "2020-01-02,2")
    assert_fails(path, "time between rows")
    assert len(read_table(path, time_column="date", frequency="D")) == 2


def test_frequency_that_the_data_do_not_have(csv):
    path = csv("date,y", *(f"{day},1" for day in days(4)))
    assert_fails(path, "not regular", "expected 2020-02", "'M'", frequency="M")


@pytest.mark.parametrize("frequency", ["fortnight", "SME", "2B", "W-XYZ"])
def test_unsupported_frequency(csv, frequency):
    path = csv("date,y", *(f"{day},1" for day in days(4)))
    assert_fails(path, repr(frequency), "not supported", "'15min'", frequency=frequency)


def test_frequency_for_integers(csv):
    path = csv("date,y", "1,1", "2,1", "3,1")
    assert_fails(path, "integers", "'D'", "Leave the frequency out", frequency="D")


def test_importing_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, sktime_llm.datasets; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
