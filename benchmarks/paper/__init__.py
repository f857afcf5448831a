"""The paper's comparison on any folder of faces: each table one command, computed from editors alone."""
