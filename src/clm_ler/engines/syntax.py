"""Trees of SQL: what sqlglot itself does not do."""

from collections.abc import Callable

from sqlglot import exp


def replace_each(
    query: exp.Expr, make: Callable[[exp.Expr], exp.Expr], *kinds: type[exp.Expr]
) -> exp.Expr:
    """Return the query with the nodes of these kinds replaced, from the innermost outwards.

    Not sqlglot's ``transform``: it goes inwards, and past whatever it has replaced, so that a call within
    a call would stay as it is.

    Args:
        query: A query or an expression; it is changed in place.
        make: Returns what a node is replaced by, or the node itself.
        kinds: Types of nodes.
    """
    for node in reversed(list(query.find_all(*kinds))):
        if (made := make(node)) is not node:
            query = made if node is query else query
            node.replace(made)
    return query
