"""What holds of every loss: one value an image, gradients, number formats, layouts, vmap and compile."""

import pytest
import torch
from torch import Tensor

from maskedit import losses
from tests.losses.cases import NAMES, cases, features, rows


@pytest.mark.parametrize("name", NAMES)
def test_one_value_per_image_and_a_batch_is_its_singles(name, dtype, device, close):
    loss, inputs = cases(dtype, device, b=3)[name]
    together = loss(*inputs)
    alone = [loss(*[rows(x, slice(i, i + 1)) for x in inputs]) for i in range(3)]
    assert together.shape == (3,)
    assert together.device.type == device.type
    close(together, torch.cat(alone))


@pytest.mark.parametrize("name", NAMES)
def test_permuting_the_batch_permutes_the_values(name, dtype, device, close):
    loss, inputs = cases(dtype, device, b=3)[name]
    order = [2, 0, 1]
    close(loss(*[rows(x, order) for x in inputs]), loss(*inputs)[order])


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck(name, float64, device):
    loss, inputs = cases(float64, device)[name]
    # The relaxed losses hide the mask's dependence on their input on purpose; here it is let through.
    if name == "relaxed_shape_loss":
        loss = losses.RelaxedShapeLoss(through_mask=True)
    first = inputs[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, *inputs[1:]), (first,))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("low_dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(name, low_dtype, device):
    loss, inputs = cases(torch.float32, device)[name]
    low = [x.to(low_dtype) if isinstance(x, Tensor) else x for x in inputs]
    expected = loss(*[x.float() if isinstance(x, Tensor) else x for x in low])
    value = loss(*low)
    assert value.dtype == torch.float32
    tolerance = 2e-2 if name in ("masked_perceptual", "identity") else 1e-6  # the features are the caller's, in half
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name, device):
    loss, inputs = cases(torch.float32, device)[name]
    expected = loss(*inputs)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        value = loss(*inputs)
    tolerance = 2e-2 if name == "latent_prior" else 1e-6  # its projection is a matrix product
    torch.testing.assert_close(value.float(), expected, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_does_not_matter(name, dtype, device, close):
    loss, inputs = cases(dtype, device)[name]
    expected = loss(*inputs)
    strided = [x.repeat_interleave(2, dim=-1)[..., ::2] if isinstance(x, Tensor) else x for x in inputs]
    last = [x.to(memory_format=torch.channels_last) if isinstance(x, Tensor) and x.ndim == 4 else x for x in inputs]
    assert not strided[0].is_contiguous()
    close(loss(*strided), expected)
    close(loss(*last), expected)


@pytest.mark.parametrize("name", NAMES)
def test_vmap(name, dtype, device, close):
    loss, inputs = cases(dtype, device)[name]
    two = [torch.stack([x, x.flip(0)]) if isinstance(x, Tensor) else x for x in inputs]
    axes = tuple(0 if isinstance(x, Tensor) else None for x in inputs)
    mapped = torch.func.vmap(lambda *x: loss(*x), in_dims=axes)(*two)
    close(mapped, torch.stack([loss(*[rows(x, i) for x in two]) for i in range(2)]))


@pytest.mark.unhooked
@pytest.mark.parametrize("name", NAMES)
def test_compiles_whole(name, device):
    loss, inputs = cases(torch.float32, device)[name]
    inputs = (inputs[0].requires_grad_(), *inputs[1:])
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    value, expected = compiled(*inputs), loss(*inputs)
    torch.testing.assert_close(value, expected)
    (got,), (gradient,) = (torch.autograd.grad(v.sum(), inputs[0]) for v in (value, expected))
    torch.testing.assert_close(got, gradient)


@pytest.mark.parametrize("before", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("after", [0.0, 0.4, 1.0])
def test_empty_and_full_masks_are_finite(before, after, dtype, device):
    original = torch.full((1, 1, 4, 4), before, dtype=dtype, device=device)
    for loss in (losses.ComponentSizeKL(scale=2.0), losses.ShapeLoss(), losses.RelaxedShapeLoss()):
        mask = torch.full_like(original, after, requires_grad=True)
        value = loss(mask, original)
        value.sum().backward()
        assert value.isfinite().all()
        assert mask.grad.isfinite().all()
    generated = torch.rand(1, 3, 4, 4).to(device, dtype).requires_grad_()
    for loss in (losses.MaskedMSE(normalize="mask"), losses.MaskedPerceptual(features=features)):
        value = loss(generated, torch.rand(1, 3, 4, 4).to(generated), original)
        (gradient,) = torch.autograd.grad(value.sum(), generated)
        assert value.isfinite().all()
        assert gradient.isfinite().all()
        if before == 0:
            assert value.item() == 0
