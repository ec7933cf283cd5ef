"""The sample codec: exact round trips, and nothing but `DAMAGED_VALUE` for whatever it did not write."""

import ast
import importlib.util
import struct
import tracemalloc
from pathlib import Path

import hypothesis.extra.numpy as hnp
import msgpack
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pluto_core.arrays import ArrayClass, ArraySpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline import codec
from pluto_core.pipeline.profiles import PROFILES

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint32", "float16", "float32", "float64"]
PAIRS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: st.tuples(
        hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40)), st.sampled_from(ArrayClass)
    )
)
SAMPLES = st.dictionaries(st.text(min_size=1, max_size=12), PAIRS, max_size=5)


def parts(samples):
    arrays = {key: array for key, (array, _) in samples.items()}
    spec = {
        key: ArraySpec(dims=array.shape, dtype=array.dtype.name, array_class=kind) for key, (array, kind) in samples.items()
    }
    return arrays, spec


def plain(profile="default"):
    smooth = np.add.outer(np.arange(60), np.arange(60)).astype(np.float32)
    arrays = {"a/x": np.linspace(0, 1, 300), "a/ok": np.ones(7, bool), "map": smooth, "none": np.zeros((0, 3), np.float32)}
    spec = {
        "a/x": ArraySpec(dims=("n",), dtype="float64", at_rest="float32"),
        "a/ok": ArraySpec(dims=(7,), dtype="bool"),
        "map": ArraySpec(dims=(60, 60), dtype="float32", at_rest="float16", array_class=ArrayClass.RASTER),
        "none": ArraySpec(dims=("m", 3), dtype="float32"),
    }
    return arrays, spec, codec.encode(arrays, spec, profile)


def forged(outline, numbers=(), payload=b"", version=codec.VERSION):
    """Return a value with right checksums around whatever is given."""
    outline = outline if isinstance(outline, bytes) else msgpack.packb(outline)
    packed = struct.pack(f"<{len(numbers)}q", *numbers)
    rest = b"\xc4\x00" + struct.pack(">BI", 0xC6, len(payload)) + payload
    head = struct.pack(">BQBI", 0xCF, xxhash.xxh3_64_intdigest(rest), 0xC6, len(outline)) + outline
    head += struct.pack(">BI", 0xC6, len(packed)) + packed
    return struct.pack(">BBHBQ", 0x97, 0xCD, version, 0xCF, xxhash.xxh3_64_intdigest(head)) + head + rest


def one(dtype, shape, number, offset, size, payload):
    """Return a value that says to hold one array, `a`."""
    return forged([["a", dtype, len(shape)]], [number, offset, size, *shape], payload)


def damaged(value, **options):
    with pytest.raises(SampleError) as caught:
        codec.decode(value, **options)
    assert caught.value.reason is Reason.DAMAGED_VALUE
    return caught.value.detail


@settings(deadline=None, max_examples=60)
@given(SAMPLES, st.sampled_from(sorted(PROFILES)))
def test_round_trip(samples, profile):
    """Whatever arrays a sample holds come back with equal bytes, shape and dtype, in every profile."""
    arrays, spec = parts(samples)
    found = codec.decode(codec.encode(arrays, spec, profile), verify=True)
    assert found.keys() == arrays.keys()
    for key, array in arrays.items():
        assert (found[key].shape, found[key].dtype, found[key].tobytes()) == (array.shape, array.dtype, array.tobytes())


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_form(profile):
    """A value is one msgpack document; raw arrays lie at multiples of 128 bytes, are views and cannot be written."""
    arrays, spec, value = plain(profile)
    version, _, _, outline, numbers, _, payload = msgpack.unpackb(value)
    assert version == codec.VERSION
    assert value.endswith(payload)
    assert (len(value) - len(payload)) % 128 == 0
    assert msgpack.unpackb(outline) == [
        ["a/ok", "bool", 1],
        ["a/x", "float32", 1],
        ["map", "float16", 2],
        ["none", "float32", 2],
    ]
    told = struct.unpack(f"<{len(numbers) // 8}q", numbers)
    assert all(told[at] % 128 == 0 for at in (1, 5, 9, 14))
    assert [told[3:4], told[7:8], told[11:13], told[16:]] == [(7,), (300,), (60, 60), (0, 3)]
    found = codec.decode(value)
    assert found["a/x"].dtype == np.float32
    assert not any(array.flags.writeable for array in found.values())
    np.testing.assert_array_equal(found["map"], arrays["map"].astype(np.float16))
    reordered = dict(reversed(arrays.items()))
    assert codec.encode(reordered, spec, profile) == value


