"""Tests that cannot fail are found by changing the code: each change must make a test of its room fail.

    python tests/mutation.py losses terms          # these rooms; all of them by default
    python tests/mutation.py solve --sample 40     # some changes of each room, drawn by --seed
    python tests/mutation.py --show losses         # only print what would be changed

A mutant is one module with one change: a sign, an operator, a comparison, a constant, a default, a guard that is
left out, a gradient that is let through. Nothing is written to the package: a child of this process imports the changed
text and runs the room's tests, the file of the module's name first, without the type-checking hook. What is known is
kept in .mutation.json and used again as long as the module (and, for survivors, the tests) are the same.
"""

import argparse
import ast
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {  # the room's modules, and its tests
    "losses": ("maskedit/losses", "tests/losses"),
    "terms": ("maskedit/terms", "tests/terms"),
    "problem": ("maskedit/problem.py", "tests/test_problem.py"),
    "blending": ("maskedit/blending", "tests/blending"),
    "recipes": ("maskedit/recipes", "tests/recipes"),
    "schedule": ("maskedit/schedule", "tests/schedule"),
    "solve": ("maskedit/solve", "tests/solve"),
}
SLOW = "not compile and not killed and not released_program"  # what takes long and says little of one line
KNOWN = ROOT / ".mutation.json"

OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
NAMES = {"amin": "amax", "amax": "amin", "argmin": "argmax", "all": "any", "any": "all", "min": "max", "max": "min"}
NAMES |= {"mean": "sum", "sum": "mean", "ones_like": "zeros_like", "zeros_like": "ones_like", "log": "exp"}


@dataclass(frozen=True)
class Mutant:
    """One module's text with one change.

    Args:
        room: whose tests must notice.
        module: the module's file, relative to the project.
        line: where.
        kind: what sort of change.
        before: the piece of code as it is.
        after: the piece as it is in this mutant.
        text: the whole module's text.
    """

    room: str
    module: str
    line: int
    kind: str
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} [{self.kind}] {self.before}  ->  {self.after}"

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.module}\0{self.text}".encode()).hexdigest()[:24]


# --- changes ----------------------------------------------------------------------------------------------


