import torch

from clm_ler.modeling.data.packing import pack


def test_places_of_targets_are_renumbered_whatever_they_are_called() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    ids = torch.tensor([[7, 8, 0], [9, 10, 11]])
    targets = {"any_index": torch.tensor([1, 3, 5]), "values": torch.tensor([1, 3, 5])}
    packed = pack({"input_ids": ids, "attention_mask": mask, "targets": targets})
    assert packed["input_ids"].tolist() == [[7, 8, 9, 10, 11]]
    assert packed["cu_seq_lens"].tolist() == [0, 2, 5] and packed["max_seq_len"] == 3
    found = packed["targets"]
    assert packed["input_ids"][0][found["any_index"]].tolist() == [8, 9, 11]
    assert found["values"].tolist() == [1, 3, 5]
