"""Tables show rows in IPython, and nowhere else."""

import ibis
import IPython  # noqa: F401
import pytest

from clm_ler.hooks.interactive import InteractiveHooks

TABLE = ibis.duckdb.connect().create_table("steps", ibis.memtable({"step": ["a-row"]}))


@pytest.fixture
def as_it_was(monkeypatch):
    monkeypatch.setattr(ibis.options, "interactive", False)


@pytest.mark.usefixtures("as_it_was")
def test_a_run_shows_no_rows(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    InteractiveHooks().after_context_created()
    assert "a-row" not in repr(TABLE)


@pytest.mark.usefixtures("as_it_was")
def test_a_table_shows_its_rows_in_ipython(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    InteractiveHooks().after_context_created()
    assert "a-row" in repr(TABLE)
