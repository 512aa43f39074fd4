"""The six ready tasks once more, person by person in plain Python: nothing is shared with the pipeline."""

from collections import defaultdict
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

RISING = {"mg/dL": 1, "MG/DL": 1, "mg/dl": 1, "umol/L": 113.1 / 1e4}
T2 = {"ICD10CM": ["E11*"], "ICD9CM": ["250.?0", "250.?2"]}
DIABETES = {
    "ICD10CM": ["E08*", "E09*", "E10*", "E11*", "E13*", "O24*"],
    "ICD9CM": ["249*", "250*", "648.0*"],
}
FAILURE = {
    "ICD10CM": ["I50*", "I11.0", "I13.0", "I13.2", "I09.81"],
    "ICD9CM": ["428*", "402.?1", "404.?1", "404.?3", "398.91"],
}


def end_of_day(time):
    return time.replace(hour=23, minute=59, second=0)


def midnight(time):
    return time.replace(hour=0, minute=0, second=0)


class Person:
    """All that is known of one person."""

    def __init__(self):
        self.birth = None
        self.codes, self.labs, self.visits, self.died = [], [], [], None

    def times(self, wanted):
        return [
            time
            for time, system, code in self.codes
            if any(fnmatchcase(code, pattern) for pattern in wanted.get(system, ()))
        ]

    def results(self, code):
        return sorted((t, v, u) for t, c, v, u in self.labs if c == code)

    def records(self):
        found = [time for time, *_ in self.codes] + [time for time, *_ in self.labs]
        return found + [time for visit in self.visits for time in visit[:2] if time]

    def age(self, time):
        if self.birth is None:
            return None
        before = (time.month, time.day) < (self.birth.month, self.birth.day)
        return time.year - self.birth.year - before

    def stays(self, kinds, hours=0):
        """Start and end of the visits of some kinds, those that touch as one."""
        parts, until = [], None
        for start, end, kind in sorted(self.visits, key=lambda v: (v[0], v[1] or v[0])):
            if kind not in kinds:
                continue
            if parts and start <= until + timedelta(hours=hours):
                parts[-1].append((start, end))
                until = max(until, end or start)
            else:
                parts.append([(start, end)])
                until = end or start
        return [(part[0][0], over(part)) for part in parts]


def over(part):
    """When the last of the visits ended: not known where one without an end began after all others."""
    ends = [end for _, end in part if end]
    going_on = [start for start, end in part if end is None]
    return None if not ends or any(start >= max(ends) for start in going_on) else max(ends)


def people(tables):
    """The persons of the hospital by id."""
    found = defaultdict(Person)
    for row in tables["demographics"].to_pyarrow().to_pylist():
        found[row["person_id"]].birth = row["birth_date"]
    for row in tables["coded_events"].to_pyarrow().to_pylist():
        found[row["person_id"]].codes.append((row["time"], row["system"], row["code"]))
    for row in tables["lab_events"].to_pyarrow().to_pylist():
        labs = found[row["person_id"]].labs
        labs.append((row["time"], row["code"], row["value"], row["unit"]))
    for row in tables["visit"].to_pyarrow().to_pylist():
        start, end = (row[f"visit_{name}_datetime"] for name in ("start", "end"))
        visit = (read(start), end and read(end), row["visit_source_value"])
        found[row["person_id"]].visits.append(visit)
    for row in tables["death"].to_pyarrow().to_pylist():
        found[row["person_id"]].died = read(row["death_datetime"])
    return found


def read(text):
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")


def readmission_30d(person, end):
    stays = person.stays({"IP", "ERIP"}, 24)
    for start, discharge in stays:
        time = end_of_day(discharge or start)
        if not (old(person, 18, time) and alive(person, time) and discharge and seen(person, time)):
            continue
        last = midnight(time) + timedelta(days=31)
        again = any(time < later < last and lived_until(person, later) for later, _ in stays)
        dead = person.died is not None and person.died < last
        if again or dead or midnight(end) + timedelta(days=1) >= last:
            yield time, int(again)


