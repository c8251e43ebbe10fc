"""Take into the site what lies outside docs/: reports of reference runs, with their pictures."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPORTS = Path("reports/reference")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reports of reference runs as pages, each in a folder of its run."""
    reports = Path(config.config_file_path).parent / REPORTS
    for report in sorted(reports.glob("*/report.md")):
        name, text = report.parent.name, report.read_text(encoding="utf-8")
        files.append(File.generated(config, f"{name}/report.md", content=text))
        for picture in sorted((report.parent / "figures").glob("*.png")):
            place = picture.relative_to(reports).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(picture)))
    return files


MOVED = {
    "](docs/": "](",
    "](../docs/": "](",
    "](../reports/reference/": "](",
    "](../CONTRIBUTING.md": "](contributing.md",
    "](../CHANGELOG.md": "](changelog.md",
}
"""How links in README and its like begin, and how they do inside docs/."""


def on_page_markdown(markdown: str, *, page: object, **_: object) -> str:
    """Let links in pages that were written for the repository hold on the site."""
    for before, after in MOVED.items():
        markdown = markdown.replace(before, after)
    return markdown
