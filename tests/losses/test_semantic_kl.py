"""Eq. 3: attributes to their labels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskedit import functional, losses
from maskedit.errors import InputError
from tests.losses.cases import check_released


@given(st.integers(0, 2**16), st.floats(0, 1), st.floats(0, 0.5))
def test_semantic_divergence_is_never_negative_and_zero_at_its_target(float64, device, seed, label, smoothing):
    logits = 8 * torch.randn(2, 3, generator=torch.Generator().manual_seed(seed), dtype=float64).to(device)
    labels = torch.full_like(logits, label)
    assert (functional.semantic_kl(logits, labels, smoothing=smoothing) >= -1e-12).all()
    wanted = labels * (1 - 2 * smoothing) + smoothing
    at_target = functional.semantic_kl(wanted.clamp(1e-12, 1 - 1e-12).logit(), labels, smoothing=smoothing)
    torch.testing.assert_close(at_target, torch.zeros_like(at_target), rtol=0, atol=1e-9)


@pytest.mark.parametrize("extreme", [-200.0, 200.0])
@pytest.mark.parametrize("label", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("smoothing", [0.0, 0.05])
def test_extreme_logits_are_finite_with_the_right_gradient(whole, device, extreme, label, smoothing):
    logits = torch.full((1, 1), extreme, requires_grad=True, dtype=whole, device=device)
    value = functional.semantic_kl(logits, torch.full_like(logits, label), smoothing=smoothing)
    value.sum().backward()
    wanted = label * (1 - 2 * smoothing) + smoothing
    entropy = -sum(p * np.log(p) for p in (wanted, 1 - wanted) if p > 0)
    assert value.item() == pytest.approx(abs(extreme) * (1 - wanted if extreme > 0 else wanted) - entropy, rel=1e-5)
    assert logits.grad.item() == pytest.approx((1.0 if extreme > 0 else 0.0) - wanted, abs=1e-6)


def test_released_values_and_gradients(reference):
    r = reference
    check_released(
        r, "semantic", "logits", lambda x: losses.SemanticKL(smoothing=float(r["smoothing"]))(x, r["labels"])
    )


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: losses.SemanticKL()(torch.rand(2, 3), torch.rand(3)), "expand_as"),
        (lambda: losses.SemanticKL()(torch.rand(2, 3), torch.rand(1, 3)), "expand_as"),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()


@pytest.mark.parametrize("smoothing", [0.6, [0.1, -0.1]])
def test_impossible_smoothing_is_refused(smoothing):
    with pytest.raises(InputError, match="expected"):
        losses.SemanticKL(smoothing=smoothing)


def test_by_hand():
    logits, labels = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])

    def divergence(wanted: float, seen: float) -> float:
        return wanted * math.log(wanted / seen) + (1 - wanted) * math.log((1 - wanted) / (1 - seen))

    for smoothing, one in ((0.05, 0.95), (0.2, 0.8)):
        expected = (divergence(one, 0.5) + divergence(1 - one, 1 / (1 + math.exp(-2)))) / 2
        assert functional.semantic_kl(logits, labels, smoothing=smoothing).item() == pytest.approx(expected, rel=1e-5)
        assert losses.SemanticKL(smoothing=smoothing)(logits, labels).item() == pytest.approx(expected, rel=1e-5)
        if smoothing == 0.05:
            assert functional.semantic_kl(logits, labels).item() == pytest.approx(expected, rel=1e-5)
            assert losses.SemanticKL()(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_smoothing_is_a_setting_and_no_weight():
    assert losses.SemanticKL(smoothing=[0.0, 0.5]).state_dict() == {}


def test_each_attribute_has_its_own_smoothing(dtype, device, close):
    logits = torch.tensor([[0.5, -1.0], [2.0, 0.0]]).to(device, dtype)
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.3]]).to(logits)
    parts = [
        functional.semantic_kl(logits[:, [i]], labels[:, [i]], smoothing=smoothing)
        for i, smoothing in enumerate((0.0, 0.5))
    ]
    close(losses.SemanticKL(smoothing=[0.0, 0.5]).to(device)(logits, labels), sum(parts) / 2)


@pytest.mark.unhooked
def test_labels_are_floating_numbers_of_the_same_shape():
    with pytest.raises(InputError, match="labels is not a floating tensor"):
        losses.SemanticKL()(torch.rand(2, 3), torch.ones(2, 3, dtype=torch.long))
    with pytest.raises(InputError, match="both"):
        losses.SemanticKL()(torch.rand(2, 3, 1), torch.rand(2, 3, 1))
    with pytest.raises(InputError, match="smoothing"):
        losses.SemanticKL(smoothing=[[0.1, 0.2]])
