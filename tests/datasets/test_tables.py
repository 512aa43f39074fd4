import pandas as pd
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.tables import TablesDataset


def test_tables_are_loaded_by_name(tmp_path):
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "one.csv", index=False)
    config = {"type": "pandas.CSVDataset", "filepath": str(tmp_path / "one.csv")}
    dataset = TablesDataset(tables={"one": config})
    assert dataset.exists()
    assert dataset.load()["one"].a.tolist() == [1]
    with pytest.raises(DatasetError, match="read only"):
        dataset.save({})
    assert not TablesDataset(tables={"two": config | {"filepath": "nowhere.csv"}}).exists()
