"""Read models of the clinic. They sit apart: a process, a PostgreSQL role and a schema of their own."""
