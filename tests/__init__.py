"""The tests; a package, so that they can share what `from tests.x import y` names."""
