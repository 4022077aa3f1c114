"""The scenarios: each a function that takes a report and the run's length, and adds its tables to the report."""
