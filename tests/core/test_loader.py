import os
import pickle
from contextlib import suppress
from itertools import islice

import numpy as np
import pytest

from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.listing import Listing
from pluto_core.pipeline import fields
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.protocols import BatchSource
from pluto_core.scene import ScenarioId
from pluto_core.settings import LoaderSettings

SPEC = {
    "number": ArraySpec(dims=(), dtype="int64"),
    "agent/position": ArraySpec(dims=("agent", 2), dtype="float32"),
    "map": ArraySpec(dims=(6, 6), dtype="float32", at_rest="float16"),
}
LISTING = Listing.of(
    [(ScenarioId("log", f"{number:016x}", number), "turn" if number % 4 else "stop", "town") for number in range(40)]
)
KEYS = [one.key for one in LISTING.ids()]


class DictReader:
    """A reader of samples that are made from their key; some are damaged."""

    def __init__(self, damaged=()):
        self.damaged = frozenset(damaged)
        self.calls = []

    def get_many(self, keys):
        """Return samples whose arrays tell their key."""
        self.calls.append(len(keys))
        for key in keys:
            if key in self.damaged:
                raise SampleError(Reason.DAMAGED_VALUE, "checksum differs")
        return [self.sample(KEYS.index(key)) for key in keys]

    @staticmethod
    def sample(number):
        """Return one sample, read-only."""
        arrays = {
            "number": np.asarray(number),
            "agent/position": np.full((number % 5, 2), number, np.float32),
            "map": np.full((6, 6), number, np.float16),
        }
        for array in arrays.values():
            array.flags.writeable = False
        return arrays


class Jitter:
    """Crops the anchor, moves the positive; a sample without agents has no positive."""

    def output_spec(self, spec):
        """Return the roles."""
        smaller = dict(spec) | {"map": ArraySpec(dims=(4, 4), dtype="float32", at_rest="float16")}
        return {"anchor": smaller, "positive": smaller}

    def augment(self, sample, rng, _epoch):
        """Return the sample and a moved one."""
        moved = dict(sample) | {"agent/position": sample["agent/position"] + np.float32(rng.random())}
        return {"anchor": dict(sample), "positive": moved if len(sample["agent/position"]) else None}


class Noise:
    """Adds noise to the agents, in one role."""

    def output_spec(self, spec):
        """Return the anchor alone."""
        return {"anchor": spec}

    def augment(self, sample, rng, _epoch):
        """Return a noisy sample."""
        noise = rng.normal(size=sample["agent/position"].shape).astype(np.float32)
        return {"anchor": dict(sample) | {"agent/position": sample["agent/position"] + noise}}


def loader(reader=None, *, listing=LISTING, spec=SPEC, part="train", seed=3, augmentations=(), slots=4, **settings):
    chosen = LoaderSettings(**{"batch_size": 8} | settings)
    return BatchLoader(
        reader or DictReader(),
        listing,
        spec=spec,
        settings=chosen,
        part=part,
        seed=seed,
        augmentations=augmentations,
        slots=slots,
    )


def copies(batches):
    return [{key: array.copy() for key, array in batch.arrays.items()} | {"ids": batch.ids} for batch in batches]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        assert one["ids"] == other["ids"]
        for key in one.keys() - {"ids"}:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def by_sample(batches):
    """Return the unpadded agents of every row by sample and role."""
    found = {}
    for batch in batches:
        for row, number in enumerate(batch["number"].tolist()):
            role = batch["role"][row] if "role" in batch else 0
            found[number, int(role)] = batch["agent/position"][row, : number % 5]
    return found


def test_a_loader_is_a_batch_source():
    """Trainers find what the protocol promises."""
    made = loader()
    source: BatchSource = made
    assert source.count() == 5
    assert source.batch_size() == source.batch_size(world=2) == 8
    assert source.sample_spec == SPEC


