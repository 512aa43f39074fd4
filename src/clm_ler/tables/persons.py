"""A person's id: whatever the data have in the tables, a 64-bit key inside.

Where ids are whole numbers, the key is the number. Any other text, such as a UUID, has the first 60 bits
of its MD5 digest, the same on every engine: stores, sorts and joins then work with numbers. Among 40
million persons two agree with a chance of 0.07 %; :func:`check_ids` looks whether any do.
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines import engine_of
from clm_ler.engines.portable import ALL_BLANKS, row_count, trim

KEY_DIGITS = 15  # hexadecimal, of 4 bits each
# Also as a column of floating-point numbers or a spreadsheet writes it: 007, +7, 7.0.
_WHOLE_NUMBER = r"^([+-]?[0-9]{1,19})(?:\.0*)?$"


def with_keys(rows: ir.Table) -> ir.Table:
    """Return selected rows with keys as ``person_id``, and the ids as ``own_id`` where they are texts."""
    keys = {"person_id": person_key(rows.person_id)}
    if rows.person_id.type().is_numeric():
        return rows.mutate(keys)
    return rows.mutate(keys, own_id=own_text(rows.person_id))


def person_key(ids: ir.Column) -> ir.IntegerColumn:
    """Return the 64-bit key of each id, null where there is none.

    Args:
        ids: Whole numbers of any type, texts or UUIDs; decimals and floating-point numbers count where they
            are whole.
    """
    kind = ids.type()
    if kind.is_floating():
        whole = ids.try_cast("int64")  # not floor(): engines cannot make a whole number of NaN
        return ibis.cases((ids == whole, whole))
    if kind.is_decimal() and kind.scale != 0:  # a cast would round
        return ibis.cases((ids.floor() == ids, ids.try_cast("int64")))
    if kind.is_numeric():
        return ids if kind.is_int64() else ids.try_cast("int64")
    text = own_text(ids)
    number = text.re_extract(_WHOLE_NUMBER, 1).nullif("").try_cast("int64")
    return number.coalesce(engine_of(ids).from_hex(text.hexdigest("md5").substr(0, KEY_DIGITS)))


def own_text(ids: ir.Column) -> ir.StringColumn:
    """Return ids as texts, without blanks around them; an empty one is null."""
    return trim(ids.cast("string"), ALL_BLANKS).nullif("")


def list_ids(patients: ir.Table) -> ir.Table:
    """Return ``person_id``, the key, and ``own_id``, the id in the data, where they differ.

    Args:
        patients: Rows of ``patient`` of :func:`with_keys`; those that pass the filter count.
    """
    rows = patients.filter(patients.passes_filter, patients.person_id.notnull())
    if "own_id" not in rows.columns:
        nobody = rows.filter(ibis.literal(False))
        return nobody.select("person_id", own_id=nobody.person_id.cast("string"))
    own = rows.filter(rows.own_id != rows.person_id.cast("string"))
    return own.group_by("person_id").agg(own_id=_.own_id.min())


def check_ids(patients: ir.Table) -> None:
    """Look whether two different ids have one key; whole numbers cannot.

    Args:
        patients: Rows of ``patient`` of :func:`with_keys`.

    Raises:
        ValueError: With the number of keys that several ids have.
    """
    if "own_id" not in patients.columns:
        return
    rows = patients.filter(patients.passes_filter)
    by_key = rows.group_by("person_id").agg(ids=_.own_id.nunique())
    alike = row_count(by_key.filter(_.ids > 1))
    if alike:
        raise ValueError(
            f"patient: {alike} keys stand for several ids each, which would make one person of them: "
            "either numbers written in two ways (7, 007, 7.0), or two texts with one digest. Write ids "
            "in one way, or give all tables another text, such as concat('x', id) AS person_id."
        )


def are_numbers(person_ids: ir.Table) -> bool:
    """Return whether all ids are the keys themselves.

    Args:
        person_ids: Of :func:`list_ids`.
    """
    return not row_count(person_ids)


def with_own_ids(rows: ir.Table, person_ids: ir.Table) -> ir.Table:
    """Return the rows with ``own_id`` beside ``person_id``, unless all ids are numbers."""
    if are_numbers(person_ids):
        return rows
    own = person_ids.select("own_id", known_id="person_id")
    joined = rows.left_join(own, rows.person_id == own.known_id)
    texts = joined.own_id.coalesce(joined.person_id.cast("string"))
    return joined.mutate(own_id=texts).drop("known_id")
