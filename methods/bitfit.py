"""BitFit: only the biases are tuned."""

from dataclasses import replace

from pydantic import Field

from benchmark.backbones.towers.tensors import biases
from benchmark.method import AdamWConfig, Info
from benchmark.method.tensor_tuning import TensorTuning


class BitFit(TensorTuning):
    """b' = b + change for every bias of the blocks and of the final norm of both towers (BitFit, section 3).

    Proposed for BERT; there is no official code for CLIP, so the optimiser is our choice: CLIP-LoRA's, with a higher
    learning rate. The biases of the keys are left out: attention is invariant to them.
    """

    info = Info(
        name="bitfit",
        title="BitFit",
        summary="changes of all biases in both towers",
        tunes=("text", "vision"),
        depth="deep",
        paper="BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
        year=2022,
        venue="ACL",
        url="https://arxiv.org/abs/2106.10199",
        code="https://github.com/benzakenelad/BitFit",
        parameters="L_t * 10 * d_t + d_t + L_v * 10 * d_v + d_v",
        transfer="the changes are added to the new biases; needs the same biases (EVA-02's image tower has others)",
        bibtex="""@inproceedings{zaken2022bitfit,
  title={{BitFit}: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models},
  author={Ben Zaken, Elad and Goldberg, Yoav and Ravfogel, Shauli},
  booktitle={ACL}, year={2022}}""",
    )

    class Config(AdamWConfig):
        """Our choice, see the class docstring."""

        steps_per_shot: int | None = Field(default=500, ge=1)
        min_lr: float = Field(default=1e-6, ge=0)

    addresses = staticmethod(biases)
    presets = {"small": {"steps": 20, "batch_size": 16, "lr": 0.01}}


class BitFitText(BitFit):
    """BitFit in the text tower only, for backbones whose image towers differ."""

    info = replace(
        BitFit.info,
        name="bitfit-text",
        title="BitFit, text",
        summary="changes of all biases in the text tower",
        tunes=("text",),
        parameters="L_t * 10 * d_t + d_t",
        transfer="the changes are added to the new biases; needs an equal text width and as many layers",
    )
    towers = ("text",)
    presets = {"small": {**BitFit.presets["small"], "lr": 0.03}}
