"""Other futures: what may happen to records after the prediction, and must change nothing before it.

Events are rows of ``table, person, time, system, code, value, unit``; times are texts. A change takes those
of one share of the persons that are later than their prediction, and returns what stands there instead.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

Change = Callable[[pd.DataFrame, pd.Series, np.random.Generator], pd.DataFrame]
COLUMNS = ["table", "person", "time", "system", "code", "value", "unit"]
SECOND = pd.Timedelta(seconds=1)


def written(times: Any, zone: str = "") -> Any:
    """Times as texts, with an offset where there is one."""
    return pd.Series(times).dt.strftime("%Y-%m-%d %H:%M:%S") + zone


def added(after: pd.Timedelta = SECOND, often: int = 1, **event: Any) -> Change:
    """One more event of everybody, so long after the prediction."""

    def change(later, when, dice):
        rows = pd.DataFrame({"person": when.index, "time": written(when.to_numpy() + after)})
        more = rows.assign(**{"value": None, "unit": None} | event)[COLUMNS]
        return pd.concat([later, *[more] * often])

    return change


def altered(**columns: Any) -> Change:
    """Other values in some columns, of events or, by the table's name in front, of results only."""

    def change(later, when, dice):
        return later.assign(
            **{
                name: value(later[name]) if callable(value) else value
                for name, value in columns.items()
            }
        )

    return change


def moved(by: pd.Timedelta | None, zone: str = "") -> Change:
    """Later still by some time; to the second after the prediction where none is given."""

    def change(later, when, dice):
        own = pd.to_datetime(later["time"]) if by is not None else later["person"].map(when)
        return later.assign(time=written(own + (SECOND if by is None else by), zone).to_numpy())

    return change


def of_others(later, when, dice):
    """The events of each person are those of another one, after that one's prediction."""
    whose = pd.Series(dice.permutation(when.index), index=when.index)
    person = later["person"].map(whose)
    return later.assign(person=person, time=written(person.map(when) + SECOND).to_numpy())


def again(later, when, dice):
    """Everything at once, a thousand times."""
    return pd.concat([later] * 40)


lab = partial(added, table="lab", system="LOINC", code="2345-7", value="999", unit="mg/dL")
code = partial(added, table="diagnosis", system="ICD10CM", code="E11.9")
CHANGES: dict[str, Change] = {
    "a diagnosis": code(),
    "a prescription": code(table="prescription", system="RXNORM", code="860975"),
    "a procedure": code(table="procedure", system="CPT", code="83036"),
    "a result": lab(),
    "a result in another unit": lab(value="7.1", unit="mmol/L"),
    "a result in a unit that nobody knows": lab(unit="furlong"),
    "a result without a unit": lab(unit=None),
    "a result in words": lab(value="POSITIVE", unit=None),
    "a laboratory test that nobody knows": lab(code="9999-9"),
    "a code that nobody knows": code(code="Z99.9"),
    "a system that nobody knows": code(system="http://example.org/codes"),
    "a death": code(system="OMOP", code="DEATH"),
    "a visit, years later": code(after=pd.Timedelta(days=2000), system="Visit", code="IP"),
    "race, told otherwise": code(table="told", system="Race", code="2"),
    "no event any more": lambda later, when, dice: later[:0],
    "half of the events": lambda later, when, dice: later[dice.random(len(later)) < 0.5],
    "other codes": altered(code="I10"),
    "other systems": altered(system="SNOMED"),
    "no code": altered(code=None),
    "other values": altered(value=lambda values: values.map(lambda text: text and "1e9")),
    "other units": altered(unit=lambda units: units.map(lambda text: text and "g/L")),
    "five years later": moved(pd.Timedelta(days=1826)),
    "a second after the prediction": moved(None),
    "looks earlier, and is in a zone far west": moved(pd.Timedelta(hours=-10), "-11:00"),
    "dates that cannot be read": altered(time="2020-02-30 99:00:00"),
    "dates that stand for none": altered(time="2999-01-01 00:00:00"),
    "everything forty times": again,
    "events of others": of_others,
}


def changed(
    events: pd.DataFrame, when: pd.Series, changes: list[Change], seed: int
) -> pd.DataFrame:
    """Return the same past, and another future: each change is that of another share of the persons.

    Args:
        events: All events.
        when: The time of the prediction by person.
        changes: What happens.
        seed: Of the shares.
    """
    dice = np.random.default_rng(seed)
    share = pd.Series(dice.permutation(len(when)) % len(changes), index=when.index)
    is_later = pd.to_datetime(events["time"]) > events["person"].map(when)
    parts = [events[~is_later]]
    for number, change in enumerate(changes):
        persons = share.index[share == number]
        later = events[is_later & events["person"].isin(persons)]
        parts.append(change(later, when[persons], dice)[COLUMNS])
    every = pd.concat(parts, ignore_index=True)
    return every.sample(frac=1, random_state=seed).reset_index(drop=True)
