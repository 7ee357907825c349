"""What is read of packs: upgrades by the weights of their backbones, whatever they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.packs import BACKBONES, made, put

from benchmark.config.errors import UserError
from benchmark.report.site.sources import parts_of, read_all

pytest.importorskip("pyarrow")


def renamed(names: dict[str, str]):
    """The run with other names of its backbones."""
    run = made()
    results = run.results.replace({"old": names, "new": names})
    results = results.assign(pair=results.old + "->" + results.new)
    backbones = [{**backbone, "name": names.get(backbone["name"], backbone["name"])} for backbone in BACKBONES]
    return replace(
        run, results=results, runs=run.runs.replace({"backbone": names}), about=replace(run.about, backbones=backbones)
    )


def test_the_order_of_files_and_copies_make_no_difference(tmp_path: Path) -> None:
    one, two = put(tmp_path / "b.pack", made("prompt")), put(tmp_path / "a.pack", made("adapter"))
    copy = tmp_path / "copy.pack"
    copy.write_bytes(one.read_bytes())
    sources = read_all([one, two, copy])
    assert [source.name for source in sources] == ["a.pack", "b.pack"]
    assert [source.sha256 for source in read_all([two, one])] == [source.sha256 for source in sources]
    assert str(sources[0].run.folder) == "a.pack", "messages do not name folders of this machine"


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    files = [put(tmp_path / "a.pack", made("prompt")), put(tmp_path / "x" / "a.pack", made("adapter"))]
    names = [source.name for source in read_all(files)]
    assert len(set(names)) == 2
    assert all(name.startswith("a.pack (") for name in names)


def test_a_folder_is_refused_with_the_command_that_packs_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"is a folder, not a pack \(fix: .* pack {tmp_path}"):
        read_all([tmp_path])


def test_the_same_weights_are_the_same_upgrade_under_other_names(tmp_path: Path) -> None:
    files = [put(tmp_path / "a.pack", made()), put(tmp_path / "b.pack", renamed({"v1": "before", "v2": "after"}))]
    parts = parts_of(read_all(files))
    assert [part.upgrade.pair for part in parts] == ["v1->v2", "v1->v5", "v1->v2", "v1->v5"]
    first, _, other, _ = parts
    assert first.upgrade is other.upgrade
    assert set(other.run.results.pair) == {"v1->v2"}
    assert set(other.run.results.old) == {"v1"}
    assert set(other.run.runs.backbone) == {"v1"}
    assert [backbone["name"] for backbone in other.run.about.backbones] == ["v1", "v2"]


def test_other_weights_are_another_upgrade_under_the_same_names(tmp_path: Path) -> None:
    changed = [{**backbone, "digest": "9" * 64} if backbone["name"] == "v2" else backbone for backbone in BACKBONES]
    files = [put(tmp_path / "a.pack", made()), put(tmp_path / "b.pack", made(backbones=changed))]
    upgrades = {part.upgrade for part in parts_of(read_all(files))}
    assert sorted(upgrade.pair for upgrade in upgrades) == ["v1->v2", "v1->v2", "v1->v5"]
    assert len({upgrade.page for upgrade in upgrades}) == 3


def test_a_part_has_its_upgrade_and_scope_only(tmp_path: Path) -> None:
    part = parts_of(read_all([put(tmp_path / "a.pack", made())]))[1]
    assert (part.view.protocol, part.upgrade.title) == ("base-to-new", "v1 → v5")
    assert set(part.run.results.protocol) == {"base-to-new"}
    assert set(part.run.results.new) == {"v5"}
    assert ("prompt", "default") in part.configurations
