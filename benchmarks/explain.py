"""Samples that are explained in a second, beside those that are predicted.

    python benchmarks/explain.py --storage DIR [--samples 200]

DIR is what a run has left that ended with ``finetune``.
"""

import argparse
import time

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from timing import PROJECT

from clm_ler.modeling.explanation.contributions import explain
from clm_ler.modeling.inference import predict_logits, trained_window
from clm_ler.pipelines.explain.nodes import ask
from clm_ler.pipelines.explain.options import ExplainOptions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", required=True)
    parser.add_argument("--samples", type=int, default=200)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, runtime_params={"storage": arguments.storage}) as session:
        catalog = session.load_context().catalog
    names = ("samples", "labelled_encoded", "tokenizer", "finetuned_model")
    read = {name: catalog.load(name) for name in names}
    asked = ask(*read.values(), ExplainOptions(samples=arguments.samples))
    model, reading = read["finetuned_model"], (asked.store, asked.samples, asked.vocabulary)
    next(iter(explain(model, asked.store, asked.samples[:1], asked.vocabulary, asked.outcome)))
    began = time.perf_counter()
    predict_logits(model, *reading, trained_window(model))
    predicted = time.perf_counter() - began
    began = time.perf_counter()
    for _part in explain(model, *reading, asked.outcome):
        pass
    explained = time.perf_counter() - began
    count = len(asked.samples)
    print(
        f"{count} samples: predicted {count / predicted:,.0f}, explained {count / explained:,.1f}"
    )
    print(f"a second; an explanation costs {explained / predicted:,.0f} predictions")


if __name__ == "__main__":
    main()
