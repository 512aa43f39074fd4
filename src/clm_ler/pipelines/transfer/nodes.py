"""What another site has trained."""

from transformers import PreTrainedTokenizerBase

from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM


def adopt_model(
    trained_tokenizer: PreTrainedTokenizerBase, trained_pretrained_model: ClmLerForMaskedLM
) -> tuple[PreTrainedTokenizerBase, ClmLerForMaskedLM]:
    """Return tokenizer and model of the other site, to be kept in this site's storage.

    Raises:
        ValueError: If they are not of one size, and so not of one training.
    """
    tokens, rows = len(trained_tokenizer), trained_pretrained_model.config.vocab_size
    if tokens != rows:
        raise ValueError(
            f"transfer: the tokenizer has {tokens} tokens, the model {rows}: they are not of the "
            "same training"
        )
    return trained_tokenizer, trained_pretrained_model
