"""LayerNorm tuning: only the norms are tuned."""

from dataclasses import replace

from pydantic import Field

from benchmark.backbones.towers.tensors import norms
from benchmark.method import AdamWConfig, Info
from benchmark.method.tensor_tuning import TensorTuning


class LayerNormTuning(TensorTuning):
    """Gain and bias of the two norms of every block and of the final norm, in both towers, are changed.

    Proposed for vision-language models; there is no official code for CLIP, so the optimiser is our choice: CLIP-LoRA's,
    with a higher learning rate. The norm before the first block, which only some CLIPs have, and EVA-02's inner norms stay
    unchanged, so that the module fits all of them.
    """

    info = Info(
        name="layernorm",
        title="LayerNorm tuning",
        summary="changes of gain and bias of the norms in both towers",
        tunes=("text", "vision"),
        depth="deep",
        paper="Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
        year=2024,
        venue="ICLR",
        url="https://arxiv.org/abs/2312.11420",
        parameters="L_t * 4 * d_t + 2 * d_t + L_v * 4 * d_v + 2 * d_v",
        transfer="the changes are added to the new norms; needs towers of equal widths and numbers of layers",
        aliases=("ln-tuning",),
        bibtex="""@inproceedings{zhao2024layernorm,
  title={Tuning LayerNorm in Attention: Towards Efficient Multi-Modal {LLM} Finetuning},
  author={Zhao, Bingchen and Tu, Haoqin and Wei, Chen and Mei, Jieru and Xie, Cihang},
  booktitle={ICLR}, year={2024}}""",
    )

    class Config(AdamWConfig):
        """Our choice, see the class docstring."""

        steps_per_shot: int | None = Field(default=500, ge=1)
        min_lr: float = Field(default=1e-6, ge=0)

    addresses = staticmethod(norms)
    presets = {"small": {"steps": 20, "batch_size": 16, "lr": 0.03}}


class LayerNormText(LayerNormTuning):
    """LayerNorm tuning in the text tower only."""

    info = replace(
        LayerNormTuning.info,
        name="layernorm-text",
        title="LayerNorm tuning, text",
        summary="changes of gain and bias of the norms in the text tower",
        tunes=("text",),
        parameters="L_t * 4 * d_t + 2 * d_t",
        transfer="the changes are added to the new norms; needs an equal text width and as many layers",
        aliases=(),
    )
    towers = ("text",)
    presets = {"small": {**LayerNormTuning.presets["small"], "lr": 0.1}}