def test_an_epoch_holds_every_sample_once_with_its_own_values():
    """Ids, arrays and padding of every row belong to one sample, and none is missing."""
    numbers = []
    for batch in loader().batches(0):
        for row, identity in enumerate(batch.ids):
            number = int(batch.arrays["number"][row])
            numbers.append(number)
            assert identity.key == KEYS[number]
            assert (batch.arrays["agent/position"][row, : number % 5] == number).all()
            assert not batch.arrays["agent/position"][row, number % 5 :].any()
            assert (batch.arrays["map"][row] == number).all()
    assert sorted(numbers) == list(range(40))


def test_samples_are_read_a_batch_at_a_time():
    """The reader sees whole batches."""
    reader = DictReader()
    list(loader(reader).batches(0))
    assert reader.calls == [8] * 5


def test_epochs_differ_and_repeat():
    """An epoch is a function of seed, part and number."""
    assert_same(copies(loader().batches(1)), copies(loader().batches(1)))
    orders = [
        tuple(batch["number"].tolist() for batch in copies(made.batches(epoch)))
        for made, epoch in ((loader(), 0), (loader(), 1), (loader(seed=4), 0), (loader(part="val"), 0))
    ]
    assert len({str(order) for order in orders}) == 4


@pytest.mark.parametrize("skip", [1, 3, 5])
def test_resuming_within_an_epoch_is_exact(skip):
    """A new loader that skips batches gives the rest of the epoch, augmentation included."""
    augmentations = [Jitter()]
    whole = copies(loader(augmentations=augmentations).batches(2))
    assert_same(copies(loader(augmentations=augmentations).batches(2, skip=skip)), whole[skip:])


def test_variants_do_not_depend_on_ranks_or_batches():
    """Each sample is varied in the same way whatever the number of ranks and the batch size."""
    augmentations = [Jitter()]
    one = by_sample(copies(loader(augmentations=augmentations).batches(1)))
    two = {}
    for rank in range(2):
        two |= by_sample(copies(loader(augmentations=augmentations, batch_size=3).batches(1, rank=rank, world=2)))
    assert one.keys() == two.keys()
    for place, array in one.items():
        np.testing.assert_array_equal(array, two[place])


def test_variants_change_with_the_epoch():
    """Another epoch draws anew."""
    made = loader(augmentations=[Jitter()])
    first, second = by_sample(copies(made.batches(0))), by_sample(copies(made.batches(1)))
    assert not np.array_equal(first[4, 1], second[4, 1])


def test_roles_are_rows_with_marks_and_the_map_is_cropped():
    """Anchors come first, variants behind; a variant that failed is the anchor, marked."""
    made = loader(augmentations=[Jitter()], batch_size=40)
    (batch,) = made.batches(0)
    assert batch.roles == ("anchor", "positive")
    assert batch.size == 40
    assert batch.arrays["map"].shape == (80, 4, 4)
    assert made.sample_spec["map"].dims == (4, 4)
    numbers = batch.arrays["number"]
    assert numbers[:40].tolist() == numbers[40:].tolist()
    assert batch.arrays["role_valid"].tolist() == [True] * 40 + [bool(number % 5) for number in numbers[:40]]


def test_augmentations_follow_each_other():
    """The second varies every role of the first, each with numbers of its own."""
    made = loader(augmentations=[Jitter(), Noise()], batch_size=40)
    found = by_sample(copies(made.batches(0)))
    plain = by_sample(copies(loader(augmentations=[Jitter()], batch_size=40).batches(0)))
    anchor, positive = (found[4, role] - plain[4, role] for role in (0, 1))
    assert anchor.any()
    assert positive.any()
    assert not np.allclose(anchor, positive)


def test_two_threads_make_the_same_batches():
    """Which thread varies a sample changes no number; a mistake in either is raised."""
    assert_same(
        copies(loader(augmentations=[Jitter(), Noise()], threads=2).batches(3)),
        copies(loader(augmentations=[Jitter(), Noise()], threads=1).batches(3)),
    )
    with pytest.raises(KeyError, match="agent/position"):
        list(loader(Lacking(), augmentations=[Jitter()], threads=2).batches(0))


