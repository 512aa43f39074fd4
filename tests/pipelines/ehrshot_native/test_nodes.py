import ibis

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.pipelines.ehrshot_native.nodes import select_for_pretraining


def test_short_records_are_not_learned_from() -> None:
    days = {"long": [0, 1, 400], "short": [0, 1, 20], "few": [0, 400]}
    sequences = ibis.memtable(
        {
            "name": list(days),
            "day_position_tokens": list(days.values()),
            "sorted_event_tokens": [["A"] * len(found) for found in days.values()],
        }
    )
    options = PreprocessOptions(tables={}, number_of_days_threshold=365, min_history_size=3)
    assert select_for_pretraining(sequences, options).to_pandas()["name"].tolist() == ["long"]
