from clm_ler.simulation.causes import causes, code_names


def of(task):
    return {row["token"] for row in causes().to_pylist() if row["task"] == task}


def test_diabetes_is_driven_by_what_comes_before_it_and_shows_in_its_labs():
    found = of("diabetes_1y")
    assert {"LOINC:4548-4", "LOINC:2345-7", "ICD10CM:E66.9", "ICD9CM:401.9", "CPT:83036"} <= found
    assert {"AGE:50", "GENDER:M"} <= found
    # Neither a lab that it does not move nor a disease that it does not come after.
    assert not {"LOINC:3016-3", "ICD10CM:J45.909", "LOINC:1975-2"} & found


def test_every_code_has_one_name():
    names = code_names().to_pylist()
    assert len({row["token"] for row in names}) == len(names)
    named = {row["token"]: row["name"] for row in names}
    assert named["LOINC:4548-4"] == "Hemoglobin A1c"
    assert named["ICD10CM:E66.9"] == "Obesity, unspecified"
    assert of("diabetes_1y") & set(named)
