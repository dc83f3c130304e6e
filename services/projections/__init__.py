"""The read models: each one a projection of the streams into PostgreSQL."""
