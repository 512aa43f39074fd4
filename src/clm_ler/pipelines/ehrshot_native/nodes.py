"""Which of the benchmark's persons a model is pre-trained on."""

import ibis.expr.types as ir
from ibis import _

from clm_ler.corridor.options import PreprocessOptions


def select_for_pretraining(ehrshot_sequences: ir.Table, options: PreprocessOptions) -> ir.Table:
    """Return the sequences that are long enough, in days and in tokens.

    All splits are kept: pre-training learns from ``train``, stops by ``valid``, reports on ``test``.
    """
    days = _.day_position_tokens[_.day_position_tokens.length() - 1] - 1
    return ehrshot_sequences.filter(
        days >= options.number_of_days_threshold,
        _.sorted_event_tokens.length() >= options.min_history_size,
    )
