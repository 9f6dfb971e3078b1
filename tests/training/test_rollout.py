import torch

from sktime_llm.training.rollout import roll_forward

from .toy import make_network


def naive_roll(network, context, n_steps):
    rows = list(context[0])
    while len(rows) < len(context[0]) + n_steps:
        rows += list(network(torch.stack(rows[-4:])[None]).forecast[0])
    return torch.stack(rows[4 : 4 + n_steps])


def test_longer_horizons_feed_forecasts_back():
    network = make_network().eval()
    context = torch.randn(3, 4, 1)
    for n_steps in (1, 2, 3, 7):
        out = roll_forward(network, context, n_steps, batch_size=2).mean
        assert out.shape == (3, n_steps, 1)
        with torch.no_grad():
            for i in range(3):
                expected = naive_roll(network, context[i : i + 1], n_steps)
                torch.testing.assert_close(out[i], expected)


def test_batches_do_not_matter():
    network = make_network().eval()
    context = torch.randn(5, 4, 1)
    whole = roll_forward(network, context, 4, batch_size=5).mean
    torch.testing.assert_close(
        roll_forward(network, context, 4, batch_size=2).mean, whole
    )
