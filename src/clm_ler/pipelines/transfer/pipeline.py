"""The wiring of ``transfer``: raw tables and another site's training to what ``umls_mapping`` reads."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import OPTIONS, read_events, select_rows

corridor = Functions("clm_ler.corridor.nodes")
nodes = Functions("clm_ler.pipelines.transfer.nodes")
screening = Functions("clm_ler.tables.screening")

SCREENED = ("site_screened_coded_events", "site_screened_lab_events")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return what goes before ``umls_mapping``: the codes of raw tables, another's vocabulary."""
    read_codes = Pipeline(
        [
            Node(
                nodes.adopt_model,
                inputs=["trained_tokenizer", "trained_pretrained_model"],
                outputs=["tokenizer", "pretrained_model"],
                name="adopt_model",
            ),
            select_rows("patient", "site_patient_rows"),
            Node(
                corridor.select_demographics,
                inputs=["site_patient_rows", OPTIONS],
                outputs="site_demographics",
                name="select_site_demographics",
            ),
            Node(
                screening.count_codes,
                inputs=["site_demographics", *SCREENED],
                outputs="source_codes",
                name="count_site_codes",
            ),
        ]
    )
    return read_codes + read_events("site_").to_outputs(*SCREENED)
