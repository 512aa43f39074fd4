"""The EHRSHOT benchmark's files as the project's tables.

Two releases are read: EHRSHOT_ASSETS (one CSV) and EHRSHOT_MEDS (Parquet); columns go by name, so
an index column in front or another order does not matter.
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import trim
from clm_ler.tables.sources import or_empty
from clm_ler.terminology.omop import CONCEPT, CONCEPT_ANCESTOR
from clm_ler.terminology.translation import tokens_by_code

BIRTHS = (("SNOMED", "3950001"), ("", "MEDS_BIRTH"))
DEMOGRAPHICS = {"gender": "GENDER", "race": "RACE", "ethnicity": "ETHNICITY"}
_LAYOUTS = {
    "EHRSHOT_ASSETS": {"patient_id", "start", "code", "value", "unit"},
    "EHRSHOT_MEDS": {"subject_id", "time", "code", "numeric_value", "text_value", "unit"},
}


def read_events(raw: ir.Table) -> ir.Table:
    """Return every event of either release: person_id, time, system, code, value, text, unit.

    ``time`` is the start of the event, null where it cannot be read; ``end`` and ``visit_id`` are
    left behind, because the end of a visit under way tells the future. ``system`` and ``code`` are
    parted at the first slash; ``value`` is the result where it is a number, ``text`` where not.

    Raises:
        ValueError: If the columns are those of neither release.
    """
    layout = _layout(raw)
    if layout == "EHRSHOT_MEDS":
        raw = raw.rename(patient_id="subject_id", start="time")
        # By way of its text: as float32, 7.1 is a little less, and may be on the other side of a bin.
        number = raw.numeric_value.cast("string").cast("float64")
        text = raw.text_value
    else:
        text = trim(raw.value.cast("string")).nullif("")
        number = text.try_cast("float64")
    number = ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)
    code = raw.code.cast("string")
    slash = code.find("/")
    return raw.select(
        person_id=raw.patient_id.cast("int64"),
        time=raw.start.try_cast("timestamp"),
        system=ibis.ifelse(slash < 0, "", code.substr(0, slash)),
        code=ibis.ifelse(slash < 0, code, code.substr(slash + 1)),
        value=number,
        text=ibis.ifelse(number.isnull(), text, ibis.null("string")),
        unit=raw.unit.cast("string").nullif(""),
    )


def translate(events: ir.Table, code_translations: ir.Table) -> ir.Table:
    """Return the dated events under their tokens' system and code; those without a token are left out.

    ``code_translations`` has at most one token for a code, so that nothing is counted twice.
    """
    tokens = tokens_by_code(code_translations).rename(system="source_system", code="source_code")
    dated = events.filter(events.time.notnull())
    return (
        dated.join(tokens, ["system", "code"])
        .drop("system", "code")
        .rename(system="to_system", code="to_code")
    )


def demographics(events: ir.Table, translated: ir.Table) -> ir.Table:
    """Return ``demographics``; the region is not told.

    Args:
        events: All events, for the births: :func:`read_events`.
        translated: The same under a vocabulary's systems, for the rest: :func:`translate`.
    """
    births = events.filter(_is_birth(events)).group_by("person_id").agg(birth_date=_.time.min())
    codes = translated.group_by("person_id").agg(
        **{
            column: translated.code.min(where=translated.system == system)
            for column, system in DEMOGRAPHICS.items()
        }
    )
    persons = events.select("person_id").distinct()
    return (
        persons.left_join(births, "person_id")
        .drop("person_id_right")
        .left_join(codes, "person_id")
        .select(
            "person_id", *DEMOGRAPHICS, birth_date=_.birth_date.date(), region=ibis.null("string")
        )
    )


def coded_events(translated: ir.Table) -> ir.Table:
    """Return ``coded_events``: the codes without a number, visits and care sites included."""
    coded = translated.filter(_is_coded(translated))
    return coded.select("person_id", "time", "system", "code")


def lab_events(translated: ir.Table) -> ir.Table:
    """Return ``lab_events``: the codes with a number."""
    measured = translated.filter(translated.value.notnull())
    return measured.select("person_id", "time", "system", "code", "value", "unit")


def identity_translations(events: ir.Table) -> ir.Table:
    """Return ``code_translations`` that leave every code as it is, for a vocabulary of these codes."""
    codes = events.select("system", "code").distinct()
    system = ibis.cases(
        *((codes.system.upper() == name, name) for name in DEMOGRAPHICS.values()),
        else_=codes.system,
    )
    return codes.select(
        source_system="system",
        source_code="code",
        vocab_token=system + ":" + codes.code,
        method=ibis.literal("native"),
        rank=ibis.literal(0, "int64"),
    )


def count_tokens(events: ir.Table, binned: ir.Table) -> ir.Table:
    """Return what the count baselines count: person_id, time, token, official.

    ``official`` marks the codes of events without a value: the official baseline counts nothing
    else (it leaves out every result). The stronger one also counts that a test was done, its bin,
    and results in words.

    Args:
        events: What :func:`read_events` returns.
        binned: The tokens of its numbers: :func:`clm_ler.tables.labs.results.lab_tokens`.
    """
    dated = events.filter(events.time.notnull())
    code = dated.system + "/" + dated.code
    done = dated.select("person_id", "time", token=code, official=_no_value(dated))
    words = dated.filter(dated.text.notnull()).select(
        "person_id", "time", token=_.system + "/" + _.code + "=" + _.text, official=False
    )
    bins = binned.select("person_id", "time", "token", official=False)
    return done.union(words).union(bins)


def token_ancestors(
    count_tokens: ir.Table, concept: ir.Table | None, concept_ancestor: ir.Table | None
) -> ir.Table:
    """Return the ancestors of the counted codes in an OMOP vocabulary: token, ancestor.

    Args:
        count_tokens: What :func:`count_tokens` returns.
        concept: OMOP ``concept``, where there is a vocabulary.
        concept_ancestor: OMOP ``concept_ancestor``, where there is one.
    """
    concept = or_empty(concept, CONCEPT)
    concept_ancestor = or_empty(concept_ancestor, CONCEPT_ANCESTOR)
    names = concept.select(
        concept_id=concept.concept_id.cast("int64"),
        name=concept.vocabulary_id + "/" + concept.concept_code.cast("string"),
    )
    links = concept_ancestor.select(
        child=concept_ancestor.descendant_concept_id.cast("int64"),
        parent=concept_ancestor.ancestor_concept_id.cast("int64"),
    )
    counted = count_tokens.filter(_.official).select("token").distinct()
    children = counted.join(names, counted.token == names.name).select("token", "concept_id")
    parents = names.select(parent_id="concept_id", ancestor="name")
    linked = children.join(links, children.concept_id == links.child)
    named = linked.join(parents, linked.parent == parents.parent_id)
    return named.select("token", "ancestor").distinct()


def event_ledger(events: ir.Table, translated: ir.Table) -> ir.Table:
    """Return how many events and persons each step leaves: step, events, persons.

    Args:
        events: What :func:`read_events` returns.
        translated: Those that have a token: :func:`translate`.
    """
    steps = {
        "events": events.person_id.notnull(),
        "with a time that can be read": events.time.notnull(),
    }
    steps_of_translated = {
        "with a token of the vocabulary": translated.person_id.notnull(),
        "of these codes": _is_coded(translated),
        "of these labs with a number": translated.value.notnull(),
    }
    found = [*_count_by_step(events, steps), *_count_by_step(translated, steps_of_translated)]
    rows = [row.mutate(position=ibis.literal(place)) for place, row in enumerate(found)]
    return ibis.union(*rows).order_by("position").select("step", "events", "persons")


def _count_by_step(table: ir.Table, steps: dict[str, ir.BooleanValue]) -> list[ir.Table]:
    """Return a row for each step, of counts that one reading of the table gives."""
    counts = table.agg(
        **{f"events {step}": table.count(where=chosen) for step, chosen in steps.items()},
        **{
            f"persons {step}": table.person_id.nunique(where=chosen)
            for step, chosen in steps.items()
        },
    )
    return [
        counts.select(
            step=ibis.literal(step),
            events=counts[f"events {step}"],
            persons=counts[f"persons {step}"],
        )
        for step in steps
    ]


def _layout(raw: ir.Table) -> str:
    for name, columns in _LAYOUTS.items():
        if columns <= set(raw.columns):
            return name
    raise ValueError(
        "ehrshot_events has the columns of neither release: "
        + "; ".join(f"{name} has {', '.join(sorted(cols))}" for name, cols in _LAYOUTS.items())
        + f". Found: {', '.join(raw.columns)}."
    )


def _is_coded(translated: ir.Table) -> ir.BooleanValue:
    described = translated.system.isin(list(DEMOGRAPHICS.values()))
    return translated.value.isnull() & ~described & ~_is_birth(translated)


def _is_birth(events: ir.Table) -> ir.BooleanValue:
    first, second = ((events.system == system) & (events.code == code) for system, code in BIRTHS)
    return first | second


def _no_value(events: ir.Table) -> ir.BooleanValue:
    return events.value.isnull() & events.text.isnull()
