"""sktime's own contract, through its own suite."""

import pytest
from sktime.utils.estimator_checks import check_estimator, parametrize_with_checks

from sktime_llm import BALMTSFForecaster, CALFForecaster, LLMTSNetForecaster


@pytest.mark.filterwarnings("ignore::sktime_llm.errors.UnusedCovariatesWarning")
@pytest.mark.filterwarnings("ignore::sktime_llm.errors.FewWindowsWarning")
@parametrize_with_checks([CALFForecaster, BALMTSFForecaster, LLMTSNetForecaster])
def test_sktime_contract(obj, test_name):
    check_estimator(obj, tests_to_run=test_name, raise_exceptions=True)
