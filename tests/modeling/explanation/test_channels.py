import pytest
import torch

from clm_ler.modeling.explanation.channels import log_odds, read_inputs
from clm_ler.modeling.loading import build_model
from tests.modeling.explanation.toy import TOLD, VOCABULARY, batch_of, make_model, people

TIMES = ["rope_days", "order", "day_embedding"]


@pytest.mark.parametrize("told", [TOLD, {}])
@pytest.mark.parametrize("time_encoding", TIMES)
def test_channels_say_what_the_model_says(time_encoding, told):
    model = make_model(time_encoding=time_encoding, **told)
    batch = batch_of(model, *people())
    inputs = read_inputs(model, batch, VOCABULARY)
    with torch.no_grad():
        logits = model(**batch).logits
        found = log_odds(model, inputs.actual, inputs.places, 1)
    torch.testing.assert_close(found, logits[:, 1] - logits[:, 0])


@pytest.mark.parametrize("time_encoding", TIMES)
def test_all_is_where_the_model_is(time_encoding):
    """The device "meta", which every machine has, stands in for a GPU; two devices in one sum are refused."""
    model = make_model(time_encoding=time_encoding)
    batch = batch_of(model, *people())
    inputs = read_inputs(model.to("meta"), batch, VOCABULARY)
    mixed = inputs.actual.where(inputs.told, inputs.baseline)
    assert log_odds(model, mixed, inputs.places, 1).device.type == "meta"


def test_the_odds_of_a_class_are_against_all_others_and_those_of_a_task_are_its_own():
    for problem, expected in (
        (None, lambda logits: logits.log_softmax(1)[:, 2].exp().logit()),
        ("multi_label_classification", lambda logits: logits[:, 2]),
    ):
        model = make_model(num_labels=3, problem_type=problem)
        batch = batch_of(model, *people())
        inputs = read_inputs(model, batch, VOCABULARY)
        with torch.no_grad():
            found = log_odds(model, inputs.actual, inputs.places, 2)
            torch.testing.assert_close(found, expected(model(**batch).logits), atol=1e-4, rtol=1e-4)


def test_a_baseline_is_the_mask_the_middle_bin_and_the_day_of_the_prediction():
    model = make_model()
    batch = batch_of(model, *people())
    inputs = read_inputs(model, batch, VOCABULARY)
    ids, real = batch["input_ids"], batch["attention_mask"]
    special = ids == VOCABULARY.cls
    assert torch.equal(inputs.told, real & ~special)
    bare = batch | {"input_ids": ids.masked_fill(inputs.told, VOCABULARY.mask)}
    mask_row = model.clm_ler.embeddings.codes(bare["input_ids"])
    assert torch.equal(inputs.baseline.codes, mask_row)
    middle = torch.where(batch["token_type_ids"] > 0, 5, 0)
    table = model.clm_ler.embeddings
    rows = table.lab_bins(middle) + table.lab_rows(table.lab_row_of(ids, middle))
    assert torch.equal(inputs.baseline.bins, rows)
    is_code = torch.from_numpy(VOCABULARY.is_code)[ids]
    assert (inputs.baseline.before[is_code] == 0).all()
    assert (inputs.actual.before[is_code] >= 0).all()
    # Who somebody is has no day that could be another.
    assert torch.equal(inputs.baseline.before[~is_code], inputs.actual.before[~is_code])


def test_another_flavour_is_refused_in_a_line():
    options = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = build_model("bert", VOCABULARY.size, 0, options)
    with pytest.raises(ValueError, match=r"type 'bert' is not explained.*model_type=clm_ler"):
        read_inputs(bert, {}, VOCABULARY)