def changes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Each change: its kind, the node, and what stands in its place."""
    for node in _code(tree):
        if isinstance(node, ast.If) and node.body and isinstance(node.body[0], ast.Raise):
            yield "guard", node.test, ast.Constant(False)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and "check" in ast.unparse(node.value.func):
            yield "guard", node.value, ast.Constant(None)
        if isinstance(node, ast.BinOp | ast.BoolOp):
            for other in OPERATORS.get(type(node.op), ()):
                yield "operator", node, _with(node, op=other())
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            for other in OPERATORS.get(type(node.ops[0]), ()):
                yield "comparison", node, _with(node, ops=[other()])
        if isinstance(node, ast.Compare) and len(node.ops) == 2:
            for i, op in enumerate(node.ops):
                for other in OPERATORS.get(type(op), ())[:1]:
                    yield "comparison", node, _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])
        if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
            yield "sign", node, node.operand
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            yield "constant", node, ast.Constant(_other(node.value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = node.func
            if called.attr in ("detach", "square", "abs", "sigmoid", "clone"):
                yield "call", node, called.value
            if called.attr == "clamp" and len(node.args) == 2:
                yield "tolerance", node, called.value
            if called.attr in NAMES:
                yield "call", called, _with(called, attr=NAMES[called.attr])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            yield "call", node.func, ast.Name(NAMES[node.func.id])
        if isinstance(node, ast.IfExp):
            yield "branch", node, _with(node, body=node.orelse, orelse=node.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from _defaults(node)
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant) and node.simple:
            for other in _literals(node.annotation, node.value):
                yield "default", node.value, other


def _defaults(function: ast.FunctionDef) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    arguments = function.args
    pairs = [
        *zip(arguments.args[len(arguments.args) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        if isinstance(default, ast.Constant) and argument.annotation is not None:
            for other in _literals(argument.annotation, default):
                yield "default", default, other


def _literals(annotation: ast.expr, default: ast.Constant) -> Iterator[ast.Constant]:
    """The first other value that a Literal allows."""
    for node in ast.walk(annotation):
        if (
            isinstance(node, ast.Subscript)
            and ast.unparse(node.value) == "Literal"
            and isinstance(node.slice, ast.Tuple)
        ):
            others = [e for e in node.slice.elts if isinstance(e, ast.Constant) and e.value != default.value]
            yield from [ast.Constant(e.value) for e in others[:1]]


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that compute: no annotations, assertions, decorators, nor what an error says."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
            continue
        if isinstance(node, ast.Subscript) and name == "slice" and isinstance(value, ast.Constant | ast.UnaryOp):
            continue  # another place in a shape is an IndexError, and says little
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(
                child, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom
            ):
                continue
            if isinstance(child, ast.FunctionDef) and child.name in ("__repr__", "__str__", "_repr_html_"):
                continue  # what is printed has tests of its own, of whole lines
            if isinstance(child, ast.AnnAssign) and ast.unparse(child.annotation) == "TypeAlias":
                continue
            if isinstance(child, ast.keyword) and child.arg == "dim":
                continue
            yield child
            yield from _code(child)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    return type(node)(**{**dict(ast.iter_fields(node)), **fields})


def _other(value: bool | int | float) -> bool | int | float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else (value * 2 or 1.0)


def mutants(room: str) -> list[Mutant]:
    """All changes of a room's modules."""
    where, _ = ROOMS[room]
    files = [ROOT / where] if where.endswith(".py") else sorted((ROOT / where).rglob("*.py"))
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        lines = text.splitlines(keepends=True)
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line.encode()))
        code = text.encode()
        for kind, node, other in changes(ast.parse(text)):
            begin, end = (
                starts[row - 1] + column
                for row, column in ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
            )
            before, after = code[begin:end].decode(), f"({ast.unparse(ast.fix_missing_locations(other))})"
            if isinstance(other, ast.Constant | ast.Name) or (isinstance(node, ast.Attribute)):
                after = after[1:-1]
            changed = (code[:begin] + after.encode() + code[end:]).decode()
            module = file.relative_to(ROOT).as_posix()
            short = tuple(" ".join(piece.split())[:90] for piece in (before, after))
            found.append(Mutant(room, module, node.lineno, kind, *short, changed))
    return list({mutant.key: mutant for mutant in found}.values())


# --- running ----------------------------------------------------------------------------------------------


class _Changed(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Finds one module, and gives it another text."""

    def __init__(self, mutant: Mutant) -> None:
        name = mutant.module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        super().__init__(name, str(ROOT / mutant.module))
        self.text = mutant.text

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> object:
        return compile(self.text, self.path, "exec")


def arguments(room: str, module: str) -> list[str]:
    """What pytest is called with: the file of the module's name first, then the rest of the room."""
    tests = ROOT / ROOMS[room][1]
    files = [tests] if tests.is_file() else sorted(tests.rglob("test_*.py"))
    name = Path(module).stem
    files.sort(key=lambda file: (file.stem != f"test_{name}", "every" not in file.stem, file.name))
    plain = ["-o", "addopts=--import-mode=importlib --strict-markers", "-p", "no:cacheprovider", "--assert=plain"]
    return [*map(str, files), "-x", "-q", "--no-header", "--hypothesis-profile=mutation", "-k", SLOW, *plain]


def passes(mutant: Mutant | None, room: str, module: str, limit: float) -> bool | None:
    """Whether the room's tests pass; None if they did not end in time."""
    child = os.fork()
    if child == 0:
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            if mutant is not None:
                sys.meta_path.insert(0, _Changed(mutant))
            import pytest

            os._exit(min(int(pytest.main(arguments(room, module))), 100))
        except BaseException:
            os._exit(99)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _prepare() -> None:
    """Import what is heavy and the same for every child, and ask hypothesis for fewer examples and no smallest one."""
    import importlib

    import hypothesis
    import torch

    for name in ("kornia.filters", "kornia.geometry.transform", "safetensors.torch", "torch.distributed.tensor"):
        importlib.import_module(name)  # torch.testing imports the last, for a second
    torch.set_num_threads(1)
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, deadline=None, max_examples=25, phases=phases, database=None
    )


