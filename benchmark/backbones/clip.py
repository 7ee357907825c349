"""One adapter over open_clip: a frozen CLIP whose towers, tokens and attention projections have the same names
whichever of open_clip's layouts it has.

A backbone is never trained and never changed: its parameters do not require gradients, it stays in eval mode, and its
``digest`` proves that it is still the one that was loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import nn

from benchmark.backbones.precision import Precision, autocast, widened
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec


@dataclass(frozen=True)
class TextTower:
    """Where a backbone keeps the parts of its text encoder, whichever class open_clip chose."""

    transformer: nn.Module
    token_embedding: nn.Embedding
    positional_embedding: nn.Parameter
    ln_final: nn.Module
    owner: nn.Module
    """Has the projection, which is looked up each time: it may be replaced for a while, see ``towers.tensors``."""
    mask: torch.Tensor | None
    pool: str
    eos_id: int

    @property
    def projection(self) -> Any:
        """Into the joint space: a layer, a matrix (d_t, d), or None."""
        return self.owner.text_projection


@dataclass(frozen=True)
class Tokens:
    """Token ids of a class list, cut after the longest text: after end-of-text a causal tower's output cannot change.

    ``ids``: (N, n) int64; ``eot``: (N,) position that the tower is read at, which is end-of-text in CLIP's own towers;
    ``start``: position of the first token of every text; ``end``: (N,) position after its last.
    """

    ids: torch.Tensor
    eot: torch.Tensor
    start: int
    end: torch.Tensor


class Backbone:
    """A frozen CLIP. Features are returned un-normalised; shapes use d_t text width and d embedding width."""

    def __init__(self, name: str, model: nn.Module, tokenizer: Any, transform: Any, device: torch.device) -> None:
        from torchvision.transforms import Compose, Normalize, PILToTensor, ToTensor  # takes seconds

        self.name, self.device = name, device
        self.model = model.to(device).eval().requires_grad_(False)
        self.tokenizer, self.transform = tokenizer, transform
        self.text = _text_tower(name, model)
        *geometry, to_tensor, normalise = transform.transforms
        if not isinstance(to_tensor, ToTensor) or not isinstance(normalise, Normalize):
            raise UserError(f"backbone {name!r}: its evaluation transform does not end in ToTensor and Normalize")
        self._geometry = Compose([*geometry, PILToTensor()])
        self._mean, self._deviation = (
            torch.tensor(values, device=device).view(-1, 1, 1) for values in (normalise.mean, normalise.std)
        )
        self.embed_dim = self._embed_dim()
        self._precision: Precision = "fp32"
        self.digest = digest(model)

    @classmethod
    def load(cls, name: str, spec: BackboneSpec, device: str | torch.device = "cpu") -> Backbone:
        """Load a backbone with open_clip.

        Raises:
            UserError: no such model, tag or folder, or the weights could not be loaded.
        """
        from benchmark.backbones.open_clip_models import create_model  # open_clip takes seconds to import

        model, transform, tokenizer = create_model(name, spec)
        return cls(name, model, tokenizer, transform, torch.device(device))

    @property
    def nbytes(self) -> int:
        """Memory of its parameters and buffers, in bytes."""
        return sum(value.nbytes for value in (*self.model.parameters(), *self.model.buffers()))

    # --- precision ----------------------------------------------------------------------------------------------

    @contextmanager
    def computing_in(self, precision: Precision) -> Iterator[None]:
        """While open, the towers compute in ``precision``. Features, and whatever is computed from them, stay fp32."""
        before, self._precision = self._precision, precision
        try:
            yield
        finally:
            self._precision = before

    def run_tower(self, function: Callable[..., torch.Tensor], *inputs: Any) -> torch.Tensor:
        """``function(*inputs)``, a pass through a tower, in the precision that is asked for; fp32 features."""
        with autocast(self.device, self._precision):
            return widened(function(*inputs))

    # --- shapes -------------------------------------------------------------------------------------------------

    @property
    def text_width(self) -> int:
        return self.text.token_embedding.weight.shape[1]

    @property
    def context_length(self) -> int:
        return int(self.text.positional_embedding.shape[0])

    @property
    def text_layers(self) -> int:
        return len(self.text.transformer.resblocks)  # type: ignore[arg-type]

    def _embed_dim(self) -> int:
        projection = self.text.projection
        if projection is None:
            return self.text_width
        return int(projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1])

    @property
    def logit_scale(self) -> torch.Tensor:
        """s = exp(log scale), a scalar."""
        return self.model.logit_scale.detach().float().exp()  # type: ignore[union-attr, operator]

    @property
    def logit_bias(self) -> torch.Tensor | None:
        """Scalar added to every logit (SigLIP), or None."""
        bias = getattr(self.model, "logit_bias", None)
        return None if bias is None else bias.detach().float()

    @property
    def causal(self) -> bool:
        """True if text may be cut after end-of-text without changing its features."""
        return self.text.mask is not None and self.text.pool in ("argmax", "eos")

    # --- text ---------------------------------------------------------------------------------------------------

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids of ``texts``.

        Raises:
            UserError: a text is longer than the context (open_clip would cut it silently).
        """
        ids = self.tokenizer(list(texts))
        start, closing = self._around
        end = start + (ids[:, start:] == closing).int().argmax(1)
        for text, position in zip(texts, end.tolist(), strict=True):
            if position == ids.shape[1] - 1 and self._too_long(text, position):
                fix = "shorten the class name or the template"
                raise UserError(f"{text!r} is longer than the {self.context_length} tokens of {self.name}", fix=fix)
        eot = self._eot(ids)
        if self.causal:
            ids = ids[:, : int(eot.max()) + 1]
        return Tokens(ids.to(self.device), eot.to(self.device), start, end.to(self.device))

    def make_room(self, tokens: Tokens, count: int) -> Tokens:
        """``tokens`` with ``count`` more before each text, for others to take the place of.

        Raises:
            UserError: they do not fit.
        """
        if int(tokens.end.max()) + count >= self.context_length:
            fix = "shorten the class name, or take less context"
            what = f"a class name after {count} context tokens"
            raise UserError(f"{what} is longer than the {self.context_length} tokens of {self.name}", fix=fix)
        before, after = tokens.ids[:, : tokens.start], tokens.ids[:, tokens.start :]
        ids = torch.cat([before, after.new_zeros(len(after), count), after], dim=1)[:, : self.context_length]
        eot = tokens.eot if self.text.pool in ("first", "last") else tokens.eot + count
        return Tokens(ids, eot, tokens.start, tokens.end + count)

    @cached_property
    def _around(self) -> tuple[int, int]:
        """How many tokens the tokenizer puts before a text, and the id of the one after it. CLIP's has a start token,
        SigLIP's has none."""
        empty, *others = self.tokenizer(["", "a", "the sea"])
        shared = torch.stack([row == empty for row in others]).all(0)
        before = int((~shared).int().argmax())
        return before, int(empty[before])

    def _too_long(self, text: str, last: int) -> bool:
        """Whether a text whose closing token is at ``last``, the end of the context, would go on after it."""
        return int(self.tokenizer([text], context_length=last + 2)[0, last]) != self._around[1]

    def _eot(self, ids: torch.Tensor) -> torch.Tensor:
        if self.text.pool == "eos":
            return (ids == self.text.eos_id).int().argmax(1)
        if self.text.pool == "argmax":
            return ids.argmax(1)
        return torch.full((len(ids),), ids.shape[1] - 1 if self.text.pool == "last" else 0)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Token embeddings (N, n, d_t) of ids (N, n), without positions."""
        return self.text.token_embedding(ids)

    def encode_tokens(self, tokens: Tokens) -> torch.Tensor:
        """Text features (N, d) of token ids."""
        return self.encode_ids(tokens.ids, tokens.eot)

    def encode_ids(self, ids: torch.Tensor, eot: torch.Tensor) -> torch.Tensor:
        """Text features (N, d) of token ids (N, n), read at position ``eot`` (N,) of each row."""
        return self.encode_embeddings(self.embed(ids), eot)

    def encode_embeddings(self, embeddings: torch.Tensor, eot: torch.Tensor) -> torch.Tensor:
        """Text features (N, d) of token embeddings (N, n, d_t), read at position ``eot`` (N,) of each row.

        Raises:
            ValueError: the rows are longer than the context, or shorter in a tower that is not causal.
        """
        length = embeddings.shape[1]
        if length > self.context_length or (length < self.context_length and not self.causal):
            raise ValueError(f"{length} tokens given, {self.name} takes {self.context_length}")
        return self.run_tower(self._encode_embeddings, embeddings, eot)

    def _encode_embeddings(self, embeddings: torch.Tensor, eot: torch.Tensor) -> torch.Tensor:
        length = embeddings.shape[1]
        x = embeddings + self.text.positional_embedding[:length].to(embeddings.dtype)
        mask = None if self.text.mask is None else self.text.mask[:length, :length]
        x = self.text.transformer(x, attn_mask=mask)
        x = self.text.ln_final(x)[torch.arange(len(x), device=x.device), eot]
        projection = self.text.projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Text features (N, d) of strings."""
        return self.encode_tokens(self.tokenize(texts))

    # --- images -------------------------------------------------------------------------------------------------

    def frame(self, image: Image.Image) -> torch.Tensor:
        """Bytes (3, H, W) of an image, resized and cropped as this backbone's evaluation transform does."""
        pixels: torch.Tensor = self._geometry(image)
        return pixels

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Bytes (B, 3, H, W) as this backbone's image tower wants them, scaled to about mean 0 and deviation 1."""
        moved = pixels.to(self.device, non_blocking=True)  # as bytes, a quarter of the floats
        scaled = (moved.float() / 255).sub_(self._mean).div_(self._deviation)
        return scaled.to(next(self.model.visual.parameters()).dtype)  # type: ignore[union-attr]

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """Pixels (3, H, W) of an image as this backbone's evaluation transform makes them."""
        return self.normalise(self.frame(image)[None])[0]

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image features (B, d) of pixels (B, 3, H, W)."""
        return self.run_tower(self.model.encode_image, pixels)  # type: ignore[arg-type]

    @cached_property
    def image_size(self) -> int:
        size = self.model.visual.image_size  # type: ignore[union-attr]
        return int(size[0] if isinstance(size, Sequence) else size)  # type: ignore[arg-type]

    @property
    def geometry_key(self) -> str:
        """What identifies the resizing and cropping: backbones with equal keys see the same bytes."""
        return str(self._geometry)

    @property
    def preprocess_key(self) -> str:
        """What identifies the whole evaluation transform in cache keys."""
        return str(self.transform)

    def logits(self, image_features: torch.Tensor, text_features: torch.Tensor) -> torch.Tensor:
        """s n(f) n(t)^T (+ bias): (B, C) from features (B, d) and (C, d), or (B, C, d) for texts made per image.

        Never in half precision: with three digits, classes tie at the top.
        """
        image = nn.functional.normalize(widened(image_features), dim=-1)
        text = nn.functional.normalize(widened(text_features), dim=-1)
        with torch.autocast(self.device.type, enabled=False):  # a method may have switched it on
            products = torch.einsum("bd,bcd->bc" if text.ndim == 3 else "bd,cd->bc", image, text)
        logits = self.logit_scale * products
        return logits if self.logit_bias is None else logits + self.logit_bias


def digest(model: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all parameters and buffers that a checkpoint would hold."""
    sha = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        sha.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        sha.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _text_tower(name: str, model: Any) -> TextTower:
    text = getattr(model, "text", model)
    if not hasattr(text, "token_embedding"):
        kind = type(text).__name__
        raise UserError(f"backbone {name!r}: its text tower ({kind}) has no token embeddings that prompts could enter")
    if getattr(text, "cls_emb", None) is not None:
        raise UserError(f"backbone {name!r}: its text tower appends a token of its own, as CoCa's, which prompts would miss")
    return TextTower(
        transformer=text.transformer,
        token_embedding=text.token_embedding,
        positional_embedding=text.positional_embedding,
        ln_final=text.ln_final,
        owner=text,
        mask=text.attn_mask,
        pool=getattr(text, "pool_type", None) or text.text_pool_type,
        eos_id=getattr(text, "eos_id", getattr(text, "text_eos_id", 2)),
    )
