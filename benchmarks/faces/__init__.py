"""Studies of the bundled models on the shared faces; README.md says which command gives which figures."""

from pathlib import Path

DATA = Path(__file__).parent / "data"
"""What was measured, and given by eye, of the shared faces: data/README.md says how."""
