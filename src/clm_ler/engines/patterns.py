r"""Patterns in SQL of users: those that mean the same to RE2 (DuckDB) and to Java (Spark), and of dates.

Both take literals, sets of characters, groups, ``|``, ``* + ? {m,n}`` and their lazy forms, anchors, ``(?i)`` in
front and ``\d \D \w \W \s \S \t \n \r``, which are of ASCII. What only one of them knows, or each in its own way,
is refused: looking around, references to groups, ``\b``, classes such as ``[:alpha:]`` and ``\p{L}``.
"""

import re

_PIECES = re.compile(r"\(\?|\\.|\[\^?\]?|[*+?}]\+|.", re.S)
# What the letters of a pattern take, of those that all engines know alike.
_LETTERS = {"%Y": "[0-9]{4}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}", "%p": "[AaPp][Mm]"}
_LETTERS |= {f"%{letter}": "[0-9]{2}" for letter in "mdHIMS"}
_LETTERS |= {f"%-{letter}": "[0-9]{1,2}" for letter in "mdHIMS"}
_OF_DATES = re.compile(r"%-?[A-Za-z]|'[^']*'|.", re.S)
_ESCAPED = frozenset("dDwWsStnr")
_BLANKS = r"\t\n\f\r "  # Java's \s has a vertical tab beside them
_SEPARATOR = re.compile(r"[\w :/,;-]+")


def unlike(pattern: str) -> str | None:
    r"""Return the part of a pattern that engines take differently, or all of it where it matches nothing.

    >>> unlike("^[A-Z]+-(\\d{2})$"), unlike("a(?=b)"), unlike("[[:alpha:]]")
    (None, '(?', '[')
    """
    rest = pattern.removeprefix("(?i)").replace("(?:", "(")
    if not rest:
        return pattern or "''"
    inside = False
    for piece in _PIECES.findall(rest):
        if piece[0] == "\\":
            if len(piece) == 1 or (piece[1].isalnum() and piece[1] not in _ESCAPED):
                return str(piece)
        elif piece[0] == "[":
            if inside:
                return "["
            inside = True
        elif piece == "]":
            inside = False
        elif inside:
            if piece == "&" and "&&" in rest:
                return "&&"
        elif len(piece) > 1:  # looking around, a flag, a possessive quantifier
            return str(piece)
    return None


def is_separator(pattern: str) -> bool:
    """Return whether a pattern is the text that it matches: engines split there much faster."""
    return _SEPARATOR.fullmatch(pattern) is not None


def for_java(pattern: str) -> str:
    r"""Return a pattern as Java takes it: the end is the end, not a line's, and blanks are RE2's.

    >>> print(for_java("(?i)a\\s[$]$"))
    (?iud)a[\t\n\f\r ][$]\z
    """
    flags = "(?iud)" if pattern.startswith("(?i)") else "(?d)"
    made, inside = [], False
    for piece in _PIECES.findall(pattern.removeprefix("(?i)")):
        inside = piece[0] == "[" or (inside and piece != "]")
        if piece == "\\s":
            piece = _BLANKS if inside else f"[{_BLANKS}]"
        elif piece == "\\S":
            piece = f"[^{_BLANKS}]"
        elif piece == "$" and not inside:
            piece = r"\z"
        made.append(piece)
    return flags + "".join(made)


def shape_of(pattern: str) -> str | None:
    """Return what texts of a pattern look like, as a regular expression, nothing where engines disagree.

    Without it DuckDB reads ``Infinity`` by any pattern, and ``7`` as the year 7.

    >>> shape_of("%dstrict.%-m.%Y"), shape_of("%y")
    ('[0-9]{2}[.][0-9]{1,2}[.][0-9]{4}', None)
    """
    if tells_the_offset(pattern):
        return ""
    shapes = []
    for piece in _OF_DATES.findall(without_typo(pattern).replace("strict", "")):
        text = piece.strip("'") if len(piece) > 1 and piece[0] == "'" else piece
        if piece not in _LETTERS and (piece[0] == "%" or (piece == text and text.isalpha())):
            return None
        shapes.append(_LETTERS.get(piece) or "".join(f"[{one}]" for one in text))
    return "".join(shapes)


def tells_the_offset(pattern: str) -> bool:
    """Return whether a pattern of ISO dates ends with an offset, which DuckDB's have no letter for."""
    return pattern.startswith("%Y-") and pattern.rstrip("]").endswith(("X", "x", "Z", "%z"))


def without_typo(pattern: str) -> str:
    """Return the pattern with seconds for ``SS``, a typo that published configurations have."""
    return pattern if "%S" in pattern else pattern.replace(":SS", ":%Sstrict")
