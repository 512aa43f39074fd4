"""The wiring of ``transfer``: raw tables and another site's training to what ``umls_mapping`` reads."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.nodes import select_demographics
from clm_ler.corridor.wiring import OPTIONS, read_events, select_rows
from clm_ler.pipelines.transfer.nodes import adopt_model
from clm_ler.tables.screening import count_codes

SCREENED = ("site_screened_coded_events", "site_screened_lab_events")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return what goes before ``umls_mapping``: the codes of raw tables, another's vocabulary."""
    read_codes = Pipeline(
        [
            Node(
                adopt_model,
                inputs=["trained_tokenizer", "trained_pretrained_model"],
                outputs=["tokenizer", "pretrained_model"],
                name="adopt_model",
            ),
            select_rows("patient", "site_patient_rows"),
            Node(
                select_demographics,
                inputs=["site_patient_rows", OPTIONS],
                outputs="site_demographics",
                name="select_site_demographics",
            ),
            Node(
                count_codes,
                inputs=["site_demographics", *SCREENED],
                outputs="source_codes",
                name="count_site_codes",
            ),
        ]
    )
    return read_codes + read_events("site_").to_outputs(*SCREENED)
