"""A session with a CQL cluster: policies, consistency, prepared statements, errors that say what to do."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    DriverException,
    InvalidRequest,
    RequestExecutionException,
    Unauthorized,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    Session,
)
from cassandra.connection import ConnectionException
from cassandra.policies import (
    ConstantReconnectionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialBackoffRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import ErrorMessage, SyntaxException
from cassandra.query import tuple_factory

from feature_specs.errors import ForebayError, first_line
from serving.stores.cql.address import PASSWORD, USER, Address
from serving.stores.cql.schema import CREATE, LAYOUT, ROWS, VIEWS
from serving.stores.protocol import NoStoreError, StoreDownError

#: Seconds that a lookup waits for a node.
READ_TIMEOUT = 2.0
#: Also what all attempts of a write may take together.
_LONG_TIMEOUT = 30.0
_COMMIT_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 5.0
#: Seconds between attempts to reach a node that went away.
_RECONNECT = 1.0

READ, WRITE, SCAN, SERIAL, COMPARE_AND_SET = "read", "write", "scan", "serial", "compare and set"

#: All that the driver raises for a server that is away, slow or refuses.
DRIVER_ERRORS = (
    DriverException,
    RequestExecutionException,
    NoHostAvailable,
    ConnectionException,
    ErrorMessage,
)

#: Errors that trying again does not help.
_REFUSALS = (AuthenticationFailed, InvalidRequest, Unauthorized, SyntaxException)

# What it has to say is in the errors: without a handler Python would print it to stderr.
logging.getLogger("cassandra").addHandler(logging.NullHandler())


class Connection:
    """A session on one keyspace, whose statements are prepared once.

    Raises:
        StoreDownError: no node answers.
        NoStoreError: it is only to be read, and has no tables yet.
        ForebayError: the keyspace or datacenter does not exist, or the user may not read it.
    """

    def __init__(self, address: Address, *, readonly: bool) -> None:
        self.address = address
        self._prepared: dict[str, Any] = {}
        self._cluster = _cluster(address)
        try:
            self.session: Session = self._connect(readonly)
        except BaseException:
            self._cluster.shutdown()
            raise

    def close(self) -> None:
        self._cluster.shutdown()

    def prepare(self, text: str) -> Any:
        """The prepared statement, without paging."""
        found = self._prepared.get(text)
        if found is None:
            with self.errors():
                found = self.session.prepare(text)
            found.is_idempotent = True
            found.fetch_size = None
            self._prepared[text] = found
        return found

    def count_nodes(self) -> int:
        """How many nodes are known, at least one."""
        return max(1, len(self._cluster.metadata.all_hosts()))

    def nodes_of(self, statement: Any) -> tuple[str, ...]:
        """The nodes that keep a bound statement's partition; empty where there is but one node."""
        metadata = self._cluster.metadata
        if metadata.token_map is None or self.count_nodes() < 2:
            return ()
        hosts = metadata.get_replicas(self.address.keyspace, statement.routing_key)
        return tuple(sorted(str(host.endpoint) for host in hosts))

    def execute(self, text: str, values: Sequence[Any], profile: str) -> list[Any]:
        """Run one statement and give its rows."""
        with self.errors():
            bound = self.prepare(text).bind(values)
            return list(self.session.execute(bound, execution_profile=profile))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise the driver's errors as `explain` tells them."""
        try:
            yield
        except DRIVER_ERRORS as error:
            raise self.explain(error) from error

    def explain(self, error: BaseException) -> ForebayError:
        """The driver's error as one that says which store, and what to do."""
        if isinstance(error, ForebayError):
            return error
        inner = _innermost(error)
        return self.refused(inner) if isinstance(inner, _REFUSALS) else self.down(inner)

    def refused(self, error: BaseException) -> ForebayError:
        """The error of a statement that trying again does not help."""
        return ForebayError(
            f"the online store refuses: {first_line(error)}",
            where=self.address.uri,
            hint=f"set {USER} and {PASSWORD} to a user that may create, read and write tables",
        )

    def down(self, error: BaseException) -> StoreDownError:
        """The error of a store that does not answer."""
        return StoreDownError(
            f"the online store does not answer: {first_line(error) or type(error).__name__}",
            where=self.address.uri,
            hint="check that its nodes run and can be reached, then try again",
        )

    def _connect(self, readonly: bool) -> Session:
        with self.errors():
            try:
                session = self._cluster.connect()
            except NoHostAvailable:
                self._check_datacenter()
                raise
        keyspace = self._cluster.metadata.keyspaces.get(self.address.keyspace)
        if keyspace is None:
            raise self._no_keyspace()
        missing = [name for name in (ROWS, VIEWS) if name not in keyspace.tables]
        if missing and readonly:
            raise NoStoreError(
                f"keyspace {self.address.keyspace!r} holds no online store yet",
                where=self.address.uri,
                hint="run `forebay sync`",
            )
        with self.errors():
            session.set_keyspace(self.address.keyspace)
            for statement in CREATE if missing else ():
                session.execute(statement, execution_profile=SCAN)
            self._check_layout(session)
        return session

    def _check_datacenter(self) -> None:
        """Whether no node answers because none is where the address says."""
        if self.address.dc is None:
            return
        anywhere = _cluster(replace(self.address, dc=None))
        try:
            anywhere.connect()
            known = sorted({host.datacenter for host in anywhere.metadata.all_hosts()})
        finally:
            anywhere.shutdown()
        if self.address.dc not in known:
            raise ForebayError(
                f"the cluster has no datacenter {self.address.dc!r}",
                where=self.address.uri,
                hint=f"known: {', '.join(map(repr, known))}",
            )

    def _check_layout(self, session: Session) -> None:
        layouts = session.execute(f"select distinct layout from {VIEWS}", execution_profile=SCAN)
        other = [layout for (layout,) in layouts if layout != LAYOUT]
        if other:
            raise ForebayError(
                f"the keyspace holds an online store of layout {other[0]}, not {LAYOUT}",
                where=self.address.uri,
                hint="name another keyspace and run `forebay sync`, then drop the old one",
            )

    def _no_keyspace(self) -> ForebayError:
        centers = sorted({h.datacenter for h in self._cluster.metadata.all_hosts()})
        copies = ", ".join(f"'{dc}': 3" for dc in centers)
        name = self.address.keyspace
        return ForebayError(
            f"there is no keyspace {name!r}",
            where=self.address.uri,
            hint="create it as below, with as many copies as the nodes of a datacenter allow",
            paste=f"create keyspace {name} with replication = "
            f"{{'class': 'NetworkTopologyStrategy', {copies}}};",
        )


