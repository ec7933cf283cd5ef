"""Checkpoints that somebody made to hurt: nothing in them runs, and they unpack to what they weigh."""

import contextlib
import io
import os
import pickle
import zipfile

import pytest
import torch

from pluto_core.errors import PlutoError
from pluto_lightning.checkpoints import read_checkpoint
from pluto_planner.weights import read_weights

READERS = pytest.mark.parametrize("read", [read_checkpoint, read_weights])


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def saved(path, **more):
    torch.save({"state_dict": {"model.a": torch.arange(8.0)}, **more}, path)
    return path


def rewritten(path, change=lambda _name, data: data, kind=zipfile.ZIP_STORED):
    """Write the members of an archive anew."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", kind) as new:
        for name, data in members.items():
            new.writestr(name, change(name, data))
    return path


def refused(read, path):
    with pytest.raises(PlutoError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_sound_checkpoint_is_read(tmp_path):
    """What the following tests break is read when it is whole, also when its members were written anew."""
    assert read_checkpoint(saved(tmp_path / "a.ckpt"))["state_dict"]["model.a"].tolist() == list(range(8))
    assert read_checkpoint(rewritten(tmp_path / "a.ckpt"))["state_dict"]["model.a"].tolist() == list(range(8))


@READERS
@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "bare pickle"])
def test_nothing_runs(read, zipped, tmp_path):
    """A call in a checkpoint, of torch's form or a bare pickle, is not made."""
    path, proof = tmp_path / "a.ckpt", tmp_path / "proof"
    if zipped:
        saved(path, hyper_parameters=Payload(proof))
    else:
        path.write_bytes(pickle.dumps({"state_dict": Payload(proof)}))
    with contextlib.suppress(PlutoError):
        read(path)
    assert not proof.exists()


@READERS
def test_old_forms_are_not_read(read, tmp_path):
    """The form that torch wrote before archives, whose sizes are not proved, is refused."""
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt", _use_new_zipfile_serialization=False)
    assert "as torch writes it since 1.6" in refused(read, tmp_path / "a.ckpt")


@READERS
def test_bombs(read, tmp_path):
    """A compressed archive is refused before it is unpacked."""
    path = rewritten(
        saved(tmp_path / "a.ckpt"), lambda name, data: bytes(2 * 10**7) if name.endswith("/0") else data, zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 10**6
    assert "compressed, and could unpack to anything" in refused(read, path)


@READERS
def test_sizes_that_are_not_there(read, tmp_path):
    """A tensor that says it is larger than its bytes is refused; memory beside it is not read."""

    def larger(name, data):
        return data.replace(b"K\x08", b"J\x00\x00\x00\x10") if name.endswith("data.pkl") else data

    refused(read, rewritten(saved(tmp_path / "a.ckpt"), larger))


@READERS
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"x" * 1000], ids=["nothing", "a head", "an end", "noise"]
)
def test_what_is_no_checkpoint(read, content, tmp_path):
    """Other files are one message with their path."""
    (tmp_path / "a.ckpt").write_bytes(content)
    refused(read, tmp_path / "a.ckpt")


@READERS
def test_members_that_overlap(read, tmp_path):
    """An archive whose members are the same bytes again and again holds no more than it weighs."""
    path = saved(tmp_path / "a.ckpt")
    buffer = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        whole = max(archive.infolist(), key=lambda one: one.file_size)
        for number in range(200):
            twin = zipfile.ZipInfo(f"a/data/{number}")
            twin.header_offset, twin.CRC = whole.header_offset, whole.CRC
            twin.compress_size = twin.file_size = whole.file_size
            archive.filelist.append(twin)
        archive._didModify = True
    path.write_bytes(buffer.getvalue())
    assert "says that it holds more than" in refused(read, path)


@READERS
def test_pipes_are_not_waited_for(read, tmp_path):
    """A pipe in the place of a checkpoint is a message."""
    os.mkfifo(tmp_path / "a.ckpt")
    assert refused(read, tmp_path / "a.ckpt").endswith("cannot be read: it is no regular file")


@READERS
def test_a_folder_is_said_to_be_one(read, tmp_path):
    """What the system says of a file that cannot be opened is told as it is, not as damage."""
    (tmp_path / "a.ckpt").mkdir()
    assert refused(read, tmp_path / "a.ckpt").endswith("cannot be read: Is a directory")
