def test_the_encoded_sequences_decode_to_the_tokens_of_every_person(chain):
    tokenizer, sequences = chain.load("tokenizer"), chain.load("sequences")
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    labels = tokenizer.init_kwargs["bin_labels"]

    def text(index, lab_bin):
        return words[index] + (f":{labels[lab_bin - 1]}" if lab_bin else "")

    decoded = {
        row["person_id"]: (
            list(map(text, row["input_ids"], row["token_type_ids"])),
            row["position_ids"],
        )
        for row in chain.load("encoded_sequences").to_pylist()
    }
    stored = {
        row["person_id"]: (row["sorted_event_tokens"], row["day_position_tokens"])
        for row in sequences.filter(sequences.split == "train").to_pyarrow().to_pylist()
    }
    assert len(decoded) == sequences.count().to_pyarrow().as_py()
    # Every word of the train split is known; other splits may hold [UNK].
    assert stored and all(decoded[person] == row for person, row in stored.items())
    for row in sequences.filter(sequences.split != "train").to_pyarrow().to_pylist():
        tokens, days = decoded[row["person_id"]]
        assert days == row["day_position_tokens"]
        assert all(
            token in ("[UNK]", expected)
            for token, expected in zip(tokens, row["sorted_event_tokens"], strict=True)
        )
