"""The wiring of ``ehrshot_read``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

nodes = Functions("clm_ler.pipelines.ehrshot_read.nodes")
events = Functions("clm_ler.tables.ehrshot.events")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline from the benchmark's files to events, splits, samples and codes."""
    return Pipeline(
        [
            Node(
                events.read_events,
                inputs="ehrshot_events",
                outputs="ehrshot_timeline",
                name="read_ehrshot_events",
            ),
            Node(
                nodes.read_splits,
                inputs="ehrshot_splits",
                outputs="ehrshot_person_splits",
                name="read_ehrshot_splits",
            ),
            Node(
                nodes.read_samples,
                inputs=["ehrshot_labels", "ehrshot_splits"],
                outputs="ehrshot_samples",
                name="read_ehrshot_samples",
            ),
            Node(
                events.count_source_codes,
                inputs="ehrshot_timeline",
                outputs="source_codes",
                name="count_source_codes",
            ),
        ]
    )
