"""What counts as growth; the runs themselves are made by `make attack`."""

from tests.attack.soak import grown, needed


def test_what_levels_off_is_no_growth():
    memory, files, threads = needed()
    start = [(memory / 2, files, threads), (memory, files + 3, threads)]
    assert grown(start + [(memory, files + 2, threads)] * 10) == []


def test_a_leak_is_told():
    leaking = [(500 + 20 * number, 5 + number, 8) for number in range(30)]
    assert [words.split(",")[0] for words in grown(leaking)] == ["memory", "open files"]
