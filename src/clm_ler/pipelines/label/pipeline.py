"""The wiring of ``label``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import selected_labels

candidates = Functions("clm_ler.tables.tasks.candidates")
figures = Functions("clm_ler.pipelines.label.figures")
nodes = Functions("clm_ler.pipelines.label.nodes")

TASK, OPTIONS, READING = "params:task", "params:label", "params:preprocess"
EVENTS = ["coded_events", "lab_events"]


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    label = Pipeline(
        [
            Node(
                nodes.select_visit_rows,
                inputs=["visit", TASK, OPTIONS, READING],
                outputs="visit_rows",
                name="select_visit_rows",
            ),
            Node(
                nodes.read_visits,
                inputs=["visit_rows", "demographics", READING],
                outputs="visits",
                name="read_visits",
            ),
            Node(
                nodes.select_death_rows,
                inputs=["death", TASK, OPTIONS, READING],
                outputs="death_rows",
                name="select_death_rows",
            ),
            Node(
                nodes.read_deaths,
                inputs=["death_rows", "demographics", READING],
                outputs="deaths",
                name="read_deaths",
            ),
            Node(
                nodes.count_records,
                inputs=EVENTS,
                outputs=["record_codes", "record_days"],
                name="count_records",
            ),
            Node(
                nodes.find_task_codes,
                inputs=[
                    "record_codes",
                    "record_days",
                    "omop_concept",
                    "omop_concept_relationship",
                    "omop_concept_ancestor",
                    "concept_sets",
                    TASK,
                    READING,
                ],
                outputs="task_codes",
                name="find_task_codes",
            ),
            Node(
                nodes.find_task_events,
                inputs=[*EVENTS, "visits", "deaths", "task_codes", TASK],
                outputs="task_events",
                name="find_task_events",
            ),
            Node(
                candidates.record_spans,
                inputs=[*EVENTS, "visits"],
                outputs="record_spans",
                name="record_spans",
            ),
            Node(
                nodes.label_index_dates,
                inputs=[
                    "task_events",
                    "visits",
                    "deaths",
                    "demographics",
                    "record_spans",
                    "record_days",
                    "aces_labels",
                    TASK,
                    "params:seed",
                ],
                outputs="task_candidates",
                name="label_index_dates",
            ),
            Node(
                nodes.describe_labels,
                inputs=["task_candidates", TASK, OPTIONS],
                outputs=["task_attrition", "task_prevalence"],
                name="describe_labels",
            ),
            Node(
                figures.plot_task,
                inputs=["task_attrition", "task_prevalence"],
                outputs="task_figure",
                name="plot_task",
            ),
        ]
    )
    return label + selected_labels()
