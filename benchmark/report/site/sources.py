"""The packs of a leaderboard, and what each of them has of one upgrade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.config.errors import UserError
from benchmark.config.files import sha256, slug
from benchmark.config.paths import program
from benchmark.report import table_prep
from benchmark.report.model import Scope
from benchmark.report.numbers import arrow
from benchmark.results import archive
from benchmark.results.archive import RunResults

SHORT = 12
"""Characters of a hash that identify it on a page."""


@dataclass(frozen=True, eq=False)
class Source:
    """A pack; ``name`` is that of its file, and in the results it stands in the place of the path."""

    name: str
    sha256: str
    run: RunResults


@dataclass(frozen=True, eq=False)
class Upgrade:
    """Two backbones, known by the hashes of their weights; names and facts are those of the first pack that has them."""

    old: Mapping[str, Any]
    """See ``About.backbones``."""
    new: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it, whatever a pack calls the backbones."""
        return _identity(self.old), _identity(self.new)

    @property
    def names(self) -> tuple[str, str]:
        return str(self.old["name"]), str(self.new["name"])

    @property
    def pair(self) -> str:
        """What tables call it."""
        return "->".join(self.names)

    @property
    def title(self) -> str:
        return arrow(self.pair)

    @property
    def digests(self) -> str:
        """The beginnings of the two hashes; that of a backbone without one is its name."""
        return arrow("->".join(identity[:SHORT] for identity in self.key))

    @property
    def page(self) -> str:
        """Name of its page: the same in every site that has it under these names."""
        return f"{slug(self.pair)}-{sha256(repr(self.key).encode())[:8]}.html"


@dataclass(frozen=True, eq=False)
class Part:
    """What one pack has of one upgrade, in the scope of its headline; ``run`` has nothing else."""

    source: Source
    upgrade: Upgrade
    view: Scope
    run: RunResults

    @cached_property
    def configurations(self) -> set[tuple[str, str]]:
        """The (method, config) that it has values of, or reasons why there are none."""
        return set(table_prep.configurations(self.run.results))


def read_all(files: Sequence[Path]) -> list[Source]:
    """Read packs; the order of the files makes no difference, and a copy of a pack is left out.

    Raises:
        UserError: a file is no pack, or not sound.
    """
    runs: dict[str, tuple[str, RunResults]] = {}
    for file in files:
        if file.is_dir():
            raise UserError(f"{file} is a folder, not a pack", fix=f"{program()} pack {file}")
        run = archive.read(file)
        runs.setdefault(sha256(file.read_bytes()), (file.name, run))
    several = Counter(name for name, _ in runs.values())
    sources = []
    for sha, (name, run) in runs.items():
        label = name if several[name] == 1 else f"{name} ({sha[:SHORT]})"
        sources.append(Source(label, sha, replace(run, folder=Path(label))))
    return sorted(sources, key=lambda source: (source.name, source.sha256))


def parts_of(sources: Sequence[Source]) -> list[Part]:
    """Every upgrade of every pack, in the order of the packs; backbones have the names that the first pack gives them."""
    known: dict[tuple[str, str], Upgrade] = {}
    parts = []
    for source in sources:
        facts = {backbone["name"]: backbone for backbone in source.run.about.backbones}
        pairs = source.run.results[["old", "new"]].drop_duplicates().itertuples(index=False, name=None)
        for old, new in pairs:
            own = Upgrade(*(facts.get(name, {"name": name}) for name in (old, new)))
            parts.append(_part(source, own, known.setdefault(own.key, own)))
    return parts


def _part(source: Source, own: Upgrade, upgrade: Upgrade) -> Part:
    """The part of a pack about the upgrade that the pack calls ``own``."""
    run, names = source.run, dict(zip(own.names, upgrade.names, strict=True))
    old, new = own.names
    results = run.results[(run.results.old == old) & (run.results.new == new)]
    view = table_prep.scope(results)
    results = results[(table_prep.clean(results).protocol == view.protocol).to_numpy()]
    pairs = list(dict.fromkeys(results.pair))
    images = run.uncertainty[run.uncertainty.pair.isin(pairs)]
    cells = run.runs[run.runs.backbone.isin([old, new]) & run.runs.protocol.isin(set(results.protocol))]
    related = run.about.relatedness.get(own.pair)
    about = replace(
        run.about,
        pairs=[upgrade.names],
        backbones=[{**facts, "name": names[facts["name"]]} for facts in run.about.backbones if facts["name"] in names],
        protocols=sorted(set(results.protocol)),
        published=(),
        relatedness={} if related is None else {upgrade.pair: related},
    )
    renamed = replace(
        run,
        results=results.assign(pair=upgrade.pair, old=upgrade.names[0], new=upgrade.names[1]),
        uncertainty=images.assign(pair=upgrade.pair),
        runs=cells.assign(backbone=[names[name] for name in cells.backbone]),
        about=about,
    )
    return Part(source, upgrade, view, renamed)


def _identity(backbone: Mapping[str, Any]) -> str:
    return str(backbone.get("digest") or f"named {backbone['name']}")
