"""A local edit for small generators, such as the bundled portraits. Not in the paper."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from maskedit.attributes import HAIR_COLOURS, target_regions
from maskedit.blending import Blend, Several
from maskedit.edit import Edit, Wish
from maskedit.recipes.recipe import Recipe
from maskedit.recipes.rules import FEATURES, LINES, OWN, SIZES, STRANDS, Rule, rule_of
from maskedit.recipes.wishes import check_local, looks, sizes
from maskedit.schedule import GrowTarget, Stage, latent
from maskedit.terms import Objective, Term, latent_prior, preserve, shape

SIZE_WEIGHT = 10.0
"""Of a size against what is kept: with the paper's 1 the mouth of a small generator hardly grows."""

WHOLE_FACE = ("skin", "mouth", "eyebrows", "eyes", "nose", "hair", "ears", "below_face")


@dataclass
class Group:
    """What one rule is for: some attributes, and regions of another size."""

    rule: Rule
    attributes: list[str] = field(default_factory=list)
    sized: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its attributes, and its sizes."""
        return "+".join([*self.attributes, *(f"{region}_size" for region in self.sized)])

    def regions(self, edit: Edit) -> tuple[str, ...]:
        """Where it shows."""
        shown = edit.regions if edit.says_where else target_regions(self.attributes)
        return tuple(dict.fromkeys((*shown, *self.sized)))


def plausible(
    wish: Wish,
    *,
    face: Sequence[str] = WHOLE_FACE,
    components: int | None = None,
    steps: tuple[int, int] = (120, 200),
) -> Recipe:
    """A local edit for small generators, such as the bundled portraits: not in the paper.

    A small generator with free W+ pleases the classifier with lumps. Here the fit holds to latents of real
    faces, the edit moves along their principal components only (new smiles and arched brows along their
    own direction), and what is taken from it is the change that it made, so that the photo keeps its own
    detail. What each attribute needs is a table, :data:`maskedit.recipes.rules.RULES`: attributes of one rule share a
    stage and a blend, those of others have stages and blends of their own, one after another.

    Args:
        wish: an Edit or a short form of one. Where it leaves the smoothing open, that is the rule's, smaller than the
            paper's, as the change loses some of its strength in the photo.
        face: the regions that the fit is of; those that the edit may change are left free by it.
        components: how many principal components each stage moves along; None is the rule's.
        steps: of the fit and of each edit.

    Raises:
        InputError: if nothing is wished for, or a change of the whole face.
    """
    edit = Edit.of(wish)
    check_local(edit)
    groups = grouped(edit, components)
    kept = [name for name in face if name not in edit.regions]
    stages = [Stage("fit", steps[0], 5.0 * preserve(*face) + 0.002 * latent_prior(), vary=latent(lr=0.02))]
    so_far: list[Term] = []
    for group in groups:
        rule = group.rule
        so_far += _wanted(edit, group)
        objective = rule.keep * preserve(*kept) + rule.prior * latent_prior() + Objective(so_far)
        moves = latent(lr=rule.rate, components=rule.components)
        if rule.components is None:
            moves = latent(lr=rule.rate, along=group.attributes)
        name = "edit" if len(groups) == 1 else f"edit_{group.name}"
        stages.append(Stage(name, steps[1], objective, vary=moves, after_step=[GrowTarget()]))
    return Recipe(
        *stages,
        blend=_blend(edit, groups),
        edit=edit,
        start="encoder",
        needs=("parser", "classifier", "encoder", "latents") if edit.attributes else ("parser", "encoder", "latents"),
    )


def grouped(edit: Edit, components: int | None = None) -> list[Group]:
    """The edit's attributes and sizes by their rules; colours first, and what moves along directions last."""
    rules = {name: rule_of(name, target) for name, target in edit.attributes.items()}
    if STRANDS in rules.values():
        rules |= {name: STRANDS for name in rules if name in HAIR_COLOURS}
    sized = {region: SIZES.get(region, LINES) for region in edit.size}
    if components is not None:
        rules, sized = (
            {name: replace(FEATURES if rule is OWN else rule, components=components) for name, rule in table.items()}
            for table in (rules, sized)
        )
    found: dict[Rule, Group] = {}
    for name, rule in rules.items():
        found.setdefault(rule, Group(rule)).attributes.append(name)
    for region, rule in sized.items():
        found.setdefault(rule, Group(rule)).sized.append(region)
    # Colours first: the fewer directions a stage has, the less it spoils of what came before.
    return sorted(found.values(), key=lambda group: (-group.rule.rate, -(group.rule.components or 0)))


def _wanted(edit: Edit, group: Group) -> list[Term]:
    """What a group asks to see: from its stage on."""
    terms: list[Term] = []
    if group.attributes:
        rule = group.rule
        look = looks(edit, group.attributes, smoothing=rule.smoothing, after_blend=rule.after_blend)
        terms.append(0.03 * look)
    if "hair" in group.regions(edit) and "hair" not in edit.size:
        terms.append(0.5 * shape("hair"))
    return terms + sizes(edit, group.sized, weight=SIZE_WEIGHT)


def _blend(edit: Edit, groups: Sequence[Group]) -> Blend | Several:
    """Each group's blend, in the regions where it shows; groups that are blended alike share one."""
    regions: dict[Blend, tuple[str, ...]] = {}
    for group in groups:
        regions[group.rule.blend] = (*regions.get(group.rule.blend, ()), *group.regions(edit))
    if len(regions) == 1:
        return groups[0].rule.blend
    return Several(*(replace(blend, regions=tuple(dict.fromkeys(where))) for blend, where in regions.items()))
