import ibis
import pytest
from ibis import _

from clm_ler.storage.buckets import person_bucket


@pytest.mark.parametrize("step", [1, 2, 16, 64, 1024, 2**31])
def test_buckets_are_even_whatever_the_spacing_of_person_ids(step):
    ids = ibis.range(0, 4000 * step, step).unnest()
    table = ids.name("person_id").as_table()
    counts = table.group_by(bucket=person_bucket(table.person_id, 8)).agg(n=_.count()).execute()
    if step < 2**31:
        assert counts.n.min() > 350 and len(counts) == 8
