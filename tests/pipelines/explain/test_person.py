"""What the timeline of one person says of its events."""

import pandas as pd

from clm_ler.pipelines.explain.person import _events, _heaviest


def test_only_a_result_has_a_bin():
    rows = pd.DataFrame(
        {
            "token": ["ICD10CM:J20.9", "LOINC:4548-4"],
            "bin": [None, "80-90"],
            "from_code": [0.5, 0.0],
            "from_bin": [0.0, 0.2],
            "from_day": [0.0, 0.0],
            "days_before": [1, 2],
        }
    )
    traces = _events(rows, {"ICD10CM:J20.9": "Acute bronchitis"})
    told = {text for trace in traces for text in trace.text}
    assert told == {"Acute bronchitis", "LOINC:4548-4, bin 80-90"}
    assert _heaviest(rows) == "Acute bronchitis"
