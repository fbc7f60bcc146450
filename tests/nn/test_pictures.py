"""Convolutional networks see rows as the pictures that they are."""

import pytest
import torch
from torch.nn import functional as F

from cmc.nn.pictures import PictureDecoder, PictureEncoder


@pytest.mark.parametrize("shape", [(8, 8), (28, 28, 1), (7, 5, 3), (1, 9), (32, 30, 3)])
def test_codes_and_pictures_have_their_sizes(shape):
    n = torch.tensor(shape).prod()
    rows = torch.rand(4, int(n))
    codes = PictureEncoder(shape, 6)(rows)
    assert codes.shape == (4, 6)
    assert PictureDecoder(shape, 6)(codes).shape == rows.shape


def test_rows_are_pictures_in_the_order_in_which_arrays_lie():
    torch.manual_seed(0)
    network = PictureEncoder((4, 6, 3), 5).double()
    pictures = torch.rand(2, 4, 6, 3, dtype=torch.float64)
    first, _, second, _ = network.convolutions
    padded = F.pad(pictures, (0, 0, 1, 1, 1, 1))
    naive = torch.zeros(2, first.out_channels, 2, 3, dtype=torch.float64)
    for i in range(2):
        for j in range(3):
            patch = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]  # B x 3 x 3 x C
            naive[:, :, i, j] = torch.einsum("bhwc,ochw->bo", patch, first.weight) + first.bias
    expected = network.linears(F.relu(second(F.relu(naive))).flatten(1))
    torch.testing.assert_close(network(pictures.flatten(1)), expected)


def test_a_decoder_can_give_back_what_an_encoder_saw():
    torch.manual_seed(0)
    shape, rows = (8, 8), torch.rand(6, 64)
    encoder, decoder = PictureEncoder(shape, 16), PictureDecoder(shape, 16)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for _ in range(150):
        loss = F.mse_loss(decoder(encoder(rows)), rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * rows.var().item()
