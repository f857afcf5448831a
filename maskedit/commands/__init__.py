"""The command line: one thin file a command."""

from maskedit.commands._main import COMMANDS, main

__all__ = [
    "COMMANDS",
    "main",
]
