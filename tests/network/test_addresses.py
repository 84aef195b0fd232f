"""Which addresses are public, in every notation."""

from __future__ import annotations

import pytest

from labelflow.network.addresses import (
    AddressRefused,
    check_literal,
    has_credentials,
    is_private_host,
    is_public,
    resolve_public,
)

PUBLIC = ["8.8.8.8", "223.255.255.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
NOTATIONS_OF_PRIVATE_HOSTS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "[::1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_address_that_is_not_on_the_internet_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", [*NOTATIONS_OF_PRIVATE_HOSTS, "localhost"])
def test_host_that_resolves_to_a_private_address_is_refused(host: str) -> None:
    assert is_private_host(f"http://{host}:8080/")
    with pytest.raises(AddressRefused):
        resolve_public(host.strip("[]"), 80)


@pytest.mark.parametrize(
    "host", [*NOTATIONS_OF_PRIVATE_HOSTS, "127.0.0.1.", "%31%32%37.0.0.1", "localhost", "LOCALHOST.", "a.localhost"]
)
def test_literal_private_address_is_recognized_without_a_name_server(host: str) -> None:
    with pytest.raises(AddressRefused):
        check_literal(f"http://{host}:8080/a")


@pytest.mark.parametrize("host", ["example.com", "8.8.8.8", "[2606:4700::1111]", "127.0.0.1.example.com", ""])
def test_other_literals_and_names_are_left_to_the_proxy(host: str) -> None:
    check_literal(f"http://{host}/a")


@pytest.mark.parametrize(
    "url", ["http://u:p@host/", "https://u@host", "http://@host/", "http://a\\@b/", "http://:p@h?x"]
)
def test_credentials_in_a_url_are_found(url: str) -> None:
    assert has_credentials(url)


@pytest.mark.parametrize("url", ["http://host/a@b", "http://host?a=b@c", "http://host#@", "http://host/", "http://[@"])
def test_other_at_signs_are_no_credentials(url: str) -> None:
    assert not has_credentials(url)


def test_host_without_an_address_is_not_private() -> None:
    assert not is_private_host("http://does-not-exist.invalid/v1")
    assert not is_private_host(f"http://{'a' * 70}.example/v1")