def digest(*paths: Path) -> str:
    """Of all text under these paths."""
    total = hashlib.sha256()
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            total.update(file.read_bytes())
    return total.hexdigest()[:24]


def score(room: str, chosen: Sequence[Mutant], known: dict[str, dict[str, str]]) -> list[Mutant]:
    """Try each mutant that is not known; gives the survivors."""
    tests = digest(ROOT / ROOMS[room][1], ROOT / "tests" / "toys.py", ROOT / "tests" / "conftest.py")
    begun = time.monotonic()
    if not passes(None, room, ROOMS[room][0], 3600):
        raise SystemExit(f"the tests of {room} fail without any change: run pytest {ROOMS[room][1]}")
    limit = 30 + 10 * (time.monotonic() - begun)
    survivors = []
    for i, mutant in enumerate(chosen):
        fact = known.get(mutant.key)
        if fact is None or (fact["outcome"] == "survived" and fact["tests"] != tests):
            outcome = {True: "survived", False: "caught", None: "timed out"}[passes(mutant, room, mutant.module, limit)]
            known[mutant.key] = {"outcome": outcome, "tests": tests}
            KNOWN.with_suffix(".part").write_text(json.dumps(known, indent=0))
            os.replace(KNOWN.with_suffix(".part"), KNOWN)
        if known[mutant.key]["outcome"] == "survived":
            survivors.append(mutant)
            print(f"{room} {i + 1}/{len(chosen)} survived: {mutant}", flush=True)
    return survivors


def main() -> None:
    """Print the score and the survivors, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", choices=[*ROOMS, []], default=list(ROOMS))
    parser.add_argument("--sample", type=int, metavar="N", help="at most so many changes of each room")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--show", action="store_true", help="print the changes, and try none")
    parser.add_argument("--fresh", action="store_true", help="try what is known again")
    parser.add_argument("--out", type=Path, help="write the score to this JSON")
    args = parser.parse_args()
    known = json.loads(KNOWN.read_text()) if KNOWN.exists() and not args.fresh else {}
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ |= {"OMP_NUM_THREADS": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")}
    table: dict[str, dict[str, object]] = {}
    for room in args.rooms:
        chosen = mutants(room)
        if args.sample is not None and args.sample < len(chosen):
            chosen = random.Random(args.seed).sample(chosen, args.sample)
        chosen.sort(key=lambda mutant: (mutant.module, mutant.line))
        if args.show:
            print(*chosen, f"{room}: {len(chosen)} changes", sep="\n")
            continue
        _prepare()
        survivors = score(room, chosen, known)
        caught = len(chosen) - len(survivors)
        table[room] = {"tried": len(chosen), "caught": caught, "survivors": [str(mutant) for mutant in survivors]}
        print(f"{room}: {caught} of {len(chosen)} caught, {caught / len(chosen):.1%}", flush=True)
    if table:
        tried, caught = (sum(int(str(row[key])) for row in table.values()) for key in ("tried", "caught"))
        print(f"all: {caught} of {tried} caught, {caught / tried:.1%}")
        if args.out is not None:
            command = " ".join(["python", "tests/mutation.py", *sys.argv[1:]])
            facts = {"command": command, "date": date.today().isoformat(), "tried": tried, "caught": caught}
            args.out.write_text(json.dumps(facts | {"rooms": table}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
