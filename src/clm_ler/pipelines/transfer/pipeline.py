"""The wiring of ``transfer``: raw tables and another site's training to ``code_translations``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.preprocess import nodes as preprocess
from clm_ler.pipelines.transfer.nodes import adopt_model
from clm_ler.pipelines.umls_mapping.pipeline import create_pipeline as create_umls_mapping
from clm_ler.tables.screening import count_codes

OPTIONS = "params:preprocess"


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
                preprocess.select_demographics,
                inputs=["patient", OPTIONS],
                outputs="site_demographics",
                name="select_site_demographics",
            ),
            Node(
                preprocess.screen_coded_events,
                inputs=["diagnosis", "prescription", "procedure", "site_demographics", OPTIONS],
                outputs="site_screened_coded_events",
                name="screen_site_coded_events",
            ),
            Node(
                preprocess.screen_lab_events,
                inputs=["lab", "site_demographics", OPTIONS],
                outputs="site_screened_lab_events",
                name="screen_site_lab_events",
            ),
            Node(
                count_codes,
                inputs=[
                    "site_demographics",
                    "site_screened_coded_events",
                    "site_screened_lab_events",
                ],
                outputs="source_codes",
                name="count_site_codes",
            ),
        ]
    )
    return read_codes + create_umls_mapping().only_nodes_with_tags("translation")
