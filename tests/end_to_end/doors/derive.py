"""The tokens of a hospital's rows, in pandas and plain Python, from what the pages in docs/ say.

Nothing is shared with the pipeline. Limits and defaults are those of the environments `omop`, `meds`, `fhir`.
"""

from collections import Counter
from datetime import date, datetime, time
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

BINS, FEWEST_RESULTS, FEW, PERSONS_OF_A_TEXT = 10, 10, 10, 10
DAYS_OF_A_HISTORY, TOKENS_OF_A_HISTORY = 365, 20
PLACEHOLDERS = {"0", "-", "--", "?", "N/A", "NONE", "NULL", "UNKNOWN", "NO MATCHING CONCEPT"}
WORDS = {"NEG": "NEGATIVE", "NOT DETECTED": "NEGATIVE", "POS": "POSITIVE", "PENDING": None}
SYSTEMS = {"RxNorm": "RXNORM"}
# Units of one meaning; what a unit is in the first of its kind: value * factor + offset.
SAME = {"mg/dl": "mg/dL", "meq/l": "mmol/L", "k/ul": "10*3/uL", "10^9/l": "10*3/uL"}
TO_FIRST = {
    ("2345-7", "mmol/L"): ("mg/dL", Fraction("18.0156"), Fraction(0)),
    ("6690-2", "/uL"): ("10*3/uL", Fraction(1, 1000), Fraction(0)),
    ("8310-5", "degF"): ("Cel", Fraction(5, 9), Fraction(-160, 9)),
}
LAB = ["system", "code"]


def derive(persons: pd.DataFrame, rows: pd.DataFrame, zone: str, splits: dict[str, str]):
    """Return the sequence of each person, (token, day, time) in order, and the lost rows by reason.

    Args:
        persons: ``Person`` as a door gives them, with the values of demographics as it spells them.
        rows: ``Fact`` as a door gives them.
        zone: Local time.
        splits: The split of each person, in which units, bins and texts are fitted on train.
    """
    rows = rows.assign(
        time=[local(value, ZoneInfo(zone)) for value in rows["time"]],
        lab=rows["table"] == "lab",
    )
    births = {p.id: birth_date(p.birth) for p in persons.itertuples()}
    rows["reason"] = [why_lost(row, births) for row in rows.itertuples()]
    kept = rows[rows["reason"].isna()].copy()
    kept["system"] = kept["system"].replace(SYSTEMS)
    kept["code"] = [spelt(row.system, row.code) for row in kept.itertuples()]
    named = kept["code"].isin(PLACEHOLDERS)
    rows.loc[kept.index[named], "reason"] = "placeholder code"
    kept = kept[~named].copy()
    codes = kept[~kept["lab"]].copy()
    codes["token"] = codes["system"] + ":" + codes["code"]
    labs = tokens_of_labs(kept[kept["lab"]].copy(), splits)
    lost = Counter()
    for part in (rows, labs):
        faulty = part[part["reason"].notna()]
        lost.update(("lab" if row.lab else "codes", row.reason) for row in faulty.itertuples())
    events = pd.concat([codes, labs[labs["reason"].isna()]])[["person", "time", "token"]]
    sequences = {}
    for person in persons.itertuples():
        own = events[events["person"] == person.id]
        if person.id in splits and len(own):
            made = sequence(person, births[person.id], own)
            if span(own) >= DAYS_OF_A_HISTORY and len(made) >= TOKENS_OF_A_HISTORY:
                sequences[person.id] = made
    return sequences, lost


def local(value, zone: ZoneInfo) -> datetime | None:
    """Return the local time of what is written, without a zone."""
    if isinstance(value, datetime) and not pd.isna(value):
        return value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value
    if not isinstance(value, str):
        return None
    parts = [int(part) for part in value.split("-")]
    return datetime(*[*parts, 1, 1][:3])


def birth_date(text: str | None) -> date | None:
    born = local(text, ZoneInfo("UTC"))
    return born.date() if born and 1901 <= born.year <= 2299 else None


def why_lost(row, births) -> str | None:
    """Return the first reason of the table in docs/preprocessing.md that holds."""
    if pd.isna(row.person):
        return "no person_id"
    if row.person not in births:
        return "person not in patient"
    if pd.isna(row.system) or pd.isna(row.code):
        return "no code"
    if pd.isna(row.time):
        return "no date that can be read"
    if not 1901 <= row.time.year <= 2299:
        return "placeholder date"
    born = births[row.person]
    return "before birth" if born and row.time.date() < born else None


def spelt(system: str, code: str) -> str:
    code = code.strip().upper().rstrip(".")
    if system == "NDC":
        labeler, product = code.split("-")[:2] if "-" in code else (code, "")
        return labeler.zfill(5) + product.zfill(4) if product else code
    if system in ("ICD10CM", "ICD9CM") and code not in PLACEHOLDERS and "." not in code:
        return f"{code[:3]}.{code[3:]}" if len(code) > 3 else code
    return code


def number_of(text: str | None) -> float | None:
    """Return a number, the bound of `<0.02`, the middle of `1-3`."""
    bare = ("" if pd.isna(text) else text).strip().lstrip("<>=").strip()
    ends = [part.strip() for part in bare.split("-")]
    try:
        values = [float(end) for end in ends]
    except ValueError:
        return None
    return values[0] if len(values) == 1 else (values[0] + values[1]) / 2


