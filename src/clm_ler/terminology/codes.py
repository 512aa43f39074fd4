"""One spelling for each code, whatever spelling a site uses; as Ibis expressions."""

import ibis
import ibis.expr.types as ir

from clm_ler.engines.portable import ALL_BLANKS, trim, upper


def ndc_product(code: ir.StringValue) -> ir.StringValue:
    """Return the nine-digit product code of a National Drug Code, null where it is none.

    An NDC is labeler, product and package. The product code here is the labeler in five digits and
    the product in four, each padded with zeros on the left, so that all packages of a product
    agree. An asterisk, the filler of older files, counts as a zero. The layouts are those of
    21 CFR 207.33:

    - hyphenated (4-4-2, 5-3-2, 5-4-1, 5-4-2, or without the package): each part is padded
    - 11 digits (5-4-2) and 9 digits (5-4): the first nine
    - 10 digits from 0: 4-4-2, because only labeler codes of four digits begin with 0
    - 10 digits otherwise: 5-4-1; they may also be 5-3-2, see :func:`ndc_alternative`
    """
    text = _ndc_text(code)
    labeler, product = (text.re_extract(r"^(\d{4,5})-(\d{3,4})(-\d{1,2})?$", i) for i in (1, 2))
    return ibis.cases(
        (labeler != "", labeler.lpad(5, "0").concat(product.lpad(4, "0"))),
        (text.re_search(r"^(\d{9}|\d{11}|[1-9]\d{9})$"), text.substr(0, 9)),
        (text.re_search(r"^0\d{9}$"), ibis.literal("0").concat(text.substr(0, 8))),
    )


def ndc_alternative(code: ir.StringValue) -> ir.StringValue:
    """Return the product code of ten digits read as 5-3-2, null where that reading is not open."""
    text = _ndc_text(code)
    reading = text.substr(0, 5).concat("0", text.substr(5, 3))
    return ibis.ifelse(text.re_search(r"^[1-9]\d{9}$"), reading, ibis.null("string"))


def canonical_code(system: ir.StringValue, code: ir.StringValue) -> ir.StringValue:
    """Return a code in upper case, ICD codes with their dot, NDC codes as product codes.

    ICD codes are told by the name of their system, however it is written (``ICD9CM``,
    ``ICD-10-CM``, ``ICD 10 GM``). The dot follows the category: three characters, four for the E codes of ICD-9,
    two for its procedures (``ICD9Proc``). The dot is kept rather than dropped because without it
    the ICD-9 diagnosis 360.1 and the procedure 36.01 are the same. ICD-10-PCS has no dot. Other
    codes, and those of NDC, lose the ``.0`` that a column of floating-point numbers gives them. What is no NDC
    stays as it is.
    """
    name = upper(system).re_replace("[-_ ]", "")
    text = upper(trim(code, ALL_BLANKS)).re_replace(r"\.$", "")
    category = ibis.cases(
        (name.startswith("ICD9P"), 2),
        (name.startswith("ICD9") & text.startswith("E"), 4),
        (name.startswith("ICD9") | name.isin(["ICD10", "ICD10CM", "ICD10GM"]), 3),
    )
    dotless = text.re_search("^[A-Z]?[0-9][0-9A-Z]+$") & (text.length() > category)
    return ibis.cases(
        (name == "NDC", ndc_product(code).coalesce(text)),
        (dotless, text.substr(0, category).concat(".", text.substr(category))),
        (name.startswith("ICD"), text),
        else_=text.re_replace(r"\.0$", ""),
    )


def _ndc_text(code: ir.StringValue) -> ir.StringValue:
    return trim(code, ALL_BLANKS).replace("*", "0").re_replace(r"\.0$", "")
