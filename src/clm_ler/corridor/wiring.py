"""The corridor as Kedro pipelines; the persons' name leads those of its datasets and nodes."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.tables.sources import CODED_TABLES

nodes = Functions("clm_ler.corridor.nodes")
selection = Functions("clm_ler.corridor.selection")
labels = Functions("clm_ler.corridor.labels")
screening = Functions("clm_ler.tables.screening")

OPTIONS = "params:preprocess"
MAY_LACK_INPUTS = "may-lack-inputs"  # tag of a node that tells of whatever is there
READING = [OPTIONS, "given_translations"]


def select_rows(table: str, rows: str) -> Node:
    """Return the node from a raw table to its rows under the project's names, such as ``lab_rows``."""
    return Node(
        getattr(selection, f"select_{table}_rows"),
        inputs=[table, OPTIONS],
        outputs=rows,
        name=f"select_{rows}",
    )


def select_persons(prefix: str = "") -> Pipeline:
    """Return the nodes from ``patient`` to ``demographics`` and ``person_ids``.

    Args:
        prefix: What the names begin with, such as ``new_`` for the persons of ``predict``.
    """
    return Pipeline(
        [
            select_rows("patient", f"{prefix}patient_rows"),
            Node(
                nodes.select_demographics,
                inputs=[f"{prefix}patient_rows", *READING],
                outputs=f"{prefix}demographics",
                name=f"select_{prefix}demographics",
            ),
            Node(
                nodes.list_person_ids,
                inputs=f"{prefix}patient_rows",
                outputs=f"{prefix}person_ids",
                name=f"list_{prefix}person_ids",
            ),
        ]
    )


def read_events(prefix: str = "") -> Pipeline:
    """Return the nodes from raw tables to ``coded_events`` and ``lab_events``."""
    demographics = f"{prefix}demographics"
    coded = [f"{prefix}{table}_rows" for table in CODED_TABLES]
    labs, patients = f"{prefix}lab_rows", f"{prefix}counted_patient_rows"
    read = Pipeline(
        [
            *map(select_rows, CODED_TABLES, coded),
            select_rows("lab", labs),
            select_rows("patient", patients),
            Node(
                nodes.screen_coded_events,
                inputs=[demographics, OPTIONS, *coded],
                outputs=f"{prefix}screened_coded_events",
                name=f"screen_{prefix}coded_events",
            ),
            Node(
                nodes.screen_lab_events,
                inputs=[labs, demographics, OPTIONS],
                outputs=f"{prefix}screened_lab_events",
                name=f"screen_{prefix}lab_events",
            ),
            Node(
                nodes.count_raw_rows,
                inputs=[patients, *named_events(prefix), OPTIONS],
                outputs=f"{prefix}raw_row_counts",
                name=f"count_{prefix}raw_rows",
            ),
        ]
    )
    return read + keep_events(prefix, "given_translations")


def count_site_codes() -> Pipeline:
    """Return the nodes from raw tables to ``source_codes``, the codes as this site spells them."""
    screened = ("site_screened_coded_events", "site_screened_lab_events")
    count = Pipeline(
        [
            select_rows("patient", "site_patient_rows"),
            Node(
                nodes.select_demographics,
                inputs=["site_patient_rows", OPTIONS],
                outputs="site_demographics",
                name="select_site_demographics",
            ),
            Node(
                screening.count_codes,
                inputs=["site_demographics", *screened],
                outputs="source_codes",
                name="count_site_codes",
            ),
        ]
    )
    return count + read_events("site_").to_outputs(*screened)


def named_events(prefix: str) -> list[str]:
    """Return the names of the screened events under the codes of their tokens."""
    return [f"{prefix}named_coded_events", f"{prefix}named_lab_events"]


def keep_events(prefix: str, translations: str) -> Pipeline:
    """Return the nodes from screened events to ``coded_events`` and ``lab_events``.

    Args:
        prefix: What the names begin with.
        translations: The tokens of the codes; the table may be absent.
    """
    coded, labs = named_events(prefix)
    counts = f"{prefix}raw_row_counts"
    return Pipeline(
        [
            Node(
                nodes.name_events,
                inputs=[f"{prefix}screened_coded_events", OPTIONS, translations],
                outputs=coded,
                name=f"name_{prefix}coded_events",
            ),
            Node(
                nodes.name_events,
                inputs=[f"{prefix}screened_lab_events", OPTIONS, translations],
                outputs=labs,
                name=f"name_{prefix}lab_events",
            ),
            Node(
                nodes.keep_coded_events,
                inputs=[coded, counts, OPTIONS],
                outputs=f"{prefix}coded_events",
                name=f"keep_{prefix}coded_events",
            ),
            Node(
                nodes.keep_lab_events,
                inputs=[labs, counts, OPTIONS],
                outputs=f"{prefix}lab_events",
                name=f"keep_{prefix}lab_events",
            ),
        ]
    )


def sequences_of(
    prefix: str, unit_conversions: str, lab_percentiles: str, persons: str
) -> Pipeline:
    """Return the node from the persons' events to their sequences.

    Args:
        prefix: What the names begin with.
        unit_conversions: The units of the model, extended by those of these persons.
        lab_percentiles: The percentiles of the model.
        persons: ``person_id`` and ``split`` of all who get a sequence.
    """
    tables = [f"{prefix}demographics", f"{prefix}coded_events", f"{prefix}lab_events"]
    return Pipeline(
        [
            Node(
                nodes.build_sequences,
                inputs=[*tables, unit_conversions, lab_percentiles, persons, OPTIONS],
                outputs=f"{prefix}sequences",
                name=f"build_{prefix}sequences",
            )
        ]
    )


def sequences_at(prediction_times: str, prefix: str) -> Pipeline:
    """Return the nodes from prediction times to the persons' sequences, and those to integer columns.

    Args:
        prediction_times: A table of person_id and prediction_time.
        prefix: What the names of the results begin with.
    """
    fitted = ["unit_conversions", "lab_percentiles", "person_splits"]
    events = ["demographics", "coded_events", "lab_events"]
    build = Node(
        nodes.build_labelled_sequences,
        inputs=[prediction_times, *events, *fitted, OPTIONS],
        outputs=f"{prefix}sequences",
        name=f"build_{prefix}sequences",
    )
    return Pipeline([build]) + encode(prefix)


def encode(prefix: str = "", tokenizer: str = "tokenizer") -> Pipeline:
    """Return the node from sequences to integer columns, ``encoded_sequences`` where nobody is named."""
    return Pipeline(
        [
            Node(
                nodes.encode_sequences,
                inputs=[f"{prefix}sequences", tokenizer],
                outputs=f"{prefix}encoded" if prefix else "encoded_sequences",
                name=f"encode_{prefix}sequences",
            )
        ]
    )


def selected_labels() -> Pipeline:
    """Return the nodes that give ``labels``, of a task or of a table.

    They are part of ``label`` and of ``finetune``, and have a namespace of their own, so that a run of both
    has them once.
    """
    return Pipeline(
        [
            Node(
                labels.select_label_rows,
                inputs=["raw_labels", "params:task", "params:finetune", "params:preprocess"],
                outputs="label_rows",
                name="select_label_rows",
                namespace="labels",
            ),
            Node(
                labels.select_labels,
                inputs=["label_rows", "task_candidates", "person_ids", "params:task"],
                outputs="labels",
                name="select_labels",
                namespace="labels",
            ),
        ]
    )
