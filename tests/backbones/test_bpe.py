"""Byte-pair merges of the icon-world releases."""

from __future__ import annotations

from collections import Counter

from benchmark.backbones import bpe


def test_merges_by_hand():
    """The example of Sennrich et al. 2016: "es" and "est" first, then "lo"."""
    assert bpe.learn(Counter({"low": 5, "lower": 2, "newest": 6, "widest": 3}), 3) == [
        ("e", "s"),
        ("es", "t</w>"),
        ("l", "o"),
    ]


def test_merges_are_the_same_every_time():
    counts = Counter({"house": 3, "mouse": 3, "horse": 2, "boat": 3})
    assert bpe.learn(counts, 20) == bpe.learn(Counter(dict(reversed(list(counts.items())))), 20)
    assert bpe.learn(Counter({"ab": 1}), 99) == [("a", "b</w>")]


def test_open_clips_tokenizer_reads_the_merges(tmp_path):
    from open_clip.tokenizer import SimpleTokenizer

    file = tmp_path / "merges.txt.gz"
    merges = bpe.learn(Counter("an icon of a house with a plus sign houses icons".split()), 30)
    size = bpe.write(merges, file)
    tokenizer = SimpleTokenizer(bpe_path=str(file), context_length=16)
    assert tokenizer.vocab_size == size
    assert tokenizer.eot_token_id == size - 1  # the largest id, as arg-max pooling wants it
    assert tokenizer.decode(tokenizer.encode("an icon of a house")).strip() == "an icon of a house"
    for text in ("zebra 42!", "naïve café", "unseen-words (with) signs"):
        assert tokenizer.decode(tokenizer.encode(text)).strip().replace(" ", "") == text.replace(" ", "")
    assert len(tokenizer.encode("house")) == 1
    first = file.read_bytes()
    bpe.write(merges, file)
    assert file.read_bytes() == first
