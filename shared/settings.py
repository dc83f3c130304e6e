"""What a process is told from outside: environment variables, checked once, at the start.

Every variable has a default that suits one machine. A value that cannot be used is refused with its name, the value and
what would be right; a service never starts on a setting that it had to guess.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import Misconfigured
from shared.types import ID_PATTERN


class Settings(BaseModel):
    """The settings of any service; the alias of a field is its environment variable."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    nats_url: str = Field("nats://127.0.0.1:4222", alias="NATS_URL", pattern=r"^(nats|tls)://\S+$")
    nats_monitoring_url: str | None = Field(
        None, alias="NATS_MONITORING_URL", pattern=r"^https?://[^\s,]+(,https?://[^\s,]+)*$"
    )
    """The HTTP monitoring address of the server, or of each server of a cluster with commas between, which says whether
    it syncs every write; else port 8222 of each host of NATS_URL."""
    nats_nkey_seed_file: Path | None = Field(None, alias="NATS_NKEY_SEED_FILE")
    """The file of the nkey's seed by which this process is known to NATS; every connection uses it (credentials.py)."""
    database_url: str | None = Field(None, alias="DATABASE_URL", pattern=r"^postgres(ql)?://\S*$")
    """The read models' database. A password may be in the file that PGPASSFILE names, rather than here."""
    chapter: str = Field("local", alias="COMMONS_CHAPTER", pattern=ID_PATTERN)
    """Which organisation's ledger this is; part of every event's source."""
    http_host: str = Field("127.0.0.1", alias="COMMONS_HTTP_HOST", min_length=1)
    http_port: int = Field(0, alias="COMMONS_HTTP_PORT", ge=0, le=65_535)
    """Where /healthz, /readyz and /metrics are served; 0 takes any free port."""
    cache_mb: int = Field(256, alias="COMMONS_CACHE_MB", ge=1, le=65_536)
    """Memory for loaded aggregates, in MiB, by estimate."""
    snapshot_every: int = Field(1000, alias="COMMONS_SNAPSHOT_EVERY", ge=10, le=1_000_000)
    """Events of one aggregate between two snapshots of it: fewer when they are long (8 KiB count as one), more when its
    state is so large that the snapshots would take more bytes than the events."""
    max_waiting: int = Field(5_000, alias="COMMONS_MAX_WAITING", ge=1, le=1_000_000)
    """Commands taken and not yet answered at which further ones are answered with BUSY."""
    max_waiting_mb: int = Field(32, alias="COMMONS_MAX_WAITING_MB", ge=1, le=65_536)
    """The bytes of these commands' requests, in MiB, at which it is the same."""
    rate: float = Field(500, alias="COMMONS_RATE", ge=0, le=1e9, allow_inf_nan=False)
    """Commands a second that a service takes of one person, in the long run; of a service or a process manager ten
    times as many. 0 is without a limit."""
    rate_burst: int = Field(2000, alias="COMMONS_RATE_BURST", ge=100, le=1_000_000_000)
    """And how many at once."""
    lanes: int = Field(2, alias="COMMONS_LANES", ge=1, le=16)
    """Writes that may be under way at once."""
    log_format: Literal["console", "json"] = Field("console", alias="COMMONS_LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", alias="COMMONS_LOG_LEVEL")
    master_key_file: Path | None = Field(None, alias="COMMONS_MASTER_KEY_FILE")
    """The file of the master keys, the current one first (masterkeys.py)."""
    master_key: str | None = Field(None, alias="COMMONS_MASTER_KEY", repr=False)
    """Or the one master key itself, in base64."""
    actor_keys: Path | None = Field(None, alias="COMMONS_ACTOR_KEYS")
    """The file of the public keys by which a service knows who acts; it is read again when it changes."""
    actor_key: Path | None = Field(None, alias="COMMONS_ACTOR_KEY")
    """The file of the private key with which a process signs what it sends to services on its own account."""
    actor_issuer_key: Path | None = Field(None, alias="COMMONS_ACTOR_ISSUER_KEY")
    """The file of the issuer's private key, which signs for every person: for the operator's commands."""
    actor_token_file: Path | None = Field(None, alias="COMMONS_ACTOR_TOKEN_FILE")
    """The file of the token by which the operator's commands show who acts, where the issuer's key is not at hand."""
    roles_from_tokens: bool = Field(False, alias="COMMONS_ROLES_FROM_TOKENS")
    """Whether the roles of a token count by themselves while a service has no administrator: `commons up` has it so."""
    keyring: Path | None = Field(None, alias="COMMONS_KEYRING")
    """The folder in which a service keeps its file of keys."""
    erasure_delay_days: int = Field(30, alias="COMMONS_ERASURE_DELAY_DAYS", ge=0, le=3650)
    """Days between the approval of a person's erasure and the destruction of their key."""
    retention_years: int = Field(10, alias="COMMONS_RETENTION_YEARS", ge=0, le=100)
    """Years, from the end of the year, for which the treasury keeps who is named in its books."""
    retention_years_served: int = Field(4, alias="COMMONS_RETENTION_YEARS_SERVED", ge=0, le=100)
    """Years, from the end of the year, for which distribution keeps a household that was served by an eligibility that
    was declared. Four calendar years hold three from the close of a US federal fiscal year, on 30 September (7 CFR
    251.10(a), TEFAP), whenever in it that was."""
    fhir_base: str | None = Field(None, alias="COMMONS_FHIR_BASE", pattern=r"^https?://[^\s?#]+$")
    """The address of the FHIR API as clients know it, /fhir included; else that which a request was sent to."""
    fhir_trust_actor: bool = Field(False, alias="COMMONS_FHIR_TRUST_ACTOR")
    """Whether the FHIR API believes who X-Commons-Actor says is reading: only behind a proxy that sets it."""
    fhir_queue: Path | None = Field(None, alias="COMMONS_FHIR_QUEUE")
    """The folder in which the FHIR API keeps reads of charts that the clinic did not record yet."""
    retention_years_clinic: int = Field(10, alias="COMMONS_RETENTION_YEARS_CLINIC", ge=6, le=100)
    """Years, from the end of the year, for which the clinic keeps a patient's records after their last care, and the
    account of disclosures: six at the least (45 CFR 164.528(a))."""
    tiles: Path | None = Field(None, alias="COMMONS_TILES")
    """The folder in which the auditor keeps the logs: tiles and checkpoints, a folder a service."""
    log_keys: Path | None = Field(None, alias="COMMONS_LOG_KEYS")
    """The folder of the logs' signing keys, and of what was signed last with each: apart from the tiles."""
    log_origin: str | None = Field(None, alias="COMMONS_LOG_ORIGIN", pattern=r"^[^\s+]+[^\s+/]$")
    """What the names of the logs begin with, such as pantry.example/commons; else <chapter>/commons."""
    witnesses: Path | None = Field(None, alias="COMMONS_WITNESSES")
    """The file that names the witnesses, a line each: `witness NAME VKEY URL` (c2sp.org/tlog-policy)."""
    tiles_tokens: Path | None = Field(None, alias="COMMONS_TILES_TOKENS")
    """The file of bearer tokens, one a line, that open the entries of the logs that are not public."""
    traces: Literal["off", "console", "otlp"] = Field("off", alias="COMMONS_TRACES")
    """Where OpenTelemetry spans go; `otlp` reads the standard OTEL_EXPORTER_OTLP_* variables."""

    @property
    def monitoring_url(self) -> str:
        if self.nats_monitoring_url:
            return self.nats_monitoring_url
        hosts = (one.rpartition("://")[2].rpartition("@")[2].partition("/")[0] for one in self.nats_url.split(","))
        names = (host if host.endswith("]") else host.rpartition(":")[0] or host for host in hosts)  # [::1] has no port
        return ",".join(f"http://{name}:8222" for name in names)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings from the environment. Raises Misconfigured, naming every variable that cannot be used."""
    given = os.environ if environment is None else environment
    names = {field.alias for field in Settings.model_fields.values()}
    try:
        return Settings.model_validate({name: value for name, value in given.items() if name in names and value != ""})
    except ValidationError as error:
        wrong = [f"{item['loc'][0]}={_shown(str(item['input']))!r}: {item['msg']}" for item in error.errors()]
        raise Misconfigured("The environment has settings that cannot be used. " + "; ".join(wrong)) from error


def _shown(value: str) -> str:
    """A value as an error may show it: what stands before an @, a password perhaps, is left out."""
    before, at, host = value.rpartition("@")
    return (f"{before[: before.find('//') + 2]}…@{host}" if at else value)[:60]
