"""What a model is built from."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, doc

from clm_ler.modeling.model.configuration_clm_ler import Pooling, TimeEncoding


@dataclass(frozen=True)
class ModelOptions:
    """Kind and sizes of a model."""

    model_type: Annotated[
        Literal["clm_ler", "bert", "longformer"],
        doc("The model of this project, or a published one"),
    ] = "clm_ler"
    hidden_size: Annotated[int, Ge(2), doc("Width of the model")] = 768
    num_hidden_layers: Annotated[int, Ge(1), doc("Layers")] = 12
    num_attention_heads: Annotated[int, Ge(1), doc("Heads per layer")] = 12
    intermediate_size: Annotated[
        int | None, doc("Width of the feed-forward layers; null: four times hidden_size")
    ] = None
    hidden_dropout_prob: Annotated[float, Ge(0), Lt(1), doc("Dropout")] = 0.1
    attention_probs_dropout_prob: Annotated[
        float, Ge(0), Lt(1), doc("Dropout of attention weights; 0 for varlen attention")
    ] = 0.0
    time_encoding: Annotated[
        TimeEncoding, doc("How clm_ler sees time; order does not see days")
    ] = "rope_days"
    rope_theta: Annotated[
        float, Gt(0), doc("Base of the rotary wavelengths, which are counted in days")
    ] = 1_000_000.0
    bin_loss_weight: Annotated[
        float, Ge(0), doc("Weight of masked lab bins in the loss; 0: no bin head")
    ] = 1.0
    age_waves: Annotated[
        int, Ge(0), doc("Cosines that the embedding of an age is made of; 0: a row for each year")
    ] = 8
    lab_bin_rows: Annotated[
        bool, doc("An embedding for each (lab, bin), beside those of lab and bin")
    ] = True
    pooling: Annotated[
        Pooling | None,
        doc("The embedding of a sequence; null: query+labs, or mean where there is no query token"),
    ] = None
    position_embedding_type: Annotated[
        Literal["absolute"],
        doc(
            "For bert and longformer: days as learned positions. relative_key_query is refused: it "
            "never let the days reach the model, and Transformers 5 dropped it"
        ),
    ] = "absolute"
    attention_window: Annotated[int, Ge(2), doc("For longformer: window of local attention")] = 64
