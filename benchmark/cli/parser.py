"""The command line: every command with its options and help.

Nothing heavy is imported here: torch takes seconds, and --help, or a mistake in an option, should be answered at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from benchmark.analysis import analyses
from benchmark.config.discovery import file_names, summaries
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.paths import program
from benchmark.experiment import executors

RUN = "run"
PROTOCOLS = "base-to-new, few-shot, domain, cross-dataset"
EXECUTORS = tuple(name.replace("_", "-") for name in file_names(executors))


# --- types of options -----------------------------------------------------------------------------------------------


def names(text: str) -> tuple[str, ...]:
    """A comma-separated list."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"there is an empty name in {text!r}")
    return parts


def numbers(text: str) -> tuple[int, ...]:
    """A comma-separated list of integers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of integers, such as 1,2,3") from None


def count(text: str) -> int:
    """A non-negative integer."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a non-negative integer")
    return int(text)


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


# --- groups of options that commands share ---------------------------------------------------------------------------


def add_pairs_file(group: argparse._ActionsContainer) -> None:
    """Which YAML names the backbones."""
    text = "backbones and upgrades; ./pairs.yaml or the embedded default unless given"
    group.add_argument("--upgrade-pairs", type=Path, default=None, metavar="YAML", help=text)


def add_data(group: argparse._ActionsContainer) -> None:
    """Where data sets and plugins are."""
    group.add_argument("--data-root", type=Path, default=None, metavar="DIR", help="folder of data sets read from files")
    text = "folder with methods/ or datasets/ of your own; may be repeated"
    group.add_argument("--plugins", type=Path, action="append", default=[], metavar="DIR", help=text)


def add_device(group: argparse._ActionsContainer) -> None:
    """Where it computes."""
    group.add_argument("--device", default="auto", metavar="NAME", help="auto (a GPU if there is one), cpu, cuda, cuda:1")


def add_execution(group: argparse._ActionsContainer) -> None:
    """How cells are computed."""
    add_device(group)
    group.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="of the forward pass")
    text = "where cells are computed; a pool of processes unless given"
    group.add_argument("--executor", choices=EXECUTORS, default=None, help=text)
    text = "worker processes; 0 computes in this process"
    group.add_argument("--workers", type=count, default=None, metavar="N", help=text)
    text = "stop a cell that takes longer"
    group.add_argument("--cell-timeout", type=positive, default=None, metavar="SECONDS", help=text)
    add_out(group)


def add_out(group: argparse._ActionsContainer) -> None:
    """The results folder."""
    text = "folder of records and tables; what is there is used again"
    group.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help=text)


def page(text: str) -> Path:
    """A file for the report."""
    file = Path(text)
    if file.suffix.lower() not in (".html", ".htm"):
        raise argparse.ArgumentTypeError(f"the report is an HTML page: write {text.rstrip('/')}.html")
    return file


def add_report(group: argparse._ActionsContainer) -> None:
    """Where the report is written."""
    text = "where the report is written"
    group.add_argument("--report", type=page, default=Path("reports/compat.html"), metavar="FILE", help=text)


def add_optional_report(group: argparse._ArgumentGroup) -> None:
    """Whether a report is written, and where; ``report`` is None without one."""
    either = group.add_mutually_exclusive_group()
    add_report(either)
    text = "write tables only; the command 'report' writes the report later"
    either.add_argument("--no-report", dest="report", action="store_const", const=None, help=text)


# --- commands -------------------------------------------------------------------------------------------------------


