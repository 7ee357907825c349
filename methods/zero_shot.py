"""Zero-shot CLIP: the hand-written template and nothing learnt. The baseline that every other method is compared with."""

from benchmark.method import Info, Method


class ZeroShot(Method):
    info = Info(
        name="zero-shot",
        title="Zero-shot CLIP",
        summary="the hand-written template, nothing learnt",
        tunes=(),
        depth="none",
        paper="Learning Transferable Visual Models From Natural Language Supervision",
        year=2021,
        venue="ICML",
        url="https://arxiv.org/abs/2103.00020",
        bibtex="""@inproceedings{radford2021clip,
  title={Learning Transferable Visual Models From Natural Language Supervision},
  author={Radford, Alec and Kim, Jong Wook and Hallacy, Chris and Ramesh, Aditya and Goh, Gabriel and others},
  booktitle={ICML}, year={2021}}""",
        baseline=True,
    )
