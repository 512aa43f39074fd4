"""The wiring of ``transfer``: raw tables and another site's training to ``code_translations``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.preprocess.nodes import select_demographics
from clm_ler.pipelines.preprocess.pipeline import OPTIONS, read_events
from clm_ler.pipelines.transfer.nodes import adopt_model
from clm_ler.pipelines.umls_mapping.pipeline import create_pipeline as create_umls_mapping
from clm_ler.tables.screening import count_codes

SCREENED = ("site_screened_coded_events", "site_screened_lab_events")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline: ``umls_mapping`` from the codes of raw tables to another's vocabulary."""
    read_codes = Pipeline(
        [
            Node(
                adopt_model,
                inputs=["trained_tokenizer", "trained_pretrained_model"],
                outputs=["tokenizer", "pretrained_model"],
                name="adopt_model",
            ),
            Node(
                select_demographics,
                inputs=["patient", OPTIONS],
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
    screen = read_events("site_").to_outputs(*SCREENED)
    return read_codes + screen + create_umls_mapping().only_nodes_with_tags("translation")
