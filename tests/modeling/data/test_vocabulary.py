import pytest

from clm_ler.modeling.data.vocabulary import Vocabulary, check_tokenizer, vocabulary_digest
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from tests.modeling.records import WORDS, tokenizer


def test_the_digest_is_of_tokens_ids_and_bins():
    same, other = tokenizer(), tokenizer()
    assert vocabulary_digest(same) == vocabulary_digest(tokenizer())
    other.init_kwargs["bin_labels"] = ["low", "high"]
    assert len({vocabulary_digest(t) for t in (same, other, tokenizer(("ICD10CM:new",)))}) == 3


def test_a_model_takes_its_own_tokenizer_only():
    config = ClmLerConfig(vocab_size=len(WORDS), vocabulary_digest=vocabulary_digest(tokenizer()))
    assert Vocabulary.from_tokenizer(tokenizer(), config).size == len(WORDS)
    same_size = tokenizer()
    same_size.init_kwargs["bin_labels"] = ["low", "high"]
    for foreign in (same_size, tokenizer(("ICD10CM:new",))):
        with pytest.raises(ValueError, match="is not the one that the model"):
            check_tokenizer(foreign, config)


def test_without_a_digest_the_size_decides():
    check_tokenizer(tokenizer(), ClmLerConfig(vocab_size=len(WORDS)))
    with pytest.raises(ValueError, match="run pretrain again"):
        check_tokenizer(tokenizer(), ClmLerConfig(vocab_size=len(WORDS) + 1))
