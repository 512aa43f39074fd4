"""The corridor as Kedro pipelines; the persons' name leads those of its datasets and nodes."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor import nodes
from clm_ler.tables.sequences import build_sequences

OPTIONS = "params:preprocess"
READING = [OPTIONS, "given_translations"]


def read_events(whose: str = "") -> Pipeline:
    """Return the nodes from raw tables to ``coded_events`` and ``lab_events``.

    Args:
        whose: What their names begin with, such as ``new_`` for the persons of ``predict``.
    """
    screened = [f"{whose}screened_coded_events", f"{whose}screened_lab_events"]
    named = [f"{whose}named_coded_events", f"{whose}named_lab_events"]
    counts, demographics = f"{whose}raw_row_counts", f"{whose}demographics"
    return Pipeline(
        [
            Node(
                nodes.screen_coded_events,
                inputs=[demographics, OPTIONS, *nodes.CODED_TABLES],
                outputs=screened[0],
                name=f"screen_{whose}coded_events",
            ),
            Node(
                nodes.screen_lab_events,
                inputs=["lab", demographics, OPTIONS],
                outputs=screened[1],
                name=f"screen_{whose}lab_events",
            ),
            Node(
                nodes.name_events,
                inputs=[screened[0], *READING],
                outputs=named[0],
                name=f"name_{whose}coded_events",
            ),
            Node(
                nodes.name_events,
                inputs=[screened[1], *READING],
                outputs=named[1],
                name=f"name_{whose}lab_events",
            ),
            Node(
                nodes.count_raw_rows,
                inputs=["patient", *named, OPTIONS],
                outputs=counts,
                name=f"count_{whose}raw_rows",
            ),
            Node(
                nodes.keep_coded_events,
                inputs=[named[0], counts, OPTIONS],
                outputs=f"{whose}coded_events",
                name=f"keep_{whose}coded_events",
            ),
            Node(
                nodes.keep_lab_events,
                inputs=[named[1], counts, OPTIONS],
                outputs=f"{whose}lab_events",
                name=f"keep_{whose}lab_events",
            ),
        ]
    )


def select_persons(whose: str = "") -> Pipeline:
    """Return the node from ``patient`` to ``demographics``."""
    return Pipeline(
        [
            Node(
                nodes.select_demographics,
                inputs=["patient", *READING],
                outputs=f"{whose}demographics",
                name=f"select_{whose}demographics",
            )
        ]
    )


def sequences_of(whose: str, unit_conversions: str, lab_percentiles: str, persons: str) -> Pipeline:
    """Return the node from the persons' events to their sequences.

    Args:
        whose: What the names begin with.
        unit_conversions: The units of the model, extended by those of these persons.
        lab_percentiles: The percentiles of the model.
        persons: ``person_id`` and ``split`` of all who get a sequence.
    """
    tables = [f"{whose}demographics", f"{whose}coded_events", f"{whose}lab_events"]
    return Pipeline(
        [
            Node(
                build_sequences,
                inputs=[*tables, unit_conversions, lab_percentiles, persons],
                outputs=f"{whose}sequences",
                name=f"build_{whose}sequences",
            )
        ]
    )


def encode(whose: str = "", tokenizer: str = "tokenizer") -> Pipeline:
    """Return the node from sequences to integer columns, ``encoded_sequences`` where nobody is named."""
    return Pipeline(
        [
            Node(
                nodes.encode_sequences,
                inputs=[f"{whose}sequences", tokenizer],
                outputs=f"{whose}encoded" if whose else "encoded_sequences",
                name=f"encode_{whose}sequences",
            )
        ]
    )
