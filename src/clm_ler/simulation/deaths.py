"""Visits of the main site with their ends, and deaths.

They add to the other tables and change none of them: whose last contact was a hospital stay may have died
in it, and of those who come no more some have died elsewhere.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import expit

from clm_ler.simulation import clinic, codes, streams
from clm_ler.simulation.disease import YEAR
from clm_ler.simulation.hospital import draw_hospital_chart
from clm_ler.simulation.options import CohortOptions
from clm_ler.simulation.texts import LAST_DAY, choose, clock

VISIT_TYPES = ("OP", "ER", "IP")  # as OMOP names them, in the order of codes.KINDS
# Log odds of death: at the last stay by acuity and age, elsewhere by age.
IN_HOSPITAL = {"bias": -2.6, "acuity": 1.5, "decade": 0.4}
ELSEWHERE = {"bias": -2.0, "decade": 0.7}
MIDDLE_AGE = 60.0
NO_DISCHARGE = 0.01  # share of stays whose end nobody has written down


class Deaths(NamedTuple):
    """Who died (as rows of ``Persons``), and when (days)."""

    row: np.ndarray
    time: np.ndarray


def draw_deaths(chart: clinic.Chart, rng: np.random.Generator) -> Deaths:
    """Draw the deaths: none before the last record of the person."""
    persons, visits = chart.persons, chart.visits
    rows = np.arange(len(persons))
    last = np.zeros(len(persons), int)
    last[visits.row] = np.arange(len(visits))  # of a person's visits the last one stays
    decades = ((persons.end - persons.birth) / YEAR - MIDDLE_AGE) / 10
    in_hospital = visits.kind[last] == codes.INPATIENT
    ill = IN_HOSPITAL["acuity"] * visits.acuity[last] + IN_HOSPITAL["decade"] * decades
    gone = persons.end < LAST_DAY
    chance = np.where(
        in_hospital,
        expit(IN_HOSPITAL["bias"] + ill),
        gone * expit(ELSEWHERE["bias"] + ELSEWHERE["decade"] * decades),
    )
    died = rng.random(len(persons)) < chance
    time = np.where(in_hospital, visits.discharge[last], persons.end)
    return Deaths(rows[died], time[died])


def visit_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return the visits of a chunk: begin, end and type; a few stays have no end."""
    chart = draw_hospital_chart(options, seed, chunk)
    visits, rng = chart.visits, streams.stream(seed, chunk, "visit ends")
    unknown = (visits.kind == codes.INPATIENT) & (rng.random(len(visits)) < NO_DISCHARGE)
    ends = clock(visits.discharge)
    return pa.table(
        {
            "person_id": chart.persons.person_id[visits.row],
            "visit_start_datetime": clock(visits.time),
            "visit_end_datetime": pa.array(ends.to_pylist(), pa.string(), mask=unknown),
            "visit_source_value": choose(VISIT_TYPES, visits.kind),
        }
    )


def death_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return the deaths of a chunk: those in hospital to the minute, others by the day."""
    chart = draw_hospital_chart(options, seed, chunk)
    deaths = draw_deaths(chart, streams.stream(seed, chunk, "deaths"))
    return pa.table(
        {
            "person_id": chart.persons.person_id[deaths.row],
            "death_datetime": clock(deaths.time),
        }
    )
