"""The store as containers: what runs inside them. `docker-compose.yml` at the top of the repository starts it all."""