class _PatientRetryPolicy(ExponentialBackoffRetryPolicy):  # type: ignore[misc]  # untyped driver
    """Wait and try again, also where a node was too busy: a write that arrives twice does no harm."""

    def on_write_timeout(self, query: Any, *, retry_num: int, **info: Any) -> tuple[Any, Any, Any]:
        if retry_num < self.max_num_retries:
            return self.RETRY, None, self._calculate_backoff(retry_num)
        return self.RETHROW, None, None

    def on_read_timeout(self, query: Any, *, retry_num: int, **info: Any) -> tuple[Any, Any, Any]:
        return self.on_write_timeout(query, retry_num=retry_num)


def _cluster(address: Address) -> Cluster:
    return Cluster(
        list(address.hosts),
        port=address.port,
        auth_provider=_credentials(address),
        ssl_context=_tls(address),
        execution_profiles=_profiles(address),
        reconnection_policy=ConstantReconnectionPolicy(_RECONNECT, max_attempts=None),
        compression=False,  # costs the driver, which is what limits a process, more than it saves
        connect_timeout=_CONNECT_TIMEOUT,
        control_connection_timeout=_CONNECT_TIMEOUT,
    )


def _profiles(address: Address) -> dict[Any, ExecutionProfile]:
    def profile(level: int, timeout: float, **options: Any) -> ExecutionProfile:
        balance = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=address.dc or ""))
        return ExecutionProfile(
            load_balancing_policy=balance,
            consistency_level=level,
            serial_consistency_level=ConsistencyLevel.SERIAL,
            request_timeout=timeout,
            row_factory=tuple_factory,
            **options,
        )

    # A commit must not be seen anywhere before its rows are: every datacenter has them first.
    patient = _PatientRetryPolicy(max_num_retries=6)
    return {
        EXEC_PROFILE_DEFAULT: profile(ConsistencyLevel.LOCAL_QUORUM, READ_TIMEOUT),
        READ: profile(ConsistencyLevel.LOCAL_QUORUM, READ_TIMEOUT),
        WRITE: profile(ConsistencyLevel.EACH_QUORUM, _LONG_TIMEOUT, retry_policy=patient),
        SCAN: profile(ConsistencyLevel.LOCAL_QUORUM, _LONG_TIMEOUT, retry_policy=patient),
        COMPARE_AND_SET: profile(ConsistencyLevel.EACH_QUORUM, _COMMIT_TIMEOUT),
        SERIAL: profile(ConsistencyLevel.SERIAL, _COMMIT_TIMEOUT),
    }


def _credentials(address: Address) -> PlainTextAuthProvider | None:
    if address.user is None:
        return None
    return PlainTextAuthProvider(address.user, address.password)


def _tls(address: Address) -> ssl.SSLContext | None:
    if not address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca)
        if address.certificate is not None:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(address.certificate, address.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise ForebayError(
            f"the certificates of the CQL store cannot be read: {first_line(error)}",
            where=address.uri,
            hint="name PEM files in ca, certificate and key",
        ) from error
    return context


def _innermost(error: BaseException) -> BaseException:
    """What a node said, where the driver only lists what every node said."""
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict):
        said = [each for each in error.errors.values() if isinstance(each, BaseException)]
        return said[0] if said else error
    return error
