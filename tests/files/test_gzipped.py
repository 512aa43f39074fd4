import gzip

import pytest

from clm_ler.files.gzipped import check_ending, whole

TEXT = b"".join(b"%d,%d\n" % (n * 7919 % 1009, n) for n in range(20_000))
PACKED = gzip.compress(TEXT)


def test_whole_files_pass_and_others_are_not_looked_at(tmp_path):
    members, plain = tmp_path / "two.csv.gz", tmp_path / "plain.csv"
    members.write_bytes(PACKED + PACKED)
    plain.write_bytes(b"no gzip")
    paths = [str(members), f"file://{members}", str(plain), "s3://bucket/far.csv.gz"]
    assert whole(paths) == paths


DAMAGES = {
    **{
        f"{part} % of it": (PACKED[: len(PACKED) * part // 100], "it was cut")
        for part in (1, 20, 50, 90, 99)
    },
    "another digest": (PACKED[:-8] + b"12345678", "damaged"),
    "plain text": (b"a,b\n1,2\n", "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_cut_or_damaged_is_told(damage, tmp_path):
    content, said = DAMAGES[damage]
    file = tmp_path / "t.csv.gz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=said) as raised:
        whole([str(file)])
    assert str(file) in str(raised.value)
    file.write_bytes(PACKED)
    assert whole([str(file)]) == [str(file)], "a file that has changed is looked at again"


def test_a_name_by_which_no_engine_knows_gzip_is_refused():
    with pytest.raises(ValueError, match=r"T\.CSV\.GZ: .* rename it"):
        check_ending("T.CSV.GZ")
    for name in ("t.csv.gz", "T.CSV", "T.PARQUET"):
        check_ending(name)
