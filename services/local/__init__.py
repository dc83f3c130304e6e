"""Everything on one machine without containers: NATS, PostgreSQL, and the services under a supervisor."""
