"""What a model can be pre-trained for."""

from clm_ler.modeling.objectives.base import Objective
from clm_ler.modeling.objectives.mlm import Mlm

OBJECTIVES: dict[str, type[Objective]] = {"mlm": Mlm}
