"""The wiring of ``transfer``: raw tables and another site's training to what ``umls_mapping`` reads."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import count_site_codes

nodes = Functions("clm_ler.pipelines.transfer.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return what goes before ``umls_mapping``: the codes of raw tables, another's vocabulary."""
    adopt = Pipeline(
        [
            Node(
                nodes.adopt_model,
                inputs=["trained_tokenizer", "trained_pretrained_model"],
                outputs=["tokenizer", "pretrained_model"],
                name="adopt_model",
            )
        ]
    )
    return adopt + count_site_codes()
