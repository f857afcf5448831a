"""`import maskedit` is quick and quiet, and loads no more than it needs."""

import json
import statistics
import subprocess
import sys

PROBE = """
import json, sys, time
import torch

reached = []
sys.addaudithook(lambda event, args: reached.append(event) if event.startswith("socket.") else None)
before = set(sys.modules)
start = time.perf_counter()
import maskedit
seconds = time.perf_counter() - start
loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
facts = {"seconds": seconds, "loaded": loaded, "reached": reached, "cuda": torch.cuda.is_initialized()}
print("FACTS" + json.dumps(facts))
"""


def probe() -> tuple[dict, str]:
    """The facts of one fresh process that imports maskedit, and whatever else it said."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    said, _, facts = done.stdout.partition("FACTS")
    return json.loads(facts), said + done.stderr


def test_import_adds_little_and_says_nothing() -> None:
    probe()  # compiles and warms the files
    runs = [probe() for _ in range(5)]
    assert statistics.median(facts["seconds"] for facts, _ in runs) < 0.3
    facts, said = runs[0]
    assert said == ""
    assert facts["reached"] == []
    assert not facts["cuda"]
    late = {"kornia", "matplotlib", "skimage", "scipy", "PIL", "tqdm", "transformers", "timm", "torchvision"}
    assert late.isdisjoint(facts["loaded"])
