"""Simulate an OMOP CDM."""

from functools import partial

import pyarrow as pa

from clm_ler.corridor.simulated_chunks import stream
from clm_ler.simulation.omop_site import EVENTS, VOCABULARY
from clm_ler.simulation.options import CohortOptions


def simulate_cdm(options: CohortOptions, seed: int) -> dict[str, pa.RecordBatchReader | pa.Table]:
    """Return the tables of the CDM by name: the persons and events that ``cohort`` simulates."""
    events = {
        name: stream(partial(table, options, seed), options.chunks)
        for name, table in EVENTS.items()
    }
    return events | {name: table() for name, table in VOCABULARY.items()}
