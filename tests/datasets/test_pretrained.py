from pathlib import Path

import fsspec
import numpy as np
import pytest
from kedro.io import DatasetError
from safetensors.numpy import save_file

from clm_ler.datasets.pretrained import PretrainedDataset
from clm_ler.files.model_folder import SUMS


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
        return {
            name: text for name, text in files.items() if name not in ("_SUCCESS", SUMS)
        } | options


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


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("weights", "changed", "is not as it was saved: weights has another SHA-256"),
        ("more", "new", "is not as it was saved: more is not listed"),
        ("training_args.bin", "x", "holds training_args.bin, which may run code"),
        ("modeling.py", "x", "holds modeling.py, which may run code"),
    ],
)
def test_a_folder_that_was_changed_is_refused_in_one_line(tmp_path, name, text, said):
    dataset = PretrainedDataset(filepath=str(tmp_path / "m"), loader=f"{__name__}.Model")
    dataset.save(Model(weights="saved"))
    (tmp_path / "m" / name).write_text(text)
    with pytest.raises(DatasetError, match=said) as raised:
        dataset.load()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"num_hidden_layers": 1000000}', "says num_hidden_layers = 1000000"),
        ('{"hidden_size": 1' + "0" * 400 + "}", "says hidden_size = "),
        ('{"vocab_size": -1}', "says vocab_size = -1"),
        ('{"vocab_size": NaN}', "says vocab_size = nan"),
        ("[" * 100_000, "config.json is damaged"),
        ("[]", "config.json is damaged: it is no configuration"),
        ("\x00", "config.json is damaged"),
    ],
)
def test_a_configuration_that_would_take_all_memory_is_refused(tmp_path, config, said):
    dataset = PretrainedDataset(filepath=str(tmp_path), loader=f"{__name__}.Model")
    save_file({"weight": np.zeros((3, 2))}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(DatasetError, match=said):
        dataset.load()


def test_a_card_may_be_written_anew(tmp_path):
    dataset = PretrainedDataset(filepath=str(tmp_path / "m"), loader=f"{__name__}.Model")
    dataset.save(Model(weights="saved"))
    (tmp_path / "m" / "README.md").write_text("mine")
    assert dataset.load()["weights"] == "saved"
