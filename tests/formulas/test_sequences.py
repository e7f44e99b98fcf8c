"""Costs of attention and recurrent layers by every kernel: torch's counter, the decomposition, by hand."""

import pytest
import torch
import torch.nn.functional as F
from support.pricing import Function, Prices, price
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from inception_lab.formulas.registry import Cost, cost_of
from inception_lab.tracing.tracer import trace

aten = torch.ops.aten


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, device="meta", dtype=dtype)


def cost(op, *args, **kwargs):
    return cost_of(op, args, kwargs, op(*args, **kwargs))


def macs(model, *inputs, mode="eval"):
    """MACs of the forward and of the backward pass on meta tensors, where every layer is decomposed."""
    tensors = [torch.rand(x, requires_grad=True) for x in inputs]
    ops = trace(model, tensors, mode=mode, meta_only=True).ops
    return tuple(sum(op.macs for op in ops if op.phase == phase) for phase in ("forward", "backward"))


def real_macs(model, *inputs, mode="eval"):
    return tuple(prices.total.macs for prices in price(model, *inputs, mode=mode))


# --------------------------------------------------------------------------------------- attention

ATTENTION = {
    "self": (F.scaled_dot_product_attention, (2, 4, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8)),
    "cross": (F.scaled_dot_product_attention, (2, 4, 5, 8), (2, 4, 3, 8), (2, 4, 3, 8)),
    "wider values": (F.scaled_dot_product_attention, (2, 4, 5, 8), (2, 4, 3, 8), (2, 4, 3, 6)),
    "masked": (F.scaled_dot_product_attention, (2, 4, 5, 8), (2, 4, 3, 8), (2, 4, 3, 8), (2, 1, 5, 3)),
    "causal": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (2, 4, 5, 8), (2, 4, 5, 8), (2, 4, 5, 8),
    ),
    "grouped": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (2, 4, 5, 8), (2, 2, 3, 8), (2, 2, 3, 8),
    ),
    "with dropout": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.1),
        (2, 4, 5, 8), (2, 4, 3, 8), (2, 4, 3, 8),
    ),
}  # fmt: skip


def products_by_hand(query, key, value, *_):
    """Every head of the queries: scores of rows x columns x width, result of rows x columns x width."""
    batch, heads, rows, width = query
    return batch * heads * rows * key[2] * (width + value[3])


