"""Whether a schedule can have an effect on what it is to change: what the blend leaves out, no term changes."""

from collections.abc import Mapping

from maskedit.attributes import ATTRIBUTE_REGIONS, FACE, GLOBAL_ATTRIBUTES
from maskedit.blending import Blend, Several
from maskedit.errors import InputError
from maskedit.problem import Problem
from maskedit.terms import Objective


def check_effect(objectives: Mapping[str, Objective], blend: Blend | Several, problem: Problem) -> None:
    """Refuse a run whose blend takes nothing, or nothing of what a term is there to change.

    Args:
        objectives: of each stage, by its name.
        blend: what is taken from the generated picture.
        problem: what is edited.

    Raises:
        InputError: naming the stage and the term.
    """
    taken = tuple(dict.fromkeys((*blend.target(problem), *blend.preserve)))
    if not taken:
        raise InputError(
            "the run would change nothing: the problem names no region that may change, and its blend takes no other",
            hint="Say what is to be edited, such as Problem(models, image, 'smiling'), or Edit(regions=['mouth']).",
        )
    for stage, objective in objectives.items():
        for term in objective:
            for name in term.changes:
                regions = _regions(name, problem)
                if regions and not set(regions) & set(taken):
                    raise InputError(
                        f"term {term.name!r} of stage {stage!r} is about the {' and '.join(regions)}, "
                        "which the blend leaves as it was",
                        expected=f"something about the {', '.join(taken)}",
                        hint=f"Let it change: Edit(..., regions={[*problem.regions, *regions]}).",
                    )


def _regions(name: str, problem: Problem) -> tuple[str, ...]:
    """Where a change of this attribute or region shows; nothing if that is for the caller to know."""
    if name in problem.asked.attributes:
        return ()  # the edit says where
    if name in GLOBAL_ATTRIBUTES:
        return FACE
    parser = problem.models.parser
    return ATTRIBUTE_REGIONS.get(name, (name,) if parser is not None and name in parser.regions else ())
