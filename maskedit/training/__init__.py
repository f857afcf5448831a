"""How the bundled models were made: one script a model, each run as ``python -m maskedit.training.NAME``."""
