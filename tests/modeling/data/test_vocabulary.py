import pytest

from clm_ler.modeling.data.vocabulary import Vocabulary, check_tokenizer, vocabulary_digest
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.tokens import SPECIAL_TOKENS
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


def test_years_are_those_of_the_ages_whatever_else_a_record_calls_an_age():
    ages = ["AGE", "AGE:0", "AGE:63", "AGE:63.5", "AGE:-1", "AGE:unknown", f"AGE:{10**10}"]
    words = [*SPECIAL_TOKENS, *ages, "ICD10CM:63"]
    found = Vocabulary.from_tokens({word: number for number, word in enumerate(words)}, bins=4)
    years = dict(zip(words, found.years.tolist(), strict=True))
    assert {word: age for word, age in years.items() if age >= 0} == {"AGE:0": 0, "AGE:63": 63}
