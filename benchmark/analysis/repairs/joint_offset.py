"""Moves the new backbone's class features as the module moves the old one's."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.backbones.clip import Backbone
from benchmark.data.batch import Batch, ClassList
from benchmark.data.dataset import TestSet
from benchmark.method.base import Method
from benchmark.method.space_maps import centred
from benchmark.method.terms import Incompatible
from benchmark.training.evaluation import scores
from benchmark.training.modules import Module, attach, zero_shot_of


class JointOffset(Repair):
    """w_c = n(t_new,c) + g (s_old / s_new) (n(t_old,c with the module) - n(t_old,c)) R. R rotates the old joint space into
    the new one, fitted on the centred text features of words; s are logit scales, g the relatedness of the joint spaces.
    For modules that change class features only. The old text tower is needed once for each class name; no images, no labels,
    no equal widths.

    Source: that one rotation carries both modalities from one CLIP to another is from "Canonicalizing multimodal contrastive
    representations" (2026, arXiv 2602.17584); its use for modules is ours.
    """

    name, title, effort = "joint-offset", "joint-space offset", 5
    keeps = "the old text tower, for new class names"

    def incompatibility(self, module: Module) -> str | None:
        if not module.tensors:
            return "it has no learnt tensors"
        if module.cls.logits is not Method.logits or module.cls.info.keeps_images:
            return "it does more than change the class features"
        return None

    def apply(self, case: Case) -> Repaired:
        try:
            rotation = centred(*case.passage.word_vectors("features"))
        except ValueError as error:
            raise Incompatible(str(error)) from None
        same = case.old.digest == case.new.digest
        trust = 1.0 if same else case.passage.joint_relatedness
        ratio = float(case.old.logit_scale / case.new.logit_scale)
        self._class_features(case, case.task.class_list())  # raises if the module does not allow it

        def score(test: TestSet) -> torch.Tensor | None:
            classes = case.task.class_list(test)
            moved = F.normalize(self._class_features(case, classes), dim=-1)
            start = F.normalize(zero_shot_of(case.old, classes).class_features(), dim=-1)
            change = trust * ratio * ((moved - start).cpu() @ rotation)
            bank = case.features.testing(case.new, test.examples, pixels=False)
            method = _Shifted.made(case.new, classes, change)
            return torch.cat([logits.cpu() for logits in scores(method, bank, case.precision)])

        return Repaired(score, notes={"factor": trust})

    @torch.no_grad()
    def _class_features(self, case: Case, classes: ClassList) -> torch.Tensor:
        """Those (C, d) of the module on the old backbone.

        Raises:
            Incompatible: the module changes image features too.
        """
        module = case.module
        method = attach(module.cls, module.config, case.old, classes, module.tensors)
        features = torch.eye(3, case.old.embed_dim, device=case.old.device)
        batch = Batch(torch.zeros(3, dtype=torch.long, device=case.old.device), features=features)
        if method.needs_pixels or not torch.equal(method.image_features(batch), features):
            raise Incompatible("it changes image features too")
        return method.class_features()


class _Shifted(Method):
    """Zero-shot whose normalised class features (C, d) are moved, and not normalised again."""

    change: torch.Tensor

    @classmethod
    def made(cls, backbone: Backbone, classes: ClassList, change: torch.Tensor) -> Method:
        method = cls(cls.Config(), backbone, classes)
        method.change = change.to(backbone.device)
        return method.eval()  # type: ignore[return-value]

    def logits(self, batch: Batch) -> torch.Tensor:
        images = F.normalize(self.image_features(batch), dim=-1)
        texts = F.normalize(self.zero_shot_features, dim=-1) + self.change
        logits = self.backbone.logit_scale * images @ texts.T
        return logits if self.backbone.logit_bias is None else logits + self.backbone.logit_bias
