"""Which addresses a job may connect to: none inside the network, unless somebody allowed it.

Addresses in articles are written by many people. A program that fetches them from inside a VPC would fetch
``http://169.254.170.2/`` (the task's credentials) or a neighbour's database for anybody who can write an
article. So each address is judged at the moment of connecting, after the name was looked up, and again for
every redirect: a name that changes its answer between a look-up and the connection gains nothing.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

from tasks.jobs.program import JobError

ALLOW_VARIABLE: Final = "ARTICLES_ALLOW_HOSTS"

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# IPv6 addresses that stand for an IPv4 address: the well-known NAT64 prefix (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class AddressGuard:
    """Judges addresses. `allow` names hosts ("cdn.internal", "127.0.0.1") and networks ("10.0.0.0/8").

    Raises:
        JobError: for an entry that is neither.
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[_Network] = []
        self._judged: dict[str, bool] = {}
        for entry in (item.strip().lower() for item in allow):
            if not entry:
                continue
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                if "/" in entry or " " in entry:
                    raise JobError(f"{entry!r} is no host name, address or network to allow") from None
                self._hosts.add(entry)

    def permits(self, host: str, address: str) -> bool:
        """Whether a connection to `address`, to which `host` was resolved, may be made."""
        if host.lower() in self._hosts:
            return True
        known = self._judged.get(address)
        if known is None:
            known = self._judged[address] = self._judge(address)
        return known

    def _judge(self, address: str) -> bool:
        try:
            ip: _Ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        ip = _embedded(ip) or ip
        if any(ip in network for network in self._networks if network.version == ip.version):
            return True
        return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _embedded(ip: _Ip) -> ipaddress.IPv4Address | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None
