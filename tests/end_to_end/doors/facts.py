"""What happened to sixty persons of an invented hospital, before anybody has written it into tables.

A time is local (naive), has a zone, or is a text that is only a part of a date. A result is as a laboratory
would write it. Everything that a hospital has and the documentation names is among the facts.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

LOCAL = ZoneInfo("Europe/Berlin")
ZONES = (None, ZoneInfo("America/New_York"), ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata"))
CODES = (
    *(("diagnosis", "ICD10CM", code) for code in ("E119", "i10", "J45.901", "J45901", "Z00.00.")),
    *(("diagnosis", "SNOMED", "195967001"), ("diagnosis", "ICD9CM", "4939")),
    *(("prescription", "RxNorm", "314076"), ("prescription", "NDC", "0002-8215-01")),
    *(
        ("procedure", "CPT", "83036"),
        ("procedure", "CPT", "99213"),
        ("procedure", "LOINC", "72166-2"),
    ),
)
GLUCOSE, POTASSIUM, CELLS, FEVER = "2345-7", "2823-3", "6690-2", "8310-5"
TROPONIN, SEDIMENT, NITRITE, COLOUR = "6598-7", "13945-1", "5802-4", "5778-6"
PAIN, INR, RARE = "72514-3", "6301-6", "14334-7"


class Person(NamedTuple):
    """A person; the birth is a day, a year, or nothing."""

    id: str
    birth: str | None
    gender: str | None
    race: str | None
    ethnicity: str | None
    region: str | None


class Fact(NamedTuple):
    """Something that happened, or was found."""

    person: str | None
    table: str
    time: datetime | str | None
    system: str | None = None
    code: str | None = None
    value: str | None = None
    unit: str | None = None


def persons() -> list[Person]:
    """Sixty persons; ids are texts of three kinds."""
    dice = np.random.default_rng(1)
    ids = ["7", *(f"P-{n:03}" for n in range(1, 40)), *(str(UUID(int=n << 70)) for n in range(20))]
    found = []
    for number, own in enumerate(ids):
        born = datetime(1930, 1, 1) + timedelta(days=int(dice.integers(0, 30_000)))
        birth = {3: f"{born:%Y}", 4: None, 5: "1800-01-01"}.get(number, f"{born:%Y-%m-%d}")
        found.append(
            Person(
                own,
                birth,
                dice.choice(["female", "male"]),
                dice.choice(["White", "Asian"]),
                dice.choice(["Hispanic", "Not Hispanic"]) if number % 3 else None,
                "NJ" if number % 2 else None,
            )
        )
    return found


def facts() -> list[Fact]:
    """Everything that happened, and rows that should not be there."""
    dice = np.random.default_rng(2)
    found: list[Fact] = []
    for number, person in enumerate(persons()):
        start = datetime(2012, 3, 1) + timedelta(days=int(dice.integers(0, 2000)))
        days = 200 if number % 10 == 0 else 1500  # a tenth has too short a history

        def when(start=start, days=days):
            minutes = int(dice.integers(0, 24 * 60))
            zone = ZONES[dice.integers(len(ZONES))]
            time = start + timedelta(days=int(dice.integers(0, days)), minutes=minutes)
            return time.replace(tzinfo=zone)

        for _ in range(int(dice.integers(4, 25))):
            table, system, code = CODES[dice.integers(len(CODES))]
            time = when()
            found += [Fact(person.id, table, time, system, code)] * int(dice.choice([1, 1, 1, 2]))
        for _ in range(int(dice.integers(4, 40))):
            found.append(Fact(person.id, "lab", when(), *_result(dice)))
        found.append(Fact(person.id, "diagnosis", f"{start:%Y}", "ICD10CM", "I48"))
        found.append(Fact(person.id, "procedure", f"{start:%Y-%m}", "CPT", "99214"))
        if number % 9 == 8:
            found.append(Fact(person.id, "death", f"{start + timedelta(days=days):%Y-%m-%d}"))
    return found + _faults()


def _result(dice) -> tuple[str, str, str, str | None]:
    """A result as its laboratory writes it: system, code, value, unit."""
    usual = float(dice.normal(1, 0.2))
    pick = [
        ("LOINC", GLUCOSE, f"{90 * usual:.0f}", dice.choice(["mg/dL", "MG/DL", "mg/dl "])),
        ("LOINC", GLUCOSE, f"{5 * usual:.1f}", "mmol/L"),
        ("LOINC", GLUCOSE, f"{90 * usual:.0f}", None),  # of which unit?
        ("LOINC", GLUCOSE, "3", "arm"),
        ("LOINC", POTASSIUM, f"{4 * usual:.1f}", dice.choice(["mmol/L", "mEq/L"])),
        ("LOINC", CELLS, f"{7 * usual:.1f}", dice.choice(["K/uL", "10*3/uL", "10^9/L"])),
        ("LOINC", CELLS, f"{7000 * usual:.0f}", "/uL"),
        ("LOINC", CELLS, f"{7 * usual:.1f}", None),  # its units are one
        ("LOINC", FEVER, f"{37 + usual:.1f}", "Cel"),
        ("LOINC", FEVER, f"{98 + usual:.1f}", "degF"),
        ("LOINC", INR, f"{usual:.2f}", None),
        ("LOINC", PAIN, str(dice.choice([0, 2, 5, 8])), "{score}"),
        ("LOINC", TROPONIN, dice.choice(["<0.02", "<=0.03", ">50", f"{usual:.2f}"]), "ng/mL"),
        ("LOINC", SEDIMENT, dice.choice(["0-2", "3-5", "5 - 10", "12"]), "/[HPF]"),
        ("LOINC", NITRITE, dice.choice(["Negative", "neg", "Positive", "NOT DETECTED"]), None),
        ("LOINC", COLOUR, dice.choice(["Yellow", " YELLOW ", "yellow.", "amber"]), None),
        ("LAB", "50912", f"{usual:.1f}", "mg/dL"),
    ]
    return pick[dice.integers(len(pick))]


def _faults() -> list[Fact]:
    """Rows that are to be lost, each for one reason."""
    someone, time = persons()[1].id, datetime(2014, 5, 5, 10)
    result = Fact(someone, "lab", time, "LOINC", GLUCOSE, "90", "mg/dL")
    code = Fact(someone, "diagnosis", time, "ICD10CM", "I10")
    return [
        code._replace(person="nobody-knows"),
        code._replace(person=None),
        code._replace(system=None, code=None),
        code._replace(code="UNKNOWN"),
        code._replace(time=None),
        code._replace(time="1900-01-01"),
        code._replace(time="1915-01-01"),  # before anybody's birth
        result._replace(person="nobody-knows"),
        result._replace(value="pending"),
        result._replace(value="x" * 80),
        result._replace(code="glucose"),
        result._replace(code=COLOUR, value="purple", unit=None),
        *[result._replace(code=RARE, value="1.1", unit="mmol/L")] * 3,
    ]