class TestAttention:
    @pytest.mark.parametrize(("function", "inputs"), [(f, x) for f, *x in ATTENTION.values()], ids=ATTENTION)
    def test_meta_tensors_the_cpu_and_arithmetic_agree(self, function, inputs):
        products = products_by_hand(*inputs)
        model = Function(function)
        assert macs(model, *inputs) == real_macs(model, *inputs) == (products, 0)
        assert macs(model, *inputs, mode="train") == (products, 2 * products)
        assert real_macs(model, *inputs, mode="train") == (products, 2 * products)

    def test_the_cpu_has_a_kernel_of_its_own(self):
        """Else the test above compares the decomposition with itself."""
        forward, backward = price(Function(F.scaled_dot_product_attention), *[(2, 4, 5, 8)] * 3, mode="train")
        assert forward.runs["_scaled_dot_product_flash_attention_for_cpu"] == 1
        assert backward.runs["_scaled_dot_product_flash_attention_for_cpu_backward"] == 1

    def test_the_decomposition_costs_what_torch_counts(self):
        query = torch.rand(2, 4, 5, 8, device="meta", requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            F.scaled_dot_product_attention(query, query, query).sum().backward()
        model = Function(lambda x: F.scaled_dot_product_attention(x, x, x))
        assert sum(macs(model, (2, 4, 5, 8), mode="train")) == counter.get_total_flops() / 2

    @pytest.mark.parametrize(
        ("op", "rest"),
        [
            (aten._scaled_dot_product_flash_attention, ()),
            (aten._scaled_dot_product_efficient_attention, (None, True)),
            (aten._scaled_dot_product_cudnn_attention, (None, True)),
            (aten._scaled_dot_product_flash_attention_for_cpu, ()),
        ],
        ids=str,
    )
    def test_fused_kernels(self, op, rest):
        q, k = meta(2, 4, 16, 8, dtype=torch.float16), meta(2, 4, 24, 8, dtype=torch.float16)
        scores = 2 * 4 * 16 * 24
        assert cost(op.default, q, k, k, *rest) == Cost(scores * (8 + 8), 5 * scores)
        with FlopCounterMode(display=False) as counter:
            op.default(q, k, k, *rest)
        has_formula = op is not aten._scaled_dot_product_flash_attention_for_cpu
        assert counter.get_total_flops() / 2 == has_formula * scores * 16

    def test_a_fused_backward_costs_what_torch_counts_less_the_scores_computed_again(self):
        q, k, v = meta(2, 4, 16, 8), meta(2, 4, 24, 8), meta(2, 4, 24, 8)
        op, rest = aten._scaled_dot_product_efficient_attention_backward, (0.0, [True] * 3 + [False])
        args = (q, q, k, v, None, q, meta(2, 4, 16), meta(dtype=torch.int64), meta(dtype=torch.int64), *rest)
        with FlopCounterMode(display=False) as counter:
            op.default(*args)
        scores = 2 * 4 * 16 * 24
        assert cost(op.default, *args).macs == counter.get_total_flops() / 2 - scores * 8

    def test_sequences_laid_end_to_end(self):
        """Lengths 3 and 5 of queries, 2 and 4 of keys: 3 x 2 + 5 x 4 pairs."""
        op = aten._flash_attention_forward.default
        query, key = torch.zeros(8, 4, 16), torch.zeros(6, 4, 16)
        ends = torch.tensor([0, 3, 8]), torch.tensor([0, 2, 6])
        out = (query, None)
        pairs = 3 * 2 + 5 * 4
        args = (query, key, key, *ends, 5, 4, 0.0, False, False)
        assert cost_of(op, args, {}, out) == Cost(4 * pairs * 32, 5 * 4 * pairs)
        if hasattr(aten, "_flash_attention_forward_no_dropout_inplace"):  # since PyTorch 2.13
            in_place = aten._flash_attention_forward_no_dropout_inplace.default
            assert cost_of(in_place, (query, *args), {}, None) == cost_of(op, args, {}, out)
        without_data = (query, key, key, *(x.to("meta") for x in ends), 5, 4, 0.0, False, False)
        assert cost_of(op, without_data, {}, out).macs == 4 * (2 * 5 * 4) * 32
        batch = (meta(2, 8, 4, 16), meta(2, 6, 4, 16), meta(2, 6, 4, 16), None, None, 8, 6, 0.0, False, False)
        assert cost_of(op, batch, {}, out).macs == 2 * 4 * 8 * 6 * 32

    def test_backward_of_sequences_laid_end_to_end(self):
        rows, columns = torch.zeros(8, 4, 16), torch.zeros(6, 4, 16)
        offsets = torch.tensor([0, 3, 8]), torch.tensor([0, 2, 6])
        expected = Cost(2 * 4 * (3 * 2 + 5 * 4) * 32)
        flash = (rows, rows, columns, columns, rows, None, *offsets, 5, 4, 0.0, False, None, None)
        assert cost_of(aten._flash_attention_backward.default, flash, {}, None) == expected
        efficient = [x[None] for x in (rows, rows, columns, columns)]
        rest = (None, None, *offsets, 5, 4, None, 0.0, None, None, 0, False)
        assert cost_of(aten._efficient_attention_backward.default, (*efficient, *rest), {}, None) == expected


class TestEncoderFastPath:
    """In eval mode the CPU runs a whole encoder layer as one operation."""

    LAYER = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()

    def test_it_costs_what_the_layers_do_one_by_one(self):
        forward, _ = price(self.LAYER, (2, 5, 8))
        assert forward.runs["_transformer_encoder_layer_fwd"] == 1
        assert forward.total.macs == macs(self.LAYER, (2, 5, 8))[0] == self.by_hand(5, 5)

    def test_other_flops_agree_but_for_the_scaling_of_queries_and_keys(self):
        whole, _ = price(self.LAYER, (2, 5, 8))
        ops = trace(self.LAYER, (2, 5, 8), meta_only=True).ops
        scaling = sum(op.other_flops for op in ops if op.name == "aten.mul.Scalar")
        assert sum(op.other_flops for op in ops) == whole.total.other_flops + scaling

    def test_padding_costs_nothing_in_a_nested_batch(self):
        encoder = nn.TransformerEncoder(self.LAYER, 1).eval()
        padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
        with torch.no_grad(), Prices() as prices:
            encoder(torch.rand(2, 5, 8), src_key_padding_mask=padding)
        assert prices.total.macs == self.by_hand(5, 3)

    def test_attention_alone(self):
        layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
        model = Function(lambda x: layer(x, x, x, need_weights=False)[0])
        forward, _ = price(model, (2, 5, 8))
        assert forward.runs["_native_multi_head_attention"] == 1
        assert forward.total.macs == macs(model, (2, 5, 8))[0] == 10 * 4 * 8 * 8 + 2 * 25 * 2 * 8

    def by_hand(self, *lengths):
        """Four projections of 8 x 8, two layers of 8 x 16, queries by keys and scores by values."""
        return sum(n * (4 * 8 * 8 + 2 * 8 * 16) + n * n * 2 * 8 for n in lengths)


# --------------------------------------------------------------------------------- recurrent layers

STEPS, BATCH, WIDTH, HIDDEN = 3, 2, 5, 7
GATES = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}
LAYERS = [
    {}, {"bias": False}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 3, "bidirectional": True},
    {"batch_first": True}, {"num_layers": 2, "dropout": 0.5},
]  # fmt: skip


