"""A hospital where one person of sixty has a canary in every column, and where canaries are looked for."""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.attack.crash import ROOT

PERSONS, CANARY, RESULT = 60, "CANARY", 7351.2468
BORN, DAY = datetime.date(1931, 7, 19), datetime.datetime(2019, 8, 23, 4, 17, 39)
_PLANTED = re.compile(r"canary|7351\.24|1931-07-19|19/07/1931|2019-08-23|04:17:39", re.I)

TABLES = {
    "patient": "pid AS person_id, born AS px_birth_date, sex AS px_gender, race AS px_race, "
    "folk AS px_ethnicity, region AS px_region",
    "diagnosis": "pid AS person_id, day AS date, system AS dx_diagnosis_code_type, code AS dx_diagnosis_code",
    "prescription": "pid AS person_id, day AS date, system AS rx_prescription_code_type, "
    "code AS rx_prescription_code",
    "procedure": "pid AS person_id, day AS date, system AS pr_procedure_code_type, "
    "code AS pr_procedure_code",
    "lab": "pid AS person_id, day AS date, system AS lx_lab_code_type, code AS lx_lab_code, "
    "value AS lx_result_val, unit AS lx_result_unit",
}
ENTRY = """
{name}:
  type: ibis.FileDataset
  filepath: ${{runtime_params:tables, .}}/{name}.parquet
  connection: ${{globals:connection}}
"""
READ = "    {name}: {{select_expr: [{columns}]}}\n"
PARAMETERS = """
preprocess:
  tables:
{tables}  number_of_days_threshold: 0
  min_history_size: 1
  min_loinc_counts: 1
  min_loinc_value_counts: 1
  percentile_count: 4
  results: {{text_min_persons: 10}}
label:
  tables:
    visit: {{select_expr: [pid AS person_id, began AS start_time, ended AS end_time, kind AS type]}}
    death: {{select_expr: [pid AS person_id, day AS time]}}
split: {{train_ratio: 0.5, validation_ratio: 0.25, test_ratio: 0.25}}
pretrain: {{hidden_size: 16, max_steps: 4, override_maxlen: 32, tokens_per_batch: 512, eval_steps: 2}}
finetune:
  labels: {{inclusion_criteria: 'true', positive_class_criteria: label, prediction_time: day, task: task}}
  num_train_epochs: 1
  override_maxlen: 32
"""
# What a person has on each of some days.
CODES = {
    "diagnosis": ("ICD10CM", "I10"),
    "prescription": ("RXNORM", "860975"),
    "procedure": ("CPT4", "83036"),
}
LABS = (("LOINC", "2345-7", "mg/dL"), ("LOINC", "4548-4", "%"))


def planted(text: str) -> list[str]:
    """Return the canaries in a text."""
    return sorted(set(_PLANTED.findall(text)))


def planted_in(paths) -> dict[str, list[str]]:
    """Return the canaries in files, by the names of these: of tables in their rows, of others in their bytes."""
    found = {}
    for path in paths:
        if path.suffix == ".parquet":
            text = str(pq.read_table(path, partitioning=None).to_pylist())
        else:
            text = path.read_bytes().decode("latin-1")
        if told := planted(text):
            found[str(path)] = told
    return found


def files_below(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]


def tables_of(number: int) -> dict[str, list[dict]]:
    """Return the rows of one person, by table; the last person's every value is a canary."""
    odd = (lambda text: f"{CANARY}{text}") if number == PERSONS else (lambda text: text)
    last = number == PERSONS
    pid = odd(f"p{number}")
    birth = BORN if last else datetime.date(1950 + number % 9, 1, 1)
    days = [datetime.datetime(2015 + year, 1 + number % 12, 3, 10) for year in range(6)]
    days = [*days, DAY] if last else days
    about = {"pid": pid, "born": birth, "sex": odd("FM"[number % 2]), "race": odd("AB"[number % 2])}
    found = {"patient": [about | {"folk": odd("X"), "region": odd("North")}]}
    for name, known in CODES.items():
        pairs = [known, (odd("OWN"), odd(f"{name}1"))]
        found[name] = [
            {"pid": pid, "day": day, "system": system, "code": code}
            for day in days
            for system, code in pairs
        ]
    results = [
        (system, code, str(RESULT if last else 90 + number % 30 + year), unit)
        for year in range(3)
        for system, code, unit in LABS
    ]
    results += [(odd("LOCAL"), odd("L1"), odd("GOOD"), odd("mg"))]
    names = ("system", "code", "value", "unit")
    found["lab"] = [
        {"pid": pid, "day": day} | dict(zip(names, result, strict=True))
        for day in days
        for result in results
    ]
    stay = {"began": days[-1], "ended": days[-1] + datetime.timedelta(days=2 + 9 * (number % 2))}
    found["visit"] = [{"pid": pid, "kind": odd("IP")} | stay]
    found["death"] = [{"pid": pid, "day": days[-1] + datetime.timedelta(30)}] if last else []
    label = {"person_id": pid, "day": days[-1], "label": str(number // 2 % 2), "task": "bad"}
    found["raw_labels"] = [label]
    return found


@dataclass
class Site:
    """Tables of Parquet and an environment ``mine`` that reads them.

    Attributes:
        folder: Where the tables, the configuration and the storage lie.
    """

    folder: Path

    @property
    def conf(self) -> Path:
        return self.folder / "conf"

    @property
    def storage(self) -> Path:
        return self.folder / "data"

    def rows(self, name: str) -> list[dict]:
        return pq.read_table(self.folder / f"{name}.parquet").to_pylist()

    def write(self, name: str, rows: list[dict] | pa.Table) -> None:
        rows = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
        pq.write_table(rows, self.folder / f"{name}.parquet")

    def configure(self, name: str, text: str) -> None:
        """Add a file to the environment."""
        path = self.conf / "mine" / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_site(folder: Path) -> Site:
    """Write the hospital; paths of its entries are below ``--params=tables``, or the project's folder."""
    site = Site(folder)
    persons = [tables_of(number) for number in range(1, PERSONS + 1)]
    names = list(persons[0])
    for name in names:
        site.write(name, [row for person in persons for row in person[name]])
    site.conf.mkdir()
    for place in (ROOT / "conf").iterdir():
        if place.name != "local":
            (site.conf / place.name).symlink_to(place)
    for name in names:
        site.configure(f"catalog_{name}", ENTRY.format(name=name))
    tables = "".join(READ.format(name=name, columns=columns) for name, columns in TABLES.items())
    site.configure("parameters", PARAMETERS.format(tables=tables))
    return site