@pytest.mark.parametrize(
    ("cores", "world", "settings", "wanted"),
    [(2, 1, {}, True), (1, 1, {}, False), (2, 2, {}, False), (8, 1, {"threads": 1}, False), (1, 1, {"threads": 2}, True)],
)
def test_two_threads_where_two_processors_are(monkeypatch, cores, world, settings, wanted):
    """Unless told otherwise, a training process fills batches with two threads if it has two processors for itself."""
    monkeypatch.setattr("pluto_core.pipeline.loader.processors", lambda: cores)
    made = loader(**settings)
    next(made.batches(0, world=world))
    assert made._filler.threads is wanted


class Lacking(DictReader):
    """A reader whose samples lack what the augmentation needs."""

    def get_many(self, keys):
        """Return samples without agents."""
        return [{"number": one["number"]} for one in super().get_many(keys)]


class Late:
    """Gives a positive whose map holds nothing at first."""

    late = ("map",)

    def output_spec(self, spec):
        """Return the roles."""
        return {"anchor": spec, "positive": spec}

    def augment(self, sample, rng, epoch):
        """Return the sample and the one with another map."""
        roles, finish = self.begin(sample, rng, epoch)
        finish()
        return roles

    def begin(self, sample, _rng, _epoch):
        """Return the same, and what computes the map."""
        later = np.full_like(sample["map"], -77)
        return {"anchor": sample, "positive": {**sample, "map": later}}, lambda: np.negative(sample["map"], out=later)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("large", [64, 1 << 18])
@pytest.mark.parametrize("others", [(), (Noise(),)])
def test_maps_that_are_computed_last_are_there_in_time(monkeypatch, threads, large, others):
    """Large or not, by one thread or two, and before the next augmentation sees them."""
    monkeypatch.setattr(fields, "LARGE", large)
    (batch,) = loader(augmentations=[Late(), *others], batch_size=40, threads=threads).batches(0)
    number, maps, role = (batch.arrays[key] for key in ("number", "map", "role"))
    np.testing.assert_array_equal(maps, np.where(role, -number, number)[:, None, None] * np.ones((6, 6)))


def test_roles_given_twice_are_refused():
    """Two augmentations that both give a positive cannot follow each other."""
    with pytest.raises(PlutoError, match="gives the role positive"):
        loader(augmentations=[Jitter(), Jitter()])


def test_a_damaged_sample_stops_and_is_named():
    """By default a damaged value is an error that names the sample, its reason and the way on."""
    with pytest.raises(PlutoError, match=rf"sample {KEYS[7]}: damaged_value: checksum differs; .*on_damaged"):
        list(loader(DictReader({KEYS[7]})).batches(0))


def test_damaged_samples_are_replaced_and_recorded():
    """With `replace` another sample stands in, the same one in every run; batches stay full and the record names both."""
    bad = {KEYS[7], KEYS[8]}
    made = loader(DictReader(bad), on_damaged="replace")
    first = copies(made.batches(0))
    assert [len(batch["ids"]) for batch in first] == [8] * 5
    assert made.replaced.keys() == bad
    assert not bad & {identity.key for batch in first for identity in batch["ids"]}
    assert made.replaced[KEYS[7]].reason is Reason.DAMAGED_VALUE
    assert made.replaced[KEYS[7]].taken not in bad
    assert_same(first, copies(loader(DictReader(bad), on_damaged="replace").batches(0)))
    assert_same(first, copies(made.batches(0)))


def test_known_damage_costs_no_second_reading_of_its_batch():
    """Once a sample is known to be damaged, the rest of its batch is read together again."""
    reader = DictReader({KEYS[7]})
    made = loader(reader, on_damaged="replace", shuffle=False)
    list(made.batches(0))
    reader.calls.clear()
    list(made.batches(1))
    assert reader.calls.count(7) == 1
    assert reader.calls.count(8) == 4
    assert len(reader.calls) < 5 + 10


def test_data_that_is_damaged_throughout_ends():
    """Replacing gives up, naming the sample."""
    with pytest.raises(PlutoError, match="that were to stand in"):
        list(loader(DictReader(KEYS), on_damaged="replace").batches(0))


