from types import SimpleNamespace

import pytest
from kedro.io import MemoryDataset
from kedro_datasets.ibis import FileDataset
from kedro_datasets.json import JSONDataset
from kedro_datasets.partitions import PartitionedDataset

from clm_ler.files.location import WORKSPACES, below, dataset_location, is_remote, local_folder


@pytest.mark.parametrize("place", ["/data/lab", "s3://bucket/data/lab"])
@pytest.mark.parametrize(
    "dataset",
    [
        lambda place: JSONDataset(filepath=place),
        lambda place: FileDataset(filepath=place),
        lambda place: PartitionedDataset(path=place, dataset="json.JSONDataset"),
        lambda place: SimpleNamespace(wrapped=FileDataset(filepath=place)),
    ],
)
def test_a_catalog_entry_tells_where_it_lies(dataset, place):
    location = dataset_location(dataset(place))
    assert location.removeprefix("file://") == place


@pytest.mark.parametrize("dataset", [MemoryDataset(), SimpleNamespace(wrapped=None)])
def test_what_lies_nowhere_has_no_location(dataset):
    assert dataset_location(dataset) is None


def test_a_url_is_remote_unless_it_is_of_this_machine():
    places = ["data", "/data", "file:///data", "s3://bucket/data"]
    assert [is_remote(place) for place in places] == [False, False, False, True]


def test_a_remote_place_has_one_local_folder_of_its_own():
    here = local_folder("s3://bucket/models")
    assert here == local_folder("s3://bucket/models") != local_folder("s3://bucket/model")
    assert here.startswith(f"{WORKSPACES}/")
    assert ":" not in here
    assert local_folder("/data/models") == local_folder("file:///data/models") == "/data/models"


def test_nothing_is_below_a_folder_that_is_not_named():
    assert below("s3://bucket", "04_feature/x.parquet") == "s3://bucket/04_feature/x.parquet"
    assert below(None, "04_feature/x.parquet") is None
