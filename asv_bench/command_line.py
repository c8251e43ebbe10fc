"""What a person waits for before anything is measured."""


class CommandLine:
    """Starting up."""

    def timeraw_help(self):
        return """
        import contextlib, io
        from bench.cli import run_command_line
        with contextlib.redirect_stdout(io.StringIO()):  # asv reads the time from standard output
            run_command_line(["--help"])
        """