def add_run(parser: argparse.ArgumentParser) -> None:
    """The main job."""
    what = parser.add_argument_group("what to run")
    add_pairs_file(what)
    text = "names, globs or 'all', comma-separated"
    what.add_argument("--methods", type=names, default=None, metavar="NAMES", help=text)
    what.add_argument("--datasets", type=names, default=None, metavar="NAMES", help=text)
    what.add_argument("--protocols", type=names, default=None, metavar="NAMES", help=PROTOCOLS)
    text = "ways to use a module other than as it is: names or globs of repairs, all, or none"
    what.add_argument("--repairs", type=names, default=None, metavar="NAMES", help=text)
    what.add_argument("--seeds", type=numbers, default=None, metavar="N,N", help="seeds of the few-shot draws")
    text = "add seeds, one after the other, for the methods and upgrades whose verdict is undecided"
    what.add_argument("--until-decided", action="store_true", help=text)
    text = "seeds in all with --until-decided; 10 unless given"
    what.add_argument("--max-seeds", type=count, default=None, metavar="N", help=text)
    text = "training images per class, if there are as many"
    what.add_argument("--shots", type=count, default=None, metavar="N", help=text)
    text = "change a hyper-parameter; VALUE,VALUE makes two configurations; may be repeated"
    what.add_argument("--set", action="append", default=[], metavar="METHOD.KEY=VALUE", help=text)
    how = parser.add_argument_group("how to run it")
    add_data(how)
    add_execution(how)
    add_optional_report(how)
    fetch = how.add_mutually_exclusive_group()
    fetch.add_argument("--prepare", action="store_true", help="fetch weights and data sets that are missing, and stop")
    text = "never use the network, which is so in every run without --prepare"
    fetch.add_argument("--offline", action="store_true", help=text)
    how.add_argument("--dry-run", action="store_true", help="print the plan and an estimate of its time, and stop")
    how.add_argument("--list", action="store_true", help="list methods and data sets, and stop")


def add_analyse(parser: argparse.ArgumentParser) -> None:
    """Options of the analyses."""
    known = {name.replace("_", "-"): text for name, text in summaries(analyses).items()}
    lines = "\n".join(f"  {name:<12} {text}" for name, text in known.items())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        f"Answer one question with the modules of a results folder, and train what is missing:\n\n{lines}\n\n"
        "Each works on one data set in base and new classes, can be interrupted, and adds a section to the report."
    )
    parser.add_argument("analysis", choices=tuple(known), metavar="NAME", help="one of these")
    what = parser.add_argument_group("what to analyse")
    add_pairs_file(what)
    text = "one data set; the YAML's first unless given"
    what.add_argument("--dataset", default=None, metavar="NAME", help=text)
    text = "names, globs or 'all', comma-separated"
    what.add_argument("--methods", type=names, default=None, metavar="NAMES", help=text)
    text = "some of the YAML's upgrades, comma-separated"
    what.add_argument("--pairs", type=names, default=None, metavar="OLD->NEW", help=text)
    what.add_argument("--seeds", type=numbers, default=None, metavar="N,N", help="seeds of the few-shot draws")
    text = "change a setting of the analysis; may be repeated"
    what.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=text)
    how = parser.add_argument_group("how to run it")
    add_data(how)
    add_execution(how)


def add_report_command(parser: argparse.ArgumentParser) -> None:
    """The report of finished results."""
    text = "results folders or packs; several become one report"
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("results")], metavar="RESULTS", help=text)
    add_report(parser)
    text = "write no page, only the tables for papers: LaTeX, and the values as CSV"
    parser.add_argument("--tables", choices=["paper"], default=None, help=text)


def pack_file(text: str) -> Path:
    """A file for a pack."""
    file = Path(text)
    if file.suffix.lower() != ".pack":
        raise argparse.ArgumentTypeError(f"the name of a pack ends with .pack: write {text.rstrip('/')}.pack")
    return file


def add_pack(parser: argparse.ArgumentParser) -> None:
    """A file of a results folder."""
    parser.add_argument("folder", type=Path, metavar="RESULTS", help="the --out of a run")
    text = "what to write; the folder's name with .pack in this folder unless given"
    parser.add_argument("--out", type=pack_file, default=None, metavar="FILE", help=text)


def add_site(parser: argparse.ArgumentParser) -> None:
    """A leaderboard of packs."""
    text = "where the pages are written; files of the same names are replaced"
    parser.add_argument("folder", type=Path, metavar="DIR", help=text)
    parser.add_argument("packs", nargs="+", type=Path, metavar="PACK", help="files that the command 'pack' wrote")


