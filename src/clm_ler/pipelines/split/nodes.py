"""Persons to splits."""

import ibis
import ibis.expr.types as ir

from clm_ler.pipelines.split.options import SplitOptions


def assign_splits(demographics: ir.Table, options: SplitOptions) -> ir.Table:
    """Return each person's split, decided by the MD5 digest of the salted person_id alone."""
    salted = ibis.literal(f"{options.salt}:") + demographics.person_id.cast("string")
    digest = salted.hexdigest("md5").substr(0, 8)
    train = f"{round(options.train_ratio * 2**32):08x}"
    valid = f"{round((options.train_ratio + options.validation_ratio) * 2**32):08x}"
    split = ibis.cases((digest < train, "train"), (digest < valid, "valid"), else_="test")
    return demographics.select("person_id", split=split)
