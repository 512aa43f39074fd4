import re

import ibis
import pyarrow as pa
import pytest

from clm_ler.datasets.rrf import RRFDataset
from clm_ler.simulation import codes
from clm_ler.simulation.disease_tables import LABS
from clm_ler.simulation.texts import ndc11
from clm_ler.simulation.umls_site import COLUMNS, miniature_umls


@pytest.fixture(scope="module")
def files() -> dict[str, pa.Table]:
    return miniature_umls()


@pytest.fixture(scope="module")
def conso(files):
    return files["MRCONSO.RRF"].to_pandas()


def test_files_survive_a_round_trip_through_rrf(files, tmp_path):
    datasets = {name: RRFDataset(filepath=str(tmp_path / name)) for name in files}
    for name, dataset in datasets.items():
        dataset.save(files[name])
    for name, dataset in datasets.items():
        keys = [ibis._[column] for column in files[name].column_names]
        loaded = dataset.load().fill_null("").order_by(keys).to_pyarrow()
        expected = files[name].sort_by([(column, "ascending") for column in COLUMNS[name]])
        assert loaded.to_pylist() == expected.to_pylist()


def test_mrfiles_says_how_large_the_files_are(files, tmp_path):
    listed = {row["FIL"]: row for row in files["MRFILES.RRF"].to_pylist()}
    for name in ("MRCONSO.RRF", "MRSAT.RRF", "MRREL.RRF", "MRCOLS.RRF"):
        RRFDataset(filepath=str(tmp_path / name)).save(files[name])
        text = (tmp_path / name).read_bytes()
        assert int(listed[name]["BTS"]) == len(text)
        assert int(listed[name]["RWS"]) == text.count(b"\n")
        assert listed[name]["FMT"].split(",") == files[name].column_names


def test_both_sites_find_their_codes(conso):
    known = set(zip(conso.SAB, conso.CODE, strict=True))
    for item in codes.DIAGNOSES.codes:
        own = {("ICD10CM", item.icd10cm), ("ICD9CM", item.icd9cm), ("SNOMEDCT_US", item.snomed)}
        assert own <= known
    assert {("RXNORM", drug.rxnorm) for drug in codes.DRUGS.codes} <= known
    assert {(item.system, item.code) for item in codes.PROCEDURES.codes} <= known
    assert {("LNC", lab.loinc) for lab in LABS} <= known


def test_most_diagnoses_share_a_concept_and_the_others_are_related(files, conso):
    valid = conso[(conso.SUPPRESS == "N") & (conso.LAT == "ENG")]
    concept = {key: set(rows.CUI) for key, rows in valid.groupby(["SAB", "CODE"])}
    related = {
        (row["CUI1"], row["CUI2"])
        for row in files["MRREL.RRF"].to_pylist()
        if row["RELA"] in ("mapped_to", "mapped_from")
    }
    shared = 0
    for item in codes.DIAGNOSES.codes:
        here, there = (
            concept[key] for key in (("ICD10CM", item.icd10cm), ("SNOMEDCT_US", item.snomed))
        )
        shared += bool(here & there)
        assert here & there or any((a, b) in related for a in here for b in there)
    assert 0.7 < shared / len(codes.DIAGNOSES.codes) < 1


def test_every_package_leads_to_its_drug(files, conso):
    sat = files["MRSAT.RRF"].to_pandas()
    packages = sat[(sat.ATN == "NDC") & (sat.SAB == "RXNORM") & (sat.SUPPRESS == "N")]
    drug = conso[conso.SAB == "RXNORM"].groupby("CUI").CODE.agg(set)
    for item in codes.DRUGS.codes:
        digits = ndc11(item.ndc).replace("-", "")
        assert item.rxnorm in set.union(*drug[packages.CUI[packages.ATV.isin([digits])]])


def test_package_codes_come_as_labels_write_them(files):
    sat = files["MRSAT.RRF"].to_pandas()
    ndc = sat.ATV[sat.ATN == "NDC"]
    for form in (r"\d{4}-\d{4}-\d\d", r"\d{5}-\d{3}-\d\d", r"\d{5}-\d{4}-\d", r"\d{11}", r"\d{12}"):
        assert ndc.str.fullmatch(form).any(), form
    assert ndc.str.contains("*", regex=False).any()


def test_awkward_atoms_are_there(conso):
    assert {"O", "Y", "E", "N"} == set(conso.SUPPRESS)
    assert "SPA" in set(conso.LAT)
    assert conso.STR.str.contains('"').any()
    valid = conso[(conso.SUPPRESS == "N") & (conso.LAT == "ENG")]
    assert (valid.groupby(["SAB", "CODE"]).CUI.nunique() > 1).any()


def test_identifiers_have_the_form_of_the_metathesaurus(conso):
    assert conso.CUI.str.fullmatch(r"C\d{7}").all()
    assert conso.AUI.is_unique
    assert not conso.duplicated(["CUI", "SAB", "TTY", "CODE", "STR"]).any()


def test_release_is_the_same_every_time(files):
    assert all(table.equals(files[name]) for name, table in miniature_umls().items())


def test_ndc11_pads_each_segment():
    for item in codes.DRUGS.codes:
        assert re.fullmatch(r"\d{5}-\d{4}-\d{2}", ndc11(item.ndc))
        assert re.fullmatch(r"\d{4}-\d{4}-\d\d|\d{5}-\d{3}-\d\d|\d{5}-\d{4}-\d", item.ndc)
