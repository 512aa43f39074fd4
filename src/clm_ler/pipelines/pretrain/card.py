"""The model card."""

from typing import Any

import pyarrow as pa
from huggingface_hub import ModelCardData
from transformers import PreTrainedModel

from clm_ler.modeling.objectives import OBJECTIVES
from clm_ler.modeling.training.checkpoints import count_data
from clm_ler.pipelines.pretrain.options import PretrainOptions
from clm_ler.tokens import FEWEST_PERSONS

TEXT = """---
{header}
---

# CLM-LER, pre-trained

A `{model_type}` encoder of structured health records, {parameters:,} parameters, pre-trained by {title}.

```python
import clm_ler.modeling  # registers the model
from transformers import AutoModelForMaskedLM, AutoTokenizer

model = AutoModelForMaskedLM.from_pretrained("DIRECTORY")
tokenizer = AutoTokenizer.from_pretrained("DIRECTORY")
```

## Data

{persons}; {tokens:,} tokens in all, {vocabulary:,} tokens in the vocabulary. A window has at most
{override_maxlen} tokens and spans at most {max_position_embeddings} days.

## Results

On {split_persons} of the `{split}` split, who were not in training. {results}

## Parameters

| | |
|---|---|
{options}

The seed, versions, times and fingerprints of its inputs are under `pretrain` in `08_reporting/run.json` of the
storage that it was made in.

## Intended use

Research on structured health records: a starting point for fine-tuning, or embeddings of persons.
Results hold for populations, coding habits and periods like those it was trained on, and have to be
checked anew elsewhere, subgroup by subgroup. It is not a medical device, and no decision about a person
may rest on it alone. Its vocabulary and weights come from person-level records: the owner of these
records decides who may have it.
"""


def write_card(
    model: PreTrainedModel,
    metrics: dict[str, Any],
    options: PretrainOptions,
    encoded_sequences: pa.Table,
) -> str:
    """Return README.md: what it is, of what data, how good, with which parameters, and for what."""
    objective = OBJECTIVES[options.objective]
    split = "test" if "test" in metrics else "valid"
    data = count_data(encoded_sequences)
    persons = ", ".join(f"{_told(n)} in `{name}`" for name, n in sorted(data["persons"].items()))
    measured = metrics[split]["persons"]
    results = objective.describe(metrics[split])
    if measured < FEWEST_PERSONS:
        results = "They are too few to tell how good it is."
    shown = {name: value for name, value in options.compared().items() if name != "input_model"}
    header = ModelCardData(
        license=options.license,
        library_name="transformers",
        tags=["health-records", objective.title.replace(" ", "-")],
    )
    return TEXT.format(
        header=header.to_yaml(),
        model_type=options.model_type,
        parameters=model.num_parameters(),
        title=objective.title,
        persons=persons,
        tokens=data["tokens"],
        vocabulary=model.config.vocab_size,
        override_maxlen=options.override_maxlen,
        max_position_embeddings=options.max_position_embeddings,
        split=split,
        split_persons=_told(measured),
        results=results,
        options="\n".join(f"| `{name}` | {value} |" for name, value in shown.items()),
    )


def _told(persons: int) -> str:
    number = f"{persons:,}" if persons >= FEWEST_PERSONS else f"fewer than {FEWEST_PERSONS}"
    return f"{number} persons"
