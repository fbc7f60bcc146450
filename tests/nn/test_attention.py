"""Attention and dropout against torch's own."""

import torch
from torch import nn

from cmc.nn.attention import DeviationNorm, PostNormLayer
from cmc.nn.bottleneck import ModalityBatchNorm
from cmc.nn.dropout import RowDropout


def test_a_post_norm_layer_is_torchs_and_its_weights_are_a_naive_softmax():
    torch.manual_seed(0)
    ours, x = PostNormLayer(8, 6, 0.1).double().eval(), torch.randn(5, 8, dtype=torch.float64)
    theirs = nn.TransformerEncoderLayer(8, 1, 6, 0.1).double().eval()
    attention, layers = ours.attention, (ours.attention.query, ours.attention.key, ours.attention.value)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        for own, other in (
            (attention.out, theirs.self_attn.out_proj),
            (ours.feed_forward[0], theirs.linear1),
            (ours.feed_forward[3], theirs.linear2),
            (ours.norms[0], theirs.norm1),
            (ours.norms[1], theirs.norm2),
        ):
            other.load_state_dict(own.state_dict())
        found, weights = ours(x, x)
        torch.testing.assert_close(found, theirs(x[:, None])[:, 0])
        expected = theirs.self_attn(x[:, None], x[:, None], x[:, None])[1][0]
    torch.testing.assert_close(weights, expected)


def test_dropout_drops_such_a_share_scales_the_rest_and_does_nothing_in_evaluation():
    torch.manual_seed(0)
    dropout, x = RowDropout(0.3), torch.ones(1000, 20)
    y = dropout(x)
    assert abs((y == 0).float().mean() - 0.3) < 0.02
    torch.testing.assert_close(y[y > 0], torch.full_like(y[y > 0], 1 / 0.7))
    assert dropout.eval()(x) is x


def test_a_deviation_norm_leaves_mean_0_and_unbiased_deviation_1():
    x = DeviationNorm(9).double()(5 + 3 * torch.randn(4, 2, 9, dtype=torch.float64))
    torch.testing.assert_close(x.mean(-1), torch.zeros(4, 2, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(x.std(-1), torch.ones(4, 2, dtype=torch.float64), atol=1e-5, rtol=0)


def test_batch_normalisation_without_scale_is_torchs():
    torch.manual_seed(0)
    ours, theirs = ModalityBatchNorm(4, 1, affine=False), nn.BatchNorm1d(4, affine=False)
    x = torch.randn(7, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    assert not list(ours.parameters())
