import datetime

import numpy as np
import pandas as pd
import pytest

from molfm.data.times import read_times


def order(values):
    """Return the rank of each time, -1 where there is none."""
    times = read_times(np.array(values, object), np.arange(len(values)), "own.csv, column 'date'")
    known = ~np.isnan(times)
    ranks = np.full(len(times), -1)
    ranks[known] = np.unique(times[known], return_inverse=True)[1]
    return ranks.tolist()


@pytest.mark.parametrize(
    "values",
    [
        [2021, 1998, 2020.5],
        ["2021", "-1998", "20.5"],
        ["2021-03-01", "1998-12-31", "2020-01-02"],
        ["2021-03", "1998-12", "2020-01"],
        ["2021-03-01T10:00:00Z", "2021-03-01 10:30+02:00", "2021-03-01T09:00"],
        ["01.03.2021", "31.12.2020", "2.1.2021"],
        ["13/02/2021", "01/03/2020", "02/01/2021"],
        ["02/13/2021", "03/01/2020", "01/02/2021"],
        ["3/14/21", "3/14/20", "1/2/21"],
        ["14-Mar-2021", "01-Jan-2020", "02-Feb-2021"],
        ["14-Mar-21", "01-Jan-20", "02-Feb-21"],
        ["March 14, 2021", "January 1, 2020", "May 2, 2020"],
        ["2021/03/14 18:00", "2021/03/14 09:30", "2021/03/14 10:00"],
        ["3/14/2021 6:00 PM", "3/14/2021 9:30 AM", "3/14/2021 10:00 AM"],
        [datetime.date(2021, 3, 1), datetime.date(1998, 12, 31), datetime.date(2020, 1, 2)],
        [pd.Timestamp("2021-03-01"), pd.Timestamp("1998-12-31"), pd.Timestamp("2020-01-02", tz=None)],
    ],
)
def test_times_are_numbers_or_dates_in_a_common_format(values):
    assert order(values) == [2, 0, 1]


def test_equal_times_are_equal_and_empty_cells_have_none():
    assert order(["2020", None, "2020", " ", "nan", "1999"]) == [1, -1, 1, -1, -1, 0]
    assert order(["2020-01-01", "2020-01-01T00:00:00", None]) == [0, 0, -1]
    assert order([None, None]) == [-1, -1]


def test_one_date_decides_whether_day_or_month_comes_first():
    assert order(["03/02/2020", "01/03/2020", "13/01/2020"]) == [1, 2, 0]
    with pytest.raises(ValueError, match=r"'03/02/2020' may mean a day and a month or .* no cell decides it\. Write"):
        order(["03/02/2020", "01/03/2020"])


def test_an_order_that_both_readings_share_is_not_ambiguous():
    assert order(["01/01/2020", "02/02/2020"]) == [0, 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2020-01-01", None, "soon"], r"row 2: expected a date or a number in one format, such as .*, found 'soon'"),
        (["2020", "soon"], "row 1: .*, found 'soon'"),
        (["unknown", "2020-01-01", "2020-01-02"], "row 0: expected a date or a number, found 'unknown'"),
        (["2020-01-01", "2020-01-02", "14.03.2020"], r"row 2: .* such as that of row 0, '2020-01-01', found '14\.03"),
        (["2020-01-01", "2020-13-01"], "row 1: .*, found '2020-13-01'"),
        ([1.0, float("inf")], "row 1: .*, found 'inf'"),
        ([True, False], "row 0: .*, found 'True'"),
    ],
)
def test_what_is_no_time_is_an_error_that_names_row_and_content(values, message):
    with pytest.raises(ValueError, match=rf"^own\.csv, column 'date', {message}") as error:
        order(values)
    assert "Write dates as 2024-03-31, and leave unknown ones empty." in str(error.value)