def test_names_leave_out_the_rest():
    """Only the arrays asked for are returned."""
    assert set(codec.decode(plain()[2], names={"map", "unknown"})) == {"map"}


def test_any_layout_in_memory():
    """Strided, Fortran-ordered and big-endian arrays are stored by value."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "strided": base[:, ::2],
        "fortran": np.asfortranarray(base),
        "big": base.astype(">f4"),
        "scalar": np.float32(3)[()].reshape(()),
    }
    spec = {key: ArraySpec(dims=array.shape, dtype="float32") for key, array in arrays.items()}
    found = codec.decode(codec.encode(arrays, spec))
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize(
    ("array", "at_rest"),
    [(np.array([1e6]), "float16"), (np.array([1e300]), "float32"), (np.array([300]), "uint8"), (np.array([1, -1]), "uint32")],
)
def test_what_does_not_fit_at_rest_is_refused(array, at_rest):
    """A number that the dtype at rest cannot hold is an error, not another number."""
    with pytest.raises(SampleError) as caught:
        codec.encode({"a": array}, {"a": ArraySpec(dims=array.shape, dtype=array.dtype.name, at_rest=at_rest)})
    assert caught.value.reason is Reason.OUT_OF_RANGE


def test_encode_refuses_what_it_does_not_know():
    """An array without a spec and an unknown profile are named."""
    with pytest.raises(SampleError, match="stranger"):
        codec.encode({"stranger": np.zeros(1)}, {})
    with pytest.raises(PlutoError, match="default"):
        codec.encode({}, {}, "tiny")


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_truncation_is_noticed(profile):
    """A value cut off anywhere, or with something after it, is damaged, even without comparing checksums."""
    value = plain(profile)[2]
    for length in [*range(0, len(value), 97), len(value) - 1]:
        damaged(value[:length])
    damaged(value + b"\0")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_every_bit_flip_is_noticed(data):
    """With `verify`, one flipped bit anywhere is damage; without it, never anything but an array of the right shape."""
    arrays, _, value = plain(data.draw(st.sampled_from(sorted(PROFILES))))
    place = data.draw(st.integers(0, len(value) * 8 - 1))
    flipped = bytearray(value)
    flipped[place // 8] ^= 1 << place % 8
    damaged(bytes(flipped), verify=True)
    try:
        found = codec.decode(bytes(flipped))
    except SampleError as error:
        assert error.reason is Reason.DAMAGED_VALUE  # noqa: PT017 -- either outcome is right
    else:
        assert {key: array.shape for key, array in found.items()} == {key: array.shape for key, array in arrays.items()}


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=300))
def test_noise(noise):
    """Any bytes are damaged, also behind a right checksum."""
    damaged(noise)
    if noise:
        try:
            codec.decode(forged(noise), verify=True)
        except SampleError as error:
            assert error.reason is Reason.DAMAGED_VALUE  # noqa: PT017


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.binary(max_size=5),
    st.lists,
    max_leaves=12,
)
SIZES = st.sampled_from([0, 1, 2, 4, 16, 64, 65]) | st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from("kl") | JSON, st.sampled_from(["float32", "bool"]) | JSON, st.integers(-1, 3) | JSON))
    | JSON,
    st.lists(SIZES, max_size=20),
)
def test_hostile_headers(outline, numbers):
    """A head that someone made up gives arrays that lie within the value, or `DAMAGED_VALUE`; read together, no others."""
    value = forged(outline, numbers, bytes(64))
    found = outcome(lambda: codec.decode(value, verify=True))
    columns = outcome(lambda: rows_of(codec.columns([value, value], [b"", b""])))
    assert (found is None) is (columns is None)
    if found is not None:
        assert all(array.nbytes <= 64 for array in found.values())
        for key, (first, second) in columns.items():
            assert (first.shape, second.dtype, first.tobytes()) == (found[key].shape, found[key].dtype, second.tobytes())


def rows_of(columns):
    """Return the arrays of columns."""
    return {key: [column.array(row) for row in range(len(column.shapes))] for key, column in columns.items()}


def outcome(read):
    """Return what was read, or None where it was damaged."""
    try:
        return read()
    except SampleError as error:
        assert error.reason is Reason.DAMAGED_VALUE  # noqa: PT017 -- either outcome is right
        return None


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("shape", [[2**40], [2**20, 2**20], [2**62, 2**62, 0], [-1], [2**31, 512], [-(2**20), -(2**20)]])
def test_a_terabyte_is_not_allocated(number, shape):
    """A head that claims a terabyte, in any codec, is refused before memory is asked for."""
    value = one("uint8", shape, number, 0, 64, bytes(64))
    tracemalloc.start()
    try:
        damaged(value)
        with pytest.raises(SampleError):
            codec.columns([value], [b""])["a"].array(0)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("offset", "size"), [(-4, 4), (0, 68), (64, 4), (2**62, 2**62), (2**63 - 1, 2**63 - 1), (0, -4)])
def test_no_array_outside_of_the_payload(offset, size):
    """An array that begins before, or ends behind, the payload is refused."""
    value = one("float32", [size // 4], 0, offset, size, bytes(64))
    damaged(value)
    with pytest.raises(SampleError):
        codec.columns([value], [b""])


@settings(deadline=None, max_examples=40)
@given(st.lists(SAMPLES, min_size=1, max_size=4), st.sampled_from(sorted(PROFILES)))
def test_columns_hold_what_values_hold(samples, profile):
    """Values that are read together give the arrays that each gives alone; with different arrays they are not read together."""
    every = [parts(one) for one in samples]
    values = [codec.encode(arrays, spec, profile, key=b"%d" % number) for number, (arrays, spec) in enumerate(every)]
    keys = [b"%d" % number for number in range(len(values))]
    columns = codec.columns(values, keys)
    kinds = {tuple((key, array.dtype, array.ndim) for key, array in sorted(arrays.items())) for arrays, _ in every}
    assert (columns is not None) is (len(kinds) == 1)
    for key, column in (columns or {}).items():
        for shape, array, value, name in zip(column.shapes, rows_of(columns)[key], values, keys, strict=True):
            alone = codec.decode(value, key=name)[key]
            assert shape == array.shape == alone.shape
            assert (array.dtype, array.tobytes()) == (alone.dtype, alone.tobytes())


def rows_of_a_batch():
    """Return values of which only numbers, sums and lengths differ, and their keys."""
    arrays, spec, _ = plain("raw")
    rows = [{**arrays, "a/x": np.linspace(0, number, 300 - number)} for number in range(3)]
    keys = [b"f|log/%d@1" % number for number in range(3)]
    return [codec.encode(row, spec, "raw", key=key) for row, key in zip(rows, keys, strict=True)], keys


@pytest.mark.parametrize("row", range(3))
def test_damage_in_one_head_of_many_is_noticed(row):
    """Whichever byte of a head is changed, values that are read together are refused if that one is refused alone."""
    values, keys = rows_of_a_batch()
    whole, head = values[row], values[row].index(bytes([1] * 7))
    assert codec.columns(values, keys) is not None
    for place in range(head):
        for change in (1, 0x80):
            values[row] = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
            if unreadable(values[row], keys[row]):
                with pytest.raises(SampleError):
                    codec.columns(values, keys)
            else:  # what fills the gap before the payload is nobody's
                assert codec.columns(values, keys) is not None


@pytest.mark.parametrize("row", range(3))
def test_one_wrong_value_of_many_is_noticed(row):
    """A value that is cut, or stands under another's key, is refused among others as well."""
    values, keys = rows_of_a_batch()
    for wrong in (values[row][:-1], values[row][:100], values[row][:10], b"", values[row] + b"0", values[(row + 1) % 3]):
        with pytest.raises(SampleError):
            codec.columns([*values[:row], wrong, *values[row + 1 :]], keys)


