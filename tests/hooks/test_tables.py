from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from clm_ler.hooks.tables import AbsentTables


def test_a_table_that_is_not_listed_is_absent():
    node = Node(lambda diagnosis, lab, options: 1, ["diagnosis", "lab", "params:preprocess"], "out")
    catalog = DataCatalog(
        {
            "diagnosis": MemoryDataset("rows"),
            "lab": MemoryDataset("rows"),
            "params:preprocess": MemoryDataset({"tables": {"diagnosis": {}}}),
        }
    )
    AbsentTables().before_pipeline_run(Pipeline([node]), catalog)
    assert catalog.load("diagnosis") == "rows"
    assert catalog.load("lab") is None
