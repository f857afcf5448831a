"""Architectures, with the keys of their published weights."""