@pytest.mark.parametrize("row", range(3))
def test_a_mark_within_what_is_summed_is_compared(row):
    """A value whose sum is right, and whose form is not, is refused among others as well."""
    values, keys = rows_of_a_batch()
    wrong = bytearray(values[row])
    place = 13
    wrong[place] ^= 1
    for after in range(place, len(wrong)):  # wherever the head ends: the sum is then right
        if xxhash.xxh3_64_intdigest(keys[row] + values[row][place:after]) == int.from_bytes(values[row][5:13], "big"):
            wrong[5:13] = xxhash.xxh3_64_intdigest(keys[row] + wrong[place:after]).to_bytes(8, "big")
            break
    else:
        pytest.fail("no end of the head")
    with pytest.raises(SampleError):
        codec.columns([*values[:row], bytes(wrong), *values[row + 1 :]], keys)


def test_outlines_of_one_length_are_told_apart():
    """Values whose arrays have other names or dtypes of the same length are not read as if they had the first one's."""
    arrays = {"a": np.zeros(3, np.int32), "b": np.zeros(3, np.int32)}
    spec = {key: ArraySpec(dims=("n",), dtype="int32") for key in "abc"}
    values = [codec.encode(one, spec) for one in (arrays, {"a": arrays["a"], "c": arrays["b"]})]
    assert len(values[0]) == len(values[1])
    assert codec.columns(values, [b"", b""]) is None


