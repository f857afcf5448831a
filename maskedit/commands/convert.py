"""``maskedit convert IN OUT.safetensors``: any StyleGAN2 or StyleGAN3 checkpoint in a form that can hold no code."""

import argparse
import sys
from pathlib import Path

from maskedit.models.files.convert import convert


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("source", type=Path, metavar="IN", help="rosinality's .pt, NVIDIA's .pkl, or safetensors")
    parser.add_argument("target", type=Path, metavar="OUT", help="the .safetensors file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the mean latent, if IN has none (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Converts, and says what was written."""
    metadata = convert(args.source, args.target, seed=args.seed)
    sys.stdout.write(f"{args.target}: {metadata['source_format']}, {metadata['source_network']}\n")
    return 0
