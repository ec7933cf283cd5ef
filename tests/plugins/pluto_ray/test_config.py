"""What the worker `ray` takes and refuses, and what the user is told."""

import pytest

from pluto_core.errors import PlutoError
from pluto_ray.config import RayConfig


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379", "head.cluster-2:6379", "ray://head:10001", "[::1]:6379"])
def test_addresses(address):
    """Every form of address that Ray knows is taken."""
    assert RayConfig(address=address).address == address


@pytest.mark.parametrize("address", ["", "head", "http://head:6379", "head:port", "ray://head", "a b:1"])
def test_no_addresses(address):
    """Whatever cannot be an address is refused before anything is started, with what would be one."""
    with pytest.raises(PlutoError, match=r'is none of "local", "auto", "HOST:PORT" and "ray://HOST:PORT"'):
        RayConfig(address=address)


@pytest.mark.parametrize("name", ["CPU", "GPU", "memory", "object_store_memory"])
def test_resources_with_a_key_of_their_own(name):
    """What Ray counts by itself is no custom resource."""
    with pytest.raises(PlutoError, match=f"resources cannot name '{name}'"):
        RayConfig(resources={name: 1.0})


def test_memory_is_in_megabytes():
    """The reservation is told in bytes to Ray, and none is made where none is asked for."""
    assert RayConfig(memory_mb=500).memory_bytes == 500_000_000
    assert RayConfig().memory_bytes is None
