"""Sums over persons, made of those of each bucket, on a cluster that is this process."""

import pickle

import ibis
import pytest
from ibis import _
from pyspark import cloudpickle

from clm_ler.engines import engine_of
from clm_ler.storage.gather import let_work
from tests.storage.test_person_wise import rows, site_of


class Cluster:
    """Sends everything to itself, as Spark does to executors."""

    distributed = True

    def __init__(self):
        self.done = []

    def each(self, do, parts):
        self.done.append(len(parts))
        do = pickle.loads(cloudpickle.dumps(do))
        return [pickle.loads(pickle.dumps(do(part))) for part in parts]


SUMS = {
    "groups": lambda e, p, w: e.group_by("value").agg(
        n=_.count(), total=_.time.sum(), first=_.time.min(), persons=_.person_id.nunique()
    ),
    "of all": lambda e, p, w: e.agg(
        n=_.count(), some=_.count(where=_.value > 1), last=_.time.max()
    ),
    "nobody": lambda e, p, w: e.filter(_.value > 99).agg(n=_.count(), last=_.time.max()),
    "made of sums": lambda e, p, w: e.agg(mean=_.value.sum() / _.count(), tag=ibis.literal("x")),
    "distinct": lambda e, p, w: e.select("value").distinct(),
    "of sums": lambda e, p, w: (
        e.group_by("person_id", "value")
        .agg(n=_.count())
        .group_by("value")
        .agg(most=_.n.max(), persons=_.count())
    ),
    "of a sum in a join": lambda e, p, w: e.join(
        e.group_by("value").agg(times=_.count()), "value"
    ).agg(total=_.times.sum()),
    "several": lambda e, p, w: (
        e.group_by("value")
        .agg(n=_.count())
        .union(p.group_by(value=_.person_id % 2).agg(n=_.count()))
    ),
}
OTHERS = {
    "window": lambda e, p, w: e.mutate(n=ibis.row_number().over(order_by=list(e.columns))).agg(
        total=_.n.sum()
    ),
    "list": lambda e, p, w: e.group_by("value").agg(all=_.time.collect()).mutate(all=_.all.sort()),
    "other distinct": lambda e, p, w: e.agg(values=_.value.nunique()),
    "rows": lambda e, p, w: e.filter(_.value > 1),
    "of a list in a join": lambda e, p, w: e.join(
        e.group_by("value").agg(all=_.time.collect()), "value"
    ).agg(total=_.all.length().sum()),
    "of a limit in a join": lambda e, p, w: e.join(
        p.order_by("person_id").limit(2).select("person_id"), "person_id"
    ).agg(n=_.count()),
}


@pytest.fixture
def cluster(backend):
    return Cluster()


def here_and_there(make, backend, folder, cluster):
    """The rows of an expression, made here and with the cluster."""
    expression = make(*site_of(backend, folder))
    here, engine = rows(expression), engine_of(backend)
    let_work(engine, cluster)
    return sorted(here, key=repr), sorted(rows(expression), key=repr)


@pytest.mark.parametrize("name", SUMS)
def test_sums_are_made_by_bucket(name, backend, tmp_path, cluster):
    here, there = here_and_there(SUMS[name], backend, tmp_path, cluster)
    assert there == here
    assert cluster.done


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_put_together_is_made_here(name, backend, tmp_path, cluster):
    here, there = here_and_there(OTHERS[name], backend, tmp_path, cluster)
    assert there == here
    assert not cluster.done


def test_a_connection_works_alone_again(backend, tmp_path, cluster):
    here, there = here_and_there(SUMS["groups"], backend, tmp_path, cluster)
    let_work(engine_of(backend), None)
    assert sorted(rows(SUMS["groups"](*site_of(backend, tmp_path))), key=repr) == here == there
    assert len(cluster.done) == 1
