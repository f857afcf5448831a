"""Weights: bundled, known and fetched; their cards lie beside them."""