def add_verify(parser: argparse.ArgumentParser) -> None:
    """The hashes of a results folder or a pack."""
    text = "the --out of a run, or a pack"
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results"), metavar="RESULTS", help=text)


def add_eval_module(parser: argparse.ArgumentParser) -> None:
    """A module that exists already, on other backbones."""
    text = "checkpoint of a method's official code, or a module.safetensors of this suite"
    parser.add_argument("file", type=Path, help=text)
    text = "backbones in the YAML, or open_clip's MODEL:PRETRAINED; comma-separated"
    parser.add_argument("--on", type=names, required=True, metavar="NAMES", help=text)
    parser.add_argument("--dataset", type=names, required=True, metavar="NAMES", help="data sets, comma-separated")
    text = "whose module it is, if several methods could have written the file"
    parser.add_argument("--method", default=None, metavar="NAME", help=text)
    add_pairs_file(parser)
    add_data(parser)
    add_device(parser)
    text = "where features are kept"
    parser.add_argument("--cache", type=Path, default=Path("results/features"), metavar="DIR", help=text)


def add_check(parser: argparse.ArgumentParser) -> None:
    """What to do with a module."""
    parser.add_argument("module", type=Path, metavar="MODULE", help="as for eval-module, or a folder of PEFT")
    what = parser.add_argument_group("what to check it on")
    text = "backbone in the YAML, or open_clip's MODEL:PRETRAINED: the one that it was trained on"
    what.add_argument("--old", required=True, metavar="NAME", help=text)
    what.add_argument("--new", required=True, metavar="NAME", help="likewise: the one that takes its place")
    text = "a data set, a folder or CSV of your own, hf:NAME, or a folder of images without labels"
    what.add_argument("--data", required=True, metavar="DATA", help=text)
    what.add_argument("--classes", type=names, default=(), metavar="NAMES", help="of images without labels")
    what.add_argument("--template", default=None, metavar="TEXT", help="sentence that names a class, with one {}")
    text = "whose module it is, if several methods could have written the file"
    what.add_argument("--method", default=None, metavar="NAME", help=text)
    text = "names or globs of repairs, all, or none; those that take no training unless given"
    what.add_argument("--repair", type=names, default=None, metavar="NAMES", help=text)
    text = "retrain on the new backbone for comparison, however long it takes"
    what.add_argument("--retrain", action="store_true", help=text)
    ends = parser.add_argument_group("what comes of it")
    text = 'exit with status 3 if it holds, such as "lift < 0"; may be repeated'
    ends.add_argument("--fail-if", action="append", default=[], metavar="CONDITION", help=text)
    ends.add_argument("--report", type=page, default=Path("reports/check.html"), metavar="FILE", help="the page")
    ends.add_argument("--json", type=Path, default=None, metavar="FILE", help="everything as JSON")
    ends.add_argument("--junit", type=Path, default=None, metavar="FILE", help="the conditions as JUnit XML")
    text = "folder for the advised module on the new backbone, with a card"
    ends.add_argument("--save", type=Path, default=None, metavar="DIR", help=text)
    how = parser.add_argument_group("how to run it")
    add_pairs_file(how)
    add_data(how)
    add_device(how)
    text = "where features are kept"
    how.add_argument("--cache", type=Path, default=Path("results/features"), metavar="DIR", help=text)


def add_relatedness(parser: argparse.ArgumentParser) -> None:
    """Two backbones."""
    text = "backbone in the YAML, or open_clip's MODEL:PRETRAINED; all upgrades of the YAML unless both are given"
    parser.add_argument("old", nargs="?", default=None, metavar="OLD", help=text)
    parser.add_argument("new", nargs="?", default=None, metavar="NEW", help="likewise")
    add_pairs_file(parser)


def add_check_data(parser: argparse.ArgumentParser) -> None:
    """A data set."""
    parser.add_argument("name", help="a data set, or a folder or CSV of your own")
    text = "where a picture with a few images of each class is written"
    parser.add_argument("--sheet", type=Path, default=Path("check-data.png"), metavar="PNG", help=text)
    add_pairs_file(parser)
    add_data(parser)


