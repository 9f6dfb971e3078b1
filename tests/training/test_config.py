import pytest

from .toy import make_config


@pytest.mark.parametrize(
    ("n_windows", "expected"),
    [(1, 16), (543, 16), (544, 17), (3200, 100), (6399, 199), (6400, 200), (9999, 200)],
)
def test_the_default_batch_size_makes_some_32_steps(n_windows, expected):
    config = make_config(batch_size=None, max_batch_size=200)
    assert config.batch_size_for(n_windows) == expected
    assert make_config(batch_size=7, max_batch_size=5).batch_size_for(n_windows) == 7


def test_the_largest_batch_by_default():
    assert make_config(batch_size=None).batch_size_for(10**6) == 256
