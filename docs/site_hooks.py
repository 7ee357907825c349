"""Pages of the site that are made from other files: the front page, the changelog, and a section for each method."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/clip-compat-bench/clip-compat-bench/blob/main"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are files elsewhere in the repository."""
    from mkdocs.structure.files import File

    front = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    front = front.replace("](CONTRIBUTING.md)", f"]({REPOSITORY}/CONTRIBUTING.md)")
    pages = {"index.md": front, "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append the methods' own descriptions to their page."""
    return markdown + "\n" + "\n".join(_methods()) if page.file.src_uri == "methods.md" else markdown


def _methods() -> list[str]:
    from benchmark.method import registry

    return [_method(plugin.cls) for _, plugin in sorted(registry.methods().plugins.items())]


def _method(cls: Any) -> str:
    info = cls.info
    about = inspect.getdoc(inspect.getmodule(cls)) or inspect.getdoc(cls) or info.summary
    lines = [f"## {info.name}", "", f"{info.title}: {info.summary}.", "", "```text", about, "```", ""]
    if info.transfer:
        lines += [f"**On another backbone.** {info.transfer}", ""]
    if info.paper:
        link = f"[{info.paper}]({info.url})" if info.url else info.paper
        lines += [f"**Source.** {link}{f', {info.venue}' if info.venue else ''}{f' {info.year}' if info.year else ''}.", ""]
    fields = cls.Config.model_fields
    own = [name for name in fields if name in cls.Config.__annotations__]
    if own:
        lines += ["| setting | default |", "|---|---|"]
        lines += [f"| `{name}` | `{fields[name].get_default(call_default_factory=True)}` |" for name in own]
    return "\n".join(lines) + "\n"
