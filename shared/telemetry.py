"""Logs, metrics and traces of a process.

Logs are structured (structlog): readable lines, or one JSON object a line. Metrics are Prometheus's. Traces are
OpenTelemetry's and off by default; when on, a span follows a command into its event (the `traceparent` header of the
message, W3C Trace Context) and on into the rows that a projection writes for it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.errors import Misconfigured
from shared.settings import Settings

_propagator = TraceContextTextMapPropagator()
_tracer: Tracer | None = None


def configure(settings: Settings, service: str) -> None:
    """Set up logging and tracing for this process. Raises Misconfigured when an exporter is not installed."""
    level = getattr(logging, settings.log_level.upper())
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.log_format == "json":
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
    if settings.traces != "off":
        _trace(settings, service)


def _trace(settings: Settings, service: str) -> None:
    global _tracer
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

        provider = TracerProvider(resource=Resource.create({"service.name": f"commons-{service}"}))
        if settings.traces == "otlp":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        else:
            provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
    except ImportError as error:
        raise Misconfigured(
            f"COMMONS_TRACES={settings.traces} needs the OpenTelemetry packages, which are not installed: {error}. "
            "Install the project with its `telemetry` extra, or set COMMONS_TRACES=off."
        ) from error
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("commons")


def tracing() -> bool:
    return _tracer is not None


def start_span(name: str, traceparent: str | None, **attributes: Any) -> Span | None:
    """A span under a remote parent, or None when tracing is off; end it with `.end()`."""
    if _tracer is None:
        return None
    parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    return _tracer.start_span(name, context=parent, kind=SpanKind.CONSUMER, attributes=attributes)


def traceparent_of(span: Span) -> str:
    """The W3C header value that names a span as the parent of what follows."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get("traceparent", "")


def traceparent_in(headers: bytes) -> str | None:
    """The `traceparent` among the headers of a message as NATS delivers them, or None."""
    _, found, rest = headers.partition(b"\r\ntraceparent:")
    return rest.partition(b"\r\n")[0].strip().decode(errors="replace") if found else None


@contextmanager
def batch_span(name: str, headers: Iterable[bytes], **attributes: Any) -> Iterator[None]:
    """A span over work for many messages at once, linked to the span that made each; nothing when tracing is off.

    `headers` are the messages' own. OpenTelemetry keeps 128 links of a span unless OTEL_SPAN_LINK_COUNT_LIMIT says
    otherwise.
    """
    if _tracer is None:
        yield
        return
    found = (traceparent_in(one) for one in headers)
    contexts = [
        trace.get_current_span(_propagator.extract({"traceparent": given})).get_span_context()
        for given in found if given
    ]  # fmt: skip
    with _tracer.start_as_current_span(
        name, links=[Link(c) for c in contexts if c.is_valid], kind=SpanKind.CONSUMER, attributes=attributes
    ):
        yield
