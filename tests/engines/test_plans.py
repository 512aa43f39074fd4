import pytest

from clm_ler.engines.plans import row_estimates, size_in_bytes


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ("0 bytes", 0),
        ("1.5 KiB", 1536),
        ("1.8 GiB", int(1.8 * 2**30)),
        ("4GB", 4 * 10**9),
        ("500 mb", 5 * 10**8),
        ("2GiB", 2**31),
    ],
)
def test_sizes_as_duckdb_prints_them(size, wanted):
    assert size_in_bytes(size) == wanted


def test_every_step_of_a_plan_has_its_estimate():
    scan = {"extra_info": {"Estimated Cardinality": "7"}, "children": []}
    assert row_estimates([{"extra_info": {}, "children": [scan, scan]}]) == [0, 7, 7]


@pytest.mark.parametrize("size", ["80%", "4000000000", "", "GB", "4 GB of it"])
def test_what_is_no_size_is_named(size):
    with pytest.raises(ValueError, match=f"^memory_limit: {size!r} is no size. Write it as 4GB"):
        size_in_bytes(size)
