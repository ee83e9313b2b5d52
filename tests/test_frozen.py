"""Frozen weights made ready once compute the same and leave no trace."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.helpers import disable_input_dtype_casting

from cpt_utils.fast.weights import cast_weights, packed_weights


def test_packed_weights_are_the_same_product_and_leave_no_trace(tiny_model):
    x = torch.randn(2, 3, 32)
    layer = tiny_model.model.layers[0].mlp.gate_proj
    expected = layer(x)
    with torch.no_grad(), packed_weights(tiny_model):
        assert "forward" in vars(layer)
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)
    assert "forward" not in vars(layer)


@pytest.mark.parametrize("bias", [False, True])
def test_packed_weights_multiply_as_autocast_would(bias):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(96, 48, bias=bias), torch.randn(5, 96)
    layer.weight.data = layer.weight.data.bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = layer(x)
        with packed_weights(layer):
            torch.testing.assert_close(layer(x), expected, rtol=0.02, atol=0.02)
            assert layer(x).dtype == torch.bfloat16
    with torch.no_grad(), torch.autocast("cpu", torch.float16), packed_weights(layer):
        assert layer(x).dtype == torch.float16  # another type: as without


def test_cast_weights_change_no_bit_of_loss_or_gradient_and_leave_no_trace(tiny_model):
    lora = LoraConfig(target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(tiny_model, lora)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    ids = torch.arange(2 * 9).view(2, 9)

    def loss_and_gradients():
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(ids, labels=ids).loss
        loss.backward()
        return [loss.detach()] + [w.grad for w in model.parameters() if w.requires_grad]

    expected = loss_and_gradients()
    cast = cast_weights(model, torch.bfloat16)  # and what MirroredDPOTrainer sets beside it:
    with pytest.raises(KeyboardInterrupt), cast, disable_input_dtype_casting(model):
        weights = {m.weight.dtype for n, m in model.named_modules() if n.endswith("base_layer")}
        assert weights == {torch.bfloat16} and model.get_output_embeddings().weight.dtype == torch.float32
        assert all(torch.equal(a, b) for a, b in zip(expected, loss_and_gradients(), strict=True))
        raise KeyboardInterrupt
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
