"""The model card."""

from typing import Any

from huggingface_hub import ModelCardData
from transformers import PreTrainedModel

from clm_ler.pipelines.pretrain.fingerprint import NOT_COMPARED
from clm_ler.pipelines.pretrain.options import PretrainOptions

TEXT = """---
{header}
---

# CLM-LER, pre-trained

A `{model_type}` encoder of structured health records, {parameters:,} parameters, pre-trained by masked
language modelling: codes{bins} are hidden and predicted from the rest of a person's record.

```python
import clm_ler  # registers the model
from transformers import AutoModelForMaskedLM, AutoTokenizer

model = AutoModelForMaskedLM.from_pretrained("DIRECTORY")
tokenizer = AutoTokenizer.from_pretrained("DIRECTORY")
```

## Data

{persons}; {tokens:,} tokens in all, {vocabulary:,} tokens in the vocabulary. A window has at most
{override_maxlen} tokens and spans at most {max_position_embeddings} days.

## Results

Masked codes of {split_persons:,} persons of the `{split}` split, who were not trained on. Loss is in
nats per code.

| | loss | perplexity | top 1 | top 5 | top 10 |
|---|---|---|---|---|---|
{rows}
{bin_result}
## Parameters

| | |
|---|---|
{options}

## Intended use

Research on structured health records: a starting point for fine-tuning, or embeddings of persons.
Results hold for populations, coding habits and periods like those it was trained on, and have to be
checked anew elsewhere, subgroup by subgroup. It is no medical device, and no decision about a person
may rest on it alone. Its vocabulary and weights come from person-level records: who may have it is
for the owner of these records to decide.
"""


def write_card(
    model: PreTrainedModel,
    metrics: dict[str, Any],
    options: PretrainOptions,
    data: dict[str, Any],
) -> str:
    """Return README.md: what it is, of what data, how good, with which parameters, and for what."""
    split = "test" if "test" in metrics else "valid"
    result = metrics[split]
    header = ModelCardData(
        license=options.license,
        library_name="transformers",
        tags=["health-records", "masked-language-modelling"],
    )
    persons = ", ".join(f"{n:,} persons in `{name}`" for name, n in sorted(data["persons"].items()))
    rows = [("**this model**", result), *result["baselines"].items()]
    shown = options.model_dump(mode="json", exclude=NOT_COMPARED | {"input_model"})
    return TEXT.format(
        header=header.to_yaml(),
        model_type=options.model_type,
        parameters=model.num_parameters(),
        bins=" and lab bins" if "lab_bins" in result else "",
        persons=persons,
        tokens=data["tokens"],
        vocabulary=model.config.vocab_size,
        override_maxlen=options.override_maxlen,
        max_position_embeddings=options.max_position_embeddings,
        split=split,
        split_persons=result["persons"],
        rows="\n".join(_row(name, values) for name, values in rows),
        bin_result=_bins(result.get("lab_bins")),
        options="\n".join(f"| `{name}` | {value} |" for name, value in shown.items()),
    )


def _row(name: str, result: dict[str, Any]) -> str:
    accuracy = " | ".join(f"{value:.3f}" for value in result["accuracy"].values())
    return f"| {name} | {result['loss']:.3f} | {result['perplexity']:.1f} | {accuracy} |"


def _bins(bins: dict[str, float] | None) -> str:
    if bins is None:
        return ""
    return (
        f"\nLab bins, the code being known: {bins['exact']:.3f} exact, "
        f"{bins['within_one']:.3f} within one bin.\n"
    )
