"""What this process counts about itself, for Prometheus. Counts that live in Postgres are read when asked for."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call] # not typed there
REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "holdfast_http_requests_total", "Requests answered.", ("method", "route", "status"), registry=REGISTRY
)
SECONDS = Histogram(
    "holdfast_http_request_seconds",
    "Time to the end of the answer; streams are not in it.",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
STREAMS = Gauge("holdfast_streams_open", "Event streams open in this process.", registry=REGISTRY)
EVENTS = Counter("holdfast_stream_events_total", "Events sent over streams.", registry=REGISTRY)
