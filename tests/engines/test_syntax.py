import sqlglot
from sqlglot import exp

from clm_ler.engines.syntax import replace_each


def replaced(sql):
    def make(node):
        return exp.Anonymous(this="try", expressions=[node.copy()])

    return replace_each(sqlglot.parse_one(sql, read="spark"), make, exp.Add, exp.Neg).sql("spark")


def test_what_is_within_is_replaced_too():
    assert replaced("SELECT (a + -b) + c") == "SELECT TRY((TRY(a + TRY(-b))) + c)"


def test_the_whole_may_be_replaced():
    assert replaced("-a") == "TRY(-a)"


def test_what_is_returned_as_it_is_stays():
    query = sqlglot.parse_one("a + b")
    assert replace_each(query, lambda node: node, exp.Add) is query