def recurrent_by_hand(kind, rows, num_layers=1, bidirectional=False, **_):
    """Gates by hidden units, from the input and from the state; deeper layers read both directions."""
    directions = 1 + bidirectional
    widths = [WIDTH] + [HIDDEN * directions] * (num_layers - 1)
    return sum(rows * directions * GATES[kind] * HIDDEN * (width + HIDDEN) for width in widths)


class TestRecurrentLayers:
    @pytest.mark.parametrize("options", LAYERS, ids=str)
    @pytest.mark.parametrize("kind", GATES)
    def test_meta_tensors_the_cpu_and_arithmetic_agree(self, kind, options):
        layer = kind(WIDTH, HIDDEN, **options)
        shape = (BATCH, STEPS, WIDTH) if options.get("batch_first") else (STEPS, BATCH, WIDTH)
        expected = recurrent_by_hand(kind, STEPS * BATCH, **options)
        assert macs(layer, shape)[0] == real_macs(layer, shape)[0] == expected
        assert real_macs(layer, shape, mode="train")[0] == expected

    def test_the_cpu_has_a_kernel_of_its_own_for_the_lstm(self):
        forward, backward = price(nn.LSTM(WIDTH, HIDDEN), (STEPS, BATCH, WIDTH), mode="train")
        assert forward.runs["mkldnn_rnn_layer"] == backward.runs["mkldnn_rnn_layer_backward"] == 1

    @pytest.mark.parametrize("bias", [False, True])
    def test_other_flops_of_that_kernel_are_those_of_its_parts(self, bias):
        layer = nn.LSTM(WIDTH, HIDDEN, bias=bias)
        whole, _ = price(layer, (STEPS, BATCH, WIDTH))
        parts = trace(layer, (STEPS, BATCH, WIDTH), meta_only=True).ops
        assert whole.total.other_flops == sum(op.other_flops for op in parts)

    @pytest.mark.parametrize("frozen", ["", "weight_ih", "weight_hh", "weight", "bias"])
    @pytest.mark.parametrize("learned", [(), (0,), (1,), (0, 1)], ids=str)
    @pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
    def test_its_backward_costs_what_the_decomposition_does(self, options, learned, frozen):
        """Whichever of the input (0), the first state (1) and the weights have a gradient."""
        layer = nn.LSTM(WIDTH, HIDDEN, **options)
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(not (frozen and name.startswith(frozen)))
        states = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
        x, h = torch.rand(STEPS, BATCH, WIDTH), torch.rand(states, BATCH, HIDDEN)
        for place in learned:
            (x, h)[place].requires_grad_()
        with Prices() as forward:
            out = layer(x, (h, torch.zeros_like(h)))[0]
        with Prices() as backward:
            out.sum().backward()
        assert forward.runs["mkldnn_rnn_layer"] == backward.runs["mkldnn_rnn_layer_backward"] == states
        by_parts = trace(layer, [x, (h, torch.zeros_like(h))], mode="train", meta_only=True).ops
        assert backward.total.macs == sum(op.macs for op in by_parts if op.phase == "backward")

    def test_its_backward_by_hand(self):
        """Both weights meet all 6 rows; of the states, all but the 2 first have a gradient."""
        layer = nn.LSTM(4, 5)
        with Prices() as prices:
            layer(torch.rand(3, 2, 4))[0].sum().backward()
        assert prices.total.macs == 6 * 20 * 9 + 6 * 20 * 9 + 4 * 20 * 5

    @pytest.mark.parametrize("options", LAYERS[1:5], ids=str)
    @pytest.mark.parametrize("kind", GATES)
    def test_training_by_parts_costs_what_torch_counts(self, kind, options):
        layer, x = kind(WIDTH, HIDDEN, **options, device="meta"), meta(STEPS, BATCH, WIDTH).requires_grad_()
        with FlopCounterMode(display=False) as counter:
            layer(x)[0].sum().backward()
        assert sum(macs(layer, (STEPS, BATCH, WIDTH), mode="train")) == counter.get_total_flops() / 2

    def test_projections(self):
        """Gates from 5 inputs and 3 projected states, then 7 states to 3."""
        layer = nn.LSTM(WIDTH, HIDDEN, proj_size=3)
        products = STEPS * BATCH * (4 * HIDDEN * (WIDTH + 3) + HIDDEN * 3)
        assert macs(layer, (STEPS, BATCH, WIDTH))[0] == real_macs(layer, (STEPS, BATCH, WIDTH))[0] == products

    @pytest.mark.parametrize("kind", GATES)
    def test_the_padding_of_packed_sequences_costs_nothing(self, kind):
        layer = kind(WIDTH, HIDDEN, num_layers=2, bidirectional=True)
        model = Function(lambda x: layer(nn.utils.rnn.pack_padded_sequence(x, [3, 1]))[0].data)
        products = recurrent_by_hand(kind, 3 + 1, num_layers=2, bidirectional=True)
        assert real_macs(model, (STEPS, BATCH, WIDTH))[0] == products

    @pytest.mark.parametrize(("kind", "number"), [(nn.RNN, 1), (nn.LSTM, 2), (nn.GRU, 3)])
    @pytest.mark.parametrize("options", LAYERS[:5], ids=str)
    def test_cudnn(self, kind, number, options):
        layer = kind(WIDTH, HIDDEN, **options)
        x, state = meta(STEPS, BATCH, WIDTH), meta(1, BATCH, HIDDEN)
        weights = [w.detach() for w in layer.parameters()]
        layers, both = options.get("num_layers", 1), options.get("bidirectional", False)
        sizes = (number, HIDDEN, 0, layers, False, 0.0, True, both, [], None)
        expected = (
            sum(op.macs for op in trace(layer, x).ops),
            sum(op.other_flops for op in trace(layer, x).ops),
        )
        args = (x, weights, 4, None, state, None, *sizes)
        assert cost_of(aten._cudnn_rnn.default, args, {}, None) == Cost(*expected)
        gradients = (x, weights, 4, x, state, None, x, x, None, None, *sizes, x)
        for mask, times in (([True, True, True, True], 2), ([True, True, True, False], 1)):
            backward = cost_of(aten._cudnn_rnn_backward.default, (*gradients, mask), {}, None)
            assert backward == Cost(times * expected[0])
        for requires_grad in (False, True):
            ops = trace(layer, x.clone().requires_grad_(requires_grad), mode="train").ops
            by_parts = sum(op.macs for op in ops if op.phase == "backward")
            mask = [requires_grad, False, False, True]
            assert cost_of(aten._cudnn_rnn_backward.default, (*gradients, mask), {}, None) == Cost(by_parts)

    @pytest.mark.parametrize("kind", GATES)
    def test_layers_that_arrive_whole(self, kind):
        """In inference mode nothing is decomposed."""
        layer = kind(WIDTH, HIDDEN, num_layers=2, bidirectional=True)
        expected = recurrent_by_hand(kind, STEPS * BATCH, num_layers=2, bidirectional=True)
        with torch.inference_mode(), Prices() as prices:
            layer(torch.rand(STEPS, BATCH, WIDTH))
        assert prices.total.macs == expected
        assert prices.runs[{nn.RNN: "rnn_tanh", nn.GRU: "gru", nn.LSTM: "lstm"}[kind]] == 1

    @pytest.mark.parametrize(("cell", "op"), [(nn.LSTMCell, "lstm"), (nn.GRUCell, "gru")])
    @pytest.mark.parametrize("bias", [False, True])
    def test_a_fused_cell_costs_what_follows_the_products(self, cell, op, bias):
        layer, gates = cell(WIDTH, HIDDEN, bias=bias), {"lstm": 4, "gru": 3}[op]
        expected = sum(op.other_flops for op in trace(layer, (BATCH, WIDTH)).ops)
        biases = [meta(gates * HIDDEN)] * 2 if bias else []
        sums = meta(BATCH, gates * HIDDEN)
        kernel = getattr(aten, f"_thnn_fused_{op}_cell").default
        assert cost_of(kernel, (sums, sums, meta(BATCH, HIDDEN), *biases), {}, None) == Cost(0, expected)
