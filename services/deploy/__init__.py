"""What a deployment of containers needs beside the services: rights in NATS, secrets, and what is made once."""
