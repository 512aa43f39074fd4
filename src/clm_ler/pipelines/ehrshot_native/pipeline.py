"""The wiring of ``ehrshot_native``.

Before ``vocab``, ``pretrain`` and ``ehrshot_eval`` it stands in for ``preprocess`` and
``umls_mapping``: vocabulary, lab tables and model come from the benchmark's own train split, and no
code is translated, so that visits and care sites are kept.
"""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.ehrshot_eval.nodes import fit_native_labs
from clm_ler.pipelines.ehrshot_eval.pipeline import SEQUENCE_NODES
from clm_ler.pipelines.ehrshot_native.nodes import select_for_pretraining
from clm_ler.tables.ehrshot.events import identity_translations


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            *SEQUENCE_NODES,
            Node(
                identity_translations,
                inputs="ehrshot_timeline",
                outputs="code_translations",
                name="keep_codes",
            ),
            Node(
                fit_native_labs,
                inputs=["ehrshot_timeline", "ehrshot_person_splits", "params:preprocess"],
                outputs=["unit_conversions", "lab_percentiles"],
                name="fit_labs",
            ),
            Node(
                select_for_pretraining,
                inputs=["ehrshot_sequences", "params:preprocess"],
                outputs="sequences",
                name="select_ehrshot_sequences",
            ),
        ]
    )
