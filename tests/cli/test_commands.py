"""The real command: output, exit codes, and what it says when something is wrong."""

import json

import pytest


@pytest.fixture
def toy(pluto, local_plugins, tmp_path):
    """Return a function that runs `pluto` on an experiment of the toy plugin alone: `toy("check", text, ...)`."""
    everything = "av2,basics,lightning,lmdb,nuplan,planner,viz,augment,devkit,ray"

    def run(command, text, *arguments, **env):
        path = tmp_path / "a.toml"
        path.write_text(text, encoding="utf-8")
        return pluto(command, "a.toml", *arguments, env={"PLUTO_WITHOUT": everything, "PYTHONPATH": str(local_plugins), **env})

    return run


GOOD = 'plugins = ["toy_parts"]\n[source]\nuse = "toy"\ndata_root = "${TOY_ROOT}"\n[model]\nuse = "toy"\n'


def test_help(pluto):
    """`--help` lists the commands, those of plugins too."""
    text = pluto("--help").ok()
    for name in ("run", "check", "show", "plugins", "schema", "runs", "scenarios"):
        assert f"  {name} " in text


def test_every_command_has_help(pluto):
    """Every command of the core can be imported and explains itself."""
    for name in ("run", "check", "show", "plugins", "schema", "runs", "scenarios"):
        assert "Usage: pluto" in pluto(name, "--help").ok()


def test_unknown_command(pluto):
    """A misspelt command is a usage error with a suggestion."""
    outcome = pluto("chekc")
    assert outcome.code == 2
    assert "there is no command 'chekc'; did you mean 'check'?" in outcome.err


def test_check_good(toy):
    """`check` says ok; a variable that is not set is a note."""
    outcome = toy("check", GOOD)
    assert outcome.code == 0
    assert outcome.out.startswith("a.toml: ok (")
    assert "note: a.toml:4: source.data_root: the environment variable TOY_ROOT is not set" in outcome.out
    assert "note" not in toy("check", GOOD, TOY_ROOT="x").ok()


def test_check_bad(toy):
    """`check` prints every mistake on a line of its own, and no traceback."""
    outcome = toy("check", "sed = 1\n" + GOOD, "--set", "loader.batch_size=0")
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        "a.toml:1: sed: unknown key; did you mean 'seed'?",
        "--set: loader.batch_size: must be at least 1, not 0",
    ]


def test_check_as_json(toy):
    """For programs: mistakes with file and line, key and words; notes where there are none."""
    outcome = toy("check", "sed = 1\n" + GOOD, "--json")
    assert outcome.code == 1
    assert outcome.err == ""
    mistake = {"where": "a.toml:1", "key": "sed", "problem": "unknown key; did you mean 'seed'?"}
    assert json.loads(outcome.out) == {"a.toml": {"ok": False, "mistakes": [mistake], "notes": []}}
    (found,) = json.loads(toy("check", GOOD, "--json").ok()).values()
    assert (found["ok"], found["mistakes"], [note["key"] for note in found["notes"]]) == (True, [], ["source.data_root"])


def test_run_refuses_unset_variables(toy):
    """`run` fails on a variable that is not set, before it does anything."""
    outcome = toy("run", GOOD)
    assert outcome.code == 1
    assert outcome.err.startswith("error: a.toml:4: source.data_root: the environment variable TOY_ROOT is not set")
    assert outcome.out == ""


def test_run_refuses_unknown_steps(toy):
    """`--only` takes the experiment's steps."""
    outcome = toy("run", GOOD, "--only", "cache,tets", TOY_ROOT="x")
    assert outcome.code == 1
    assert outcome.err == "error: --only cache,tets: 'tets' is none of the experiment's steps (cache, train, validate)\n"


def test_show_repeats(toy, tmp_path):
    """What `show` prints is an experiment that shows the same."""
    first = toy("show", GOOD, TOY_ROOT="x y").ok()
    assert 'data_root = "x y"' in first
    second = toy("show", first).ok()

    def settings(text):
        return [line.split("  #")[0].rstrip() for line in text.splitlines()[1:]]

    assert settings(first) == settings(second)


def test_show_json(toy):
    """`show --json` is one object with settings and origins."""
    shown = json.loads(toy("show", GOOD, "--json", "--set", "seed=4", TOY_ROOT="x").ok())
    assert shown["settings"]["source"]["data_root"] == "x"
    assert shown["origins"]["source.data_root"] == "a.toml:4"
    assert shown["origins"]["seed"] == "--set"
    assert shown["origins"]["splitter.use"] == "default"


