import contextlib
import copy

import pytest
import torch
from torch.nn import functional

from pluto_core.errors import PlutoError
from pluto_lightning.testing.collation import mapped
from pluto_planner.network import PlutoNetwork
from pluto_planner.objective import PlutoObjective

NO_NOISE = {"drop_path": 0.0, "dropout": 0.0, "state_dropout": 0.0}
PLAN = ("trajectory", "probability", "candidate_trajectories", "output_trajectory", "ref_free_trajectory", "hidden")


@pytest.fixture
def network(small):
    """Return a small network in float64 and evaluation mode, with every bias and statistic off its initial value."""
    network = PlutoNetwork(**small).double().eval()
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data += 0.1 * torch.rand_like(tensor)
    return network


def outputs_of(network, batch):
    """Return outputs without a graph."""
    with torch.no_grad():
        return network(batch)


def changed(batch, group, change):
    """Return a copy of the batch with one group's tensors changed."""
    return batch | {group: {name: change(x) for name, x in batch[group].items()}}


def padded(batch, group, count):
    """Return a copy of the batch with `count` padded entries more in a group, filled as collation does."""

    def pad(x):
        return functional.pad(x, (0, 0) * (x.ndim - 2) + (0, count))

    return changed(batch, group, pad)


def assert_same(outputs, expected, names):
    """Compare some outputs within rounding."""
    for name in names:
        torch.testing.assert_close(outputs[name], expected[name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("group", ["agent", "map", "static_objects"])
def test_order_of_tokens_does_not_matter(network, make_batch, group):
    """Permuted agents (but the ego vehicle), polygons or objects leave the plan as it is and permute predictions."""
    batch = make_batch(double=True)
    count = batch[group]["valid_mask"].shape[1]
    order = torch.arange(count)
    first = 1 if group == "agent" else 0
    order[first:] = first + torch.randperm(count - first)
    before, after = outputs_of(network, batch), outputs_of(network, changed(batch, group, lambda x: x[:, order]))
    assert_same(after, before, PLAN)
    others = order[1:] - 1 if group == "agent" else torch.arange(batch["agent"]["valid_mask"].shape[1] - 1)
    torch.testing.assert_close(after["prediction"], before["prediction"][:, others])


def test_order_of_lines_permutes_candidates(network, make_batch):
    """Permuted reference lines permute trajectories and logits."""
    batch = make_batch(double=True, lines=3)
    order = torch.tensor([2, 0, 1])
    before = outputs_of(network, batch)
    after = outputs_of(network, changed(batch, "reference_line", lambda x: x[:, order]))
    torch.testing.assert_close(after["trajectory"], before["trajectory"][:, order])
    torch.testing.assert_close(after["probability"], before["probability"][:, order])


@pytest.mark.parametrize("group", ["agent", "map", "static_objects", "reference_line"])
def test_padding_changes_nothing(network, make_batch, group):
    """Padded entries leave all outputs of the others as they are."""
    batch = make_batch(double=True)
    before, after = outputs_of(network, batch), outputs_of(network, padded(batch, group, 2))
    lines = before["trajectory"].shape[1]
    assert (after["probability"][:, lines:] == -1e6).all()
    after = {name: x[:, :lines] if name in PLAN[:3] else x for name, x in after.items()}
    assert_same(after, before, PLAN)
    torch.testing.assert_close(after["prediction"][:, :3], before["prediction"])


@pytest.mark.parametrize("training", [False, True])
def test_a_batch_gives_what_its_samples_give_alone(small, make_batch, training):
    """Samples do not see one another: in evaluation, and in training but for the batch's statistics."""
    network = PlutoNetwork(**small, **NO_NOISE).double().train(training)
    for module in network.modules():
        if training and hasattr(module, "running_mean"):
            module.eval()
    batch = make_batch(double=True)
    together = outputs_of(network, batch)
    for row in range(3):
        one = {n: {k: x[row, None] for k, x in g.items()} if isinstance(g, dict) else g[row, None] for n, g in batch.items()}
        alone = outputs_of(network, one)
        for name, x in alone.items():
            torch.testing.assert_close(together[name][row, None], x, msg=name)


def test_the_ego_vehicle_is_known_by_its_present_state_only(network, make_batch):
    """Its past and the seventh number of the state change nothing; the sixth does."""
    batch = make_batch(double=True)
    before = outputs_of(network, batch)
    other = copy.deepcopy(batch)
    other["agent"]["position"][:, 0, :20] += 3
    other["agent"]["velocity"][:, 0] += 3
    other["current_state"][:, 6] += 3
    assert_same(outputs_of(network, other), before, before)
    other["current_state"][:, 5] += 3
    assert not torch.equal(outputs_of(network, other)["trajectory"], before["trajectory"])


def test_invalid_steps_change_nothing(network, make_batch):
    """Motion between steps of which one is invalid is not read, whatever stands there."""
    batch = make_batch(double=True)
    batch["agent"]["valid_mask"][:, :, 5] = False
    before = outputs_of(network, batch)
    for name in ("position", "heading", "velocity"):
        batch["agent"][name][:, :, 5] = 1e6
    assert_same(outputs_of(network, batch), before, before)


def test_evaluation_repeats_and_training_does_not(network, make_batch):
    """Two evaluations agree bit by bit; two training passes draw different noise."""
    batch = make_batch(double=True)
    first, second = outputs_of(network, batch), outputs_of(network, batch)
    assert all(torch.equal(first[name], second[name]) for name in first)
    network.train()
    assert not torch.equal(outputs_of(network, batch)["trajectory"], outputs_of(network, batch)["trajectory"])


def test_state_dropout_hides_dynamic_numbers_only(small, make_batch):
    """With every dynamic number hidden, velocity has no influence and x still has."""
    network = PlutoNetwork(**small, **NO_NOISE | {"state_dropout": 1.0}).double()
    batch = make_batch(double=True)
    before = outputs_of(network, batch)["trajectory"]
    batch["current_state"][:, 3:6] += 1
    torch.testing.assert_close(outputs_of(network, batch)["trajectory"], before)
    batch["current_state"][:, 0] += 1
    assert (outputs_of(network, batch)["trajectory"] - before).abs().max() > 1e-6


def without(batch, what):
    """Return the batch without something."""
    empty = {"agents": ("agent", 1), "polygons": ("map", 0), "objects": ("static_objects", 0), "lines": ("reference_line", 0)}
    if what in empty:
        group, kept = empty[what]
        return changed(batch, group, lambda x: x[:, :kept])
    if what == "line group":
        return {name: group for name, group in batch.items() if name != "reference_line"}
    blank = copy.deepcopy(batch)
    groups = ("reference_line",) if what == "line of a sample" else ("agent", "map", "static_objects", "reference_line")
    for group in groups:
        blank[group]["valid_mask"][: 1 if what == "line of a sample" else None] = False
    return blank


@pytest.mark.parametrize("what", ["agents", "polygons", "objects", "lines", "line group", "line of a sample", "anything valid"])
@pytest.mark.parametrize("dense", [True, False])
def test_whatever_is_missing_stays_finite(small, make_batch, what, dense, monkeypatch):
    """Outputs, gradients and statistics are finite in training and evaluation, with shapes as documented."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: dense)
    network, batch = PlutoNetwork(**small), without(make_batch(rows=2), what)
    outputs = network.train()(batch)
    sum(x.sum() for x in outputs.values()).backward()
    outputs |= outputs_of(network.eval(), batch)
    agents = batch["agent"]["valid_mask"].shape[1]
    lines = 0 if what in {"lines", "line group"} else 2
    assert outputs["candidate_trajectories"].shape == (2, lines, 5, 80, 3)
    assert outputs["probability"].shape == (2, lines, 5)
    assert outputs["output_prediction"].shape == (2, agents - 1, 80, 5)
    tensors = [*outputs.values(), *network.buffers(), *(p.grad for p in network.parameters() if p.grad is not None)]
    assert all(x.isfinite().all() for x in tensors)
    assert outputs["output_trajectory"].shape == (2, 80, 3)


def test_a_sample_without_lines_plans_without(network, make_batch):
    """It follows the reference-free trajectory; with parity a padded line's candidate, as the reference does."""
    batch = without(make_batch(double=True), "line of a sample")
    outputs = outputs_of(network, batch)
    torch.testing.assert_close(outputs["output_trajectory"][0], outputs["output_ref_free_trajectory"][0])
    network.parity = True
    padded_choice = outputs_of(network, batch)["output_trajectory"]
    torch.testing.assert_close(padded_choice[0], outputs["candidate_trajectories"][0, 0, 0])
    torch.testing.assert_close(padded_choice[1:], outputs["output_trajectory"][1:])


def test_the_best_candidate_is_followed(network, make_batch):
    """`output_trajectory` is the candidate with the largest logit among lines that exist."""
    outputs = outputs_of(network, make_batch(double=True))
    best = outputs["probability"].flatten(1).argmax(dim=1)
    for row, index in enumerate(best.tolist()):
        assert torch.equal(outputs["output_trajectory"][row], outputs["candidate_trajectories"][row].flatten(0, 1)[index])


@pytest.mark.parametrize("dense", [True, False])
def test_half_precision_is_finite(small, make_batch, dense, monkeypatch):
    """bfloat16 by autocast or throughout: finite outputs near those of float32, finite gradients."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: dense)
    batch = make_batch()
    network = PlutoNetwork(**small, **NO_NOISE)
    exact = outputs_of(copy.deepcopy(network).eval(), batch)["trajectory"]
    with torch.autocast("cpu", torch.bfloat16):
        near = outputs_of(copy.deepcopy(network).eval(), batch)["trajectory"]
        outputs = network(batch)
    assert (near - exact).abs().max() < 0.1 * exact.abs().max()
    sum(x.float().sum() for x in outputs.values()).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
    half = PlutoNetwork(**small).bfloat16()
    outputs = half(batch)
    assert outputs["trajectory"].dtype == torch.bfloat16
    sum(x.float().sum() for x in outputs.values()).backward()
    assert all(x.isfinite().all() for x in (*outputs.values(), *outputs_of(half.eval(), batch).values()))


def test_initial_values_are_the_published_ones():
    """Linear layers are xavier-uniform with zero bias, norms identities, embeddings N(0, 0.02), modes N(0, 0.01)."""
    network = PlutoNetwork(dim=64, use_hidden_proj=True)
    hidden = network.hidden_proj[0]
    bound = (6 / 128) ** 0.5
    assert hidden.weight.abs().max() <= bound
    assert hidden.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert (hidden.bias == 0).all()
    assert (network.norm.weight == 1).all()
    assert network.map_encoder.type_emb.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert network.pos_emb.freqs.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert network.planning_decoder.m_emb.std().item() == pytest.approx(0.01, rel=0.3)
    attention = network.encoder_blocks[0].attn
    assert attention.in_proj_weight.abs().max() <= (6 / 256) ** 0.5
    assert (attention.in_proj_bias == 0).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"dim": 30}, "multiple of 4"), ({"num_heads": 3}, "num_heads = 3"), ({"history_channel": 8}, "history_channel = 8")],
)
def test_impossible_settings_are_refused(settings, text):
    """The message names the setting."""
    with pytest.raises(PlutoError, match=text):
        PlutoNetwork(**settings)


@pytest.mark.parametrize("training", [False, True])
def test_nothing_waits_for_the_device(small, make_batch, training, monkeypatch):
    """Network and losses work on tensors without values, of which nothing can be read back to the processor."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows no such device
    batch = mapped(make_batch(rows=6), lambda x: x.to("meta"))
    network = PlutoNetwork(**small).to("meta").train(training)
    outputs = network(batch)
    losses = PlutoObjective(contrast=True)(outputs, batch, training=training)
    assert losses["loss"].device.type == "meta"
    if training:
        losses["loss"].backward()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("training", "backend"), [(False, "eager"), (True, "aot_eager")])
def test_the_compiled_network_is_one_graph(small, make_batch, training, backend, monkeypatch, tmp_path):
    """One graph without breaks serves batches of all sizes, and gives what eager code gives."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()
    shallow = {"encoder_depth": 1, "decoder_depth": 1}
    network = PlutoNetwork(**small | shallow, **NO_NOISE).double().train(training)
    compiled = torch.compile(copy.deepcopy(network), fullgraph=True, dynamic=True, backend=backend)
    # Sizes differ from one another and from fixed ones, since equal sizes are traced as one.
    first = make_batch(double=True, rows=9, agents=5, polygons=11, objects=4, lines=6)
    second = make_batch(double=True, rows=10, agents=12, polygons=13, objects=14, lines=15)
    for batch, stance in ((first, "default"), (second, "fail_on_recompile")):
        with torch.compiler.set_stance(stance):
            outputs, expected = compiled(batch), network(batch)
        assert_same(outputs, expected, expected)
        if training:
            sum(x.sum() for x in outputs.values()).backward()
