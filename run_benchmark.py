#!/usr/bin/env python
"""Compare ways of fine-tuning CLIP by how well they survive a backbone update. See README.md."""

from benchmark.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
