"""Take into the site what lies outside docs/: a reference run's report with its pictures."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPORT = Path("reports/reference/digits-smoke")
PAGE = "report.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the report of the reference run as the page `report.md`."""
    report = Path(config.config_file_path).parent / REPORT
    text = (report / "report.md").read_text(encoding="utf-8")
    files.append(File.generated(config, PAGE, content=text))
    for picture in sorted((report / "figures").glob("*.png")):
        place = picture.relative_to(report).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(picture)))
    return files


MOVED = {
    "](docs/": "](",
    "](../docs/": "](",
    "](../reports/reference/digits-smoke/": "](",
    "](../CONTRIBUTING.md": "](contributing.md",
    "](../CHANGELOG.md": "](changelog.md",
}
"""How links in README and its like begin, and how they do inside docs/."""


def on_page_markdown(markdown: str, *, page: object, **_: object) -> str:
    """Let links in pages that were written for the repository hold on the site."""
    for before, after in MOVED.items():
        markdown = markdown.replace(before, after)
    return markdown
