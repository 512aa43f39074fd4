"""The wiring of ``package``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import OPTIONS

nodes = Functions("clm_ler.pipelines.package.nodes")

# What a kit is made of, where it was made.
ARTIFACTS = (
    "code_translations",
    "concept_sets",
    "contribution_summary",
    "encoded_sequences",
    "finetune_metrics",
    "finetuned_model",
    "hybrid_head",
    "lab_events",
    "lab_percentiles",
    "pretrained_model",
    "run_record",
    "source_codes",
    "token_counts",
    "tokenizer",
    "unit_conversions",
)
TAG = "may-lack-inputs"


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline; what was not made is absent, see ``hooks/absent.py``."""
    settings = {"task": "params:task", "reading": OPTIONS, "options": "params:package"}
    counts = {"lab_persons": "lab_persons", "label_persons": "label_persons"}
    return Pipeline(
        [
            Node(
                nodes.count_lab_persons,
                inputs=["lab_events", "person_splits", OPTIONS],
                outputs="lab_persons",
                name="count_lab_persons",
                tags=TAG,
            ),
            Node(
                nodes.count_label_persons,
                inputs="samples",
                outputs="label_persons",
                name="count_label_persons",
                tags=TAG,
            ),
            Node(
                nodes.package_kit,
                inputs=settings | counts | {name: name for name in ARTIFACTS},
                outputs="kit",
                name="package_kit",
                tags=TAG,
            ),
        ]
    )
