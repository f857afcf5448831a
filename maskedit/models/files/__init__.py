"""Reading anything safely: checkpoints by content, and no code of theirs is run."""
