"""What a model can be pre-trained for."""

from clm_ler.modeling.objectives.base import Objective
from clm_ler.modeling.objectives.mlm import Mlm
from clm_ler.modeling.objectives.mlm_and_tte import MlmAndTte
from clm_ler.modeling.objectives.tte import Tte

OBJECTIVES: dict[str, type[Objective]] = {"mlm": Mlm, "tte": Tte, "mlm+tte": MlmAndTte}
