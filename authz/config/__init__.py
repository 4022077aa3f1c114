"""The service's own settings: from file, environment and flags to one frozen value that remembers each
origin."""
