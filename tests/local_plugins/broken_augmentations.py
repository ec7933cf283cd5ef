"""Augmentations, each with one defect."""

import os
import sys

import attrs
import numpy as np
from broken_parts import caught_by, components

from pluto_core import hookimpl
from pluto_core.testing.fake_samples import Mirror

KEY = "agent/position"


class _Mirror(Mirror):
    def __init__(self, *_):
        pass


@caught_by("test_keeps_the_protocol")
class Mute:
    """Announces nothing."""

    def __init__(self, *_):
        pass

    def augment(self, sample, rng, epoch):
        """Return the sample."""
        return {"anchor": dict(sample)}


@caught_by("test_roles_are_as_declared")
class Surprising(_Mirror):
    """Gives a role that it did not announce."""

    def augment(self, sample, rng, epoch):
        """Return three roles."""
        return {**super().augment(sample, rng, epoch), "surprise": dict(sample)}


@caught_by("test_output_is_what_it_announces")
class Wide(_Mirror):
    """Gives float64 where it announces float32."""

    def augment(self, sample, rng, epoch):
        """Return wide positions."""
        given = super().augment(sample, rng, epoch)
        return {role: {**one, KEY: one[KEY].astype(np.float64)} for role, one in given.items()}


@caught_by("test_output_is_what_it_announces")
class Shy(_Mirror):
    """Announces a role that it never gives."""

    def augment(self, sample, rng, epoch):
        """Return the anchor alone."""
        return {**super().augment(sample, rng, epoch), "mirrored": None}


@caught_by("test_input_is_left_alone")
class Scribbling(_Mirror):
    """Moves agents where they stand."""

    def augment(self, sample, rng, epoch):
        """Write into the sample."""
        sample[KEY][...] += 1
        return super().augment(sample, rng, epoch)


@caught_by("test_same_chance_same_result")
class Remembering(_Mirror):
    """Moves everybody further every time."""

    count = 0

    def augment(self, sample, rng, epoch):
        """Return positions that depend on what was asked before."""
        self.count += 1
        given = super().augment(sample, rng, epoch)
        return {role: {**one, KEY: one[KEY] + np.float32(self.count)} for role, one in given.items()}


@caught_by("test_another_chance_another_result")
class Stiff(_Mirror):
    """Leaves nothing to chance."""

    def augment(self, sample, rng, epoch):
        """Return the same every time."""
        return super().augment(sample, np.random.default_rng(0), epoch)


@caught_by("test_no_other_chance")
class Gambling(_Mirror):
    """Draws from numpy's global generator."""

    def augment(self, sample, rng, epoch):
        """Return positions moved by a global number."""
        return super().augment(sample, np.random.default_rng(np.random.randint(1000)), epoch)


@caught_by("test_same_in_another_process")
class Homesick(_Mirror):
    """Moves everybody by the number of the process."""

    def augment(self, sample, rng, epoch):
        """Return positions that other processes do not give."""
        return super().augment(sample, np.random.default_rng(os.getpid()), epoch)


@caught_by("test_variants_stand_in_one_batch")
class Torn(_Mirror):
    """Announces one array with other dims in each role."""

    def output_spec(self, spec):
        """Return specs that do not fit each other."""
        told = super().output_spec(spec)
        flat = attrs.evolve(spec[KEY], dims=("agent", 7))
        return {**told, "mirrored": {**spec, KEY: flat}}

    def augment(self, sample, rng, epoch):
        """Return arrays as announced."""
        given = super().augment(sample, rng, epoch)
        return {**given, "mirrored": {**given["mirrored"], KEY: np.zeros((len(sample[KEY]), 7), np.float32)}}


@caught_by("test_missing_arrays_are_named")
class Careless(_Mirror):
    """Finds out too late that an array is missing."""

    def output_spec(self, spec):
        """Return the spec without looking at it."""
        return {"anchor": spec, "mirrored": spec}


@hookimpl
def pluto_register_augmentations():
    """Return all of them."""
    return components(sys.modules[__name__], requires="pluto_core.testing.schema:mirror")