def unreadable(value, key):
    try:
        codec.decode(value, key=key)
    except SampleError:
        return True
    return False


def test_a_bomb_inside_of_a_frame():
    """A zstd frame that says another size than the header is refused without being unpacked."""
    bomb = codec.pack(codec.Codec.ZSTD, bytes(1 << 24))
    assert "instead of" in damaged(one("uint8", [64], 2, 0, len(bomb), bomb))


def test_nesting_and_versions():
    """Deeply nested headers and values of another version are refused, the latter by number."""
    damaged(forged(b"\x91" * 100_000))
    assert "version 7" in damaged(forged([], version=7))


def test_a_value_belongs_to_its_key():
    """A value that was made for one key is damaged under any other, without comparing the whole."""
    arrays, spec, _ = plain()
    value = codec.encode(arrays, spec, key=b"f|log/a@1")
    assert codec.decode(value, key=b"f|log/a@1").keys() == arrays.keys()
    for key in (b"f|log/a@2", b""):
        assert "another scenario" in damaged(value, key=key)


def test_no_module_can_unpickle():
    """Nothing on the way of the data imports what can run code from data."""
    modules = [
        path
        for package in ("pluto_core.pipeline", "pluto_lmdb", "pluto_basics", "pluto_devkit")
        for path in Path(importlib.util.find_spec(package).origin).parent.glob("*.py")
        if path.name != "pickles.py"
    ]
    assert len(modules) > 20
    for path in modules:
        assert not set(imported(path)) & {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}, path


def test_the_one_reader_of_pickles_is_guarded():
    """The devkit's caches are read by one class that looks every name up in a list; nothing in its module reads otherwise."""
    path = Path(importlib.util.find_spec("pluto_devkit.pickles").origin)
    used = [
        node.attr
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle"
    ]
    assert sorted(used) == ["Unpickler", "dumps"]


def imported(path):
    """Modules that a file imports; a mistake's class, taken by name, can run nothing."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] != ["PicklingError"]:
            yield node.module
