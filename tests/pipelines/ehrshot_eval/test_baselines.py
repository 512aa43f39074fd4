from datetime import datetime

import ibis
import numpy as np
import pandas as pd
import pytest

from clm_ler.pipelines.ehrshot_eval.baselines import windowed_features
from clm_ler.pipelines.ehrshot_eval.features import Features

DAY = datetime(2020, 5, 1)
SEEN = pd.DataFrame({"person_id": [1, 2], "prediction_time": [DAY, DAY]})
AGES = Features(lambda samples: np.full((len(samples), 1), 63.0, np.float32), "ages")


@pytest.mark.parametrize("min_persons", [1, 2, 3])
def test_windowed_features_are_the_age_alone_where_no_code_has_enough_persons(
    min_persons, tmp_path
):
    events = {
        "person_id": [1, 2, 2],
        "time": [DAY] * 3,
        "token": ["a", "a", "b"],
        "value": [None] * 3,
    }
    schema = {"person_id": "int64", "time": "timestamp", "token": "string", "value": "float64"}
    train = {"person_id": [1, 2], "last": [DAY, DAY]}
    features = windowed_features(
        SEEN,
        ibis.memtable(pd.DataFrame(events), schema=schema),
        ibis.memtable(train, schema={"person_id": "int64", "last": "timestamp"}),
        AGES,
        min_persons,
        tmp_path,
    )
    found = features.rows(SEEN)
    assert found.shape[0] == 2
    assert (found[:, 0].toarray() == 63).all()
    columns_of_a_code = (found.shape[1] - 1) / {1: 2, 2: 1, 3: 1}[min_persons]
    assert (columns_of_a_code > 0) is (min_persons < 3)
