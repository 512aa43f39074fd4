import pytest
from kedro.io import DatasetError

from clm_ler.datasets.passed_on import PassedOnDataset


def test_the_very_object_is_there_until_it_is_released():
    dataset, query = PassedOnDataset(), ["a query"]
    dataset.save(query)
    assert dataset.load() is query
    dataset.release()
    with pytest.raises(DatasetError, match=r"only in the run that makes it.*keep_intermediate"):
        dataset.load()