def word_of(text: str | None) -> str | None:
    if not isinstance(text, str) or len(text) > 60:
        return None
    word = " ".join(text.upper().split()).rstrip(".")
    return WORDS.get(word, word)


def meaning(unit) -> str:
    unit = "" if pd.isna(unit) else unit.strip()
    return SAME.get(unit.lower(), unit)


def tokens_of_labs(labs: pd.DataFrame, splits: dict[str, str]) -> pd.DataFrame:
    """Return the results with a token, or the reason why they have none."""
    labs["unit"] = ["" if pd.isna(unit) else unit.strip() for unit in labs["unit"]]
    labs["number"] = [number_of(value) for value in labs["value"]]
    labs["word"] = [
        word_of(row.value) if pd.isna(row.number) else None for row in labs.itertuples()
    ]
    labs["fitted"] = [splits.get(person) == "train" for person in labs["person"]]
    labs["token"], labs["reason"] = None, None
    for key, one in labs.groupby(LAB):
        known = one[one["fitted"] & one["number"].notna()]
        factors = conversions(key[1], known["unit"], one["unit"].unique())
        bounds = boundaries(known, factors)
        words = one[one["fitted"]].groupby("word")["person"].nunique()
        words = set(words[words >= PERSONS_OF_A_TEXT].index)
        for row in one.itertuples():
            token, reason = _token(row, key, factors, bounds, words)
            labs.loc[row.Index, ["token", "reason"]] = [token, reason]
    return labs


def _token(row, key, factors, bounds, words) -> tuple[str | None, str | None]:
    name = ":".join(key)
    if isinstance(row.word, str):
        found = row.word in words
        return (f"{name}:{row.word}", None) if found else (None, "text result of too few persons")
    if key[0] == "LOINC" and not key[1].replace("-", "").isdigit():
        return None, "not a LOINC code"
    if pd.isna(row.number):
        return None, "not a number"
    if row.unit not in factors:
        return None, "lab or unit not seen in fitting"
    if factors[row.unit] is None:
        return None, "unit cannot be converted" if row.unit else "no unit"
    if bounds is None:
        return None, "lab has too few results or values"
    place = int(np.searchsorted(bounds, single(row.number, factors[row.unit]), "right"))
    return f"{name}:{place * 100 // BINS}-{(place + 1) * 100 // BINS}", None


def single(number: float, factor) -> np.float32:
    return np.float32(number * float(factor[0]) + float(factor[1]))


def conversions(code: str, fitted: pd.Series, units) -> dict[str, tuple | None]:
    """Return factor and offset of each unit to the one that most fitted results have, if any has."""
    counts = Counter(fitted)
    named = sorted((-n, unit) for unit, n in counts.items() if unit)
    if not counts:
        return {}
    base = named[0][1] if named else ""
    others = {meaning(unit) for unit in counts if unit}
    found: dict[str, tuple | None] = {}
    for unit in units:
        if not unit:
            found[unit] = (1, 0) if len(others) <= 1 else None
            continue
        one, two = (_in_first(code, meaning(name)) for name in (unit, base))
        alike = one[0] == two[0]
        found[unit] = (one[1] / two[1], (one[2] - two[2]) / two[1]) if alike else None
    return found


def _in_first(code: str, unit: str) -> tuple[str, Fraction, Fraction]:
    return TO_FIRST.get((code, unit), (unit, Fraction(1), Fraction(0)))


def boundaries(known: pd.DataFrame, factors) -> list[np.float32] | None:
    """Return the nine boundaries of a lab's bins, nothing where there are too few results or values."""
    values = sorted(
        single(row.number, factors[row.unit]) for row in known.itertuples() if factors[row.unit]
    )
    distinct = sorted(set(values))
    if len(values) < FEWEST_RESULTS:
        return None
    if len(distinct) <= FEW:  # each value has a bin of its own, from the first to the last
        last = len(distinct) - 1
        places = [n * (BINS - 1) // last if last else BINS - 1 for n in range(len(distinct))]
        pairs = list(zip(distinct, places, strict=True))
        return [next(v for v, place in pairs if place >= k) for k in range(1, BINS)]
    return [
        next(v for n, v in enumerate(values, 1) if n * BINS >= k * len(values))
        for k in range(1, BINS)
    ]


def span(events: pd.DataFrame) -> int:
    days = [moment.date() for moment in events["time"]]
    return (max(days) - min(days)).days


def sequence(person, born: date | None, events: pd.DataFrame) -> list[tuple[str, int, datetime]]:
    """Return the baseline, dated at birth, and each token once a day at its earliest time."""
    first = min(events["time"])
    start = datetime.combine(born, time()) if born else first
    age = [("AGE", (first.date() - born).days // 365)] if born else []
    told = [
        (name, getattr(person, name.lower())) for name in ("ETHNICITY", "GENDER", "RACE", "REGION")
    ]
    made = [(f"{name}:{value}", 0, start) for name, value in [*age, *told] if not pd.isna(value)]
    seen = set()
    dated = [
        ((row.time.date() - first.date()).days + 1, row.time, row.token)
        for row in events.itertuples()
    ]
    for day, moment, token in sorted(dated):
        if (day, token) not in seen:
            seen.add((day, token))
            made.append((token, day, moment))
    return made
