"""The grammar of tokens: how a code, a lab result and a demographic are written, and read back.

| what                      | token                                      |
|---------------------------|--------------------------------------------|
| a diagnosis, drug, ...    | ``ICD10CM:J45.901``: system, code          |
| a lab result              | ``LOINC:2345-7:30-40``: system, code, bin  |
| age in years              | ``AGE:63``                                 |
| another demographic       | ``GENDER:F``, ``RACE:White`` ...           |
| what no record contains   | ``[PAD]``, ``[UNK]``, ``[CLS]``, ``[MASK]`` |

A code may itself have colons and look like a bin; a system has no colon. The patterns mean the same to
Python, to Arrow (RE2) and to Java. Nothing else in the project takes a token apart; only ``tables/encoding.py``
cuts systems off in Arrow.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

SPLITS = ("train", "valid", "test")
DAYS_PER_YEAR = 365  # as published, everywhere
OLDEST_AGE = 120
FEWEST_PERSONS = 10  # that previews and messages tell of; elsewhere an option says how many

PAD, UNK, CLS, MASK = "[PAD]", "[UNK]", "[CLS]", "[MASK]"
SPECIAL_TOKENS = (PAD, UNK, CLS, MASK)

SEPARATOR = ":"
AGE = "AGE"
# The systems of the other demographics, in the order of their texts: columns of `demographics`.
BASELINE = {"ETHNICITY": "ethnicity", "GENDER": "gender", "RACE": "race", "REGION": "region"}
DEMOGRAPHIC_SYSTEMS = (AGE, *BASELINE)

BIN_LABEL = r"[0-9.]+-[0-9.]+"
LAB_TOKEN = rf"^(?P<code>[^:]+:.+):(?P<bin>{BIN_LABEL})$"
AGE_TOKEN = r"^AGE:(?P<age>[0-9]{1,9})$"  # any system may have longer codes
# Of a record, where a wrong birth date makes negative ages and many digits.
RECORDED_AGE = r"^AGE:(?:0|-?[1-9][0-9]{0,3})$"


def prefix(system: str) -> str:
    """Return what every token of a system begins with.

    >>> prefix("LOINC")
    'LOINC:'
    """
    return system + SEPARATOR


def code_token(system: Any, code: Any) -> Any:
    """Return the token of a code: of texts, and of columns of texts in any engine.

    >>> code_token("ICD10CM", "J45.901")
    'ICD10CM:J45.901'
    """
    return system + SEPARATOR + code


def split_column(token: Any) -> tuple[Any, Any]:
    """Return the system, and all that follows, of a column of tokens in any engine."""
    first = token.find(SEPARATOR)
    return token.substr(0, first), token.substr(first + 1)


def lab_token(system: Any, code: Any, bin_label: str) -> Any:
    """Return the token of a lab result, as :func:`code_token` does.

    >>> lab_token("LOINC", "2345-7", "30-40")
    'LOINC:2345-7:30-40'
    """
    return code_token(system, code) + SEPARATOR + bin_label


def age_token(years: int) -> str:
    """Return the token of an age.

    >>> age_token(63)
    'AGE:63'
    """
    return f"{prefix(AGE)}{years}"


def is_age(token: str) -> bool:
    """Return whether a token tells an age; the single token ``AGE`` does too."""
    return system_of(token) == AGE


def system_of(token: str) -> str:
    """Return the system of a token, a special token itself.

    >>> system_of("LOINC:2345-7:30-40"), system_of("[CLS]")
    ('LOINC', '[CLS]')
    """
    return token.partition(SEPARATOR)[0]


def split_token(token: str) -> tuple[str, str]:
    """Return system and code; the code is empty where the token has none.

    >>> split_token("MEDS:a:b"), split_token("[CLS]")
    (('MEDS', 'a:b'), ('[CLS]', ''))
    """
    system, _, code = token.partition(SEPARATOR)
    return system, code


def without_bin(token: str) -> str:
    """Return a lab result's token without its bin, any other as it is.

    >>> without_bin("LOINC:2345-7:33.33-66.67"), without_bin("LOINC:2345-7")
    ('LOINC:2345-7', 'LOINC:2345-7')
    """
    lab = re.match(LAB_TOKEN, token)
    return lab["code"] if lab else token


def without_word(token: str) -> str:
    """Return a lab's token without its result in words; any other loses what follows its second colon, if it has one.

    >>> without_word("LOINC:5778-6:YELLOW"), without_word("ICD10CM:J45")
    ('LOINC:5778-6', 'ICD10CM:J45')
    """
    system, code = split_token(token)
    return code_token(system, code.partition(SEPARATOR)[0])


def bin_labels(bins: int) -> list[str]:
    """Return the names of lab bins, lowest first: their edges in percent, at most two decimals.

    >>> bin_labels(4), bin_labels(3)
    (['0-25', '25-50', '50-75', '75-100'], ['0-33.33', '33.33-66.67', '66.67-100'])
    """
    edges = [f"{100 * k / bins:.2f}".rstrip("0").rstrip(".") for k in range(bins + 1)]
    return [f"{low}-{high}" for low, high in pairwise(edges)]


def parent_pattern(systems: Sequence[str]) -> str:
    """Return the pattern whose group ``parent`` is the next broader code of a token.

    A code loses its last character, and its dot where nothing is left behind it, down to the three
    characters of a category.

    >>> re.match(parent_pattern(["ICD10CM"]), "ICD10CM:J45.9")["parent"]
    'ICD10CM:J45'
    """
    names = "|".join(re.escape(system) for system in systems)
    return rf"^(?P<parent>(?:{names}):..+[^.])\.?.$"


def age_ids(ids: Mapping[str, int]) -> list[int]:
    """Return the id of every age from 0 to ``OLDEST_AGE``.

    An age without a token takes the nearest one that has one, the younger of two; the single token
    ``AGE`` where that is what the vocabulary has; ``[UNK]`` where it has no age at all.

    >>> age_ids({"[UNK]": 1, "AGE:1": 7, "AGE:4": 9})[:6]
    [7, 7, 7, 9, 9, 9]
    """
    ages = range(OLDEST_AGE + 1)
    known = [age for age in ages if age_token(age) in ids]
    if not known:
        return [ids.get(AGE, ids[UNK])] * len(ages)
    nearest = (min(known, key=lambda other: (abs(other - age), other)) for age in ages)
    return [ids[age_token(age)] for age in nearest]