def test_a_consumer_that_keeps_batches_too_long_is_found():
    """With poison, batches are intact for as long as promised and visibly gone afterwards."""
    made = loader(poison=True, slots=3)
    kept = list(islice(made.batches(0), 4))
    for batch in kept[1:]:
        assert (batch.arrays["map"][:, 0, 0] == batch.arrays["number"]).all()
    assert np.isnan(kept[0].arrays["map"]).all()
    assert (kept[0].arrays["number"] == -1).all()


def test_a_loader_travels_to_another_process():
    """A pickled loader gives the same batches."""
    made = loader(augmentations=[Jitter()])
    assert_same(copies(pickle.loads(pickle.dumps(made)).batches(0)), copies(made.batches(0)))  # noqa: S301


def test_an_empty_part_has_no_batches():
    """No samples: no batches and no error."""
    made = loader(listing=LISTING.take(np.zeros(0, np.int64)), part="val")
    assert made.count() == 0
    assert list(made.batches(0)) == []


def test_samples_that_do_not_fit_their_spec_are_a_message():
    """A cache that was made with other settings is named, not padded over."""
    wrong = SPEC | {"map": ArraySpec(dims=(5, 5), dtype="float32")}
    with pytest.raises(PlutoError, match=r"array 'map' has shape \(6, 6\).*other settings"):
        list(loader(spec=wrong).batches(0))


def test_evaluation_is_whole_and_in_order():
    """Validation sees every sample once in the listing's order, in batches of its own size, whatever training does."""
    made = loader(part="val", eval_batch_size=12, drop_last=True, replacement=True, type_weights={"stop": 0.0})
    numbers = [batch.arrays["number"].tolist() for batch in made.batches(0)]
    assert [len(batch) for batch in numbers] == [12, 12, 12, 4]
    assert [number for batch in numbers for number in batch] == list(range(40))


def test_a_batch_of_all_devices_is_shared():
    """Training and, where it has no size of its own, validation cut the batch into equal shares of the ranks."""
    made = loader(batch_size=8, batch_size_of="all")
    assert (made.batch_size(), made.batch_size(world=2), made.count(world=2)) == (8, 4, 5)
    assert [batch.size for batch in made.batches(0, rank=1, world=2)] == [4] * 5
    assert loader(part="val", batch_size=8, batch_size_of="all").batch_size(world=2) == 4
    assert loader(part="val", batch_size=8, batch_size_of="all", eval_batch_size=12).batch_size(world=2) == 12


def test_type_weights_concern_training():
    """A type of weight 0 is never drawn."""
    made = loader(type_weights={"stop": 0.0})
    numbers = [number for batch in made.batches(0) for number in batch.arrays["number"].tolist()]
    assert sorted(numbers) == [number for number in range(40) if number % 4]


def test_a_share_is_drawn_once_and_grows_by_adding():
    """A fraction takes the same samples every epoch, and a larger one holds the smaller."""
    parts = {}
    for share in (0.25, 0.5):
        made = loader(train_fraction=share)
        epochs = [{one.key for batch in made.batches(epoch) for one in batch.ids} for epoch in (0, 1)]
        assert epochs[0] == epochs[1]
        parts[share] = epochs[0]
    assert len(parts[0.25]) == 10
    assert len(parts[0.5]) == 20
    assert parts[0.25] < parts[0.5]


def test_limits_count_batches_of_their_part():
    """`limit_train_batches` leaves validation alone."""
    assert loader(limit_train_batches=2).count() == 2
    assert loader(limit_train_batches=2, part="val").count() == 5


def test_what_forks_replaced_is_known_to_their_parent():
    """Ranks that are forked to train tell which samples others stood in for; a copy in another process begins anew."""
    made = loader(DictReader(damaged=KEYS[3:9:5]), on_damaged="replace")
    children = []
    for rank in range(2):
        child = os.fork()
        if not child:
            with suppress(BaseException):
                list(made.batches(0, rank=rank, world=2))
                os._exit(0)
            os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert made.replaced.keys() == set(KEYS[3:9:5])
    assert {one.reason for one in made.replaced.values()} == {Reason.DAMAGED_VALUE}
    assert not pickle.loads(pickle.dumps(made)).replaced  # noqa: S301 -- pickled just now
