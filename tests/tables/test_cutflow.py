"""The shares that steps may lose."""

import pytest

from clm_ler.tables.cutflow import check_losses

READ, LAB_TOKENS = (
    {"step": step, "table": "lab", "reason": "no unit", "rows": 4, "rows_in": 8}
    for step in ("read", "lab_tokens")
)


def test_the_share_of_a_table_is_that_of_its_reading():
    check_losses([LAB_TOKENS], {"lab": 0.1, "lab_tokens": 0.9})
    with pytest.raises(ValueError, match=r"step 'lab_tokens' loses .* max_loss: lab_tokens\."):
        check_losses([LAB_TOKENS], {"lab": 0.9, "lab_tokens": 0.4})
    with pytest.raises(ValueError, match=r"step 'read' loses .* max_loss: lab\."):
        check_losses([READ], {"lab": 0.1, "lab_tokens": 0.9})
    with pytest.raises(ValueError, match=r"step 'lab_tokens' loses .* max_loss: lab\."):
        check_losses([LAB_TOKENS], {"lab": 0.1})
