"""A kit at three simulated sites: other persons, other codes and units, another prevalence.

    python benchmarks/transport.py --kit DIR --folder DIR [--persons 800]

`home` are other persons of the hospital that the kit is from. `abroad` writes diagnoses in SNOMED CT and lab
results in SI units. `referral` sees those who have the outcome: of the others three quarters stay away. Prints
a table of what each site would send back.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from kedro.framework.startup import bootstrap_project
from timing import PROJECT, timed_run

from clm_ler.files.atomic import read_json
from clm_ler.simulation.codes import DIAGNOSES

TASK = "diabetes_1y"
# Conventional to SI, by LOINC code: unit, what a value is multiplied by, and what is added.
SI = {
    "2345-7": ("mmol/L", 0.0555, 0.0),
    "4548-4": ("mmol/mol", 10.93, -23.5),
    "2160-0": ("umol/L", 88.4, 0.0),
    "17861-6": ("mmol/L", 0.2495, 0.0),
    "718-7": ("g/L", 10.0, 0.0),
    "13457-7": ("mmol/L", 0.02586, 0.0),
    "2085-9": ("mmol/L", 0.02586, 0.0),
    "2571-8": ("mmol/L", 0.01129, 0.0),
    "1975-2": ("umol/L", 17.1, 0.0),
}
CONVENTIONAL = ("mg/dl", "g/dl", "%")


def rewrite(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the rows of a raw table."""
    for file in folder.glob("*.parquet"):
        change(pd.read_parquet(file)).to_parquet(file, index=False)


def in_snomed(rows: pd.DataFrame) -> pd.DataFrame:
    """Write ICD-10-CM diagnoses in SNOMED CT."""
    codes = {item.icd10cm.replace(".", ""): item.snomed for item in DIAGNOSES.codes}
    source = rows["condition_source_value"].str.partition(" ")
    snomed = source[2].str.replace(".", "").map(codes).where(source[0] == "ICD-10-CM")
    written = ("SNOMED " + snomed).fillna(rows["condition_source_value"])
    return rows.assign(condition_source_value=written)


def in_si(rows: pd.DataFrame) -> pd.DataFrame:
    """Write lab results in SI units."""
    code = rows["measurement_source_value"].str.partition(" ")[2]
    value = pd.to_numeric(rows["value_source_value"], errors="coerce")
    conventional = rows["unit_source_value"].str.lower().isin(CONVENTIONAL) & value.notna()
    for loinc, (unit, factor, offset) in SI.items():
        own = conventional & (code == loinc)
        written = (value[own] * factor + offset).round(4).astype(str)
        rows.loc[own, "value_source_value"] = written
        rows.loc[own, "unit_source_value"] = unit
    return rows


def abroad(raw: Path) -> None:
    rewrite(raw / "diagnosis", in_snomed)
    rewrite(raw / "lab", in_si)


def referral(raw: Path) -> None:
    labels = pd.read_parquet(raw / "raw_labels")
    asked = labels[labels["task"] == TASK].groupby("person_id")["label"].max()
    stay_away = {person for person, label in asked.items() if not label and person % 4}
    for table in ("patient", "diagnosis", "prescription", "procedure", "lab", "raw_labels"):
        rewrite(raw / table, lambda rows: rows[~rows["person_id"].isin(stay_away)])


SITES: dict[str, tuple[int, Callable[[Path], None]]] = {
    "home": (101, lambda raw: None),
    "abroad": (102, abroad),
    "referral": (103, referral),
}
HEAD = (
    "site | persons | predictions | outcomes | observed / expected | AUROC | intercept | slope | "
    "understood: diagnoses, labs | weight found | best rung"
)


def visit(name: str, kit: Path, folder: Path, persons: int) -> str:
    """Return the row of a site that has used the kit."""
    seed, change = SITES[name]
    storage = folder / name
    if not storage.exists():
        size = {"persons": persons, "ehrshot": {"persons": 30}}
        timed_run(["cohort"], storage=str(storage), seed=seed, cohort=size)
        change(storage / "01_raw")
    seconds = timed_run(["site"], storage=str(storage), kit=str(kit))
    found = read_json(storage / "08_reporting" / "site_summary.json")
    task, shares = (
        found["tasks"][TASK],
        {row["table"]: row["share"] for row in found["understood"]},
    )
    weight = {row["system"]: row["share"] for row in found["attribution"] or []}.get("all")
    rungs = {rung: each["log_loss"] for rung, each in task["recalibration"].items()}
    cells = [
        name,
        task["persons"],
        task["n"],
        task["events"],
        f"{task['events'] / task['expected']:.2f}",
        *(
            f"{task[measure]['value']:.3f} ± {task[measure]['se']:.3f}"
            for measure in ("auroc", "calibration_intercept", "calibration_slope")
        ),
        f"{shares['diagnosis']:.0%}, {shares['lab']:.0%}",
        "-" if weight is None else f"{weight:.0%}",
        min(rungs, key=lambda rung: rungs[rung]),
    ]
    return f"| {' | '.join(map(str, cells))} |  ({seconds:.0f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kit", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--persons", type=int, default=800)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    print(f"| {HEAD} |")
    for name in SITES:
        print(visit(name, arguments.kit, arguments.folder, arguments.persons))


if __name__ == "__main__":
    main()
