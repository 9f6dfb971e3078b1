import numpy as np
import pytest

from sktime_llm.forecasting._scaling import Scaling, Typical, common_scale

NAN = np.nan


def test_mean_and_deviation_of_the_training_part():
    values = np.array([[1.0, 10.0], [3.0, NAN], [NAN, 30.0], [99.0, 99.0]])
    scaling = Scaling.of(values[:3])
    assert scaling.loc.tolist() == [2.0, 20.0]
    assert scaling.scale.tolist() == [1.0, 10.0]
    assert scaling.known.tolist() == [True, True]
    np.testing.assert_allclose(scaling.undo(scaling.apply(values)), values)


def test_a_channel_that_stands_still_in_the_training_part_counts_as_a_whole():
    values = np.array([[1.0, 5.0, NAN], [3.0, 5.0, NAN], [9.0, 7.0, 2.0], [9, 7, 4]])
    (scaling,) = Scaling.of_each([values], [2])
    assert scaling.loc.tolist() == [2.0, 6.0, 3.0]
    assert scaling.scale.tolist() == [1.0, 1.0, 1.0]
    assert scaling.known.all()


def test_what_is_not_known_is_completed_and_the_rest_stays():
    scaling = Scaling.of(np.array([[1.0, 5.0, NAN], [3.0, 5.0, NAN]]))
    assert scaling.loc.tolist() == [2.0, 5.0, 0.0]
    assert scaling.scale.tolist() == [1.0, 2.5, 1.0]  # 5 of two values
    assert scaling.known.tolist() == [True, False, False]
    completed = scaling.completed(np.array([[70.0, 5.0, 10.0], [90.0, 5.0, 30.0]]))
    assert completed.loc.tolist() == [2.0, 5.0, 20.0]
    assert completed.scale.tolist() == [1.0, 2.5, 10.0]
    assert completed.known.tolist() == [True, False, True]


def test_rounding_of_the_mean_is_no_deviation():
    assert not Scaling.of(np.full((7, 1), 0.1)).known.any()
    assert not Scaling.of(np.full((7, 1), 1e9 + 0.1)).known.any()


@pytest.mark.parametrize("level", [1e9, 1e11, 1e14])
def test_small_changes_at_a_high_level_are_no_rounding(level):
    values = 1000.0 * np.arange(8.0)[:, None]
    expected = Scaling.of(values)
    scaling = Scaling.of(values + level)
    assert scaling.known.all()
    np.testing.assert_allclose(scaling.scale, expected.scale, rtol=1e-4)


def test_what_was_not_observed_completes_nothing():
    scaling = Scaling.of(np.full((3, 1), 1e6))
    assert scaling.completed(np.full((4, 1), NAN)) is scaling


@pytest.mark.parametrize("n_train", [None, 2, 3, 9])
def test_each_of_many_series_has_the_scaling_that_it_has_alone(n_train):
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, 3)) for n in (5, 3, 5, 2, 5, 5, 3)]
    series[0][:2, 0] = 7.0  # stands still at first, as a whole, or was not observed
    series[2][:, 1] = -4.0
    series[4][:3, 2] = NAN
    series[5][:, 0] = NAN
    series[6][:2] = 0.0
    ends = None if n_train is None else [min(n_train, len(y)) for y in series]
    each = Scaling.of_each(series, ends)
    assert len(each) == len(series)
    for found, values in zip(each, series, strict=True):
        alone = Scaling.of(values[:n_train]).completed(values)
        for part, expected in zip(found, alone, strict=True):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("keep_level", [True, False])
def test_one_scale_for_all(keep_level):
    parts = [
        np.array([[1.0, 5.0], [3.0, 5.0]]),  # deviations 1 and none
        np.array([[0.0, 100.0], [14.0, 100.0]]),  # 7 and none
    ]
    each = [Scaling.of(values) for values in parts]
    assert common_scale(each) == pytest.approx(5.0)
    scaling = each[1].rescaled(5.0, keep_level=keep_level)
    assert scaling.loc.tolist() == ([0.0, 0.0] if keep_level else [7.0, 100.0])
    assert scaling.scale.tolist() == [5.0, 5.0]
    assert scaling.known.all()
    assert common_scale([Scaling.of(np.full((3, 1), 2.0))]) == 1.0


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_what_stands_still_has_the_scale_that_others_typically_have(unit):
    varies = np.array([[8.0, 90.0], [12.0, 110.0]]) * unit  # 2 of 10, 10 of 100
    stands_still = np.array([[30.0, 0.0], [30.0, 0.0]]) * unit
    typical = Typical.of([Scaling.of(varies), Scaling.of(stands_still)])
    assert typical.relative == pytest.approx(0.15)
    assert typical.absolute == pytest.approx(6 * unit)
    filled = Scaling.of(stands_still).filled(typical)
    # of two values, half
    np.testing.assert_allclose(filled.scale, [2.25 * unit, 3 * unit])
    assert not filled.known.any()
    other = Typical(0.3, 2.0 * unit)
    again = filled.filled(other, before=typical)
    np.testing.assert_allclose(again.scale, [4.5 * unit, unit])
    assert Scaling.of(varies).filled(typical).scale.tolist() == (
        Scaling.of(varies).scale.tolist()
    )
    # what still stands still in further rows keeps it, at its new level
    completed = filled.completed(stands_still + 5 * unit)
    assert completed.scale.tolist() == filled.scale.tolist()
    np.testing.assert_allclose(completed.loc, [35 * unit, 5 * unit])


def test_typical_is_what_half_of_the_channels_exceed():
    deviations, levels = np.array([1.0, 2.0, 900.0]), np.array([10.0, 10.0, 1000.0])
    each = [Scaling.of(np.stack([levels - deviations, levels + deviations]))]
    each += [Scaling.of(np.full((2, 4), 5.0))]  # which do not vary
    assert Typical.of(each) == pytest.approx((0.2, 2.0))


def test_typical_is_a_share_of_at_most_the_level():
    around_zero = Scaling.of(np.array([[-1.0], [1.0]]))
    assert Typical.of([around_zero]) == (1.0, 1.0)
    assert Typical.of([Scaling.of(np.ones((3, 1)))]) == (1.0, 1.0)
    assert Typical.of([]) == (1.0, 1.0)
