"""End-to-end tests: everything real, Envoy in the path; what runs is started by the tests and ends with them."""
