"""A whole stack on a bare machine: Postgres and Temporal from wheels, our own processes, one supervisor."""