def test_show_diff(toy, tmp_path):
    """`show --diff` prints what differs, with origins."""
    (tmp_path / "b.toml").write_text('extends = "a.toml"\nseed = 3\n[model]\ndim = 8\n', encoding="utf-8")
    lines = toy("show", GOOD, "--diff", "b.toml", TOY_ROOT="x").ok().splitlines()
    assert lines == [
        "--- a.toml",
        "+++ b.toml",
        '- name = "a"  # default',
        '+ name = "b"  # default',
        "- seed = 0  # default",
        "+ seed = 3  # b.toml:2",
        "- model.dim = 64  # default",
        "+ model.dim = 8  # b.toml:4",
    ]


def test_plugins_lists_broken_ones(pluto, local_plugins):
    """`plugins` shows what is there and what is broken, and ends well."""
    env = {"PYTHONPATH": str(local_plugins)}
    text = pluto("plugins", "-p", "toy_parts", "-p", "unimportable", "--without", "nuplan", env=env)
    assert text.code == 1  # two caches are called `lmdb`, and both plugins are named
    assert "two components for [cache] are called 'lmdb'" in text.err
    text = pluto("plugins", "-p", "unimportable", env=env).ok()
    assert "unimportable            broken: it failed to import: ModuleNotFoundError: No module named 'no_such_library'" in text


def test_plugins_json(pluto):
    """`plugins --json` is one object."""
    shown = json.loads(pluto("plugins", "--json").ok())
    assert "lmdb" in shown["components"]["cache"]
    assert shown["broken"] == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lmdb", ['[cache] use = "lmdb"', "path", "profile", "  shared: yes"]),
        ("processes", ['[worker] use = "processes"', "  processes: yes", "count"]),
        ("av2", ["  answers: ego_displacement_minimum_m, log_names, map_names"]),
        ("features.pluto", ['[[features]] use = "pluto"', "agent/position", "agent x 101 x 2", "float32", "parity"]),
        ("adamw", ['[optimizer] use = "adamw"', "default", "meaning"]),
        ("filter", ["[filter]", "num_scenarios_per_type"]),
        ("loader", ["[loader]", "batch_size"]),
        ("experiment", ["max_failures", "output_dir"]),
    ],
)
def test_plugins_show(pluto, name, expected):
    """`plugins show` explains settings and arrays."""
    text = pluto("plugins", "show", name).ok()
    for part in expected:
        assert part in text


def test_plugins_show_unknown(pluto):
    """An unknown component is a mistake with a suggestion."""
    outcome = pluto("plugins", "show", "lmbd")
    assert outcome.code == 1
    assert "there is no component or plugin 'lmbd'; did you mean 'lmdb'?" in outcome.err


def test_schema(pluto):
    """`schema` is JSON that knows every section and the settings of every component."""
    schema = json.loads(pluto("schema").ok())
    assert schema["additionalProperties"] is False
    assert {"source", "features", "filter", "loader", "extends", "steps"} <= schema["properties"].keys()
    caches = {rule["if"]["properties"]["use"]["const"]: rule["then"] for rule in schema["properties"]["cache"]["allOf"]}
    assert "path" in caches["lmdb"]["properties"]
    assert schema["properties"]["loader"]["properties"]["batch_size"]["minimum"] == 1
    assert schema["properties"]["steps"]["items"]["enum"] == ["cache", "train", "validate", "test"]


def test_schema_is_a_schema(pluto):
    """No choice and no list of rules is empty (JSON Schema allows neither), also where plugins are left out."""

    def walk(node, path=()):
        yield path, node
        for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            yield from walk(child, (*path, key))

    for arguments in ((), ("--without", "planner", "--without", "lightning", "--without", "nuplan", "--without", "av2")):
        schema = json.loads(pluto("schema", *arguments).ok())
        for path, node in walk(schema):
            if path and path[-1] in ("enum", "allOf", "anyOf") and isinstance(node, list):
                assert node, path


def test_bug_keeps_its_traceback(toy):
    """A config class with a bug is no user's mistake: the traceback stays, and its last line names the plugin's class."""
    outcome = toy("check", 'plugins = ["toy_parts"]\n[source]\nuse = "buggy"\nsize = 3\n[model]\nuse = "toy"\n')
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "toy_parts.BuggyConfig, key 'size' raised TypeError" in outcome.err.splitlines()[-1]


def test_runs_of_an_empty_folder(pluto):
    """`runs` says that there are none."""
    assert pluto("runs").ok() == "no runs in runs\n"


def test_version(pluto):
    """`--version` names the program and its version."""
    assert pluto("--version").ok().startswith("pluto, version ")
