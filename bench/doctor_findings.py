"""The words of a diagnosis."""

Finding = tuple[str, str, str]
"""(mark, what, remedy or an empty text)."""

OK, MISSING, WARNING, BROKEN, HEADING = "ok", "missing", "warning", "broken", ""
