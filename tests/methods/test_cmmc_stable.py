"""Several heads on one representation: against one head alone, and which of them is kept."""

import pytest
import torch

from cmc.errors import UserError
from cmc.methods.cmmc import CMMC
from cmc.methods.cmmc_stable import StableCMMC
from tests.methods.test_cmmc import PHASES, batch_of, build, in_phase
from tests.methods.toy import ToyData, fit


def stable(**settings):
    return build(kind=StableCMMC, **settings)


def test_one_head_without_validation_is_cmmc(tmp_path):
    trained = []
    for kind, more in ((CMMC, {}), (StableCMMC, {"heads": 1, "validation": 0.0})):
        method = build((4, 3), kind=kind, batch_size=10, **more).float()
        fit(method, ToyData(60), tmp_path)
        trained.append(dict(method.named_parameters()))
    assert trained[0].keys() == trained[1].keys()
    for name, ours in trained[0].items():
        assert torch.equal(ours, trained[1][name]), name


def test_heads_are_trained_by_the_mean_of_what_each_would_be_alone():
    method, batch = in_phase(stable(heads=3), "contrast"), batch_of()
    together, alone = method.losses(batch), []
    for head in method._heads:
        single = in_phase(build(), "contrast")
        state = {name: value for name, value in method.state_dict().items() if name in single.state_dict()}
        single.load_state_dict(state | {f"cluster_head.{n}": p for n, p in head.state_dict().items()})
        alone.append(single.losses(batch))
    for name in ("label_contrast", "imbalance"):
        torch.testing.assert_close(together[name], sum(losses[name] for losses in alone) / 3)
    for name in ("reconstruction", "feature_contrast"):
        torch.testing.assert_close(together[name], alone[0][name])


def test_the_head_is_kept_that_agrees_on_samples_set_aside_and_answers_from_then_on(tmp_path):
    data, method = ToyData(60), stable(dims=(4, 3), heads=3, validation=0.3, batch_size=14).float()
    method.modalities = ("a", "b")
    fit(method, data, tmp_path)
    assert (len(data.fitted), int(method.aside.sum())) == (42, 18)
    (batch,) = data.pass_over()
    with method.evaluating():
        for head in method._heads:  # one cluster for all
            head.weight.data.zero_()
            head.bias.data = torch.tensor([9.0, 0.0, 0.0])
        z = method._encode(batch)
        good = method._heads[1]
        wanted = torch.nn.functional.one_hot(torch.arange(60) % 3, 3).float().repeat(2, 1)
        centred = torch.cat(z) - torch.cat(z).mean(0)
        good.weight.data = torch.linalg.lstsq(centred, wanted - wanted.mean(0)).solution.T
        good.bias.data = -good.weight.data @ torch.cat(z).mean(0)
        method._choose(data.pass_over())
        assert int(method.choice.kept) == 1
        for m, x in enumerate(z):
            torch.testing.assert_close(method.assign_each(batch)[m], good(x).softmax(1))
    counted = torch.zeros(3, 3, dtype=torch.long)
    for i in method.aside.nonzero().flatten():
        counted[good(z[0][i]).argmax(), good(z[1][i]).argmax()] += 1
    assert torch.equal(method.unseen()[0, 1], counted)


def test_all_samples_are_trained_on_in_align_alone(tmp_path):
    sizes = {}

    class Watched(StableCMMC):
        def losses(self, batch):
            sizes.setdefault(self.phase.name, []).append(batch.size)
            return super().losses(batch)

    torch.manual_seed(0)
    small = {"hidden": (8,), "latent_dim": 6, "feature_dim": 4, "kmeans_restarts": 2, "batch_size": "full"}
    method = Watched({"a": 4, "b": 3}, 3, PHASES, torch.optim.Adam, heads=2, validation=0.3, **small)
    fit(method, ToyData(60), tmp_path)
    assert sizes == {"reconstruct": [42], "contrast": [42], "align": [60]}


def test_without_samples_set_aside_nothing_unseen_is_told(tmp_path):
    for data, validation in ((ToyData(60), 0.0), (ToyData(12), 0.1)):
        method = stable(dims=(4, 3), heads=2, validation=validation, batch_size="full").float()
        fit(method, data, tmp_path)
        assert method.unseen() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 0}, r"method\.heads: 0 given"),
        ({"validation": 1.0}, r"method\.validation: 1\.0 given; it must be a share of at least 0 and below 1"),
    ],
)
def test_impossible_settings_name_their_key(settings, message):
    with pytest.raises(UserError, match=message):
        stable(**settings)
