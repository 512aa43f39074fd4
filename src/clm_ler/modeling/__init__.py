"""The torch side; it knows nothing of Kedro and the table engines.

Importing it makes its models loadable through Transformers' Auto classes.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)
from transformers.utils.logging import disable_progress_bar

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
    ClmLerModel,
)

disable_progress_bar()  # a line of their own for each model saved or loaded
AutoConfig.register(ClmLerConfig.model_type, ClmLerConfig, exist_ok=True)
AutoModel.register(ClmLerConfig, ClmLerModel, exist_ok=True)
AutoModelForMaskedLM.register(ClmLerConfig, ClmLerForMaskedLM, exist_ok=True)
AutoModelForSequenceClassification.register(
    ClmLerConfig, ClmLerForSequenceClassification, exist_ok=True
)