def add_methods(parser: argparse.ArgumentParser) -> None:
    """The methods."""
    parser.add_argument("name", nargs="?", default=None, help="a method; all of them in a table unless given")
    add_plugins(parser)


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Folders of plugins alone."""
    text = "folder with methods/ of your own; may be repeated"
    parser.add_argument("--plugins", type=Path, action="append", default=[], metavar="DIR", help=text)


def add_new_method(parser: argparse.ArgumentParser) -> None:
    """A new method."""
    parser.add_argument("name", help="of the method, in lower case with hyphens, such as my-adapter")
    text = "where the file goes; methods/ unless given"
    parser.add_argument("--folder", type=Path, default=None, metavar="DIR", help=text)


def add_check_method(parser: argparse.ArgumentParser) -> None:
    """The contract of a method."""
    parser.add_argument("name", help="of the method")
    text = "where its file is; the suite's methods/ unless given"
    parser.add_argument("--folder", type=Path, default=None, metavar="DIR", help=text)
    add_plugins(parser)


def add_cite(parser: argparse.ArgumentParser) -> None:
    """BibTeX."""
    add_out(parser)
    add_plugins(parser)


def add_show(parser: argparse.ArgumentParser) -> None:
    """A results folder."""
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("results"), metavar="RESULTS", help="results folder or pack"
    )


def add_init(parser: argparse.ArgumentParser) -> None:
    """A first pairs.yaml."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("pairs.yaml"), help="what to write")
    text = "which to start from: default, or the name of a file in pairs/, such as paper"
    parser.add_argument("--template", default="default", metavar="NAME", help=text)


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    RUN: ("train on the old backbone, reuse on newer ones, and report (the default)", add_run),
    "init": ("write a commented pairs.yaml", add_init),
    "analyse": ("explain why modules survive an upgrade, and what to do if they do not", add_analyse),
    "show": ("print the whole table of a finished run", add_show),
    "verify": ("say what in a results folder is damaged, stale or was edited", add_verify),
    "report": ("write the report again from finished results", add_report_command),
    "pack": ("write one file of a results folder, for publishing", add_pack),
    "site": ("write a leaderboard of several packs as web pages", add_site),
    "eval-module": ("evaluate a module that you have on other backbones", add_eval_module),
    "check": ("say what to do with a module: keep, repair or retrain it, and why", add_check),
    "relatedness": ("say how related two backbones are, from words alone", add_relatedness),
    "check-data": ("print what is read of a data set, and what looks wrong", add_check_data),
    "methods": ("list the methods, or describe one", add_methods),
    "new-method": ("write a working, commented skeleton of a new method", add_new_method),
    "check-method": ("check a method against the contract on tiny CLIPs", add_check_method),
    "cite": ("print the BibTeX of what a results folder contains", add_cite),
}
"""By name: what the command does, and the function that adds its options. Its code is ``run`` in the file of its name."""


class _Parser(argparse.ArgumentParser):
    """Mistakes are ``UserError``s: one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, where=self.prog, fix=f"{self.prog} --help lists the options")


def parse(given: Sequence[str]) -> argparse.Namespace:
    """The options of a command line, and the name of its command as ``command``.

    Raises:
        UserError: it is not valid.
        SystemExit: help was asked for and printed.
    """
    name, rest = (given[0], given[1:]) if given and not given[0].startswith("-") else (RUN, given)
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}", fix=did_you_mean(name, COMMANDS))
    text, add_options = COMMANDS[name]
    epilog = None
    if name == RUN:
        lines = "\n".join(f"  {command:<13} {about}" for command, (about, _) in COMMANDS.items() if command != RUN)
        example = f"{program()} --methods 'co*' --upgrade-pairs pairs.yaml --seeds 1"
        epilog = f"other commands, each with --help:\n{lines}\n\nexample: {example}"
        text = "Train fine-tuning methods on an old CLIP, reuse their modules on newer ones, and report what survives."
    parser = _Parser(
        prog=program() if name == RUN else f"{program()} {name}",
        description=f"{text[0].upper()}{text[1:].rstrip('.')}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    options = parser.parse_args(list(rest))
    options.command = name
    return options
