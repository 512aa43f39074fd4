from clm_ler.terminology.icd_maps import read_icd_maps


def test_the_public_icd_maps(backend):
    maps = backend.to_pyarrow(read_icd_maps()).to_pylist()
    by_code = {}
    for row in maps:
        by_code.setdefault((row["system"], row["code"]), []).append(
            (row["to_code"], row["distance"])
        )
    assert sorted(by_code["ICD9CM", "493.90"]) == [("J45.909", 1), ("J45.998", 1)]
    assert by_code["ICD9CM", "001.0"] == [("A00.0", 0)]
    assert by_code["ICD10CM", "J45.901"] == [("493.92", 0)]
    # A40.0 is sepsis and a streptococcus, two codes together; 365.70 has no target.
    assert ("ICD10CM", "A40.0") not in by_code
    assert ("ICD9CM", "365.70") not in by_code
