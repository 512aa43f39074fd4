import pytest
from pydantic import ValidationError

from clm_ler.pipelines.cohort import create_pipeline, nodes
from clm_ler.simulation.options import CohortOptions

OPTIONS = CohortOptions(persons=120, chunk_persons=50, ehrshot={"persons": 30})


def test_every_node_is_marked_as_simulation():
    assert all("simulation" in node.tags for node in create_pipeline().nodes)


def test_a_table_comes_in_one_batch_per_chunk():
    batches = list(nodes.simulate_patients(OPTIONS, 1))
    assert [batch.num_rows for batch in batches] == [50, 50, 20]


def test_labels_and_truth_are_of_the_same_samples():
    labels = nodes.simulate_labels(OPTIONS, 1).read_all().to_pandas()
    truth = nodes.simulate_truth(OPTIONS, 1).read_all().to_pandas()
    keys = ["person_id", "prediction_time", "task"]
    assert labels.merge(truth, on=keys).groupby(keys, dropna=False).ngroups == len(labels)


def test_the_benchmark_is_of_the_patients_of_the_splits():
    patients = set(nodes.simulate_ehrshot_splits(OPTIONS, 1)["omop_person_id"].to_pylist())
    labels, shots, truth = nodes.simulate_ehrshot_benchmark(OPTIONS, 1)
    assert labels.keys() == shots.keys() == set(truth["task"].to_pylist())
    for table in labels.values():
        assert set(table["patient_id"].to_pylist()) <= patients


@pytest.mark.parametrize(
    "wrong", [{"person": 10}, {"persons": 0}, {"ehrshot": {"events": 3}}, {"years": "many"}]
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        CohortOptions(**wrong)
