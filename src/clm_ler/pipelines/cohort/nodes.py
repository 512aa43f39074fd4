"""Simulate a hospital, a benchmark folder from another site, and the UMLS that links their codes.

A function for each node, as a notebook may ask for its source.
"""

from collections.abc import Callable

import pyarrow as pa

from clm_ler.corridor.simulated_chunks import stream
from clm_ler.simulation import causes, deaths, ehrshot_site, hospital, labels
from clm_ler.simulation.ehrshot_tasks import draw_benchmark
from clm_ler.simulation.options import CohortOptions
from clm_ler.simulation.umls_site import miniature_umls

ChunkTable = Callable[[CohortOptions, int, int], pa.Table]


def simulate_patients(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the patients, one row each."""
    return _stream(hospital.patient_table, options, seed)


def simulate_diagnoses(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the coded diagnoses (ICD-9-CM, from October 2015 ICD-10-CM)."""
    return _stream(hospital.diagnosis_table, options, seed)


def simulate_prescriptions(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the prescriptions (RxNorm concepts and NDC packages)."""
    return _stream(hospital.prescription_table, options, seed)


def simulate_procedures(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the procedures (CPT4 and HCPCS)."""
    return _stream(hospital.procedure_table, options, seed)


def simulate_labs(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the lab results (LOINC), values and units as text."""
    return _stream(hospital.lab_table, options, seed)


def simulate_visits(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the visits: begin, end, and type (OP, ER, IP)."""
    return _stream(deaths.visit_table, options, seed)


def simulate_deaths(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return who died, and when."""
    return _stream(deaths.death_table, options, seed)


def simulate_labels(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the labels for fine-tuning: person_id, prediction_time, label, task."""
    return _stream(lambda *chunk: labels.raw_labels(labels.draw_labels(*chunk)), options, seed)


def simulate_truth(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return the probability of every label but 0, given the hidden state."""
    return _stream(lambda *chunk: labels.truth(labels.draw_labels(*chunk)), options, seed)


def simulate_causes() -> pa.Table:
    """Return the tokens that drive each outcome."""
    return causes.causes()


def simulate_code_names() -> pa.Table:
    """Return the names of the codes."""
    return causes.code_names()


def simulate_ehrshot_events(options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    """Return ``ehrshot.csv``: every event of the EHRSHOT-format site."""

    def table(chunk: int) -> pa.Table:
        return ehrshot_site.event_table(options.ehrshot, seed, chunk)

    return stream(table, ehrshot_site.chunks(options.ehrshot))


def simulate_ehrshot_splits(options: CohortOptions, seed: int) -> pa.Table:
    """Return ``person_id_map.csv``: a third of the patients each in train, val and test."""
    return ehrshot_site.split_table(options.ehrshot, seed)


def simulate_ehrshot_benchmark(
    options: CohortOptions, seed: int
) -> tuple[dict[str, pa.Table], dict[str, dict], pa.Table]:
    """Return the 15 tasks: labels and few-shot draws by task, and the true probabilities."""
    benchmark = draw_benchmark(options.ehrshot, seed)
    return benchmark.labels, benchmark.shots, benchmark.truth


def simulate_umls() -> tuple[pa.Table, ...]:
    """Return MRCONSO, MRSAT, MRREL and MRFILES of a miniature UMLS."""
    files = miniature_umls()
    return tuple(files[f"{name}.RRF"] for name in ("MRCONSO", "MRSAT", "MRREL", "MRFILES"))


def _stream(table: ChunkTable, options: CohortOptions, seed: int) -> pa.RecordBatchReader:
    return stream(lambda chunk: table(options, seed, chunk), options.chunks)
