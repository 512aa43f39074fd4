"""What stands in the column of results: numbers however they are written, and words.

By default a result is a number with a unit, as published; each parameter here lets more of them count.
"""

from typing import Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field, model_validator

from clm_ler.engines.portable import ALL_BLANKS, finite, trim, upper
from clm_ler.tables.options import Options
from clm_ler.tokens import BIN_LABEL

LONGEST_WORD = 60  # characters of a result; what is longer is prose
_NUMBER = r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
_PLAIN = rf"^[{ALL_BLANKS}]*{_NUMBER}[{ALL_BLANKS}]*$"
_BOUND = rf"^[{ALL_BLANKS}]*(?:<=|>=|=<|=>|<|>|≤|≥|=)[{ALL_BLANKS}]*{_NUMBER}[{ALL_BLANKS}]*$"
_END = r"([0-9]+\.?[0-9]*)"
_RANGE = rf"^[{ALL_BLANKS}]*{_END}[{ALL_BLANKS}]*(?:-|\x{{2013}}|to)[{ALL_BLANKS}]*{_END}[{ALL_BLANKS}]*$"
# What SNOMED says of the kind of a concept, behind its name.
_KIND = r" \((?:QUALIFIER VALUE|FINDING|DISORDER|SITUATION|OBSERVABLE ENTITY|ORGANISM|SUBSTANCE)\)$"
# One word for what laboratories write in many ways; none for what is no result.
_CLASSES = {
    "NEGATIVE": "NEG|NEGATIV|(-)|NOT DETECTED|NONE DETECTED|UNDETECTED|NON REACTIVE|NON-REACTIVE|"
    "NONREACTIVE|ABSENT|NOT PRESENT",
    "POSITIVE": "POS|POSITIV|(+)|DETECTED|REACTIVE|PRESENT",
    "NORMAL": "NORM|WNL|WITHIN NORMAL LIMITS",
    "ABNORMAL": "ABN",
    "TRACE": "TR|TRACES",
    "": "PENDING|SEE COMMENT|SEE COMMENTS|SEE NOTE|SEE REPORT|SEE BELOW|CANCELLED|CANCELED|NOT DONE|"
    "NOT APPLICABLE|NOT REPORTED|UNKNOWN|N/A|NA|NAN|NULL|NONE|ERROR|TEST NOT PERFORMED|DNR|-|--|.|*|***",
}
WORDS = {word: name for name, words in _CLASSES.items() for word in words.split("|")}


class ResultOptions(Options):
    """Which results count besides numbers with a unit."""

    bounds: bool = Field(default=False, description="`<0.02` counts as 0.02, `1-3` as 2")
    decimal_comma: bool = Field(default=False, description="`7,2` is 7.2")
    thousands: Literal["", ",", ".", "'", " "] = Field(
        default="", description="Separator of thousands: with `,` the text `1,200` is 1200"
    )
    without_unit: bool = Field(
        default=False,
        description="A number without a unit counts where the code's others have one unit or none",
    )
    few_values: int = Field(
        default=0,
        ge=0,
        description="A lab with at most so many distinct values gets a bin for each, whatever "
        "`min_loinc_value_counts` says; at most `percentile_count`",
    )
    text_min_persons: int = Field(
        default=0,
        ge=0,
        description="Fewest persons with a text result, such as POSITIVE, for it to become a token; "
        "0: texts are lost",
    )
    words: dict[str, str] = Field(
        default_factory=dict,
        description="Text results, in upper case, and the word that replaces each; an empty text: not a "
        "result. Added to those of `tables/labs/parsing.py`",
    )

    @model_validator(mode="after")
    def _commas_have_one_meaning(self) -> "ResultOptions":
        if self.decimal_comma and self.thousands == ",":
            raise ValueError(
                "results: a comma is either decimal_comma or the separator of thousands"
            )
        return self


PUBLISHED = ResultOptions()  # plain numbers


def read_numbers(value: ir.Column, options: ResultOptions) -> ir.FloatingColumn:
    """Return results as numbers, null where they are none.

    Args:
        value: Numbers, or texts as they are written.
        options: How else than plainly they may be written.
    """
    if not value.type().is_string():
        number = value if value.type().is_floating() else value.try_cast("float64")
        return finite(number.cast("float64"))
    plain = _plain(value, options)
    numbers = [plain_number(plain)]
    if options.bounds:
        numbers.append(plain.re_extract(_BOUND, 1).nullif("").try_cast("float64"))
        low, high = (plain.re_extract(_RANGE, k).nullif("").try_cast("float64") for k in (1, 2))
        numbers.append(ibis.cases((low <= high, (low + high) / 2)))
    return ibis.coalesce(*numbers)


def plain_number(text: ir.StringColumn) -> ir.FloatingColumn:
    """Return what is written as ``7``, ``-7.5``, ``.5`` or ``1e3``, null for all else.

    Engines alone would also take ``1_000`` (DuckDB), ``1d`` and ``1f`` (Spark), ``NaN`` and ``inf``.
    """
    return finite(text.re_extract(_PLAIN, 1).nullif("").try_cast("float64"))


def _plain(text: ir.StringColumn, options: ResultOptions) -> ir.StringColumn:
    """Return texts with a decimal point and without separators of thousands."""
    if options.thousands:
        mark = "[.]" if options.thousands == "." else options.thousands
        if mark == " ":
            text = text.re_replace(r"[\x{A0}\x{202F}]", " ")
        # 0.123 has no thousands, nor has 1.234.5.
        end = rf"([{ALL_BLANKS}]*[^0-9{ALL_BLANKS}{options.thousands}].*)?[{ALL_BLANKS}]*"
        grouped = text.re_search(rf"^[^0-9]*[1-9][0-9]{{0,2}}({mark}[0-9]{{3}})+{end}$")
        text = ibis.cases((grouped, text.replace(options.thousands, "")), else_=text)
    return text.replace(",", ".") if options.decimal_comma else text


def read_texts(value: ir.Column, number: ir.FloatingColumn) -> ir.StringColumn:
    """Return what is no number and short enough to be a result, null elsewhere."""
    if not value.type().is_string():
        return ibis.null("string")
    text = trim(value).nullif("")
    return ibis.cases((number.isnull() & (text.length() <= LONGEST_WORD), text))


def canonical_word(text: ir.StringColumn, options: ResultOptions) -> ir.StringColumn:
    """Return text results in one spelling: upper case, single blanks, one word for a class.

    >>> WORDS["NOT DETECTED"]
    'NEGATIVE'
    """
    word = (
        upper(trim(text, ALL_BLANKS)).re_replace(f"[{ALL_BLANKS}]+", " ").re_replace(r"[.!]+$", "")
    )
    word = word.re_replace(_KIND, "").substitute(WORDS | options.words)
    # 10-20 would be read as the bin of that name.
    word = ibis.cases((word.re_search(f"^{BIN_LABEL}$"), word.replace("-", " TO ")), else_=word)
    return word.nullif("")
