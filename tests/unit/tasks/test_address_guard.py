import pytest

from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.program import JobError


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "ff02::1",
        "not an address",
    ],
)
def test_addresses_inside_the_network_are_refused(address: str) -> None:
    assert not AddressGuard().permits("www.example.com", address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert AddressGuard().permits("www.example.com", address)


def test_what_is_allowed_is_allowed_and_nothing_else() -> None:
    guard = AddressGuard(["CDN.internal", "127.0.0.1", " 10.2.0.0/16 ", ""])

    assert guard.permits("cdn.internal", "10.9.9.9")
    assert guard.permits("anything", "127.0.0.1")
    assert guard.permits("anything", "10.2.3.4")
    assert guard.permits("anything", "::ffff:10.2.3.4")
    assert not guard.permits("anything", "10.3.0.1")
    assert not guard.permits("cdn.internal.evil.example", "10.9.9.9")


def test_a_mistyped_network_is_named() -> None:
    with pytest.raises(JobError, match=r"'10\.0\.0\.0/99' is no host name"):
        AddressGuard(["10.0.0.0/99"])
