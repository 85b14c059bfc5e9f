"""What whoever uses a host tells its outlier monitor, and why a host may be ejected. It must not know hosts."""

from __future__ import annotations

import enum
from abc import abstractmethod

from mypy_extensions import trait


class EjectionType(enum.Enum):
    """Why a host is ejected (envoy.data.cluster.v3.OutlierEjectionType)."""

    CONSECUTIVE_5XX = 0
    CONSECUTIVE_GATEWAY_FAILURE = 1
    SUCCESS_RATE = 2
    CONSECUTIVE_LOCAL_ORIGIN_FAILURE = 3
    SUCCESS_RATE_LOCAL_ORIGIN = 4
    FAILURE_PERCENTAGE = 5
    FAILURE_PERCENTAGE_LOCAL_ORIGIN = 6


@trait
class HostMonitor:
    """Hears how requests and connections to one host end (Envoy's `DetectorHostMonitor`). Each call may eject it."""

    __slots__ = ()

    @abstractmethod
    def put_http_response_code(self, code: int) -> None:
        """The host answered, with this status or with what a grpc-status stands for."""

    @abstractmethod
    def put_connect_success(self) -> None:
        """There is a connection for a request; how the request ends will be told (`LocalOriginConnectSuccess`)."""

    @abstractmethod
    def put_connect_success_final(self) -> None:
        """There is a connection, and nothing more will be told of it (`LocalOriginConnectSuccessFinal`)."""

    @abstractmethod
    def put_connect_failure(self) -> None:
        """No connection came about, or a request was reset (`LocalOriginConnectFailed`)."""

    @abstractmethod
    def put_timeout(self) -> None:
        """The host took too long to connect to or to answer (`LocalOriginTimeout`)."""

    @property
    @abstractmethod
    def success_rate(self) -> float:
        """Percent of the last interval's requests that the host answered well; -1 is unknown."""

    @property
    @abstractmethod
    def local_origin_success_rate(self) -> float:
        """The same of connections and timeouts, where these are told apart; -1 is unknown."""
