"""One file per layout of an image encoder; see ``benchmark.backbones.towers.base.Tower``."""
