from pathlib import Path

import fsspec
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.pretrained import PretrainedDataset


class Model:
    """What has the two methods of a model."""

    def __init__(self, **files):
        self.files = files

    def save_pretrained(self, directory):
        Path(directory).mkdir(exist_ok=True)
        for name, text in self.files.items():
            (Path(directory) / name).write_text(text)
            if text == "broken":
                raise RuntimeError("out of luck")

    @classmethod
    def from_pretrained(cls, directory, **options):
        files = {path.name: path.read_text() for path in Path(directory).iterdir()}
        return {name: text for name, text in files.items() if name != "_SUCCESS"} | options


@pytest.fixture(params=["file", "memory"])
def dataset(request, tmp_path):
    place = tmp_path if request.param == "file" else "memory://bucket"
    yield PretrainedDataset(
        filepath=f"{place}/models/model", loader=f"{__name__}.Model", load_args={"option": 1}
    )
    fsspec.filesystem("memory").store.clear()


def test_a_model_replaces_the_one_before(dataset):
    dataset.save(Model(weights="old", other="old"))
    dataset.save(Model(weights="new"))
    assert dataset.load() == {"weights": "new", "option": 1}


def test_a_model_that_was_never_saved_is_named(dataset):
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="models/model was never fully written"):
        dataset.load()


def test_a_model_that_cannot_be_saved_leaves_the_one_before(dataset):
    dataset.save(Model(weights="old"))
    with pytest.raises(DatasetError, match="out of luck"):
        dataset.save(Model(weights="new", config="broken"))
    assert dataset.load() == {"weights": "old", "option": 1}