def in_hospital_death(person, end):
    for start, discharge in person.stays({"IP", "ERIP"}, 24):
        time = start + timedelta(hours=24)
        if not (old(person, 18, time) and seen(person, time)):
            continue
        if person.died is not None and person.died <= time:
            continue
        if discharge is None or discharge <= time:
            continue
        last = min(midnight(discharge), midnight(time) + timedelta(days=365)) + timedelta(days=1)
        dead = person.died is not None and time < person.died < last
        if dead or midnight(end) + timedelta(days=1) >= last:
            yield time, int(dead)


def long_stay(person, end):
    for start, discharge in person.stays({"IP", "ERIP"}):
        time = end_of_day(start)
        if not (old(person, 18, time) and alive(person, time) and seen(person, time)):
            continue
        if discharge and discharge > time:
            long = discharge - start >= timedelta(days=7)
            yield time, int(long and lived_until(person, start + timedelta(days=7)))


def new_diabetes(person, end):
    high = [t for t, v, u in person.results("4548-4") if u and v is not None and v >= 6.5]
    excluding = person.times(DIABETES) + high
    yield from first_disease(person, person.times(T2), 18, excluding)


def new_heart_failure(person, end):
    yield from first_disease(person, person.times(FAILURE), 40, [])


def first_disease(person, outcomes, age, excluding):
    """The first visit of each year of a person who is free of it, followed for a year."""
    records, years = person.records(), set()
    for start, _ in person.stays({"OP"}):
        time = end_of_day(start)
        if time.year in years or not (old(person, age, time) and alive(person, time)):
            continue
        if not records or (time.date() - min(records).date()).days < 365:
            continue
        if any(t <= time for t in excluding) or any(t <= time for t in outcomes):
            continue
        last = midnight(time) + timedelta(days=366)
        sick = any(time < t < last and lived_until(person, t) for t in outcomes)
        dead = person.died is not None and person.died < last
        if sick or (midnight(max(records)) + timedelta(days=1) >= last and not dead):
            years.add(time.year)
            yield time, int(sick)


def acute_kidney_injury(person, end):
    every = person.results("2160-0")
    values = [(t, v * RISING[u]) for t, v, u in every if u and v is not None]
    rises = []
    for time, value in values:
        in_2, in_7 = (
            min(v for t, v in values if time - timedelta(days=days) <= t <= time) for days in (2, 7)
        )
        if value >= in_2 + 0.3 - 1e-9 or (in_7 > 0 and value >= 1.5 * in_7 - 1e-9):
            rises.append(time)
    failure = {
        "ICD10CM": ["N18.5", "N18.6", "Z99.2", "Z94.0", "T86.1*"],
        "ICD9CM": ["585.5", "585.6", "V45.1*", "V42.0", "996.81"],
        "CPT": ["90935", "90937", "90945", "90947", "9096*", "50360", "50365"],
    }
    for start, discharge in person.stays({"IP", "ERIP"}, 24):
        time = end_of_day(start)
        if not (old(person, 18, time) and alive(person, time) and discharge and discharge > time):
            continue
        if not seen(person, time) or not any(t <= time for t, *_ in every):
            continue
        if any(t <= time for t in person.times(failure)):
            continue
        if any(midnight(time) - timedelta(days=7) <= t <= time for t in rises):
            continue
        last = min(midnight(discharge), midnight(time) + timedelta(days=7)) + timedelta(days=1)
        injured = any(time < t < last and lived_until(person, t) for t in rises)
        dead = person.died is not None and person.died < last
        followed = midnight(max(person.records())) + timedelta(days=1) >= last
        if injured or (followed and not dead and any(time < t < last for t, *_ in every)):
            yield time, int(injured)


def old(person, age, time):
    return person.age(time) is not None and person.age(time) >= age


def alive(person, time):
    return person.died is None or midnight(person.died) > midnight(time)


def lived_until(person, time):
    return person.died is None or midnight(person.died) >= midnight(time)


def seen(person, time):
    return bool(person.records()) and min(person.records()) <= time


def derive(task, persons, end):
    """``person_id, prediction_time, label`` of a task; of equal times of a person the first."""
    found = {}
    for key, person in persons.items():
        for time, label in globals()[task](person, end):
            found.setdefault((key, time), label)
    return {(key, time, label) for (key, time), label in found.items()}
