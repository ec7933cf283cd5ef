import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_basics.config import ByLogConfig, ByTokenListConfig, OnePartConfig
from pluto_basics.splitters import PARTS, by_log, by_token_list, one_part, read_tokens
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.listing import Listing
from pluto_core.scene import ScenarioId


def listing(logs, each=3):
    rows = [(ScenarioId(log, f"{log}{number}", number), "turn", "town") for log in logs for number in range(each)]
    return Listing.of(rows)


def parts_of(splitter, given_listing):
    """Return the tokens of each part."""
    return {part: {given_listing.tokens[row].decode() for row in rows} for part, rows in splitter.split(given_listing).items()}


fractions = st.floats(0, 1).flatmap(
    lambda train: st.floats(0, 1 - train).map(lambda val: {"train": train, "val": val, "test": max(0.0, 1 - train - val)})
)


@given(logs=st.lists(st.text("abc0-_", min_size=1), unique=True, max_size=30), shares=fractions, seed=st.integers(0, 9))
def test_logs_stay_whole_and_order_does_not_matter(logs, shares, seed):
    """Parts are disjoint and ascending, no log is in two, none is lost where fractions make 1, order is irrelevant."""
    splitter = by_log(ByLogConfig(**shares), Context())
    whole = listing(logs)
    rows = splitter.split(whole)
    assert list(rows) == list(PARTS)
    assert all((np.diff(part) > 0).all() for part in rows.values())
    logs_of = [{whole.id(row).log for row in part} for part in rows.values()]
    assert sum(map(len, logs_of)) == len(set().union(*logs_of))
    assert sum(map(len, rows.values())) == len(whole)
    shuffled = whole.take(np.random.default_rng(seed).permutation(len(whole)))
    assert parts_of(splitter, shuffled) == parts_of(splitter, whole)


def test_adding_logs_moves_none():
    """A log's part depends on its name alone."""
    splitter = by_log(ByLogConfig(train=0.5, val=0.25, test=0.25), Context())
    few, more = listing([f"log{number}" for number in range(20)]), listing([f"log{number}" for number in range(60)])
    for part, tokens in parts_of(splitter, few).items():
        assert tokens <= parts_of(splitter, more)[part]


def test_shares_of_many_logs_are_as_asked():
    """Of 3000 logs, the parts hold what the fractions say, and what is left belongs to none."""
    many = listing([f"2021.05.12.{number}" for number in range(3000)], each=1)
    rows = by_log(ByLogConfig(train=0.6, val=0.2, test=0.1), Context()).split(many)
    assert [len(rows[part]) / 3000 for part in PARTS] == pytest.approx([0.6, 0.2, 0.1], abs=0.03)


def test_the_salt_gives_another_division():
    """Another salt moves logs."""
    many = listing([f"log{number}" for number in range(100)])
    one, other = (by_log(ByLogConfig(salt=salt), Context()) for salt in ("", "again"))
    assert parts_of(one, many) != parts_of(other, many)


def test_fractions_above_one_are_refused():
    """Shares that overlap are a mistake."""
    with pytest.raises(PlutoError, match=r"train \+ val \+ test is 1\.2"):
        ByLogConfig(train=0.9, val=0.2, test=0.1)


@pytest.mark.parametrize(
    "text",
    ['["a0", "b1"]', "a0\nb1\n", "# chosen by hand\n\na0\nb1", "token,log_name\na0,a\nb1,b\n", "\ufeffa0\r\nb1\r\n"],
)
def test_token_files_may_have_several_forms(tmp_path, text):
    """JSON lists, plain lines and the CSV of `pluto scenarios` name the same tokens."""
    path = tmp_path / "tokens"
    path.write_bytes(text.encode())
    assert read_tokens(path) == ("a0", "b1")


def test_tokens_choose_their_parts_and_missing_ones_are_told(tmp_path):
    """Listed scenarios go to their part, others to none; what is not found is said, per part."""
    (tmp_path / "train.txt").write_text("a0\nb1\nghost\n")
    (tmp_path / "val.txt").write_text("c2\n")
    notes = []
    config = ByTokenListConfig(train=str(tmp_path / "train.txt"), val=str(tmp_path / "val.txt"))
    splitter = by_token_list(config, Context(note=notes.append))
    assert parts_of(splitter, listing(["a", "b", "c"])) == {"train": {"a0", "b1"}, "val": {"c2"}, "test": set()}
    assert notes == [
        f"splitter by_token_list: 3 of train, 1 of val, hash {splitter.digest}",
        "splitter by_token_list: 1 of 3 tokens of train not found: ghost",
    ]


def test_a_token_in_two_lists_is_refused(tmp_path):
    """Overlapping lists would leak."""
    for part in ("train", "test"):
        (tmp_path / part).write_text("a0\nb1\n")
    with pytest.raises(PlutoError, match="train and test share a0, b1"):
        by_token_list(ByTokenListConfig(train=str(tmp_path / "train"), test=str(tmp_path / "test")), Context())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "holds no tokens"),
        ('["a0", 3]', "list of texts"),
        ('["a0",', r"tokens:1: "),
        ("[" * 100_000, "holds no tokens: maximum recursion depth"),
        ("a" * 200_000, "holds no tokens: field larger"),
        ("a0\nb\x07", r"'b\\x07' is no token"),
    ],
)
def test_unusable_token_files_are_named(tmp_path, text, message):
    """Each mistake names the file and what is wrong with it."""
    path = tmp_path / "tokens"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PlutoError, match=message):
        read_tokens(path)


def test_no_list_at_all_is_refused():
    """A splitter that would give nothing is a mistake."""
    with pytest.raises(PlutoError, match="at least one of train, val, test"):
        by_token_list(ByTokenListConfig(), Context())


def test_the_digest_names_the_lists(tmp_path):
    """Order within a file does not change it, moving a token does."""
    digests = []
    for train, val in (("a0\nb1", "c2"), ("b1\na0", "c2"), ("a0", "b1\nc2")):
        (tmp_path / "train").write_text(train)
        (tmp_path / "val").write_text(val)
        config = ByTokenListConfig(train=str(tmp_path / "train"), val=str(tmp_path / "val"))
        digests.append(by_token_list(config, Context()).digest)
    assert digests[0] == digests[1] != digests[2]


def test_lists_that_were_changed_are_refused(tmp_path):
    """An experiment that says which lists it means goes on with those and stops with others, naming both hashes."""
    (tmp_path / "train").write_text("a0\nb1")
    digest = by_token_list(ByTokenListConfig(train=str(tmp_path / "train")), Context()).digest
    pinned = ByTokenListConfig(train=str(tmp_path / "train"), expect_hash=digest[:8])
    assert by_token_list(pinned, Context()).digest == digest
    (tmp_path / "train").write_text("a0")
    with pytest.raises(PlutoError, match=rf"hash \w{{32}}, not {digest[:8]}"):
        by_token_list(pinned, Context())


def test_one_part_holds_everything():
    """Every scenario is in the named part, none elsewhere."""
    found = parts_of(one_part(OnePartConfig(part="val"), Context()), listing(["a", "b"]))
    assert found == {"train": set(), "val": {"a0", "a1", "a2", "b0", "b1", "b2"}, "test": set()}
