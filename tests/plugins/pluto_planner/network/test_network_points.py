import socket

import pytest
import torch
from torch import nn

from pluto_planner.network.normalization import MaskedBatchNorm
from pluto_planner.network.points import PointsEncoder


def published(encoder, x, valid):
    """The encoder as published: valid points are picked, encoded with `BatchNorm1d`, and scattered into zeros.

    Returns the output and both stages, whose normalisations hold the statistics afterwards.
    """
    stages = []
    for stage in (encoder.first_mlp, encoder.second_mlp):
        norm = nn.BatchNorm1d(stage[1].weight.shape[0]).double()
        norm.load_state_dict(stage[1].state_dict())
        norm.train(encoder.training)
        norm.weight, norm.bias = stage[1].weight, stage[1].bias
        stages.append(nn.Sequential(stage[0], norm, nn.ReLU(), stage[3]))
    hidden = x.new_zeros(*valid.shape, 256)
    hidden[valid] = stages[0](x[valid])
    joined = torch.cat([hidden, hidden.max(dim=1).values[:, None].expand_as(hidden)], dim=-1)
    out = x.new_zeros(*valid.shape, encoder.second_mlp[3].out_features)
    out[valid] = stages[1](joined[valid])
    return out.max(dim=1).values, stages


@pytest.fixture
def encoder():
    """Return an encoder in float64 with statistics and scales that matter."""
    encoder = PointsEncoder(4, 8).double()
    for stage in (encoder.first_mlp, encoder.second_mlp):
        for tensor in (stage[1].weight.data, stage[1].bias.data, stage[1].running_mean, stage[1].running_var):
            tensor.add_(0.2 * torch.rand_like(tensor))
    return encoder


@pytest.fixture
def points():
    """Return sets of points and their validity: full, ragged and empty sets."""
    valid = torch.rand(6, 7) < 0.7
    valid[0], valid[1] = True, False
    return 3 * torch.randn(6, 7, 4, dtype=torch.float64) + 5, valid


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_encoder_equals_the_published_one(encoder, points, training, dense, monkeypatch):
    """Outputs, gradients and running statistics are those of batch normalisation over the valid points."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: dense)
    x, valid = points
    expected, stages = published(encoder.train(training), x, valid)
    parameters = list(encoder.parameters())
    wanted = torch.autograd.grad(expected.square().sum(), parameters)
    out = encoder(torch.where(valid[..., None], x, 1e6), valid)
    torch.testing.assert_close(out, expected)
    for got, grad in zip(torch.autograd.grad(out.square().sum(), parameters), wanted, strict=True):
        torch.testing.assert_close(got, grad, rtol=1e-6, atol=1e-9)
    for ours, theirs in zip((encoder.first_mlp, encoder.second_mlp), stages, strict=True):
        for name, buffer in theirs[1].named_buffers():
            torch.testing.assert_close(getattr(ours[1], name), buffer)


def test_a_set_without_points_is_exactly_zero(encoder, points):
    """An empty set gives zero; a set with one invalid point has no negative component."""
    x, valid = points
    out = encoder.eval()(x, valid)
    assert (out[1] == 0).all()
    assert (out[~valid.all(dim=1)] >= 0).all()
    assert (out[0] < 0).any()


def test_order_of_points_does_not_matter(encoder, points):
    """Permuted points give the same vector."""
    x, valid = points
    order = torch.randperm(7)
    torch.testing.assert_close(encoder.eval()(x[:, order], valid[:, order]), encoder(x, valid))


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("dense", [True, False])
def test_too_few_points_leave_the_statistics_alone(encoder, count, dense, monkeypatch):
    """With fewer than two valid points training uses the running statistics, keeps them, and stays differentiable."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: dense)
    valid = torch.zeros(2, 3, dtype=torch.bool)
    valid[0, :count] = True
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    expected = encoder.eval()(x, valid)
    out = encoder.train()(x, valid)
    torch.testing.assert_close(out, expected)
    out.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())
    for name, buffer in encoder.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_statistics_are_exact_far_from_zero():
    """In float32 a narrow distribution around a large mean still has the right variance."""
    norm = MaskedBatchNorm(1)
    x = 1000 + 0.1 * torch.randn(5000, 1)
    out = norm(x, torch.ones(5000, dtype=torch.bool))
    assert out.mean().item() == pytest.approx(0.0, abs=0.02)
    assert out.std().item() == pytest.approx(1.0, abs=0.02)


def rank_moments(rank, port, results):
    """Encode one half of the points in one of two processes and store what batch normalisation saw."""
    store = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    torch.manual_seed(0)
    encoder = PointsEncoder(4, 8).double()
    x, valid = torch.randn(6, 7, 4, dtype=torch.float64), torch.rand(6, 7) < 0.7
    mine = slice(0, 2) if rank == 0 else slice(2, 6)
    encoder(x[mine], valid[mine]).square().sum().backward()
    gradient = encoder.first_mlp[0].weight.grad
    torch.distributed.all_reduce(gradient)
    results[rank] = (gradient, encoder.second_mlp[1].running_var)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ranks_share_their_statistics():
    """Two processes with half of the points each see the statistics and gradients of one with all of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("fork")
    with context.Manager() as manager:
        results = manager.dict()
        ranks = [context.Process(target=rank_moments, args=(rank, port, results)) for rank in range(2)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(60)
        gathered = dict(results)
    torch.manual_seed(0)
    encoder = PointsEncoder(4, 8).double()
    x, valid = torch.randn(6, 7, 4, dtype=torch.float64), torch.rand(6, 7) < 0.7
    encoder(x, valid).square().sum().backward()
    for gradient, variance in gathered.values():
        torch.testing.assert_close(gradient, encoder.first_mlp[0].weight.grad)
        torch.testing.assert_close(variance, encoder.second_mlp[1].running_var)
    assert len(gathered) == 2
