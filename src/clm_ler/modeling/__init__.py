"""The torch side; importing it makes CLM-LER models loadable through Transformers' Auto classes."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from clm_ler.modeling.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
    ClmLerModel,
)

AutoConfig.register(ClmLerConfig.model_type, ClmLerConfig)
AutoModel.register(ClmLerConfig, ClmLerModel)
AutoModelForMaskedLM.register(ClmLerConfig, ClmLerForMaskedLM)
AutoModelForSequenceClassification.register(ClmLerConfig, ClmLerForSequenceClassification)

__all__ = ["ClmLerConfig", "ClmLerForMaskedLM", "ClmLerForSequenceClassification", "ClmLerModel"]
