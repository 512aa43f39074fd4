import ibis
import numpy as np
import pandas as pd
import pytest
import torch

from clm_ler.corridor import samples
from clm_ler.corridor.nodes import select_prediction_times
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from tests.modeling.test_inference import FIRST_CODE, TOKENS, VOCABULARY, WINDOW, make_store

PEOPLE = [[(day, FIRST_CODE + day % 7, 0) for day in range(1, 3 + n)] for n in range(9)]


def frame(person_id, n_positions):
    return pd.DataFrame(
        {"person_id": person_id, "n_positions": n_positions, "prediction_day": None}
    )


def test_a_person_without_a_sequence_sees_nothing():
    found = samples.visible_samples(frame([8, 99, -1, 3], [12, 0, 0, 4]), make_store(PEOPLE))
    assert found.ends.tolist() == [12, 0, 0, 4]
    assert found.rows[[0, 3]].tolist() == [8, 3]


def test_samples_of_another_run_are_refused():
    with pytest.raises(ValueError, match="1 of 2 samples are of persons who have no encoded"):
        samples.visible_samples(frame([8, 99], [12, 1]), make_store(PEOPLE))


def test_vectors_do_not_depend_on_the_size_of_a_chunk(monkeypatch):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = ClmLerForMaskedLM(ClmLerConfig(vocab_size=len(TOKENS), intermediate_size=32, **sizes))
    moments = ibis.memtable(frame([3, 99, 8, 8], [4, 0, 12, 5]).assign(note=list("abcd")))
    found = []
    for rows in (1, 100):
        monkeypatch.setattr(samples, "SAMPLES_PER_CHUNK", rows)
        encoder = model.clm_ler.eval()
        table = samples.embed_samples(
            moments, ["note"], make_store(PEOPLE), encoder, VOCABULARY, WINDOW
        ).read_all()
        assert table["note"].to_pylist() == list("abcd")
        found.append(np.array(table["embedding"].to_pylist()))
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert np.isfinite(found[0]).all()


def test_several_tasks_stand_against_their_complements():
    shown = dict(samples.by_task(np.array([[0.25, 1.0]]), ["a", "b"]))
    assert {task: values.tolist() for task, values in shown.items()} == {
        "a": [[0.75, 0.25]],
        "b": [[0.0, 1.0]],
    }
    classes = np.array([[0.2, 0.3, 0.5]])
    assert [(task, values is classes) for task, values in samples.by_task(classes, ["a"])] == [
        ("a", True)
    ]


def test_times_of_ones_own_have_to_be_there():
    with pytest.raises(ValueError, match="prediction_times: there is no such table"):
        select_prediction_times(None, None, None)
