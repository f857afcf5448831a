"""`import maskedit` is light and quiet, and loads no more than it needs."""

import json
import subprocess
import sys

PROBE = """
import json, sys
import torch

reached = []
sys.addaudithook(lambda event, args: reached.append(event) if event.startswith("socket.") else None)
before = set(sys.modules)
import maskedit
facts = {"loaded": sorted(set(sys.modules) - before), "reached": reached, "cuda": torch.cuda.is_initialized()}
print("FACTS" + json.dumps(facts))
"""

BESIDE_TORCH = {"maskedit", "jaxtyping", "numpy", "safetensors", "secrets", "hmac", "einops"}


def test_import_adds_little_and_says_nothing() -> None:
    """Modules are counted, not seconds: those say more of the machine's other work."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    said, _, found = done.stdout.partition("FACTS")
    facts = json.loads(found)
    assert said + done.stderr == ""
    assert facts["reached"] == []
    assert not facts["cuda"]
    packages = {name.partition(".")[0] for name in facts["loaded"]}
    assert packages - set(sys.stdlib_module_names) <= BESIDE_TORCH
    assert "maskedit.training" not in facts["loaded"]
    others = [name for name in facts["loaded"] if not name.startswith("maskedit")]
    assert len(others) < 60, others
