"""InterFaceGAN's walk and conditions against the released program and its published normals; the editor on toys."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import maskedit as me
from maskedit.edit import Edit
from maskedit.editors import Editor, InterFaceGAN, conditional, fitted, going_together, walk
from maskedit.errors import InputError
from maskedit.models.files.boundaries import Boundaries
from tests import toys


@pytest.fixture(scope="module")
def reference(fixtures):
    arrays = np.load(fixtures / "rivals" / "interfacegan.npz")
    return {key: torch.from_numpy(arrays[key]).double() for key in arrays.files if arrays[key].dtype.kind == "f"}


def same(found: torch.Tensor, wanted: torch.Tensor, within: float = 1e-6) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=within * float(wanted.abs().max()))


def test_walks_are_the_released_programs(reference) -> None:
    code, normal = reference["code"], reference["normal_ratio"]
    same(walk(code, normal, torch.linspace(-3, 3, 10).double()), reference["walk"])
    same(walk(code, normal, torch.linspace(-1.5, 4, 5).double()), reference["walk_5"])
    same(walk(reference["code_wplus"], normal, torch.linspace(-3, 3, 4).double()), reference["walk_wplus"])


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_conditional_boundaries_are_the_released_programs(reference, k) -> None:
    found = conditional(reference["primal"], [reference[f"condition_{i + 1}"] for i in range(k)])
    same(found, reference[f"projected_{k}"])


def test_published_conditional_boundaries(reference) -> None:
    age, gender, eyeglasses = (reference[name] for name in ("age", "gender", "eyeglasses"))
    same(conditional(age, [gender]), reference["age_given_gender_published"], 1e-7)
    same(conditional(age, [gender, eyeglasses]), reference["age_given_gender_eyeglasses_published"], 1e-7)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_what_is_conditioned_on_stays(seed: int, count: int) -> None:
    rows = torch.randn(count + 1, 8, generator=torch.Generator().manual_seed(seed)).double()
    normal, conditions = rows[:1], list(rows[1:].split(1))
    found = conditional(normal, conditions)
    assert abs(float(found.norm()) - 1) < 1e-9
    assert float((found @ rows[1:].T).abs().max()) < 1e-9
    assert float((found * normal).sum()) > 0
    torch.testing.assert_close(conditional(normal, [*conditions, 2 * conditions[0]]), found, atol=1e-7, rtol=0)
    with pytest.raises(InputError, match="the conditions leave nothing"):
        conditional(normal, [*conditions, normal])


def boundaries() -> Boundaries:
    """Of the toys: smiling is the mouth's height and pale skin the skin's blue; the second leans on the first."""
    smiling, pale = torch.zeros(3, 4).double(), torch.zeros(3, 4).double()
    smiling[2, 3] = 1
    pale[1, 2], pale[2, 3] = 0.8, 0.6
    together = torch.tensor([[1.0, 0.6], [0.6, 1.0]])
    return Boundaries({"smiling": smiling, "pale_skin": pale}, {"smiling": 0.5, "pale_skin": 2.0}, together)


def test_an_edit_moves_along_the_normal_by_its_target() -> None:
    trio, images = toys.models(), toys.pictures(2)
    editor = InterFaceGAN(trio, boundaries())
    assert isinstance(editor, Editor)
    latents = trio.encoder.encode(images)
    for target, far in ((1, 1.5), (0.75, 0.75), (0.5, 0.0), (0, -1.5)):
        moved = latents.clone()
        moved[:, 2, 3] += far
        edited = editor.edit(images, Edit({"smiling": target}), [0, 0])
        torch.testing.assert_close(edited.images, trio.generator.synthesize(moved, []).clamp(0, 1))
    assert edited.seconds > 0


def test_several_attributes_add_and_a_held_one_stays() -> None:
    editor = InterFaceGAN(toys.models(), boundaries())
    step = editor.step("pale_skin", 1.0, hold=["smiling"])
    assert float(step[2, 3]) == pytest.approx(0, abs=1e-9)
    assert float(step[1, 2]) == pytest.approx(6)
    assert float(editor.step("pale_skin", 1.0)[2, 3]) == pytest.approx(3.6)
    both = editor.step("pale_skin", 1.0, but=["smiling"]) + editor.step("smiling", 1.0)
    images = toys.pictures(1)
    edited = editor.edit(images, Edit({"pale_skin": 1, "smiling": 1}), [0]).images
    moved = editor.models.encoder.encode(images) + both
    torch.testing.assert_close(edited, editor.models.generator.synthesize(moved, []).clamp(0, 1))


def test_interfacegan_d_conditions_on_what_goes_together() -> None:
    assert going_together(boundaries()) == {"smiling": ("pale_skin",), "pale_skin": ("smiling",)}
    assert going_together(boundaries(), threshold=0.7) == {"smiling": (), "pale_skin": ()}
    editor = InterFaceGAN(toys.models(), boundaries(), conditions=going_together(boundaries()), name="InterFaceGAN-D")
    assert float(editor.step("pale_skin", 1.0)[2, 3]) == pytest.approx(0, abs=1e-9)
    assert float(editor.step("pale_skin", 1.0, but=["smiling"])[2, 3]) == pytest.approx(3.6)
    hair = {name: torch.eye(4)[i].view(2, 2) for i, name in enumerate(["black_hair", "blond_hair", "smiling", "young"])}
    found = going_together(Boundaries(hair, dict.fromkeys(hair, 1.0), -0.9 * torch.ones(4, 4)))
    assert found["blond_hair"] == ("smiling", "young")  # hair colours have to change together
    with pytest.raises(InputError, match="do not say what goes together"):
        going_together(Boundaries(hair, dict.fromkeys(hair, 1.0)))


def test_a_way_to_invert_takes_the_encoders_place() -> None:
    trio = toys.models(encoder=None)
    with pytest.raises(InputError, match="InterFaceGAN needs the latents of pictures"):
        InterFaceGAN(trio, boundaries())
    mean = trio.mean_latent
    editor = InterFaceGAN(trio, boundaries(), invert=lambda images: mean.expand(len(images), 3, 4))
    drawn = editor.edit(toys.pictures(2), Edit({"smiling": 0.5}), [0, 0]).images
    torch.testing.assert_close(drawn, trio.generator.synthesize(mean.expand(2, 3, 4), []).clamp(0, 1))


def test_a_schedule_inverts_better_than_its_start() -> None:
    trio, images = toys.models(), toys.pictures(2)
    schedule = me.Schedule(me.Stage("fit", 40, me.preserve(*trio.parser.regions), vary=me.latent(lr=0.05)), blend=None)
    editors = [InterFaceGAN(trio, boundaries(), invert=invert) for invert in (None, fitted(trio, schedule))]
    before, after = (e.edit(images, Edit({"smiling": 0.5}), [0, 0]).images for e in editors)
    assert float((after - images).square().mean()) < 0.5 * float((before - images).square().mean())


def test_what_is_beyond_it_is_refused() -> None:
    editor = InterFaceGAN(toys.models(), boundaries())
    images = toys.pictures(1)
    with pytest.raises(InputError, match="the InterFaceGAN has no attribute 'young'"):
        editor.edit(images, Edit({"young": 1}), [0])
    with pytest.raises(InputError, match="the InterFaceGAN has no attribute 'young'"):
        editor.edit(images, Edit({"smiling": 1}, hold=["young"]), [0])
    with pytest.raises(InputError, match="InterFaceGAN cannot change sizes"):
        editor.edit(images, Edit({"smiling": 1}, size={"mouth": 2}), [0])
    wrong = Boundaries({"smiling": torch.ones(5, 4)}, {"smiling": 1.0})
    with pytest.raises(InputError, match=r"'smiling' is not of this generator; expected \[3, 4\] or \[1, 4\]"):
        InterFaceGAN(toys.models(), wrong)
